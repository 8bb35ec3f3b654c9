"""Operators that move, cut, join or repeat elements. Target shapes are constants: no SHAPE or PACK in the .tflite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import (
    Array,
    Node,
    Operand,
    handles,
    is_static,
    numpy_type,
    permuted,
    reshaped,
    shape_of,
    type_of,
)
from layoutopt.backend.onnx_tf.handlers.types import converted


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
    """An array of one value, or FILL."""
    value = node.attributes.get("value")
    fill = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.zeros(1, np.float32)
    shape = node.optional_ints(0) if node.known(0) else node.result_shape()
    if shape is not None:
        return np.full(shape, fill.reshape(()), fill.dtype)
    return tf.fill(tf.cast(node[0], tf.int32), fill.reshape(()))


@handles("EyeLike")
def eye_like(node: Node) -> Operand:
    """An array: ones on a diagonal of a matrix of the operand's shape."""
    rows, columns = node.shape
    target = node.integer("dtype", 0)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(target) if target else numpy_type(node.x)
    return np.eye(rows, columns, node.integer("k", 0), dtype)


@handles("Shape")
def shape(node: Node) -> Operand:
    """The static shape, or SHAPE."""
    part = slice(node.integer("start", 0), node.integer("end", len(node.x.shape)))
    return np.array(node.shape[part], np.int64) if is_static(node.x) else tf.shape(node.x, tf.int64)[part]


@handles("Size")
def size(node: Node) -> Operand:
    """The number of elements."""
    return np.array(int(np.prod(node.shape)), np.int64)


@handles("Reshape")
def reshape(node: Node) -> Operand:
    """RESHAPE; 0 copies a size, unless ``allowzero``. A shape that comes at run time is the one of the result."""
    target = node.ints("shape") if node.opset < 5 else node.optional_ints(1) if node.known(1) else None
    if target is None:
        result = node.result_shape()
        return _relabelled(node.x, result) if result is not None else tf.reshape(node.x, _run_time_shape(node))
    if not node.integer("allowzero", 0):
        target = [node.shape[i] if size == 0 else size for i, size in enumerate(target)]
    if not is_static(node.x):
        return tf.reshape(node.x, target)
    if -1 in target:
        rest = int(np.prod([size for size in target if size != -1]))
        target[target.index(-1)] = int(np.prod(node.shape)) // max(rest, 1)
    return _relabelled(node.x, tuple(target))


def _run_time_shape(node: Node) -> Operand:
    """The operand, with sizes of ``x`` in place of 0."""
    wanted = tf.cast(node[1], tf.int32)
    if node.integer("allowzero", 0) or wanted.shape.rank is None or not wanted.shape.is_fully_defined():
        return wanted
    rank, count = len(node.x.shape), wanted.shape[0]
    sizes = tf.pad(tf.shape(node.x)[:count], [[0, max(0, count - rank)]])
    return tf.where(tf.equal(wanted, 0), sizes, wanted)


def _relabelled(x: Operand, shape: tuple[int, ...]) -> Operand:
    """A Reshape; after a reduction that kept its axes, the same reduction without them, which is one operator fewer."""
    reduction = None if isinstance(x, np.ndarray) or not tf.is_symbolic_tensor(x) else x.op
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
    axes = _moved_axes(node)
    if axes is None:
        return _as_declared(node)
    if not is_static(node.x):
        return tf.squeeze(node.x, axes)
    rank = len(node.shape)
    gone = {axis % rank for axis in axes} if axes else {i for i, size in enumerate(node.shape) if size == 1}
    return _relabelled(node.x, tuple(size for i, size in enumerate(node.shape) if i not in gone))


@handles("Unsqueeze")
def unsqueeze(node: Node) -> Operand:
    """RESHAPE with more axes of size 1."""
    axes = _moved_axes(node)
    if axes is None:
        return _as_declared(node)
    rank = len(node.x.shape) + len(axes)
    new = {axis % rank for axis in axes}
    if not is_static(node.x):
        return reduce(tf.expand_dims, sorted(new), node.x)
    sizes = iter(node.shape)
    return reshaped(node.x, tuple(1 if i in new else next(sizes) for i in range(rank)))


def _moved_axes(node: Node) -> list[int] | None:
    """The axes of a Squeeze or Unsqueeze; None where they come at run time."""
    if node.opset < 13:
        return node.ints("axes") or []
    return (node.optional_ints(1) or []) if node.optional(1) is None or node.known(1) else None


def _as_declared(node: Node) -> Operand:
    """A RESHAPE to what the model says that comes out."""
    shape = node.result_shape()
    if shape is None:
        raise node.unsupported("its axes come at run time; make them a constant, or state the shape of the result")
    return _relabelled(node.x, shape)


@handles("Transpose")
def transpose(node: Node) -> Operand:
    """TRANSPOSE, or RESHAPE where only axes of size 1 move."""
    perm = node.ints("perm") or list(reversed(range(len(node.x.shape))))
    if not is_static(node.x):
        return tf.transpose(node.x, perm)
    moving = [axis for axis in perm if node.shape[axis] != 1]
    if moving == sorted(moving):
        return reshaped(node.x, tuple(node.shape[axis] for axis in perm))
    return permuted(node.x, tuple(perm))


@handles("Concat")
def concat(node: Node) -> Operand:
    """CONCATENATION."""
    operands = node.given
    return operands[0] if len(operands) == 1 else tf.concat(operands, node.integer("axis", 1) % len(node.x.shape))


@handles("Split")
def split(node: Node) -> list[Operand]:
    """SPLIT or SPLIT_V; sizes are an attribute up to opset 12, an operand since, and may be left out."""
    axis, sizes = node.axis(0), _split_sizes(node)
    if sizes is None:
        return list(tf.split(node.x, tf.cast(node[1], tf.int32), axis, num=node.results))
    if len(sizes) == 1:
        return [node.x]
    equal = len(set(sizes)) == 1 and type_of(node.x) != tf.int64  # which SPLIT does not know, but SPLIT_V
    return list(tf.split(node.x, len(sizes) if equal else sizes, axis))


def _split_sizes(node: Node) -> Sequence[int] | None:
    """The size of each part; None where they come at run time."""
    if node.opset >= 13 and node.optional(1) is not None and not node.known(1):
        shapes = [node.result_shape(i) for i in range(node.results)]
        axis = node.integer("axis", 0)
        return None if None in shapes else [shape[axis] for shape in shapes if shape is not None]
    if sizes := node.ints("split") if node.opset < 13 else node.optional_ints(1):
        return sizes
    total, parts = node.shape[node.axis(0)], max(node.integer("num_outputs", 0), node.results)
    each = -(-total // parts)
    return [max(min(each, total - i * each), 0) for i in range(parts)]


@handles("Slice")
def slice_(node: Node) -> Operand:
    """STRIDED_SLICE, REVERSE where a step is negative; nothing where all is kept."""
    if node.opset < 10:
        starts, ends = node.ints("starts") or [], node.ints("ends") or []
        axes, steps = node.ints("axes"), None
    elif not is_static(node.x) or not all(
        node.known(i) for i in range(1, len(node.operands)) if node.optional(i) is not None
    ):
        return _run_time_slice(node)
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


def _run_time_slice(node: Node) -> Operand:
    """STRIDED_SLICE with begins, ends and strides for all axes."""
    rank = len(node.x.shape)
    axes, steps = node.optional(3), node.optional(4)
    most = np.int64(np.iinfo(np.int32).max)

    def whole(values: Operand | None, otherwise: int | tf.Tensor) -> tf.Tensor:
        """One number per axis, int32; ``otherwise`` for those that are not named."""
        if values is None:
            return tf.fill([rank], otherwise)
        narrow = tf.cast(tf.clip_by_value(tf.cast(values, tf.int64), -most, most), tf.int32)
        return _per_axis(narrow, axes, rank, otherwise)

    return tf.strided_slice(node.x, whole(node[1], 0), whole(node[2], tf.shape(node.x)), whole(steps, 1))


def _per_axis(values: Operand, axes: Operand | None, rank: int, otherwise: int | tf.Tensor) -> tf.Tensor:
    """``values`` (k, ...) at the places ``axes`` of ``rank``, ``otherwise`` elsewhere; the first k without ``axes``."""
    count = shape_of(values)[0]
    if axes is None:
        axes = np.arange(count)
    axes = tf.cast(axes, tf.int32)
    axes = tf.where(axes < 0, axes + rank, axes)
    here = tf.one_hot(axes, rank, dtype=tf.int32)  # (k, rank)
    placed = tf.reduce_sum(here * tf.reshape(values, (count, 1)), 0)
    return tf.where(tf.reduce_sum(here, 0) > 0, placed, otherwise)


def _sliced(x: Operand, parts: Mapping[int, slice]) -> Operand:
    """A STRIDED_SLICE, or SLICE where every step is 1; nothing where all is kept."""
    whole = [slice(0, size, 1) for size in shape_of(x)]
    wanted = [parts.get(axis, all_) for axis, all_ in enumerate(whole)]
    return x if wanted == whole else x[tuple(wanted)]


@handles("Pad")
def pad(node: Node) -> Operand:
    """PAD or PADV2; other modes join pieces of the operand to it, negative pads cut."""
    if node.opset >= 11 and not all(node.known(i) for i in (1, 3) if node.optional(i) is not None):
        return _run_time_pad(node)
    x, pads, value = node.x, _pads(node), _pad_value(node)
    if any(size < 0 for pair in pads for size in pair):
        x = x[tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(pads, node.shape, strict=True))]
        pads = [[max(low, 0), max(high, 0)] for low, high in pads]
    if not any(size for pair in pads for size in pair):
        return x
    mode = node.text("mode", "constant")
    if mode == "constant":
        return _padded(x, pads, value)
    for axis, (low, high) in enumerate(pads):
        if low or high:
            x = _outward(x, axis, low, high, mode)
    return x


def _padded(x: Operand, pads: Operand | list[list[int]], value: Operand) -> Operand:
    zero = isinstance(value, np.ndarray) and not value
    return tf.pad(x, pads) if zero else tf.pad(x, pads, constant_values=value)


def _run_time_pad(node: Node) -> Operand:
    """A slice for what is negative and PADV2; other modes take elements by their indices."""
    x, rank = node.x, len(node.x.shape)
    flat = tf.cast(node[1], tf.int32)
    half = shape_of(flat)[0] // 2
    low, high = (_per_axis(part, node.optional(3), rank, 0) for part in (flat[:half], flat[half:]))
    sizes = tf.shape(x)
    mode = node.text("mode", "constant")
    if mode == "constant":
        kept = tf.strided_slice(x, tf.maximum(-low, 0), sizes + tf.minimum(high, 0), [1] * rank)
        return _padded(kept, tf.stack([tf.maximum(low, 0), tf.maximum(high, 0)], 1), _pad_value(node))
    for axis in range(rank):
        places = tf.range(-low[axis], sizes[axis] + high[axis])
        x = tf.gather(x, _inward(places, sizes[axis], mode), axis=axis)
    return x


def _inward(places: tf.Tensor, size: tf.Tensor, mode: str) -> tf.Tensor:
    """Which element stands at places that may lie outside of 0 to ``size`` - 1."""
    if mode == "edge":
        return tf.minimum(tf.maximum(places, 0), size - 1)
    if mode == "wrap":
        return tf.math.floormod(places, size)
    period = tf.maximum(2 * (size - 1), 1)
    around = tf.math.floormod(places, period)
    return tf.minimum(around, period - around)


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


def _pad_value(node: Node) -> Operand:
    """A scalar of the operand's type."""
    if node.opset < 11:
        return np.array(node.number("value", 0.0), numpy_type(node.x))
    value = node.optional(2)
    return np.zeros((), numpy_type(node.x)) if value is None else reshaped(value, ())


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
    target = (
        np.broadcast_shapes(node.shape, tuple(node.optional_ints(1) or ())) if node.known(1) else node.result_shape()
    )
    if target is None:
        return tf.broadcast_to(node.x, tf.broadcast_dynamic_shape(tf.shape(node.x), tf.cast(node[1], tf.int32)))
    return node.x if node.shape == target else tf.broadcast_to(node.x, target)


@handles("Tile")
def tile(node: Node) -> Operand:
    """TILE; nothing where every count is 1."""
    if node.known(1):
        repeats = node.optional_ints(1) or []
        return node.x if all(count == 1 for count in repeats) else tf.tile(node.x, repeats)
    result = node.result_shape()
    if result is None or 0 in node.shape:
        return tf.tile(node.x, tf.cast(node[1], tf.int32))
    return tf.tile(node.x, [new // old for new, old in zip(result, node.shape, strict=True)])


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


@handles("Range")
def range_(node: Node) -> Operand:
    """An array; RANGE for bounds that come at run time, or a product where it is known how many elements come out."""
    start, limit, delta = (reshaped(node[i], ()) for i in range(3))
    if all(node.known(i) for i in range(3)):
        return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)
    if (shape := node.result_shape()) is not None:
        return start + delta * np.arange(shape[0]).astype(numpy_type(start))
    return tf.range(start, limit, delta)


@handles("Trilu")
def trilu(node: Node) -> Operand:
    """SELECT_V2 between the operand and 0."""
    rows, columns = node.shape[-2:]
    off = np.arange(columns) - np.arange(rows)[:, None]
    k = reshaped(node[1], ()) if node.optional(1) is not None else np.array(0)
    kept = off >= k if node.integer("upper", 1) else off <= k
    return tf.where(kept, node.x, np.zeros((), numpy_type(node.x)))


@handles("OneHot")
def one_hot(node: Node) -> Operand:
    """ONE_HOT, whose indices count from the front."""
    rank = len(node[0].shape)
    axis = node.integer("axis", -1) % (rank + 1)
    result = node.result_shape()
    if node.known(1):
        depth: Operand = np.int32(node.constant(1).item())
    elif result is not None:
        depth = np.int32(result[axis])
    else:
        depth = tf.cast(tf.reshape(node[1], ()), tf.int32)
    index = converted(node[0], tf.int32)
    index = tf.where(index < 0, index + depth, index)
    return tf.one_hot(index, depth, node[2][1], node[2][0], axis, type_of(node[2]))


@handles("Compress")
def compress(node: Node) -> Operand:
    """WHERE and GATHER: how many elements come out is known at run time only."""
    axis = node.attributes.get("axis")
    x = node.x if isinstance(axis, int) else tf.reshape(node.x, (-1,))
    kept = tf.reshape(tf.where(node[1]), (-1,))
    return tf.gather(x, kept, axis=axis % len(x.shape) if isinstance(axis, int) else 0)


@handles("NonZero")
def non_zero(node: Node) -> Operand:
    """WHERE and TRANSPOSE: how many elements come out is known at run time only."""
    found = node.x if type_of(node.x) == tf.bool else tf.not_equal(converted(node.x, tf.float32), 0)
    return tf.transpose(tf.where(found))


@handles("ReverseSequence")
def reverse_sequence(node: Node) -> Operand:
    """REVERSE_SEQUENCE."""
    lengths = tf.cast(node[1], tf.int32)
    return tf.reverse_sequence(node.x, lengths, node.integer("time_axis", 0), node.integer("batch_axis", 1))


@handles("Unique")
def unique(node: Node) -> list[Operand]:
    """UNIQUE, and TOPK_V2 to sort: how many elements come out is known at run time only."""
    if node.attributes.get("axis") is not None and len(node.shape) > 1:
        raise node.unsupported("TFLite's UNIQUE compares elements, not slices along an axis; leave out `axis`")
    x = reshaped(node.x, (int(np.prod(node.shape)),))
    values, inverse = tf.unique(x)
    if node.integer("sorted", 1):
        place = tf.reduce_sum(tf.cast(values[None, :] < values[:, None], tf.int32), 1)
        values = tf.reverse(tf.math.top_k(values, tf.shape(values)[0]).values, [0])
        inverse = tf.gather(place, inverse)
    is_one = tf.equal(tf.range(tf.shape(values)[0])[:, None], inverse[None, :])
    places = np.arange(x.shape[0], dtype=np.int32)
    first = tf.reduce_min(tf.where(is_one, places, np.int32(x.shape[0])), 1)
    counts = tf.reduce_sum(tf.cast(is_one, tf.int32), 1)
    return [values, *(tf.cast(each, tf.int64) for each in (first, inverse, counts))][: max(node.results, 1)]
