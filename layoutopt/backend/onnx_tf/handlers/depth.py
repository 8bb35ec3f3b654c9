"""DepthToSpace2D and SpaceToDepth2D."""

from __future__ import annotations

import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles
from layoutopt.ir.dialect import DOMAIN


@handles("DepthToSpace2D", domain=DOMAIN)
def depth_to_space(node: Node) -> Operand:
    """DEPTH_TO_SPACE for the mode DCR, which orders channels as TensorFlow does; a rank-5 TRANSPOSE for CRD."""
    block = node.integer("blocksize", 1)
    batch, height, width, channels = node.shape
    depth = channels // block**2
    if node.text("mode", "DCR") == "DCR" or depth == 1:
        return tf.nn.depth_to_space(node.x, block)
    # A GATHER of the channels before DEPTH_TO_SPACE would be half as fast again slower.
    cells = tf.reshape(node.x, [batch * height, width, depth, block, block])
    cells = tf.transpose(cells, [0, 3, 1, 4, 2])
    return tf.reshape(cells, [batch, height * block, width * block, depth])


@handles("SpaceToDepth2D", domain=DOMAIN)
def space_to_depth(node: Node) -> Operand:
    """SPACE_TO_DEPTH."""
    return tf.nn.space_to_depth(node.x, node.integer("blocksize", 1))
