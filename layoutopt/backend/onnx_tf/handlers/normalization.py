"""Normalizations, as one multiplication and one addition after the moments wherever that computes the same."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, reshaped
from layoutopt.ir.dialect import DOMAIN


@handles("BatchNormalization")
def batch_normalization(node: Node) -> Operand:
    """Scale and shift per channel (axis 1), constants folded into one of each."""
    if node.results > 1 or node.integer("training_mode", 0):
        raise node.unsupported("training mode cannot be exported")
    scale, shift, mean, variance = (_per_channel(node[i], len(node.shape)) for i in range(1, 5))
    epsilon = np.float32(node.number("epsilon", 1e-5))
    if all(isinstance(operand, np.ndarray) for operand in (scale, variance)):
        factor = scale / np.sqrt(variance + epsilon)
    else:
        factor = scale * tf.math.rsqrt(variance + epsilon)
    return node.x * factor + (shift - mean * factor)


def _per_channel(operand: Operand, rank: int) -> Operand:
    return reshaped(operand, (1, operand.shape[0], *(1,) * (rank - 2)))


def _affine(x: Operand, axes: list[int], epsilon: float, scale: Operand | None, shift: Operand | None) -> Operand:
    """``x * s + (shift - mean * s)``: one pass over x less than ``(x - mean) / deviation * scale + shift``."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    factor = tf.math.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    offset = -mean * factor if shift is None else shift - mean * factor
    return x * factor + offset


@handles("InstanceNormalization")
def instance_normalization(node: Node) -> Operand:
    """Moments over the spatial axes."""
    rank = len(node.shape)
    scale, shift = (_per_channel(node[i], rank) for i in (1, 2))
    return _affine(node.x, list(range(2, rank)), node.number("epsilon", 1e-5), scale, shift)


@handles("GroupNormalization")
def group_normalization(node: Node) -> Operand:
    """Moments over groups of channels; scale and shift are per group before opset 21, per channel since."""
    groups, (batch, channels, *spatial) = node.integer("num_groups", 1), node.shape
    per_group = channels // groups
    x = tf.reshape(node.x, [batch, groups, per_group, int(np.prod(spatial))])
    each = (1, groups, per_group, 1) if node.opset >= 21 else (1, groups, 1, 1)
    scale, shift = (reshaped(node[i], each) for i in (1, 2))
    return tf.reshape(_affine(x, [2, 3], node.number("epsilon", 1e-5), scale, shift), node.shape)


@handles("LayerNormalization")
def layer_normalization(node: Node) -> list[Operand]:
    """Moments over all axes from ``axis`` on; scale and shift differ within those, so the mean is subtracted first."""
    axes = list(range(node.axis(-1), len(node.shape)))
    mean = tf.reduce_mean(node.x, axes, keepdims=True)
    centred = node.x - mean
    # A product and not a square: of that the converter would make a second difference from the mean.
    variance = tf.reduce_mean(centred * centred, axes, keepdims=True)
    inverse = tf.math.rsqrt(variance + node.number("epsilon", 1e-5))
    y, shift = _scaled(centred * inverse, node[1]), node.optional(2)
    return [y if shift is None else y + shift, mean, inverse]


def _scaled(x: Operand, scale: Operand) -> Operand:
    """``x * scale``; x where the scale is in the weights of what follows."""
    return x if isinstance(scale, np.ndarray) and (scale == 1).all() else x * scale


@handles("RMSNormalization")
def rms_normalization(node: Node) -> Operand:
    """As LayerNormalization without the mean."""
    axes = list(range(node.axis(-1), len(node.shape)))
    square = tf.reduce_mean(tf.square(node.x), axes, keepdims=True)
    return _scaled(node.x * tf.math.rsqrt(square + node.number("epsilon", 1e-5)), node[1])


@handles("LRN2D", domain=DOMAIN)
def local_response_normalization(node: Node) -> Operand:
    """LOCAL_RESPONSE_NORMALIZATION."""
    size = node.integer("size", 1)
    if size % 2 == 0:
        raise node.unsupported("the window of TFLite's LOCAL_RESPONSE_NORMALIZATION is centred: its size is odd")
    alpha, beta = node.number("alpha", 1e-4) / size, node.number("beta", 0.75)
    return tf.nn.local_response_normalization(node.x, size // 2, node.number("bias", 1.0), alpha, beta)


@handles("LpNormalization")
def lp_normalization(node: Node) -> Operand:
    """Division by the norm along one axis. Not L2_NORMALIZATION, which XNNPACK lacks: it takes six times as long."""
    axis, x = node.axis(-1), node.x
    if node.integer("p", 2) == 2:
        square = tf.reduce_sum(x * x, axis, keepdims=True)
        return x * tf.math.rsqrt(tf.maximum(square, np.finfo(np.float32).tiny))
    return x / tf.reduce_sum(tf.abs(x), axis, keepdims=True)
