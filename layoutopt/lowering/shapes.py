"""Operators that reshape, permute, join, cut up or repeat. Known target shapes are constants: no SHAPE or PACK."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from layoutopt.lowering.kernel_types import ANY, DTypeSemantics, takes
from layoutopt.lowering.node import Node, lowers
from layoutopt.lowering.ranks import rank_limit
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Size, UnknownShapeError, Value


@lowers("Reshape", types=ANY)
def reshape(node: Node) -> Value:
    """Lower Reshape to RESHAPE; 0 copies a size, unless ``allowzero``.

    Where the target shape comes at run time, it is the one that the model states for the result, if it does.
    """
    target = node.ints("shape") if node.opset < 5 else node.optional_ints(1) if node.known(1) else None
    if target is None:
        stated = node.result_shape()
        return tfl.reshape(node.x, _run_time_shape(node)) if stated is None else tfl.reshape(node.x, stated)
    if node.integer("allowzero", 0):
        return tfl.reshape(node.x, target)
    sizes = _copied_sizes(node.x, target)
    if None in sizes and -1 not in sizes and sizes.count(None) == 1:
        sizes[sizes.index(None)] = -1
    if None in sizes:
        return tfl.reshape(node.x, _run_time_shape(node))
    return tfl.reshape(node.x, [size for size in sizes if size is not None])


def _copied_sizes(x: Value, target: Sequence[int]) -> list[Size]:
    """Return the target shape with sizes of ``x`` instead of 0; None where such a size comes at run time."""
    return [size if size else (None if x.shape is None else x.shape[i]) for i, size in enumerate(target)]


def _run_time_shape(node: Node) -> Value:
    """Return operand 1, with sizes of ``x`` instead of 0."""
    wanted = tfl.int32(node[1])
    if node.integer("allowzero", 0) or not wanted.is_static or node.x.shape is None:
        return wanted
    rank, count = node.x.rank, wanted.sizes[0]
    sizes = tfl.pad(tfl.shape_of(node.x)[:count], [[0, max(0, count - rank)]])
    return tfl.select_v2(tfl.equal(wanted, 0), sizes, wanted)


@lowers("Flatten", types=ANY)
def flatten(node: Node) -> Value:
    """Lower Flatten to RESHAPE to two axes."""
    axis = node.integer("axis", 1)
    axis += node.x.rank if axis < 0 else 0
    assert node.x.shape is not None
    rows, columns = node.x.shape[:axis], node.x.shape[axis:]
    if None in columns:
        return tfl.reshape(node.x, (prod(_known(rows)), -1))
    return tfl.reshape(node.x, (-1 if None in rows else prod(_known(rows)), prod(_known(columns))))


def _known(sizes: Sequence[Size]) -> list[int]:
    return [size for size in sizes if size is not None]


@lowers("Squeeze", types=ANY)
def squeeze(node: Node) -> Value:
    """Lower Squeeze to RESHAPE; to SQUEEZE where the shape is not known."""
    axes = _operand_axes(node)
    if axes is None:
        return _as_stated(node)
    if not node.x.is_static:
        return tfl.squeeze(node.x, axes)
    rank = len(node.shape)
    gone = {axis % rank for axis in axes} if axes else {i for i, size in enumerate(node.shape) if size == 1}
    return tfl.reshape(node.x, [size for i, size in enumerate(node.shape) if i not in gone])


@lowers("Unsqueeze", types=ANY)
def unsqueeze(node: Node) -> Value:
    """Lower Unsqueeze to RESHAPE; to EXPAND_DIMS where the shape is not known."""
    axes = _operand_axes(node)
    if axes is None:
        return _as_stated(node)
    rank = node.x.rank + len(axes)
    new = {axis % rank for axis in axes}
    if node.x.is_static:
        sizes = iter(node.shape)
        return tfl.reshape(node.x, [1 if i in new else next(sizes) for i in range(rank)])
    x = node.x
    for axis in sorted(new):
        x = tfl.expand_dims(x, axis)
    return x


def _operand_axes(node: Node) -> list[int] | None:
    """Return the axes of a Squeeze or Unsqueeze; None where they come at run time."""
    if node.opset < 13:
        return node.ints("axes") or []
    return (node.optional_ints(1) or []) if node.optional(1) is None or node.known(1) else None


def _as_stated(node: Node) -> Value:
    """Return a RESHAPE to what the model says that comes out."""
    shape = node.result_shape()
    if shape is None:
        raise node.unsupported("its axes come at run time; make them a constant, or state the shape of the result")
    return tfl.reshape(node.x, shape)


@lowers("Transpose", types=takes("b i1 u1 i4 i8 f4", DTypeSemantics.BITS))
def transpose(node: Node) -> Value:
    """Lower Transpose to TRANSPOSE, or to RESHAPE where only axes of size 1 move."""
    perm = node.ints("perm") or list(reversed(range(node.x.rank)))
    if node.x.is_static and not node.x.is_constant:
        moving = [axis for axis in perm if node.shape[axis] != 1]
        if moving == sorted(moving):
            return tfl.reshape(node.x, [node.shape[axis] for axis in perm])
    return tfl.transpose(node.x, perm)


@lowers("Concat", types=takes("b i1 u1 i2 i4 u4 i8 f4", DTypeSemantics.BITS))
def concat(node: Node) -> Value:
    """Lower Concat to CONCATENATION."""
    return tfl.concatenation(node.given, node.integer("axis", 1))


@lowers("Split", types=takes("i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def split(node: Node) -> list[Value]:
    """Lower Split to SPLIT or SPLIT_V; sizes are an attribute up to opset 12, an operand since, and may be left out."""
    axis = node.integer("axis", 0) % max(node.x.rank, 1)
    sizes = _split_sizes(node, axis)
    if sizes is None:
        return tfl.split_v(node.x, tfl.int32(node[1]), axis, node.results)
    return split_into(node.x, sizes, axis)


def split_into(x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
    """Split a value into parts of these sizes by SPLIT where they are equal, else by SPLIT_V.

    Where that is of more axes than kernels take, all axes before that one are merged, and all after it.
    """
    if x.is_static and x.rank > rank_limit("SPLIT", x):
        flat = tfl.reshape(x, (prod(x.sizes[:axis]), x.sizes[axis], prod(x.sizes[axis + 1 :])))
        parts = split_into(flat, sizes, 1)
        return [tfl.reshape(part, (*x.sizes[:axis], part.sizes[1], *x.sizes[axis + 1 :])) for part in parts]
    if len(set(sizes)) == 1 and x.dtype is not DType.INT64:  # which SPLIT knows only of late, and SPLIT_V long since
        return tfl.split(x, len(sizes), axis)
    return tfl.split_v(x, sizes, axis)


def _split_sizes(node: Node, axis: int) -> Sequence[int] | None:
    """Return the size of each part; None where they come at run time."""
    if node.opset >= 13 and node.optional(1) is not None and not node.known(1):
        shapes = [node.result_shape(i) for i in range(node.results)]
        return None if None in shapes else [shape[axis] for shape in shapes if shape is not None]
    if sizes := node.ints("split") if node.opset < 13 else node.optional_ints(1):
        return sizes
    total = None if node.x.shape is None else node.x.shape[axis]
    if total is None:
        raise UnknownShapeError
    parts = max(node.integer("num_outputs", 0), node.results)
    each = -(-total // parts)
    return [max(min(each, total - i * each), 0) for i in range(parts)]


@lowers("Expand", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def expand(node: Node) -> Value:
    """Lower Expand to BROADCAST_TO; to nothing where the shape is that already."""
    if node.x.is_static and node.known(1):
        return tfl.broadcast_to(node.x, np.broadcast_shapes(node.shape, tuple(node.optional_ints(1) or ())))
    stated = node.result_shape()
    return tfl.broadcast_to(node.x, _broadcast_shape(node.x, tfl.int32(node[1])) if stated is None else stated)


def _broadcast_shape(x: Value, target: Value) -> Value:
    """Return the sizes that ``x`` and a value of the shape ``target`` broadcast to."""
    rank = max(x.rank, target.sizes[0])
    ours, theirs = (
        tfl.concatenation([np.ones(rank - len_, np.int32), sizes], 0)
        for len_, sizes in ((x.rank, tfl.shape_of(x)), (target.sizes[0], target))
    )
    return tfl.select_v2(tfl.equal(ours, 1), theirs, ours)


@lowers("Tile", types=takes("b u1 i4 i8 f4", DTypeSemantics.BITS))
def tile(node: Node) -> Value:
    """Lower Tile to TILE; to nothing where every count is 1."""
    stated = node.result_shape()
    if node.known(1) or stated is None or not node.x.is_static or 0 in node.shape:
        return tfl.tile(node.x, tfl.int32(node[1]))
    return tfl.tile(node.x, [new // old for new, old in zip(stated, node.shape, strict=True)])


@lowers("ReverseSequence", types=takes("u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def reverse_sequence(node: Node) -> Value:
    """Lower ReverseSequence to REVERSE_SEQUENCE."""
    lengths = tfl.int32(node[1])
    return tfl.reverse_sequence(node.x, lengths, node.integer("time_axis", 0), node.integer("batch_axis", 1))
