"""Replaces calls of functions by what these are made of."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from layoutopt.ir import dialect, edit
from layoutopt.ir.functions import body_of, defaults_of
from layoutopt.passes.base import Rewrite

EXPANDED = frozenset(
    {
        "AffineGrid", "Attention", "BlackmanWindow", "CastLike", "CausalConvWithState", "CenterCropPad",
        "HammingWindow", "HannWindow", "LinearAttention", "MeanVarianceNormalization", "NegativeLogLikelihoodLoss",
        "RotaryEmbedding", "SoftmaxCrossEntropyLoss", "SwiGLU",
    }
)  # fmt: skip
"""ONNX's own functions for which TFLite has nothing shorter than their bodies."""

_BODIES = "layoutopt.bodies"
"""The domain of bodies on their way into the graph."""


@dataclass(frozen=True)
class InlineFunctions(Rewrite):
    """Inline the model's own functions, and ONNX's where TFLite has nothing shorter; not the channels-last ones."""

    def rewrite(self, model: ir.Model) -> bool:
        """Inline them all."""
        modified = False
        while calls := _calls_of_operators(model):  # a body may call others
            modified = True
            for number, (node, function) in enumerate(calls):
                function.domain, function.name = _BODIES, f"{node.op_type}_{number}"
                _call(model, node, function)
            InlinePass(lambda function: function.domain == _BODIES)(model)
        model.opset_imports.pop(_BODIES, None)
        if any(function.domain != dialect.DOMAIN for function in model.functions.values()):
            modified |= InlinePass(lambda function: function.domain != dialect.DOMAIN)(model).modified
        return modified


def _calls_of_operators(model: ir.Model) -> list[tuple[ir.Node, ir.Function]]:
    """Return the nodes that ONNX has a body for, with it."""
    opset = model.opset_imports.get("", 0)
    nodes = [
        node for graph in edit.graphs_of(model) for node in graph if node.domain == "" and node.op_type in EXPANDED
    ]
    if not nodes:
        return []
    ShapeInferencePass(data_prop=True)(model)  # how a body looks may depend on types
    bodies = ((node, body_of(node, opset)) for node in nodes)
    return [(node, body) for node, body in bodies if body is not None]


def _call(model: ir.Model, node: ir.Node, function: ir.Function) -> None:
    """Make ``node`` a call of ``function``, which has the body of its operator."""
    opset = model.opset_imports[""]
    for attribute in defaults_of(node.op_type, opset):
        if attribute.name not in node.attributes:
            node.attributes.add(attribute)
    node.resize_outputs(len(function.outputs))
    for value in node.outputs:  # inlining needs a value for every result, read or not
        value.name = value.name or edit.fresh_name(model.graph, function.name)
    function.opset_imports[""] = opset
    model.functions[function.identifier()] = function
    model.opset_imports[_BODIES] = 1
    node.domain, node.op_type, node.version = function.domain, function.name, None
