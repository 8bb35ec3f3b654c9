"""Conv1D to 3D: one CONV_2D, DEPTHWISE_CONV_2D or CONV_3D, and at most one PAD."""

from __future__ import annotations

import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped, shape_of
from layoutopt.backend.onnx_tf.handlers.padding import pad_for, sliding
from layoutopt.backend.onnx_tf.handlers.spatial import on_line
from layoutopt.ir.dialect import DOMAIN


@handles("Conv2D", domain=DOMAIN)
def conv(node: Node) -> Operand:
    """Convolution of x (N, H, W, C) with weights (O, C / group, H, W)."""
    x, padding, strides, dilations = _window(node)
    return convolve(x, node[1], node.optional(2), node.integer("group", 1), strides, dilations, padding)


handles("Conv1D", domain=DOMAIN)(on_line(conv))


@handles("Conv3D", domain=DOMAIN)
def conv_3d(node: Node) -> Operand:
    """CONV_3D, one for each group."""
    x, padding, strides, dilations = _window(node)
    group, filters = node.integer("group", 1), permuted(node[1], (2, 3, 4, 1, 0))
    parts = zip(tf.split(x, group, -1), tf.split(filters, group, -1), strict=True) if group > 1 else [(x, filters)]
    steps, spacing = [1, *strides, 1], [1, *dilations, 1]
    results = [tf.nn.conv3d(part, own, steps, padding, dilations=spacing) for part, own in parts]
    y = tf.concat(results, -1) if group > 1 else results[0]
    bias = node.optional(2)
    return y if bias is None else tf.nn.bias_add(y, bias)


def _window(node: Node) -> tuple[Operand, str, list[int], list[int]]:
    """The input, perhaps padded, what is left of the padding, strides and dilations."""
    axes = sliding(node, list(shape_of(node[1])[2:]), node.shape[1:-1])
    x, padding = pad_for(node.x, axes)
    return x, padding, [axis.stride for axis in axes], [axis.dilation for axis in axes]


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
