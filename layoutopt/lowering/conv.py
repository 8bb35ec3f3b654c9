"""Conv1D to 3D: one CONV_2D, DEPTHWISE_CONV_2D or CONV_3D, and at most one PAD."""

from __future__ import annotations

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.node import Node, lowers
from layoutopt.lowering.padding import pad_for, sliding
from layoutopt.lowering.rank_adapters import lift_1d
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value


@lowers("Conv2D", domain=DOMAIN)
def conv(node: Node) -> Value:
    """Lower Conv of x (N, H, W, C) with weights (O, C / group, H, W) to CONV_2D or DEPTHWISE_CONV_2D."""
    x, padding, strides, dilations = _window(node)
    return convolve(x, node[1], node.optional(2), node.integer("group", 1), strides, dilations, padding)


lowers("Conv1D", domain=DOMAIN)(lift_1d(conv))


@lowers("Conv3D", domain=DOMAIN)
def conv_3d(node: Node) -> Value:
    """Lower Conv over three spatial axes to CONV_3D, one for each group."""
    x, padding, strides, dilations = _window(node)
    group, filters, bias = node.integer("group", 1), tfl.transpose(node[1], (2, 3, 4, 1, 0)), node.optional(2)
    parts, own = tfl.split(x, group, -1), tfl.split(filters, group, -1)
    biases = [None] * group if bias is None else tfl.split(bias, group, 0)
    results = [
        tfl.conv_3d(*operands, strides=strides, padding=padding, dilations=dilations)
        for operands in zip(parts, own, biases, strict=True)
    ]
    return tfl.concatenation(results, -1)


def _window(node: Node) -> tuple[Value, str, list[int], list[int]]:
    """Return the input, perhaps padded, what is left of the padding, strides and dilations."""
    axes = sliding(node, list(node[1].sizes[2:]), node.spatial)
    x, padding = pad_for(node.x, axes)
    return x, padding, [axis.stride for axis in axes], [axis.dilation for axis in axes]


def convolve(
    x: Value,
    weights: Value,
    bias: Value | None,
    group: int,
    strides: list[int],
    dilations: list[int],
    padding: str,
) -> Value:
    """Record a convolution with weights in ONNX's order; ``group`` decides between CONV_2D and DEPTHWISE_CONV_2D."""
    # With one channel the two are the same, and the dense kernel is the faster one.
    if group > 1 and x.shape is not None and group == x.shape[3]:
        filters = tfl.transpose(weights, (1, 2, 3, 0))
        return tfl.depthwise_conv_2d(x, filters, bias, strides=strides, padding=padding, dilations=dilations)
    # Groups follow from the shapes: a filter with C / group input channels makes one grouped CONV_2D.
    filters = tfl.transpose(weights, (0, 2, 3, 1))
    return tfl.conv_2d(x, filters, bias, strides=strides, padding=padding, dilations=dilations)
