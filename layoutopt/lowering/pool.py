"""Pools over the spatial axes, channels-last."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import prod

import numpy as np

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.kernel_types import FLOATS
from layoutopt.lowering.node import Node, lowers
from layoutopt.lowering.padding import Axis, pad_for, paddings, sliding
from layoutopt.lowering.rank_adapters import lift_1d, separable_3d
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

_NOT_NEGATIVE = {"RELU", "RELU6", "LOGISTIC"}
"""Operators whose results cannot lie below 0."""


@lowers("MaxPool2D", domain=DOMAIN, types=FLOATS)
def max_pool(node: Node) -> Value:
    """Lower MaxPool to MAX_POOL_2D; what is not SAME is padded with zeros after an activation, else with the lowest."""
    axes, lowest = _windows(node), node.x.dtype.min
    clipped = node.x.producer is not None and node.x.producer.code in _NOT_NEGATIVE
    x, padding = pad_for(node.x, axes, value=0.0 if clipped else lowest)
    if any(axis.dilation > 1 for axis in axes):
        if padding == "SAME":
            x = tfl.pad(node.x, paddings(axes), lowest)
        return _dilated_max(_dilated_max(x, axes[0], 1), axes[1], 2)
    return tfl.max_pool_2d(x, _kernel(axes), strides=[axis.stride for axis in axes], padding=padding)


def _dilated_max(x: Value, axis: Axis, position: int) -> Value:
    """Return the largest along one axis, over strided slices: pools know no dilation."""
    slices = []
    for tap in range(axis.kernel):
        index = [slice(None)] * 4
        index[position] = _tap(axis, tap)
        slices.append(x[tuple(index)])
    return reduce(tfl.maximum, slices)


def max_pool_with_indices(node: Node) -> list[Value]:
    """Lower MaxPool of x (N, C, spatial...) with indices to ARG_MAX over a strided slice for each tap of the window."""
    batch, channels, *sizes = node.shape
    kernel = node.ints("kernel_shape") or []
    axes = sliding(node, kernel, tuple(sizes))
    pads = [[0, 0], [0, 0], *([axis.begin, max(axis.needed, 0)] for axis in axes)]
    x = tfl.pad(node.x, pads, node.x.dtype.min)
    taps = list(np.ndindex(*kernel))
    parts = tfl.pack([x[(slice(None), slice(None), *map(_tap, axes, tap))] for tap in taps])
    down = node.integer("storage_order", 0) == 1
    steps = [prod(sizes[:i] if down else sizes[i + 1 :]) for i in range(len(sizes))]
    starts = np.arange(batch * channels).reshape(batch, channels, *[1] * len(axes)) * prod(sizes)
    for i, axis in enumerate(axes):
        along = (np.arange(axis.out) * axis.stride - axis.begin) * steps[i]
        starts = starts + along.reshape(-1, *[1] * (len(axes) - 1 - i))
    dilations = [axis.dilation for axis in axes]
    offsets = np.array([np.dot(np.multiply(tap, dilations), steps) for tap in taps], np.int64)
    places = tfl.gather(offsets, tfl.arg_max(parts, 0)) + starts.astype(np.int64)
    return [tfl.reduce_max(parts, 0), places]


def _tap(axis: Axis, tap: int) -> slice:
    """Return what element ``tap`` of the window meets as the window moves along ``axis``."""
    start = tap * axis.dilation
    return slice(start, start + (axis.out - 1) * axis.stride + 1, axis.stride)


@lowers("AveragePool2D", domain=DOMAIN)
def average_pool(node: Node) -> Value:
    """Lower AveragePool to AVERAGE_POOL_2D; a factor per window corrects the mean where the kernel hangs over."""
    axes = _windows(node)
    count_pad = node.integer("count_include_pad", 0) == 1
    plain = all(axis.dilation == 1 for axis in axes)
    if plain and not count_pad and all(axis.is_same for axis in axes):
        # SAME leaves padding out of the mean, as ONNX does.
        return _mean(node.x, axes, "SAME")
    x = node.x if all(axis.is_valid for axis in axes) else tfl.pad(node.x, paddings(axes))
    y = _mean(x, axes) if plain else _dilated_mean(x, axes)
    rows, columns = (np.array(axis.padded_counts if count_pad else axis.counts) for axis in axes)
    factor = axes[0].kernel * axes[1].kernel / np.outer(rows, columns)
    return y if np.all(factor == 1) else y * factor[None, :, :, None].astype(y.dtype.numpy)


def _mean(x: Value, axes: tuple[Axis, ...], padding: str = "VALID") -> Value:
    return tfl.average_pool_2d(x, _kernel(axes), strides=[axis.stride for axis in axes], padding=padding)


def _kernel(axes: tuple[Axis, ...]) -> list[int]:
    return [axis.kernel for axis in axes]


def _dilated_mean(x: Value, axes: tuple[Axis, ...]) -> Value:
    """Record the mean as one DEPTHWISE_CONV_2D with equal weights."""
    weights = tfl.full((1, *_kernel(axes), x.sizes[3]), 1 / prod(_kernel(axes)), x.dtype)
    strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
    return tfl.depthwise_conv_2d(x, weights, strides=strides, dilations=dilations)


@lowers("GlobalAveragePool1D", "GlobalAveragePool2D", "GlobalAveragePool3D", domain=DOMAIN)
def global_average_pool(node: Node) -> Value:
    """Lower GlobalAveragePool to MEAN over the spatial axes."""
    return reduce_spatial(tfl.mean, node.x, _spatial(node))


@lowers("GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D", domain=DOMAIN)
def global_max_pool(node: Node) -> Value:
    """Lower GlobalMaxPool to REDUCE_MAX over the spatial axes."""
    return reduce_spatial(tfl.reduce_max, node.x, _spatial(node))


def reduce_spatial(reduction: Callable[..., Value], x: Value, axes: list[int]) -> Value:
    """Record MEAN or REDUCE_MAX over ``axes``, which stay with size 1; nothing where they have that already."""
    return x if all(x.sizes[axis] == 1 for axis in axes) else reduction(x, axes, keep_dims=True)


@lowers("LpPool2D", domain=DOMAIN)
def lp_pool(node: Node) -> Value:
    """Lower LpPool to AVERAGE_POOL_2D over powers, times the number of elements, and the root of that."""
    axes, power = _windows(node), node.integer("p", 2)
    x = _power(node.x, power)
    x = x if all(axis.is_valid for axis in axes) else tfl.pad(x, paddings(axes))
    y = _mean(x, axes) if all(axis.dilation == 1 for axis in axes) else _dilated_mean(x, axes)
    return _root(y * prod(_kernel(axes)), power)


@lowers("GlobalLpPool1D", "GlobalLpPool2D", "GlobalLpPool3D", domain=DOMAIN)
def global_lp_pool(node: Node) -> Value:
    """Lower GlobalLpPool to SUM of powers over the spatial axes, and the root of that."""
    return lp_norm(node, _spatial(node))


def lp_norm(node: Node, axes: list[int]) -> Value:
    """Record the norm over ``axes``, which stay with size 1."""
    power = node.integer("p", 2)
    return _root(tfl.sum_(_power(node.x, power), axes, keep_dims=True), power)


def _power(x: Value, power: int) -> Value:
    if power == 1:
        return tfl.abs_(x)
    return tfl.square(x) if power == 2 else tfl.pow_(tfl.abs_(x), power)


def _root(x: Value, power: int) -> Value:
    if power == 1:
        return x
    return tfl.sqrt(x) if power == 2 else tfl.pow_(x, 1 / power)


for _rank, _adapted in (("1D", lift_1d), ("3D", separable_3d)):
    lowers(f"LpPool{_rank}", domain=DOMAIN)(_adapted(lp_pool))
    lowers(f"MaxPool{_rank}", domain=DOMAIN, types=FLOATS)(_adapted(max_pool))
    lowers(f"AveragePool{_rank}", domain=DOMAIN)(_adapted(average_pool))


def _windows(node: Node) -> tuple[Axis, ...]:
    kernel = node.ints("kernel_shape")
    assert kernel is not None, "the checker sees to it"
    return sliding(node, kernel, node.spatial)


def _spatial(node: Node) -> list[int]:
    return list(range(1, node.x.rank - 1))
