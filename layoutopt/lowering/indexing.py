"""Operators that read or write at indices: GATHER and GATHER_ND, and one GATHER that merges what is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import prod

import numpy as np

from layoutopt.lowering.kernel_types import DTypeSemantics, takes
from layoutopt.lowering.node import Node, axis_size, constant, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import UnknownShapeError, Value

_SEGMENTS: Mapping[str, tuple[Callable[..., Value], Callable[..., Value]]] = {
    "mul": (tfl.unsorted_segment_prod, tfl.mul),
    "max": (tfl.unsorted_segment_max, tfl.maximum),
    "min": (tfl.unsorted_segment_min, tfl.minimum),
}
"""The operators that join updates of one element with each other, and with what was there."""
_SEGMENT_TYPES = (DType.FLOAT32, DType.INT32)
_ADDED_TYPES = (*_SEGMENT_TYPES, DType.INT64, DType.INT8, DType.UINT8)


@lowers("GatherND", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def gather_nd(node: Node) -> Value:
    """Lower GatherND to GATHER_ND; with batches, to GATHER of rows."""
    batch, depth = node.integer("batch_dims", 0), _depth(node[1])
    if batch == 0:
        lead = (node.x.shape or ())[:depth]
        sizes = tfl.shape_of(node.x)[:depth] if None in lead else np.array(lead, np.int32)
        return tfl.gather_nd(node.x, _from_front(node[1], sizes))
    lead, rest = node.shape[: batch + depth], node.shape[batch + depth :]
    within = row_index(node[1], lead[batch:])
    numbers = np.arange(prod(lead[:batch]), dtype=np.int32) * np.int32(prod(lead[batch:]))
    rows = within + numbers.reshape(*lead[:batch], *(1,) * (within.rank - batch))
    return tfl.gather(tfl.reshape(node.x, (prod(lead), *rest)), rows)


def _depth(index: Value) -> int:
    """Return the number of coordinates of an index."""
    if index.shape is None or (depth := index.shape[-1]) is None:
        raise UnknownShapeError
    return depth


@lowers("GatherElements")
def gather_elements(node: Node) -> Value:
    """Lower GatherElements to GATHER of single elements, row by row along the last axis."""
    x, axis = node.x, node.integer("axis", 0) % node.x.rank
    if axis == x.rank - 1 and x.is_static and node[1].is_static and node[1].sizes[:-1] == x.sizes[:-1]:
        return tfl.gather(x, _from_front(node[1], x.sizes[-1]), axis, batch_dims=axis)
    index = _element_index(node[1], x, axis)
    return tfl.gather(tfl.reshape(node.x, (-1,)), index)


@lowers("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Value:
    """Lower ScatterElements, and Scatter before it, to writes of single elements."""
    index = _element_index(node[1], node.x, node.integer("axis", 0) % node.x.rank)
    return _written(node, tfl.reshape(index, (-1,)), node[2], 1)


@lowers("ScatterND")
def scatter_nd(node: Node) -> Value:
    """Lower ScatterND to writes of rows; to CONCATENATION of slices where constant indices make up a box."""
    index, depth = node[1], _depth(node[1])
    lead, rest = node.shape[:depth], node.shape[depth:]
    if index.is_constant and node.text("reduction", "none") == "none":
        box = _as_box(_from_front(index, np.array(lead, np.int32)).array.reshape(-1, depth))
        if box is not None:
            updates = tfl.reshape(node[2], (*(part.stop - part.start for part in box), *rest))
            return _replace_box(node.x, box, updates)
    return _written(node, tfl.reshape(row_index(index, lead), (-1,)), node[2], prod(rest))


@lowers("TensorScatter")
def tensor_scatter(node: Node) -> Value:
    """Lower TensorScatter to writes of a run of rows per batch, each at a position of its own, circular if asked."""
    axis, shape, updates = node.axis(-2), node.shape, node[1]
    run, start = updates.sizes[axis], node.optional(2)
    starts = constant(np.zeros(shape[0], np.int32)) if start is None else tfl.int32(start)
    steps = tfl.reshape(starts, (shape[0], *(1,) * axis)) + np.arange(run, dtype=np.int32)
    if node.text("mode", "linear") == "circular":
        steps = tfl.floor_mod(steps, shape[axis])
    outer = np.arange(prod(shape[:axis]), dtype=np.int32) * np.int32(shape[axis])
    rows = steps + outer.reshape(*shape[:axis], 1)
    return _written(node, tfl.reshape(rows, (rows.count,)), updates, prod(shape[axis + 1 :]))


# --- indices ---------------------------------------------------------------------------------------------------------


def _from_front(index: Value, sizes: Value | Array | int) -> Value:
    """Return indices counted from the front, in INT32: LiteRT's kernels count none from the end."""
    index = tfl.int32(index)
    return tfl.select_v2(index < 0, index + sizes, index)


def row_index(index: Value, sizes: Sequence[int]) -> Value:
    """Return the position of coordinates along the last axis in the flattened axes of these sizes, in INT32."""
    front = _from_front(index, np.array(sizes, np.int32))
    if len(sizes) == 1:
        return front[..., 0]
    return tfl.sum_(front * _strides(sizes), -1)


def _strides(sizes: Sequence[int]) -> Array:
    strides: Array = np.cumprod([1, *sizes[:0:-1]])[::-1].astype(np.int32)
    return strides


def _element_index(index: Value, x: Value, axis: int) -> Value:
    """Return the position in the flattened ``x`` of each element that ``index`` names along ``axis``, in INT32."""
    places, stride = _from_front(index, axis_size(x, axis)), constant(np.int32(1))
    offsets: list[Value] = []
    for i in reversed(range(x.rank)):
        if i == axis:
            places = places * stride if i < x.rank - 1 else places
        elif index.shape is None or index.shape[i] != 1:
            along = [-1 if i == k else 1 for k in range(x.rank)]
            offsets.append(tfl.reshape(tfl.range_(0, axis_size(index, i)) * stride, along))
        stride = stride * axis_size(x, i)
    # Small constants, one for the axes on each side, instead of one as large as the index.
    after, before = offsets[: x.rank - 1 - axis], offsets[x.rank - 1 - axis :]
    for each in (before, after):
        if each:
            places = places + reduce(tfl.add, each)
    return places


# --- writing ---------------------------------------------------------------------------------------------------------


def _written(node: Node, rows: Value, updates: Value, width: int) -> Value:
    """Return the first operand, as rows of ``width``, with updates written to or joined with ``rows`` (n,)."""
    if rows.shape == (0,) or width == 0:
        return node.x
    data, updates = tfl.reshape(node.x, (-1, width)), tfl.reshape(updates, (-1, width))
    written = _joined(node, data, rows, updates)
    return tfl.reshape(written, node.x.sizes if node.x.is_static else tfl.shape_of(node.x))


def _joined(node: Node, data: Value, rows: Value, updates: Value) -> Value:
    """Return a matrix with updates (n, width) written to or joined with ``rows`` (n,)."""
    reduction, count = node.text("reduction", "none"), axis_size(data, 0)
    if reduction == "none":
        return overwrite_rows(data, rows, updates)
    types = _ADDED_TYPES if reduction == "add" else _SEGMENT_TYPES
    if data.dtype not in types:
        names = ", ".join(map(str, types))
        raise node.unsupported(f"LiteRT reduces by {reduction} at indices only for {names}: cast the operands")
    if reduction == "add":
        return data + tfl.scatter_nd(tfl.expand_dims(rows, 1), updates, tfl.shape_of(data))
    among, join = _SEGMENTS[reduction]
    joined = join(data, among(updates, rows, count))
    if reduction == "mul":
        return joined
    # Where nothing is written LiteRT has the least or the greatest finite number, which infinity must not yield to.
    is_written = tfl.expand_dims(_last_writer(rows, count), 1) >= count
    return tfl.select_v2(is_written, joined, data)


def overwrite_rows(data: Value, rows: Value, updates: Value) -> Value:
    """Replace some rows of a matrix, by the last of the updates where several go to one row."""
    return tfl.gather(tfl.concatenation([data, updates], 0), _last_writer(rows, axis_size(data, 0)))


def _last_writer(rows: Value, count: Value) -> Value:
    """Return each row's own number, or ``count`` and the number of the last update that is written to the row."""
    own, numbers = tfl.range_(0, count), tfl.range_(0, axis_size(rows, 0))
    if rows.is_constant and own.is_constant:
        last = own.array.copy()
        last[rows.array] = count.array + numbers.array
        return constant(last)
    # A row without update is far below zero.
    return tfl.maximum(own, tfl.unsorted_segment_max(numbers, rows, count) + count)


def _as_box(index: Array) -> list[slice] | None:
    """Return the slices whose elements these indices (n, depth) are, in order; None where there are none."""
    if not index.size:
        return None
    low, high = index.min(0), index.max(0) + 1
    counts = high - low
    if np.prod(counts) != len(index) or not (np.indices(counts).reshape(len(counts), -1).T + low == index).all():
        return None
    return [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def _replace_box(x: Value, box: Sequence[slice], updates: Value, axis: int = 0) -> Value:
    """Put ``updates`` in the place of a box of the leading axes of ``x``."""
    if axis == len(box):
        return updates
    before, inside, after = ((slice(None),) * axis + (part,) for part in _around(box[axis]))
    size = x.sizes[axis]
    if box[axis] == slice(0, size):
        return _replace_box(x, box, updates, axis + 1)
    inner = _replace_box(x[inside], box, updates, axis + 1)
    parts = [x[before]] * (box[axis].start > 0) + [inner] + [x[after]] * (box[axis].stop < size)
    return tfl.concatenation(parts, axis)


def _around(part: slice) -> tuple[slice, slice, slice]:
    return slice(0, part.start), part, slice(part.stop, None)
