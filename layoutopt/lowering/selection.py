"""Operators that select elements by their values: how many come out is often known at run time only."""

from __future__ import annotations

import numpy as np

from layoutopt.lowering.kernel_types import ANY, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, axis_size, constant, lowers, scalar
from layoutopt.lowering.types import converted
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value


@lowers("Trilu", types=takes("b i1 i2 i4 u4 i8 f4", DTypeSemantics.BITS))
def trilu(node: Node) -> Value:
    """Lower Trilu to SELECT_V2 between the operand and 0."""
    rows, columns = (tfl.range_(0, axis_size(node.x, axis)) for axis in (-2, -1))
    distance = columns - rows[:, None]
    k = constant(np.int32(0)) if node.optional(1) is None else scalar(tfl.int32(node[1]))
    kept = tfl.greater_equal(distance, k) if node.integer("upper", 1) else tfl.less_equal(distance, k)
    return tfl.select_v2(kept, node.x, constant(0, node.x.dtype))


@lowers("OneHot", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def one_hot(node: Node) -> Value:
    """Lower OneHot to ONE_HOT, whose indices count from the front."""
    axis = node.integer("axis", -1) % (node.x.rank + 1)
    stated = node.result_shape()
    depth = constant(stated[axis], DType.INT32) if stated and not node.known(1) else scalar(tfl.int32(node[1]))
    index = converted(node.x, DType.INT32)
    index = tfl.select_v2(index < 0, index + depth, index)
    return tfl.one_hot(index, depth, node[2][1], node[2][0], axis)


@lowers("Compress", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def compress(node: Node) -> Value:
    """Lower Compress to WHERE and GATHER."""
    axis = node.attributes.get("axis")
    x = node.x if isinstance(axis, int) else tfl.reshape(node.x, (-1,))
    kept = tfl.reshape(tfl.where(node[1]), (-1,))
    return tfl.gather(x, kept, axis if isinstance(axis, int) else 0)


@lowers("NonZero", types=ANY)
def non_zero(node: Node) -> Value:
    """Lower NonZero to WHERE and TRANSPOSE."""
    found = node.x if node.x.dtype is DType.BOOL else tfl.not_equal(converted(node.x, DType.FLOAT32), 0)
    return tfl.transpose(tfl.where(found), (1, 0))


@lowers("Unique", types=takes(NUMBERS, DTypeSemantics.ORDER))
def unique(node: Node) -> list[Value]:
    """Lower Unique to UNIQUE, and TOPK_V2 to sort."""
    if node.attributes.get("axis") is not None and node.x.rank > 1:
        raise node.unsupported("LiteRT's UNIQUE compares elements, not slices along an axis; leave out `axis`")
    x = tfl.reshape(node.x, (-1,))
    values, inverse = tfl.unique(x)
    length = scalar(tfl.shape_of(values))
    if node.integer("sorted", 1):
        place = tfl.sum_(tfl.cast(values[None, :] < values[:, None], DType.INT32), 1)
        values = tfl.reverse(tfl.topk_v2(values, length)[0], [0])
        inverse = tfl.gather(place, inverse)
    is_one = tfl.equal(tfl.range_(0, length)[:, None], inverse[None, :])
    count = axis_size(x, 0)
    first = tfl.reduce_min(tfl.select_v2(is_one, tfl.range_(0, count), count), 1)
    counts = tfl.sum_(tfl.cast(is_one, DType.INT32), 1)
    more = [tfl.cast(each, DType.INT64) for each in (first, inverse, counts)]
    return [values, *more][: max(node.results, 1)]
