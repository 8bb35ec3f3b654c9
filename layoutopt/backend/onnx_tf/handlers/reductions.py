"""Reductions, ArgMax, TopK and running sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.elementwise import magnitude
from layoutopt.backend.onnx_tf.handlers.node import (
    Array,
    Node,
    Operand,
    handles,
    is_static,
    numpy_type,
    permuted,
    type_of,
)

Axes: TypeAlias = "list[int] | tf.Tensor"
"""Known now, or at run time."""
Reducer = Callable[[Operand, "Axes", bool], Operand]

_REDUCERS: Mapping[str, Reducer] = {
    "ReduceMax": lambda x, axes, keep: (tf.reduce_any if x.dtype == tf.bool else tf.reduce_max)(x, axes, keep),
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": lambda x, axes, keep: (tf.reduce_all if x.dtype == tf.bool else tf.reduce_min)(x, axes, keep),
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
    "ReduceL1": lambda x, axes, keep: tf.reduce_sum(magnitude(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: tf.sqrt(tf.reduce_sum(tf.square(x), axes, keep)),
    "ReduceLogSum": lambda x, axes, keep: tf.math.log(tf.reduce_sum(x, axes, keep)),
    "ReduceLogSumExp": lambda x, axes, keep: _log_sum_exp(x, axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: tf.reduce_sum(tf.square(x), axes, keep),
}
_ELEMENTWISE: Mapping[str, Callable[[Operand], Operand]] = {
    "ReduceL1": magnitude,
    "ReduceL2": tf.abs,
    "ReduceLogSum": tf.math.log,
    "ReduceSumSquare": tf.square,
}
"""What is left of a reduction over no axis."""


@handles(*_REDUCERS)
def reduction(node: Node) -> Operand:
    """Axes are an attribute or, in later versions, an operand."""
    keep = node.integer("keepdims", 1) == 1
    axes, result = _axes(node), node.result_shape()
    if result is not None and is_static(node.x) and 0 in node.shape:
        return _of_nothing(node, result)
    if isinstance(axes, list) and not axes:
        if node.integer("noop_with_empty_axes", 0):
            return _ELEMENTWISE.get(node.operator, tf.identity)(node.x)
        axes = list(range(len(node.x.shape)))
    return _REDUCERS[node.operator](node.x, axes, keep)


def _axes(node: Node) -> Axes:
    """The axes; those that come at run time can be seen in the result where it keeps them."""
    if "axes" in node.attributes:
        return node.ints("axes") or []
    operand = node.optional(1)
    if operand is None or isinstance(operand, np.ndarray):
        return node.optional_ints(1) or []
    if operand.shape == (0,):
        return []
    result = node.result_shape()
    if node.integer("keepdims", 1) == 0 or result is None or not is_static(node.x):
        at_run_time: tf.Tensor = tf.cast(operand, tf.int32)
        return at_run_time
    # Along an axis of size 1 it makes no difference whether it is reduced.
    return [axis for axis, (old, new) in enumerate(zip(node.shape, result, strict=True)) if old != new or new == 1]


_NEUTRAL: Mapping[str, float] = {
    "ReduceMax": -np.inf, "ReduceMin": np.inf, "ReduceMean": np.nan, "ReduceProd": 1,
    "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf,
}  # fmt: skip


def _of_nothing(node: Node, shape: tuple[int, ...]) -> Array:
    """A reduction over an axis of size 0 is constant."""
    dtype = np.dtype(numpy_type(node.x))
    value = _NEUTRAL.get(node.operator, 0)
    if dtype.kind in "iu" and np.isinf(value):
        value = np.iinfo(dtype).min if value < 0 else np.iinfo(dtype).max
    return np.full(shape, value > 0 if dtype.kind == "b" else value, dtype)


def _log_sum_exp(x: Operand, axes: Axes, keep: bool) -> Operand:
    """With the largest element taken out, so that exp cannot overflow; where that is infinite, the largest number."""
    most = np.finfo(np.float32).max
    top = tf.clip_by_value(tf.reduce_max(x, axes, True), -most, most)
    total = tf.math.log(tf.reduce_sum(tf.exp(x - top), axes, True)) + top
    if keep:
        return total
    # Axes that come at run time cannot be squeezed, but what is left along them can be reduced.
    return tf.squeeze(total, axes) if isinstance(axes, list) else tf.reduce_max(total, axes)


@handles("ArgMax", "ArgMin")
def arg_extreme(node: Node) -> Operand:
    """ARG_MAX or ARG_MIN."""
    axis, x = node.axis(0), node.x
    last = node.integer("select_last_index", 0) == 1
    index = _first_extreme(tf.reverse(x, [axis]) if last else x, axis, node.operator)
    if last:
        index = np.int64(node.shape[axis] - 1) - index
    return tf.expand_dims(index, axis) if node.integer("keepdims", 1) else index


def _first_extreme(x: Operand, axis: int, operator: str) -> Operand:
    if type_of(x) != tf.int64:
        return (tf.argmax if operator == "ArgMax" else tf.argmin)(x, axis)
    size = x.shape[axis]
    extreme = (tf.reduce_max if operator == "ArgMax" else tf.reduce_min)(x, axis, True)
    places = np.arange(size).reshape([-1] + [1] * (len(x.shape) - 1 - axis))
    return tf.reduce_min(tf.where(tf.equal(x, extreme), places, np.int64(size)), axis)


@handles("TopK")
def top_k(node: Node) -> list[Operand]:
    """TOPK_V2, which runs on the last axis and takes the largest."""
    rank = len(node.x.shape)
    axis = node.integer("axis", -1) % rank
    smallest = node.integer("largest", 1) == 0
    perm = (*(i for i in range(rank) if i != axis), axis)
    x = node.x if axis == rank - 1 else permuted(node.x, perm)
    values, indices = tf.math.top_k(_turned_over(x) if smallest else x, _how_many(node, axis))
    values, indices = _turned_over(values) if smallest else values, tf.cast(indices, tf.int64)
    if axis == rank - 1:
        return [values, indices]
    back = tuple(np.argsort(perm))
    return [permuted(values, back), permuted(indices, back)]


def _turned_over(x: Operand) -> Operand:
    """The order reversed; of integers, -x may not be there, but -1 - x is."""
    return -x if type_of(x).is_floating else -1 - x


def _how_many(node: Node, axis: int) -> int | tf.Tensor:
    if node.opset < 10:
        return node.integer("k", 0)
    if node.known(1):
        return int(node.constant(1).reshape(()))
    shape = node.result_shape()
    return tf.cast(tf.reshape(node[1], ()), tf.int32) if shape is None else shape[axis]


@handles("CumSum")
def cumulative_sum(node: Node) -> Operand:
    """CUMSUM."""
    exclusive, backwards = node.integer("exclusive", 0) == 1, node.integer("reverse", 0) == 1
    return tf.cumsum(node.x, _running_axis(node), exclusive, backwards)


@handles("CumProd")
def cumulative_product(node: Node) -> Operand:
    """No kernel: products over 1, 2, 4, ... elements, each of two of those before."""
    axis = _running_axis(node)
    if isinstance(axis, int):
        return _running_product(node, axis % len(node.shape))
    axis = tf.where(axis < 0, axis + len(node.shape), axis)
    along = [_running_product(node, i) for i in range(len(node.shape))]
    return reduce(lambda y, i: tf.where(tf.equal(axis, i), along[i], y), range(1, len(along)), along[0])


def _running_product(node: Node, axis: int) -> Operand:
    backwards = node.integer("reverse", 0) == 1
    y = _pushed(node.x, axis, 1, backwards) if node.integer("exclusive", 0) else node.x
    step = 1
    while step < node.shape[axis]:
        y, step = y * _pushed(y, axis, step, backwards), 2 * step
    return y


def _pushed(x: Operand, axis: int, by: int, backwards: bool) -> Operand:
    """The elements ``by`` places further along ``axis``, ones where they were."""
    rank, size = len(x.shape), x.shape[axis]
    kept = slice(by, None) if backwards else slice(0, size - by)
    pads = [[0, 0] for _ in range(rank)]
    pads[axis] = [0, by] if backwards else [by, 0]
    return tf.pad(x[(slice(None),) * axis + (kept,)], pads, constant_values=1)


def _running_axis(node: Node) -> int | tf.Tensor:
    if node.known(1):
        return int(node.constant(1).reshape(()))
    return 0 if len(node.x.shape) == 1 else tf.cast(tf.reshape(node[1], ()), tf.int32)
