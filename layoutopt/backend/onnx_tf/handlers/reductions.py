"""Reductions, ArgMax and TopK."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles

Reducer = Callable[[Operand, "list[int]", bool], Operand]

_REDUCERS: Mapping[str, Reducer] = {
    "ReduceMax": tf.reduce_max,
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": tf.reduce_min,
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
    "ReduceL1": lambda x, axes, keep: tf.reduce_sum(tf.abs(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: tf.sqrt(tf.reduce_sum(tf.square(x), axes, keep)),
    "ReduceLogSum": lambda x, axes, keep: tf.math.log(tf.reduce_sum(x, axes, keep)),
    "ReduceLogSumExp": lambda x, axes, keep: _log_sum_exp(x, axes, keep),
    "ReduceSumSquare": lambda x, axes, keep: tf.reduce_sum(tf.square(x), axes, keep),
}


@handles(*_REDUCERS)
def reduction(node: Node) -> Operand:
    """Axes are an attribute or, in later versions, an operand."""
    axes = node.ints("axes") if "axes" in node.attributes else node.optional_ints(1)
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return node.x
        axes = list(range(len(node.shape)))
    return _REDUCERS[node.operator](node.x, axes, node.integer("keepdims", 1) == 1)


def _log_sum_exp(x: Operand, axes: list[int], keep: bool) -> Operand:
    """With the largest element taken out, so that exp cannot overflow, and no test for infinity as TensorFlow's has."""
    top = tf.reduce_max(x, axes, True)
    total = tf.math.log(tf.reduce_sum(tf.exp(x - top), axes, True)) + top
    return total if keep else tf.squeeze(total, axes)


@handles("ArgMax", "ArgMin")
def arg_extreme(node: Node) -> Operand:
    """ARG_MAX or ARG_MIN."""
    axis, x = node.axis(0), node.x
    last = node.integer("select_last_index", 0) == 1
    function = tf.argmax if node.operator == "ArgMax" else tf.argmin
    index = function(tf.reverse(x, [axis]) if last else x, axis)
    if last:
        index = np.int64(node.shape[axis] - 1) - index
    return tf.expand_dims(index, axis) if node.integer("keepdims", 1) else index


@handles("TopK")
def top_k(node: Node) -> list[Operand]:
    """TOPK_V2, which runs on the last axis and takes the largest."""
    axis, rank = node.axis(-1), len(node.shape)
    k = node.integer("k", 0) if node.opset < 10 else int(node.constant(1).reshape(()))
    largest = node.integer("largest", 1) == 1
    perm = [i for i in range(rank) if i != axis] + [axis]
    x = node.x if axis == rank - 1 else tf.transpose(node.x, perm)
    values, indices = tf.math.top_k(x if largest else -x, k)
    values, indices = values if largest else -values, tf.cast(indices, tf.int64)
    if axis == rank - 1:
        return [values, indices]
    back = list(np.argsort(perm))
    return [tf.transpose(values, back), tf.transpose(indices, back)]


@handles("CumSum")
def cumulative_sum(node: Node) -> Operand:
    """CUMSUM."""
    axis = int(node.constant(1).reshape(()))
    exclusive, backwards = node.integer("exclusive", 0) == 1, node.integer("reverse", 0) == 1
    return tf.cumsum(node.x, axis, exclusive, backwards)
