"""Pools over the spatial axes, channels-last."""

from __future__ import annotations

from functools import reduce
from math import prod

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, numpy_type, shape_of, type_of
from layoutopt.backend.onnx_tf.handlers.padding import Axis, pad_for, sliding
from layoutopt.backend.onnx_tf.handlers.spatial import in_turn, on_line
from layoutopt.ir.dialect import DOMAIN

_NOT_NEGATIVE = {"Relu", "Relu6", "Sigmoid"}
"""TensorFlow operators whose results cannot lie below 0."""


@handles("MaxPool2D", domain=DOMAIN)
def max_pool(node: Node) -> Operand:
    """MAX_POOL_2D; padding that is not SAME is a PAD with zeros after an activation, else a PADV2 with the lowest."""
    axes = _windows(node)
    producer = getattr(getattr(node.x, "op", None), "type", "")
    lowest = None if producer in _NOT_NEGATIVE else type_of(node.x).min
    x, padding = pad_for(node.x, axes, value=lowest)
    if any(axis.dilation > 1 for axis in axes):
        if padding == "SAME":
            x, padding = tf.pad(node.x, _pads(axes), constant_values=type_of(node.x).min), "VALID"
        return _dilated_max(_dilated_max(x, axes[0], 1), axes[1], 2)
    return tf.nn.max_pool2d(x, [axis.kernel for axis in axes], [axis.stride for axis in axes], padding)


def _dilated_max(x: Operand, axis: Axis, position: int) -> Operand:
    """The largest along one axis, over strided slices: TFLite's pools know no dilation."""
    slices = []
    for tap in range(axis.kernel):
        index = [slice(None)] * 4
        index[position] = _tap(axis, tap)
        slices.append(x[tuple(index)])
    return reduce(tf.maximum, slices)


def max_pool_with_indices(node: Node) -> list[Operand]:
    """The largest of each window of x (N, C, spatial...), and where in x they are: TFLite's pools do not tell.

    ARG_MAX over one strided slice of x for each element of the window.
    """
    batch, channels, *sizes = node.shape
    kernel = node.ints("kernel_shape") or []
    axes = sliding(node, kernel, tuple(sizes))
    pads = [[0, 0], [0, 0], *([axis.begin, max(axis.needed, 0)] for axis in axes)]
    x = tf.pad(node.x, pads, constant_values=type_of(node.x).min) if any(map(any, pads)) else node.x
    taps = list(np.ndindex(*kernel))
    parts = tf.stack([x[(slice(None), slice(None), *map(_tap, axes, tap))] for tap in taps])
    down = node.integer("storage_order", 0) == 1
    steps = [prod(sizes[:i] if down else sizes[i + 1 :]) for i in range(len(sizes))]
    starts = np.arange(batch * channels).reshape(batch, channels, *[1] * len(axes)) * prod(sizes)
    for i, axis in enumerate(axes):
        along = (np.arange(axis.out) * axis.stride - axis.begin) * steps[i]
        starts = starts + along.reshape(-1, *[1] * (len(axes) - 1 - i))
    dilations = [axis.dilation for axis in axes]
    ways = np.array([np.dot(np.multiply(tap, dilations), steps) for tap in taps], np.int64)
    return [tf.reduce_max(parts, 0), tf.gather(ways, tf.argmax(parts, 0)) + starts.astype(np.int64)]


def _tap(axis: Axis, tap: int) -> slice:
    """What element ``tap`` of the window meets as the window moves along ``axis``."""
    start = tap * axis.dilation
    return slice(start, start + (axis.out - 1) * axis.stride + 1, axis.stride)


@handles("AveragePool2D", domain=DOMAIN)
def average_pool(node: Node) -> Operand:
    """AVERAGE_POOL_2D; a constant factor per window corrects the mean where the kernel hangs over the edge."""
    axes = _windows(node)
    count_pad = node.integer("count_include_pad", 0) == 1
    plain = all(axis.dilation == 1 for axis in axes)
    if plain and not count_pad and all(axis.is_same for axis in axes):
        # SAME leaves padding out of the mean, as ONNX does.
        return tf.nn.avg_pool2d(node.x, [axis.kernel for axis in axes], [axis.stride for axis in axes], "SAME")
    x = node.x if all(axis.is_valid for axis in axes) else tf.pad(node.x, _pads(axes))
    y = _mean(x, axes) if plain else _dilated_mean(x, axes)
    rows, columns = (np.array(axis.padded_counts if count_pad else axis.counts) for axis in axes)
    factor = axes[0].kernel * axes[1].kernel / np.outer(rows, columns)
    return y if np.all(factor == 1) else y * factor[None, :, :, None].astype(numpy_type(y))


def _mean(x: Operand, axes: tuple[Axis, ...]) -> Operand:
    return tf.nn.avg_pool2d(x, [axis.kernel for axis in axes], [axis.stride for axis in axes], "VALID")


def _dilated_mean(x: Operand, axes: tuple[Axis, ...]) -> Operand:
    """One DEPTHWISE_CONV_2D with equal weights."""
    kernel, channels = [axis.kernel for axis in axes], shape_of(x)[3]
    weights = np.full((*kernel, channels, 1), 1 / (kernel[0] * kernel[1]), numpy_type(x))
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x,
        filter=weights,
        strides=[1, axes[0].stride, axes[1].stride, 1],
        dilations=[1, axes[0].dilation, axes[1].dilation, 1],
        padding="VALID",
    )


@handles("GlobalAveragePool1D", "GlobalAveragePool2D", "GlobalAveragePool3D", domain=DOMAIN)
def global_average_pool(node: Node) -> Operand:
    """MEAN over the spatial axes."""
    return tf.reduce_mean(node.x, list(range(1, len(node.shape) - 1)), keepdims=True)


@handles("GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D", domain=DOMAIN)
def global_max_pool(node: Node) -> Operand:
    """REDUCE_MAX over the spatial axes."""
    return tf.reduce_max(node.x, list(range(1, len(node.shape) - 1)), keepdims=True)


@handles("LpPool2D", domain=DOMAIN)
def lp_pool(node: Node) -> Operand:
    """AVERAGE_POOL_2D over powers, times the number of elements, and the root of that."""
    axes, power = _windows(node), node.integer("p", 2)
    x = _power(node.x, power)
    x = x if all(axis.is_valid for axis in axes) else tf.pad(x, _pads(axes))
    plain = all(axis.dilation == 1 for axis in axes)
    y = _mean(x, axes) if plain else _dilated_mean(x, axes)
    return _root(y * numpy_type(y)(prod(axis.kernel for axis in axes)), power)


@handles("GlobalLpPool1D", "GlobalLpPool2D", "GlobalLpPool3D", domain=DOMAIN)
def global_lp_pool(node: Node) -> Operand:
    """SUM of powers over the spatial axes, and the root of that."""
    return lp_norm(node, list(range(1, len(node.shape) - 1)))


def lp_norm(node: Node, axes: list[int]) -> Operand:
    """The norm over ``axes``, which stay."""
    power = node.integer("p", 2)
    return _root(tf.reduce_sum(_power(node.x, power), axes, keepdims=True), power)


def _power(x: Operand, power: int) -> Operand:
    return tf.square(x) if power == 2 else tf.pow(tf.abs(x), numpy_type(x)(power))


def _root(x: Operand, power: int) -> Operand:
    return tf.sqrt(x) if power == 2 else tf.pow(x, numpy_type(x)(1 / power))


for _rank, _form in (("1D", on_line), ("3D", in_turn)):
    handles(f"LpPool{_rank}", domain=DOMAIN)(_form(lp_pool))
    handles(f"MaxPool{_rank}", domain=DOMAIN)(_form(max_pool))
    handles(f"AveragePool{_rank}", domain=DOMAIN)(_form(average_pool))


def _windows(node: Node) -> tuple[Axis, ...]:
    kernel = node.ints("kernel_shape")
    assert kernel is not None, "the checker sees to it"
    return sliding(node, kernel, node.shape[1:3])


def _pads(axes: tuple[Axis, ...]) -> list[list[int]]:
    return [[0, 0], *([axis.begin, max(axis.needed, 0)] for axis in axes), [0, 0]]
