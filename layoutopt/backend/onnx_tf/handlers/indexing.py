"""Operators that read or write at indices: GATHER and GATHER_ND, and one GATHER that merges what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Array, Node, Operand, handles, numpy_type, reshaped, shape_of

_SEGMENTS: Mapping[str, tuple[Callable[..., Operand], Callable[[Operand, Operand], Operand]]] = {
    "mul": (tf.math.unsorted_segment_prod, tf.multiply),
    "max": (tf.math.unsorted_segment_max, tf.maximum),
    "min": (tf.math.unsorted_segment_min, tf.minimum),
}
"""How updates of one element are joined with each other, and with what was there."""
_SEGMENT_TYPES = (np.float32, np.int32)
_ADDED_TYPES = (*_SEGMENT_TYPES, np.int64, np.int8, np.uint8)


@handles("GatherND")
def gather_nd(node: Node) -> Operand:
    """GATHER_ND; with batches, GATHER of rows."""
    batch, depth = node.integer("batch_dims", 0), shape_of(node[1])[-1]
    if batch == 0:
        sizes = np.array(node.shape[:depth], numpy_type(node[1]))
        return tf.gather_nd(node.x, _from_front(node[1], sizes))
    lead, rest = node.shape[: batch + depth], node.shape[batch + depth :]
    within = row_index(node[1], lead[batch:])
    batches = np.arange(int(np.prod(lead[:batch])), dtype=np.int32).reshape(*lead[:batch], *(1,) * _rank(within, batch))
    rows = within + batches * np.int32(np.prod(lead[batch:]))
    return tf.gather(reshaped(node.x, (int(np.prod(lead)), *rest)), rows)


def _rank(index: Operand, batch: int) -> int:
    return len(shape_of(index)) - batch


@handles("GatherElements")
def gather_elements(node: Node) -> Operand:
    """GATHER of single elements."""
    index = element_index(node[1], node.shape, node.axis(0))
    return tf.gather(reshaped(node.x, (int(np.prod(node.shape)),)), index)


@handles("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Operand:
    """Writes single elements."""
    index = element_index(node[1], node.shape, node.axis(0))
    flat = int(np.prod(shape_of(index)))
    return reshaped(_written(node, reshaped(index, (flat,)), reshaped(node[2], (flat, 1)), 1), node.shape)


@handles("ScatterND")
def scatter_nd(node: Node) -> Operand:
    """Writes rows; slices joined by CONCATENATION where constant indices make up a box."""
    index, depth = node[1], shape_of(node[1])[-1]
    lead, rest = node.shape[:depth], node.shape[depth:]
    if isinstance(index, np.ndarray) and node.text("reduction", "none") == "none":
        box = _as_box(_from_front(index, np.array(lead, index.dtype)).reshape(-1, depth))
        if box is not None:
            return _replaced(node.x, box, reshaped(node[2], (*(part.stop - part.start for part in box), *rest)))
    rows, width = row_index(index, lead), int(np.prod(rest))
    count = int(np.prod(shape_of(rows)))
    return reshaped(_written(node, reshaped(rows, (count,)), reshaped(node[2], (count, width)), width), node.shape)


@handles("TensorScatter")
def tensor_scatter(node: Node) -> Operand:
    """Writes a run of rows per batch, at a position of its own; circular where that is asked for."""
    axis, shape, run = node.axis(-2), node.shape, shape_of(node[1])[node.axis(-2)]
    start = node.optional(2)
    start = np.zeros(shape[0], np.int32) if start is None else to_int32(start)
    steps = reshaped(start, (shape[0], *(1,) * (axis - 1), 1)) + np.arange(run, dtype=np.int32)
    if node.text("mode", "linear") == "circular":
        steps = steps % np.int32(shape[axis])
    outer = np.arange(int(np.prod(shape[:axis])), dtype=np.int32).reshape(*shape[:axis], 1)
    rows = steps + outer * np.int32(shape[axis])
    width, count = int(np.prod(shape[axis + 1 :])), int(np.prod(shape_of(node[1])[: axis + 1]))
    return reshaped(_written(node, reshaped(rows, (count,)), reshaped(node[1], (count, width)), width), shape)


# --- indices ---------------------------------------------------------------------------------------------------------


def to_int32(operand: Operand) -> Operand:
    """The same integers as TFLite's kernels like them."""
    return operand.astype(np.int32) if isinstance(operand, np.ndarray) else tf.cast(operand, tf.int32)


def _from_front(index: Operand, size: Operand | int) -> Operand:
    """Indices counted from the front, in int32: TFLite's kernels count none from the end."""
    if isinstance(index, np.ndarray):
        return to_int32(np.where(index < 0, index + size, index))
    index, size = tf.cast(index, tf.int32), np.asarray(size, np.int32)
    return tf.where(index < 0, index + size, index)


def row_index(index: Operand, sizes: Sequence[int]) -> Operand:
    """Of coordinates along the last axis, the position in the flattened axes of these sizes; int32."""
    strides = np.cumprod([1, *sizes[:0:-1]])[::-1].astype(np.int32)
    front = _from_front(index, np.array(sizes, numpy_type(index)))
    if len(sizes) == 1:
        return front[..., 0]
    products = front * strides
    return products.sum(-1, dtype=np.int32) if isinstance(products, np.ndarray) else tf.reduce_sum(products, -1)


def element_index(index: Operand, shape: Sequence[int], axis: int) -> Operand:
    """The position in the flattened value of each element that ``index`` names along ``axis``; int32."""
    sizes = shape_of(index)
    strides = np.cumprod([1, *shape[:0:-1]])[::-1].astype(np.int32)
    places = _from_front(index, shape[axis]) * strides[axis]
    for others in (range(axis), range(axis + 1, len(shape))):  # two small constants in place of one as large as index
        offset = sum(
            (np.arange(sizes[i], dtype=np.int32) * strides[i]).reshape([-1 if i == k else 1 for k in range(len(sizes))])
            for i in others
        )
        if np.any(offset):
            places = places + offset
    return places


# --- writing ---------------------------------------------------------------------------------------------------------


def _written(node: Node, rows: Operand, updates: Operand, width: int) -> Operand:
    """The first operand as rows of ``width``, with updates (n, width) written to or joined with ``rows`` (n,)."""
    count = int(np.prod(node.shape)) // max(width, 1)
    data, reduction = reshaped(node.x, (count, width)), node.text("reduction", "none")
    if shape_of(rows)[0] == 0:
        return data
    if reduction == "none":
        return overwritten(data, rows, updates)
    types = _ADDED_TYPES if reduction == "add" else _SEGMENT_TYPES
    if numpy_type(data) not in types:
        names = ", ".join(np.dtype(kind).name for kind in types)
        raise node.unsupported(f"TFLite reduces by {reduction} at indices only for {names}: cast the operands")
    if reduction == "add":
        return data + tf.scatter_nd(reshaped(rows, (*shape_of(rows), 1)), updates, [count, width])
    among, join = _SEGMENTS[reduction]
    joined = join(data, among(updates, rows, count))
    if reduction == "mul":
        return joined
    # Where nothing is written TFLite has the least or the greatest finite number, which infinity must not yield to.
    return tf.where(reshaped(_last_writer(rows, count) >= count, (count, 1)), joined, data)


def overwritten(data: Operand, rows: Operand, updates: Operand) -> Operand:
    """A matrix with some rows replaced, by the last of the updates where several go to one row."""
    return tf.gather(tf.concat([data, updates], 0), _last_writer(rows, shape_of(data)[0]))


def _last_writer(rows: Operand, count: int) -> Operand:
    """For each of ``count`` rows, its own number, or ``count`` and that of the last update that is written to it."""
    own = np.arange(count, dtype=np.int32)
    if isinstance(rows, np.ndarray):
        own[rows] = count + np.arange(len(rows), dtype=np.int32)
        return own
    updates = np.arange(shape_of(rows)[0], dtype=np.int32)
    # A row without update is far below zero.
    return tf.maximum(own, tf.math.unsorted_segment_max(updates, rows, count) + np.int32(count))


def _as_box(index: Array) -> list[slice] | None:
    """The slices whose elements these indices (n, depth) are, in order; None where there are none."""
    if not index.size:
        return None
    low, high = index.min(0), index.max(0) + 1
    counts = high - low
    if np.prod(counts) != len(index) or not (np.indices(counts).reshape(len(counts), -1).T + low == index).all():
        return None
    return [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def _replaced(x: Operand, box: Sequence[slice], updates: Operand, axis: int = 0) -> Operand:
    """``x`` with ``updates`` in the place of a box of its leading axes."""
    if axis == len(box):
        return updates
    before, inside, after = ((slice(None),) * axis + (part,) for part in _around(box[axis]))
    size = shape_of(x)[axis]
    whole = box[axis] == slice(0, size)
    inner = _replaced(x if whole else x[inside], box, updates, axis + 1)
    if whole:
        return inner
    parts = [x[before]] * (box[axis].start > 0) + [inner] + [x[after]] * (box[axis].stop < size)
    return tf.concat(parts, axis)


def _around(part: slice) -> tuple[slice, slice, slice]:
    return slice(0, part.start), part, slice(part.stop, None)
