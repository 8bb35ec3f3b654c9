"""Folds batch normalization into the convolution above it, or into one Mul and one Add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_operand, integer
from layoutopt.ir.values import constant_array, constant_of
from layoutopt.layout.analysis.convolutions import scale_outputs
from layoutopt.passes.base import NodeRewrite


@dataclass(frozen=True)
class FoldBatchNorm(NodeRewrite):
    """Fold each BatchNormalization in inference form with constant statistics.

    Into the weights of the Conv or ConvTranspose above where nobody else reads that, else into ``x * scale + shift``,
    which runs in any layout.
    """

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Fold ``node`` if it is a normalization by constants."""
        if node.domain != "" or node.op_type != "BatchNormalization" or (affine := _affine(node)) is None:
            return False
        _fold(graph, node, affine)
        return True


class _Affine(NamedTuple):
    """``x * scale + shift`` per channel, in double precision, each of shape ``(C,)``."""

    scale: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]
    dtype: np.dtype[np.generic]


def _affine(node: ir.Node) -> _Affine | None:
    """Return the affine function of each channel; None if the node trains or its statistics are not constant."""
    training = node.attributes.get("training_mode")
    if (training is not None and training.as_int()) or any(output.uses() for output in node.outputs[1:]):
        return None
    if any(value is not None and value.is_graph_output() for value in node.outputs[1:]):
        return None
    found = [array for array in map(constant_array, node.inputs[1:5]) if array is not None]
    source = node.inputs[0]
    if len(found) != 4 or source is None or source.shape is None:
        return None
    gamma, beta, mean, variance = (array.astype(np.float64) for array in found)
    if gamma.ndim != 1:
        return None  # statistics per element, as opset 7 and 8 can have them
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else 1e-5
    scale = gamma / np.sqrt(variance + epsilon)
    dtype = found[0].dtype if source.dtype is None else source.dtype.numpy()
    return _Affine(scale, beta - mean * scale, dtype)


def _fold(graph: ir.Graph, node: ir.Node, affine: _Affine) -> None:
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    producer = source.producer()
    if producer is not None and producer.graph is graph and _can_absorb(producer, source):
        _absorb(graph, producer, affine)
        edit.replace_uses(graph, result, source)
    else:
        edit.replace_uses(graph, result, _multiply_add(graph, node, affine))
    edit.remove_dead(node)


def _can_absorb(producer: ir.Node, source: ir.Value) -> bool:
    if producer.domain != "" or producer.op_type not in ("Conv", "ConvTranspose"):
        return False
    operands = [value for value in producer.inputs[1:] if value is not None]
    constant = all(constant_of(value) is not None for value in operands)
    return constant and len(source.uses()) == 1 and not source.is_graph_output()


def _absorb(graph: ir.Graph, conv: ir.Node, affine: _Affine) -> None:
    """Scale the weights and the bias per channel of the result."""
    weights, bias = constant_array(conv.inputs[1]), constant_operand(conv, 2)
    assert weights is not None
    groups, transposed = integer(conv, "group", 1) or 1, conv.op_type == "ConvTranspose"
    scaled = scale_outputs(weights.astype(np.float64), affine.scale, groups=groups, transposed=transposed)
    shift = affine.shift if bias is None else affine.shift + bias * affine.scale
    name = conv.outputs[0].name
    conv.resize_inputs(3)
    conv.replace_input_with(1, edit.add_constant(graph, f"{name}_weight", scaled.astype(weights.dtype)))
    conv.replace_input_with(2, edit.add_constant(graph, f"{name}_bias", shift.astype(weights.dtype)))


def _multiply_add(graph: ir.Graph, node: ir.Node, affine: _Affine) -> ir.Value:
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    assert source.shape is not None
    per_channel = (-1, *[1] * (len(source.shape) - 2))
    scale = edit.add_constant(graph, f"{result.name}_scale", affine.scale.reshape(per_channel).astype(affine.dtype))
    shift = edit.add_constant(graph, f"{result.name}_shift", affine.shift.reshape(per_channel).astype(affine.dtype))
    multiply = ir.node("Mul", [source, scale], name=f"{node.name}/Mul")
    add = ir.node("Add", [multiply.outputs[0], shift], name=f"{node.name}/Add")
    graph.insert_before(node, [multiply, add])
    for value, name in ((multiply.outputs[0], f"{result.name}_scaled"), (add.outputs[0], f"{result.name}_folded")):
        value.name = edit.fresh_name(graph, name)
        value.type, value.shape = result.type, result.shape
    return add.outputs[0]
