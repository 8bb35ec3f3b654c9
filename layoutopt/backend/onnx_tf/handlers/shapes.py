"""Operators that move, cut, join or repeat elements. Target shapes are constants: no SHAPE or PACK in the .tflite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import (
    Array,
    Node,
    Operand,
    handles,
    numpy_type,
    permuted,
    reshaped,
    shape_of,
)


@handles("Constant")
def constant(node: Node) -> Operand:
    """The array itself."""
    (name, value), *_ = node.attributes.items()
    if name == "value":
        assert isinstance(value, onnx.TensorProto)
        return onnx.numpy_helper.to_array(value)
    types = {"value_float": "f4", "value_floats": "f4", "value_int": "i8", "value_ints": "i8"}
    if name not in types:
        raise node.unsupported(f"a constant of the kind {name!r}")
    return np.array(value, types[name])


@handles("ConstantOfShape")
def constant_of_shape(node: Node) -> Operand:
    """An array of one value."""
    value = node.attributes.get("value")
    fill = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.zeros(1, np.float32)
    return np.full(node.optional_ints(0) or (), fill.reshape(()), fill.dtype)


@handles("Shape")
def shape(node: Node) -> Operand:
    """The static shape."""
    start, end = node.integer("start", 0), node.integer("end", len(node.shape))
    return np.array(node.shape[start:end], np.int64)


@handles("Size")
def size(node: Node) -> Operand:
    """The number of elements."""
    return np.array(int(np.prod(node.shape)), np.int64)


@handles("Reshape")
def reshape(node: Node) -> Operand:
    """RESHAPE to a constant shape; 0 copies a size, unless ``allowzero``."""
    target = (node.ints("shape") if node.opset < 5 else node.optional_ints(1)) or []
    if not node.integer("allowzero", 0):
        target = [node.shape[i] if size == 0 else size for i, size in enumerate(target)]
    if -1 in target:
        rest = int(np.prod([size for size in target if size != -1]))
        target[target.index(-1)] = int(np.prod(node.shape)) // max(rest, 1)
    return _relabelled(node.x, tuple(target))


def _relabelled(x: Operand, shape: tuple[int, ...]) -> Operand:
    """A Reshape; after a reduction that kept its axes, the same reduction without them, which is one operator fewer."""
    reduction = getattr(x, "op", None)
    if reduction is not None and reduction.type in _REDUCTIONS and reduction.get_attr("keep_dims"):
        source, axes = reduction.inputs
        gone = {int(axis) % len(source.shape) for axis in np.reshape(tf.get_static_value(axes), -1)}
        if shape == tuple(size for i, size in enumerate(shape_of(source)) if i not in gone):
            return _REDUCTIONS[reduction.type](source, sorted(gone))
    return reshaped(x, shape)


_REDUCTIONS = {"Max": tf.reduce_max, "Mean": tf.reduce_mean, "Sum": tf.reduce_sum}
"""TensorFlow's names of the reductions that pools become."""


@handles("Flatten")
def flatten(node: Node) -> Operand:
    """RESHAPE to two axes."""
    axis = node.integer("axis", 1)
    axis += len(node.shape) if axis < 0 else 0
    return _relabelled(node.x, (int(np.prod(node.shape[:axis])), int(np.prod(node.shape[axis:]))))


@handles("Squeeze")
def squeeze(node: Node) -> Operand:
    """RESHAPE without axes of size 1."""
    rank = len(node.shape)
    axes = node.ints("axes") if node.opset < 13 else node.optional_ints(1)
    gone = {axis % rank for axis in axes} if axes else {i for i, size in enumerate(node.shape) if size == 1}
    return _relabelled(node.x, tuple(size for i, size in enumerate(node.shape) if i not in gone))


@handles("Unsqueeze")
def unsqueeze(node: Node) -> Operand:
    """RESHAPE with more axes of size 1."""
    axes = (node.ints("axes") if node.opset < 13 else node.optional_ints(1)) or []
    rank = len(node.shape) + len(axes)
    new, sizes = {axis % rank for axis in axes}, iter(node.shape)
    return reshaped(node.x, tuple(1 if i in new else next(sizes) for i in range(rank)))


@handles("Transpose")
def transpose(node: Node) -> Operand:
    """TRANSPOSE, or RESHAPE where only axes of size 1 move."""
    perm = node.ints("perm") or list(reversed(range(len(node.shape))))
    moving = [axis for axis in perm if node.shape[axis] != 1]
    if moving == sorted(moving):
        return reshaped(node.x, tuple(node.shape[axis] for axis in perm))
    return permuted(node.x, tuple(perm))


@handles("Concat")
def concat(node: Node) -> Operand:
    """CONCATENATION."""
    operands = node.given
    return operands[0] if len(operands) == 1 else tf.concat(operands, node.axis(0))


@handles("Split")
def split(node: Node) -> list[Operand]:
    """SPLIT or SPLIT_V; sizes are an attribute up to opset 12, an operand since, and may be left out."""
    axis = node.axis(0)
    total, parts = node.shape[axis], max(node.integer("num_outputs", 0), node.results)
    sizes = node.ints("split") if node.opset < 13 else node.optional_ints(1)
    if not sizes:
        each = -(-total // parts)
        sizes = [min(each, total - i * each) for i in range(parts)]
    if len(sizes) == 1:
        return [node.x]
    return list(tf.split(node.x, len(sizes) if len(set(sizes)) == 1 else sizes, axis))


@handles("Slice")
def slice_(node: Node) -> Operand:
    """STRIDED_SLICE, REVERSE where a step is negative; nothing where all is kept."""
    if node.opset < 10:
        starts, ends = node.ints("starts") or [], node.ints("ends") or []
        axes, steps = node.ints("axes"), None
    else:
        starts, ends = node.optional_ints(1) or [], node.optional_ints(2) or []
        axes, steps = node.optional_ints(3), node.optional_ints(4)
    x, turned, parts = node.x, [], {}
    for i, axis in enumerate(axes or range(len(starts))):
        length, step = node.shape[axis], steps[i] if steps else 1
        # Python clamps and counts from the end as ONNX does.
        start, end, step = slice(starts[i], ends[i], step).indices(length)
        if step < 0:  # TFLite slices forwards only
            turned.append(axis % len(node.shape))
            start, end, step = length - 1 - start, length - 1 - end, -step
        parts[axis % len(node.shape)] = slice(start, max(end, start), step)
    return _sliced(tf.reverse(x, turned) if turned else x, parts)


def _sliced(x: Operand, parts: Mapping[int, slice]) -> Operand:
    """A STRIDED_SLICE, or SLICE where every step is 1; nothing where all is kept."""
    whole = [slice(0, size, 1) for size in shape_of(x)]
    wanted = [parts.get(axis, all_) for axis, all_ in enumerate(whole)]
    return x if wanted == whole else x[tuple(wanted)]


@handles("Pad")
def pad(node: Node) -> Operand:
    """PAD or PADV2; other modes join pieces of the operand to it, negative pads cut."""
    x, pads, value = node.x, _pads(node), _pad_value(node)
    if any(size < 0 for pair in pads for size in pair):
        x = x[tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(pads, node.shape, strict=True))]
        pads = [[max(low, 0), max(high, 0)] for low, high in pads]
    if not any(size for pair in pads for size in pair):
        return x
    mode = node.text("mode", "constant")
    if mode == "constant":
        return tf.pad(x, pads) if value == 0 else tf.pad(x, pads, constant_values=value)
    for axis, (low, high) in enumerate(pads):
        if low or high:
            x = _outward(x, axis, low, high, mode)
    return x


def _pads(node: Node) -> list[list[int]]:
    rank = len(node.shape)
    if node.opset < 11:
        flat = node.ints("pads") or node.ints("paddings") or [0] * 2 * rank
    else:
        flat = node.optional_ints(1) or [0] * 2 * rank
    axes = node.optional_ints(3) or range(rank)
    half, pads = len(flat) // 2, [[0, 0] for _ in range(rank)]
    for i, axis in enumerate(axes):
        pads[axis] = [flat[i], flat[half + i]]
    return pads


def _pad_value(node: Node) -> float:
    if node.opset < 11:
        return node.number("value", 0.0)
    value = node.constant(2) if node.optional(2) is not None else np.zeros(1)
    return float(value.reshape(()))


def _outward(x: Operand, axis: int, low: int, high: int, mode: str) -> Operand:
    """Joins pieces of ``x`` to it along ``axis``: MIRROR_PAD goes element by element and takes 20 times as long."""
    length = shape_of(x)[axis]

    def part(start: int, count: int) -> Operand:
        return _sliced(x, {axis: slice(start, start + count)})

    if mode == "edge":
        before, after = [part(0, 1)] * low, [part(length - 1, 1)] * high
    elif mode == "wrap":
        before, after = [part(length - low, low)], [part(0, high)]
    else:
        before, after = [_reversed(part(1, low), axis)], [_reversed(part(length - 1 - high, high), axis)]
    return tf.concat([*before[:low], x, *after[:high]], axis)


def _reversed(x: Operand, axis: int) -> Operand:
    return x if shape_of(x)[axis] == 1 else tf.reverse(x, [axis])


@handles("Expand")
def expand(node: Node) -> Operand:
    """BROADCAST_TO; nothing where the shape is that already."""
    target = np.broadcast_shapes(node.shape, tuple(node.optional_ints(1) or ()))
    return node.x if node.shape == target else tf.broadcast_to(node.x, target)


@handles("Tile")
def tile(node: Node) -> Operand:
    """TILE; nothing where every count is 1."""
    repeats = node.optional_ints(1) or []
    return node.x if all(count == 1 for count in repeats) else tf.tile(node.x, repeats)


@handles("Gather")
def gather(node: Node) -> Operand:
    """GATHER; a slice where the indices are constants at one distance from each other."""
    axis, index = node.axis(0), node[1]
    if not isinstance(index, np.ndarray):
        return tf.gather(node.x, tf.where(index < 0, index + node.shape[axis], index), axis=axis)
    index = _not_negative(index, node.shape[axis])
    if index.ndim == 0:
        return node.x[(slice(None),) * axis + (int(index),)]
    if (part := _as_slice(index.reshape(-1))) is None:
        return tf.gather(node.x, index, axis=axis)
    return reshaped(_sliced(node.x, {axis: part}), (*node.shape[:axis], *index.shape, *node.shape[axis + 1 :]))


def _as_slice(index: Array) -> slice | None:
    """The slice that takes the same elements in the same order; None where there is none."""
    if not index.size:
        return None
    step = int(index[1] - index[0]) if index.size > 1 else 1
    return slice(int(index[0]), int(index[-1]) + 1, step) if step > 0 and (np.diff(index) == step).all() else None


def _not_negative(index: Array, size: int) -> Array:
    """Indices counted from the front, in int32: TFLite's GATHER counts none from the end."""
    front: Array = np.where(index < 0, index + size, index).astype(np.int32)
    return front


@handles("GatherND")
def gather_nd(node: Node) -> Operand:
    """GATHER_ND."""
    index = node[1]
    batch = node.integer("batch_dims", 0)
    depth = shape_of(index)[-1]
    sizes = np.array(node.shape[batch : batch + depth], numpy_type(index))
    index = np.where(index < 0, index + sizes, index) if isinstance(index, np.ndarray) else index
    return tf.gather_nd(node.x, index, batch_dims=batch)


@handles("Range")
def range_(node: Node) -> Operand:
    """An array: its bounds must be constants."""
    start, limit, delta = (node.constant(i).item() for i in range(3))
    return np.arange(start, limit, delta, dtype=node.constant(0).dtype)
