"""Reductions, ArgMax, TopK and running sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import TypeAlias

import numpy as np

from layoutopt.lowering.elementwise import magnitude
from layoutopt.lowering.kernel_types import FLOATS, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, lowers, scalar
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value

Axes: TypeAlias = "list[int] | Value"
"""Known now, or at run time."""
Reducer = Callable[[Value, "Axes", bool], Value]

_REDUCERS: Mapping[str, Reducer] = {
    "ReduceMax": lambda x, axes, keep: (tfl.reduce_any if x.dtype is DType.BOOL else tfl.reduce_max)(x, axes, keep),
    "ReduceMean": tfl.mean,
    "ReduceMin": lambda x, axes, keep: (tfl.reduce_all if x.dtype is DType.BOOL else tfl.reduce_min)(x, axes, keep),
    "ReduceProd": tfl.reduce_prod,
    "ReduceSum": tfl.sum_,
    "ReduceL1": lambda x, axes, keep: tfl.sum_(magnitude(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: tfl.sqrt(tfl.sum_(_square(x), axes, keep)),
    "ReduceLogSum": lambda x, axes, keep: tfl.log(tfl.sum_(x, axes, keep)),
    "ReduceLogSumExp": lambda x, axes, keep: _log_sum_exp(x, axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: tfl.sum_(_square(x), axes, keep),
}
_ELEMENTWISE: Mapping[str, Callable[[Value], Value]] = {
    "ReduceL1": magnitude,
    "ReduceL2": tfl.abs_,
    "ReduceLogSum": tfl.log,
    "ReduceSumSquare": lambda x: _square(x),
}
"""The function that is left of a reduction over no axis."""


def _square(x: Value) -> Value:
    """Record SQUARE, which does not take integers."""
    return tfl.square(x) if x.dtype.is_floating else x * x


@lowers("ReduceMax", "ReduceMin", types=takes(f"b {NUMBERS}", DTypeSemantics.ORDER))
@lowers("ReduceMean", "ReduceL1", types=takes(NUMBERS))
@lowers("ReduceProd", "ReduceSum", "ReduceSumSquare", types=takes(NUMBERS, DTypeSemantics.MODULAR))
@lowers("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", types=FLOATS)
def reduction(node: Node) -> Value:
    """Lower a reduction; its axes are an attribute or, in later versions, an operand."""
    x, axes, result = node.x, _axes(node), node.result_shape()
    if result is not None and x.is_static and 0 in x.sizes:
        return _of_nothing(node, result)
    if isinstance(axes, list) and not axes:
        if node.integer("noop_with_empty_axes", 0) or not x.rank:
            return _ELEMENTWISE[node.operator](x) if node.operator in _ELEMENTWISE else x
        axes = list(range(x.rank))
    return _REDUCERS[node.operator](x, axes, node.integer("keepdims", 1) == 1)


def _axes(node: Node) -> Axes:
    """Return the axes; those that come at run time can be seen in the result where it keeps them."""
    if "axes" in node.attributes:
        return node.ints("axes") or []
    operand = node.optional(1)
    if operand is None or operand.is_constant:
        return node.optional_ints(1) or []
    if operand.shape == (0,):
        return []
    result = node.result_shape()
    if node.integer("keepdims", 1) == 0 or result is None or not node.x.is_static:
        return tfl.int32(operand)
    # Along an axis of size 1 it makes no difference whether it is reduced.
    return [axis for axis, (old, new) in enumerate(zip(node.shape, result, strict=True)) if old != new or new == 1]


_NEUTRAL: Mapping[str, float] = {
    "ReduceMax": -np.inf, "ReduceMin": np.inf, "ReduceMean": np.nan, "ReduceProd": 1,
    "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf,
}  # fmt: skip


def _of_nothing(node: Node, shape: tuple[int, ...]) -> Value:
    """Return the constant that a reduction over an axis of size 0 is."""
    dtype, value = node.x.dtype, _NEUTRAL.get(node.operator, 0)
    if np.isinf(value) and not dtype.is_floating:
        value = dtype.min if value < 0 else dtype.max
    return tfl.full(shape, value, dtype)


def _log_sum_exp(x: Value, axes: Axes, keep: bool) -> Value:
    """Record log(sum(exp(x))) with the largest element taken out, so that EXP cannot overflow.

    Where that is infinite, it is the largest number.
    """
    most = DType.FLOAT32.max
    top = tfl.maximum(tfl.minimum(tfl.reduce_max(x, axes, True), most), -most)
    total = tfl.log(tfl.sum_(tfl.exp(x - top), axes, True)) + top
    if keep:
        return total
    # Axes that come at run time cannot be squeezed, but what is left along them can be reduced.
    return tfl.squeeze(total, axes) if isinstance(axes, list) else tfl.reduce_max(total, axes)


@lowers("ArgMax", "ArgMin", types=takes(f"u1 {NUMBERS}", DTypeSemantics.ORDER))
def arg_extreme(node: Node) -> Value:
    """Lower ArgMax and ArgMin to ARG_MAX and ARG_MIN."""
    axis, x = node.axis(0), node.x
    last = node.integer("select_last_index", 0) == 1
    index = _first_extreme(tfl.reverse(x, [axis]) if last else x, axis, node.operator)
    if last:
        index = x.sizes[axis] - 1 - index
    return tfl.expand_dims(index, axis) if node.integer("keepdims", 1) else index


def _first_extreme(x: Value, axis: int, operator: str) -> Value:
    """Record ARG_MAX or ARG_MIN, which do not take int64."""
    if x.dtype is not DType.INT64:
        return (tfl.arg_max if operator == "ArgMax" else tfl.arg_min)(x, axis)
    size = x.sizes[axis]
    extreme = (tfl.reduce_max if operator == "ArgMax" else tfl.reduce_min)(x, axis, True)
    places = np.arange(size).reshape([-1] + [1] * (x.rank - 1 - axis))
    return tfl.reduce_min(tfl.select_v2(tfl.equal(x, extreme), places, size), axis)


@lowers("TopK", types=takes(NUMBERS, DTypeSemantics.ORDER))
def top_k(node: Node) -> list[Value]:
    """Lower TopK to TOPK_V2, which runs on the last axis and takes the largest."""
    x, rank = node.x, node.x.rank
    axis = node.integer("axis", -1) % rank
    smallest = node.integer("largest", 1) == 0
    perm = (*(i for i in range(rank) if i != axis), axis)
    back = [int(i) for i in np.argsort(perm)]
    x = tfl.transpose(x, perm)
    values, indices = tfl.topk_v2(_order_reversed(x) if smallest else x, _how_many(node, axis))
    values = _order_reversed(values) if smallest else values
    return [tfl.transpose(values, back), tfl.transpose(tfl.cast(indices, DType.INT64), back)]


def _order_reversed(x: Value) -> Value:
    """Record numbers in reversed order; of integers, -x may not be there, but -1 - x is."""
    return -x if x.dtype.is_floating else -1 - x


def _how_many(node: Node, axis: int) -> int | Value:
    if node.opset < 10:
        return node.integer("k", 0)
    shape = node.result_shape()
    return scalar(node[1]) if node.known(1) or shape is None else shape[axis]


@lowers("CumSum", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def cumulative_sum(node: Node) -> Value:
    """Lower CumSum to CUMSUM."""
    exclusive, reverse = node.integer("exclusive", 0) == 1, node.integer("reverse", 0) == 1
    return tfl.cumsum(node.x, _running_axis(node), exclusive=exclusive, reverse=reverse)


@lowers("CumProd", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def cumulative_product(node: Node) -> Value:
    """Lower CumProd, which has no kernel, to products over 1, 2, 4, ... elements, each of two of those before."""
    axis = _running_axis(node)
    if isinstance(axis, int):
        return _running_product(node, axis % node.x.rank)
    axis = tfl.select_v2(axis < 0, axis + node.x.rank, axis)
    along = [_running_product(node, i) for i in range(node.x.rank)]
    return reduce(lambda y, i: tfl.select_v2(tfl.equal(axis, i), along[i], y), range(1, len(along)), along[0])


def _running_product(node: Node, axis: int) -> Value:
    backwards = node.integer("reverse", 0) == 1
    y = _pushed(node.x, axis, 1, backwards) if node.integer("exclusive", 0) else node.x
    step = 1
    while step < node.shape[axis]:
        y, step = y * _pushed(y, axis, step, backwards), 2 * step
    return y


def _pushed(x: Value, axis: int, by: int, backwards: bool) -> Value:
    """Record the elements ``by`` places further along ``axis``, ones where they were."""
    kept = slice(by, None) if backwards else slice(0, x.sizes[axis] - by)
    paddings = np.zeros((x.rank, 2), np.int32)
    paddings[axis, 1 if backwards else 0] = by
    return tfl.pad(x[(slice(None),) * axis + (kept,)], paddings, 1)


def _running_axis(node: Node) -> int | Value:
    if node.known(1):
        return int(node.constant(1).reshape(()))
    return 0 if node.x.rank == 1 else tfl.int32(scalar(node[1]))
