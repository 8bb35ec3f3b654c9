"""ONNX's own spatial operators, in N, C, spatial...: the channels-last handler between two transposes.

That is what a graph without a layout pass needs, and what is left for an operator that stays in natural layout. One
spatial axis is taken for two, the second of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers import conv, conv_transpose, depth, pool, resize
from layoutopt.backend.onnx_tf.handlers.node import Handler, Node, Operand, handles, shape_of
from layoutopt.ir.dialect import OPERATORS

_CHANNELS_LAST: dict[str, Handler] = {
    "Conv": conv.conv,
    "ConvTranspose": conv_transpose.conv_transpose,
    "MaxPool": pool.max_pool,
    "AveragePool": pool.average_pool,
    "Resize": resize.resize,
    "Upsample": resize.resize,
    "DepthToSpace": depth.depth_to_space,
    "SpaceToDepth": depth.space_to_depth,
}


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> Operand:
    """MEAN or REDUCE_MAX in place: no transpose needed."""
    reduction = tf.reduce_mean if node.operator == "GlobalAveragePool" else tf.reduce_max
    return reduction(node.x, list(range(2, len(node.shape))), keepdims=True)


@handles(*_CHANNELS_LAST)
def sandwich(node: Node) -> Operand:
    """Transposes in, runs channels-last, transposes back."""
    rank = len(node.shape)
    if rank == 3:
        node = _lifted(node)
    elif rank != 4:
        raise node.unsupported(f"TFLite has no such operator for values of rank {rank}")
    x = tf.transpose(node.x, [0, *range(2, rank), 1])
    if rank == 3:
        x = tf.expand_dims(x, 2)
    channels_last = replace(node, operator=OPERATORS[node.operator].name, operands=(x, *node.operands[1:]))
    y = _CHANNELS_LAST[node.operator](channels_last)
    assert not isinstance(y, Sequence), "these have one result"
    if rank == 3:
        y = tf.squeeze(y, 2)  # before the transpose: the converter fails on a Squeeze right after one
    return tf.transpose(y, [0, rank - 1, *range(1, rank - 1)])


def _lifted(node: Node) -> Node:
    """The same with attributes and weights for a second spatial axis."""
    if node.operator not in ("Conv", "ConvTranspose", "MaxPool", "AveragePool"):
        raise node.unsupported("only over two spatial axes")
    attributes = dict(node.attributes)
    for name, more in (("kernel_shape", [1]), ("strides", [1]), ("dilations", [1]), ("output_padding", [0])):
        if (values := node.ints(name)) is not None:
            attributes[name] = values + more
    if (pads := node.ints("pads")) is not None:
        attributes["pads"] = [pads[0], 0, pads[1], 0]
    x, *rest = node.operands
    if rest and rest[0] is not None:  # the weights
        rest[0] = conv.reshaped(rest[0], (*shape_of(rest[0]), 1))
    return replace(node, attributes=attributes, operands=(x, *rest))
