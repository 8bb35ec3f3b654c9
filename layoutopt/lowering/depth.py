"""DepthToSpace2D and SpaceToDepth2D."""

from __future__ import annotations

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value


@lowers("DepthToSpace2D", domain=DOMAIN)
def depth_to_space(node: Node) -> Value:
    """Lower DepthToSpace to DEPTH_TO_SPACE; the mode CRD, of other order of channels, takes a TRANSPOSE of rank 5."""
    block = node.integer("blocksize", 1)
    batch, height, width, channels = node.shape
    depth = channels // block**2
    if node.text("mode", "DCR") == "DCR" or depth == 1:
        return tfl.depth_to_space(node.x, block)
    # A GATHER of the channels before DEPTH_TO_SPACE would be half as fast again slower.
    cells = tfl.reshape(node.x, [batch * height, width, depth, block, block])
    cells = tfl.transpose(cells, [0, 3, 1, 4, 2])
    return tfl.reshape(cells, [batch, height * block, width * block, depth])


@lowers("SpaceToDepth2D", domain=DOMAIN)
def space_to_depth(node: Node) -> Value:
    """Lower SpaceToDepth to SPACE_TO_DEPTH."""
    return tfl.space_to_depth(node.x, node.integer("blocksize", 1))
