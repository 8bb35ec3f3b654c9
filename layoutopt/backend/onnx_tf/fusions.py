"""What TFLite has one kernel for and ONNX spells with several nodes, where the TFLite converter does not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx


def fused(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The graph's nodes with every ``x / 2 * (1 + erf(x / sqrt(2)))``, in whichever order, as one Gelu.

    The graph itself is left as it is. Gelu came with opset 20; our handler takes it at any.
    """
    view = _View.of(graph)
    gelus = {}
    for node in graph.node:
        if node.op_type == "Erf" and (found := _gelu(view, node)) is not None:
            source, product = found
            gelus[product.output[0]] = onnx.helper.make_node("Gelu", [source], product.output, product.name)
    if not gelus:
        return list(graph.node)
    return _live([gelus.get(node.output[0], node) if node.output else node for node in graph.node], graph)


@dataclass(frozen=True, slots=True)
class _View:
    """Who makes and who reads each value, and the scalars among the constants."""

    producers: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]
    scalars: dict[str, float]

    @staticmethod
    def of(graph: onnx.GraphProto) -> _View:
        constants = {tensor.name: tensor for tensor in graph.initializer}
        constants |= {
            node.output[0]: attribute.t
            for node in graph.node
            if node.op_type == "Constant"
            for attribute in node.attribute
            if attribute.name == "value"
        }
        # An output of the graph counts as a reader: what it holds must stay.
        readers: dict[str, list[onnx.NodeProto]] = {value.name: [onnx.NodeProto()] for value in graph.output}
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        scalars = {
            name: float(onnx.numpy_helper.to_array(tensor).reshape(()))
            for name, tensor in constants.items()
            if np.prod(tensor.dims) == 1 and tensor.data_type == onnx.TensorProto.FLOAT
        }
        return _View({name: node for node in graph.node for name in node.output}, readers, scalars)

    def is_scalar(self, name: str, value: float) -> bool:
        return name in self.scalars and bool(np.isclose(self.scalars[name], value, rtol=1e-6))

    def scaled(self, name: str, factor: float) -> str | None:
        """The x for which ``name`` is ``x * factor``."""
        node = self.producers.get(name)
        if node is None or node.op_type not in ("Mul", "Div"):
            return None
        left, right = node.input
        if node.op_type == "Div":
            return left if self.is_scalar(right, 1 / factor) else None
        return left if self.is_scalar(right, factor) else right if self.is_scalar(left, factor) else None

    def only_reader(self, name: str, operator: str) -> onnx.NodeProto | None:
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0].op_type == operator else None


def _gelu(view: _View, erf: onnx.NodeProto) -> tuple[str, onnx.NodeProto] | None:
    """The operand and the last node of the GELU around ``erf``; None where it is not one."""
    source = view.scaled(erf.input[0], 2**-0.5)
    add = view.only_reader(erf.output[0], "Add")
    if source is None or add is None or not any(view.is_scalar(name, 1) for name in add.input):
        return None
    missing, node = {"half", "x"}, add
    while missing:
        value = node.output[0]
        product = view.only_reader(value, "Mul")
        if product is None:
            return None
        other = product.input[0] if product.input[1] == value else product.input[1]
        factors = _factors(view, other, source)
        if not factors or not factors <= missing:
            return None
        missing, node = missing - factors, product
    return source, node


def _factors(view: _View, name: str, source: str) -> set[str]:
    if view.is_scalar(name, 0.5):
        return {"half"}
    if name == source:
        return {"x"}
    return {"half", "x"} if view.scaled(name, 0.5) == source else set()


def _live(nodes: Sequence[onnx.NodeProto], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes whose results are still read."""
    read = {value.name for value in graph.output}
    live = []
    for node in reversed(nodes):
        if read.intersection(node.output):
            live.append(node)
            read.update(node.input)
            read.update(_captured(node))
    return live[::-1]


def _captured(node: onnx.NodeProto) -> set[str]:
    """Names that the node's subgraphs read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for inner in graph.node:
                names |= {*inner.input, *_captured(inner)}
            names |= {value.name for value in graph.output}
    return names
