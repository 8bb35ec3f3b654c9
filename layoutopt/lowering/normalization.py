"""Normalizations, as one multiplication and one addition after the moments wherever that computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value


@lowers("BatchNormalization")
def batch_normalization(node: Node) -> Value:
    """Lower BatchNormalization to MUL and ADD per channel (axis 1)."""
    return _batch_normalized(node, [_per_channel(node[i], node.x.rank) for i in range(1, 5)])


@lowers("BatchNormalization2D", domain=DOMAIN)
def batch_normalization_channels_last(node: Node) -> Value:
    """Lower BatchNormalization of channels-last images to MUL and ADD per channel (the last axis)."""
    return _batch_normalized(node, [node[i] for i in range(1, 5)])


def _batch_normalized(node: Node, statistics: Sequence[Value]) -> Value:
    """Record ``x * factor + offset``, given scale, shift, mean and variance in a shape that broadcasts."""
    if node.results > 1 or node.integer("training_mode", 0):
        raise node.unsupported("training mode cannot be exported")
    scale, shift, mean, variance = statistics
    spread = variance + node.number("epsilon", 1e-5)
    factor = scale / tfl.sqrt(spread) if spread.is_constant else scale * tfl.rsqrt(spread)
    return node.x * factor + (shift - mean * factor)


def _per_channel(operand: Value, rank: int) -> Value:
    return tfl.reshape(operand, (1, operand.sizes[0], *(1,) * (rank - 2)))


def _affine(x: Value, axes: list[int], epsilon: float, scale: Value | None, shift: Value | None) -> Value:
    """Record ``x * s + (shift - mean * s)``: one pass less than ``(x - mean) / deviation * scale + shift``."""
    mean = tfl.mean(x, axes, keep_dims=True)
    variance = tfl.mean(tfl.squared_difference(x, mean), axes, keep_dims=True)
    factor = tfl.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    offset = -mean * factor if shift is None else shift - mean * factor
    return x * factor + offset


@lowers("InstanceNormalization")
def instance_normalization(node: Node) -> Value:
    """Lower InstanceNormalization to moments over the spatial axes."""
    rank = node.x.rank
    scale, shift = (_per_channel(node[i], rank) for i in (1, 2))
    return _affine(node.x, list(range(2, rank)), node.number("epsilon", 1e-5), scale, shift)


@lowers("GroupNormalization")
def group_normalization(node: Node) -> Value:
    """Lower GroupNormalization; scale and shift are per group before opset 21, per channel since."""
    groups, (batch, channels, *spatial) = node.integer("num_groups", 1), node.shape
    per_group = channels // groups
    x = tfl.reshape(node.x, (batch, groups, per_group, prod(spatial)))
    each = (1, groups, per_group, 1) if node.opset >= 21 else (1, groups, 1, 1)
    scale, shift = (tfl.reshape(node[i], each) for i in (1, 2))
    return tfl.reshape(_affine(x, [2, 3], node.number("epsilon", 1e-5), scale, shift), node.shape)


@lowers("LayerNormalization")
def layer_normalization(node: Node) -> list[Value]:
    """Lower LayerNormalization; scale and shift differ within its axes, so the mean is subtracted first."""
    axes = list(range(node.axis(-1), node.x.rank))
    mean = tfl.mean(node.x, axes, keep_dims=True)
    centred = node.x - mean
    # A product and not a square: of that a SQUARED_DIFFERENCE would be made, which subtracts once more.
    variance = tfl.mean(centred * centred, axes, keep_dims=True)
    inverse = tfl.rsqrt(variance + node.number("epsilon", 1e-5))
    y, shift = _scaled(centred * inverse, node[1]), node.optional(2)
    return [y if shift is None else y + shift, mean, inverse]


def _scaled(x: Value, scale: Value) -> Value:
    """Record ``x * scale``; nothing where the scale is in the weights of what follows."""
    return x if scale.is_constant and (scale.array == 1).all() else x * scale


@lowers("RMSNormalization")
def rms_normalization(node: Node) -> Value:
    """Lower RMSNormalization: as LayerNormalization without the mean."""
    axes = list(range(node.axis(-1), node.x.rank))
    square = tfl.mean(tfl.square(node.x), axes, keep_dims=True)
    return _scaled(node.x * tfl.rsqrt(square + node.number("epsilon", 1e-5)), node[1])


@lowers("MeanVarianceNormalization")
def mean_variance_normalization(node: Node) -> Value:
    """Lower MeanVarianceNormalization to ``(x - mean) / (deviation + 1e-9)``, by default of each channel."""
    axes = node.ints("axes") or [0, 2, 3]
    centred = node.x - tfl.mean(node.x, axes, keep_dims=True)
    deviation = tfl.sqrt(tfl.mean(centred * centred, axes, keep_dims=True))
    return centred / (deviation + 1e-9)


@lowers("LRN2D", domain=DOMAIN)
def local_response_normalization(node: Node) -> Value:
    """Lower LRN over channels in the last axis to LOCAL_RESPONSE_NORMALIZATION."""
    size = node.integer("size", 1)
    if size % 2 == 0:
        raise node.unsupported("the window of LiteRT's LOCAL_RESPONSE_NORMALIZATION is centred: its size is odd")
    alpha, beta = node.number("alpha", 1e-4) / size, node.number("beta", 0.75)
    return tfl.local_response_normalization(
        node.x, radius=size // 2, bias=node.number("bias", 1.0), alpha=alpha, beta=beta
    )


@lowers("LpNormalization")
def lp_normalization(node: Node) -> Value:
    """Lower LpNormalization to a division by the norm, not to L2_NORMALIZATION: XNNPACK lacks that, it is slow."""
    axis, x = node.axis(-1), node.x
    if node.integer("p", 2) == 2:
        square = tfl.sum_(x * x, axis, keep_dims=True)
        return x * tfl.rsqrt(tfl.maximum(square, _LEAST))
    return x / tfl.maximum(tfl.sum_(tfl.abs_(x), axis, keep_dims=True), _LEAST)


_LEAST = float(np.finfo(np.float32).tiny)
"""The least normal number: a norm below it is one of zeros, which ONNX leaves as they are."""
