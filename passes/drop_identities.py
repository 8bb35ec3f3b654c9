"""Drops operators that give their operand back, so that none of them needs a layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.values import constant_of, static_shape
from layoutopt.passes.base import NodeRewrite


@dataclass(frozen=True)
class DropIdentities(NodeRewrite):
    """Drop pools of one element, resizes to the same size, and blocks of one element."""

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Let all that read the result of ``node`` read its operand."""
        if node.domain != "" or not _gives_back(node):
            return False
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        edit.replace_uses(graph, result, source)
        edit.remove_dead(node)
        return True


def _gives_back(node: ir.Node) -> bool:
    """Return whether the one result of a node is its first operand."""
    if not node.inputs or node.inputs[0] is None or sum(bool(value.name) for value in node.outputs) != 1:
        return False
    shape = static_shape(node.inputs[0])
    if shape is None or shape != static_shape(node.outputs[0]):
        return False
    match node.op_type:
        case "MaxPool" | "AveragePool":
            numbers = (*node.attributes.get_ints("kernel_shape", ()), *node.attributes.get_ints("strides", ()))
            return set(numbers) == {1} and not any(node.attributes.get_ints("pads", ()))
        case "GlobalMaxPool" | "GlobalAveragePool":
            return set(shape[2:]) == {1}
        case "DepthToSpace" | "SpaceToDepth":
            return node.attributes.get_int("blocksize", 0) == 1
        case "Resize" | "Upsample":
            return _keeps_size(node)
    return False


def _keeps_size(node: ir.Node) -> bool:
    """Return whether a resize is by 1 along each axis, and not of a region."""
    if node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return False
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return True
    if "scales" in node.attributes:
        return set(node.attributes.get_floats("scales", ())) == {1.0}
    tensor = None if node.inputs[-1] is None or len(node.inputs) < 2 else constant_of(node.inputs[-1])
    return tensor is not None and bool(np.all(tensor.numpy() == 1))
