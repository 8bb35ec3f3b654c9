"""Conv2D: one CONV_2D or DEPTHWISE_CONV_2D, and at most one PAD."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, shape_of
from layoutopt.backend.onnx_tf.handlers.padding import pad_for, sliding
from layoutopt.ir.dialect import DOMAIN


@handles("Conv2D", domain=DOMAIN)
def conv(node: Node) -> Operand:
    """Convolution of x (N, H, W, C) with weights (O, C / group, H, W)."""
    weights = node[1]
    axes = sliding(node, list(shape_of(weights)[2:]), node.shape[1:3])
    x, padding = pad_for(node.x, axes)
    strides, dilations = [axis.stride for axis in axes], [axis.dilation for axis in axes]
    return convolve(x, weights, node.optional(2), node.integer("group", 1), strides, dilations, padding)


def convolve(
    x: Operand,
    weights: Operand,
    bias: Operand | None,
    group: int,
    strides: list[int],
    dilations: list[int],
    padding: str,
) -> Operand:
    """Convolution with weights in ONNX's order; ``group`` decides between CONV_2D and DEPTHWISE_CONV_2D."""
    channels = shape_of(x)[3]
    # With one channel the two are the same, and the dense kernel is the faster one.
    if group == channels and group > 1:
        y = _depthwise(x, weights, strides, dilations, padding)
    else:
        # Groups follow from the shapes: a filter with C / group input channels makes one grouped CONV_2D.
        y = tf.nn.conv2d(x, permuted(weights, (2, 3, 1, 0)), strides, padding, dilations=dilations)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _depthwise(x: Operand, weights: Operand, strides: list[int], dilations: list[int], padding: str) -> Operand:
    channels = shape_of(x)[3]
    outputs, _, height, width = shape_of(weights)
    filters = permuted(reshaped(weights, (channels, outputs // channels, height, width)), (2, 3, 0, 1))
    # The raw operator, since tf.nn.depthwise_conv2d spells a dilation as SpaceToBatch and BatchToSpace.
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x, filter=filters, strides=[1, *strides, 1], padding=padding, dilations=[1, *dilations, 1]
    )


def permuted(operand: Operand, axes: tuple[int, ...]) -> Operand:
    """A Transpose, done now for a constant."""
    if isinstance(operand, np.ndarray):
        return np.ascontiguousarray(operand.transpose(axes))
    return tf.transpose(operand, axes)


def reshaped(operand: Operand, shape: tuple[int, ...]) -> Operand:
    """A Reshape, done now for a constant; nothing where the shape is that already."""
    if shape_of(operand) == shape:
        return operand
    return operand.reshape(shape) if isinstance(operand, np.ndarray) else tf.reshape(operand, shape)
