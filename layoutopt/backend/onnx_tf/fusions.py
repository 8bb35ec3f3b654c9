"""What TFLite has one kernel for and ONNX spells with several nodes, where the TFLite converter does not see it.

- ``x / 2 * (1 + erf(x / sqrt(2)))``, in whichever order, is one Gelu. Our handler takes it at any opset.
- Slices that cut a value into equal parts are one Split: PyTorch's older exporter writes a ``chunk`` so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx


def fused(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The graph's nodes with one node for each pattern above. The graph itself is left as it is."""
    view = _View.of(graph)
    found = [*_gelus(view, graph), *_splits(view, graph)]
    if not found:
        return list(graph.node)
    one_for = {name: node for node in found for name in node.output}
    nodes: dict[int, onnx.NodeProto] = {}
    for node in graph.node:
        fusion = one_for.get(node.output[0], node) if node.output else node
        nodes.setdefault(id(fusion), fusion)
    return _live(list(nodes.values()), graph)


@dataclass(frozen=True, slots=True)
class _View:
    """Who makes and who reads each value, the sizes of its axes, and the constants of one element."""

    producers: Mapping[str, onnx.NodeProto]
    readers: Mapping[str, list[onnx.NodeProto]]
    sizes: Mapping[str, list[int]]
    scalars: Mapping[str, float]
    integers: Mapping[str, int]

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
        ones = {name: onnx.numpy_helper.to_array(tensor) for name, tensor in constants.items() if _is_one(tensor)}
        return _View(
            producers={name: node for node in graph.node for name in node.output},
            readers=readers,
            sizes={
                value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
                for value in (*graph.input, *graph.value_info)
            },
            scalars={name: float(one.item()) for name, one in ones.items() if one.dtype == np.float32},
            integers={name: int(one.item()) for name, one in ones.items() if one.dtype in (np.int32, np.int64)},
        )

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


def _is_one(tensor: onnx.TensorProto) -> bool:
    return bool(np.prod(tensor.dims) == 1)


def _gelus(view: _View, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        if node.op_type == "Erf" and (found := _gelu(view, node)) is not None:
            source, product = found
            yield onnx.helper.make_node("Gelu", [source], product.output, product.name)


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


def _splits(view: _View, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    parts: dict[tuple[str, int], list[_Part]] = defaultdict(list)
    for node in graph.node:
        if node.op_type == "Slice" and (part := _part(view, node)) is not None:
            parts[node.input[0], part.axis].append(part)
    for (source, axis), cut in parts.items():
        cut.sort(key=lambda part: part.start)
        edges = [cut[0].start, *(part.end for part in cut)]
        whole = edges[0] == 0 and edges[-1] == view.sizes[source][axis]
        joined = all(before.end == after.start for before, after in pairwise(cut))
        if whole and joined and len(cut) > 1 and len({part.end - part.start for part in cut}) == 1:
            yield onnx.helper.make_node("Split", [source], [part.result for part in cut], cut[0].result, axis=axis)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a Slice takes along its one axis."""

    axis: int
    start: int
    end: int
    result: str


def _part(view: _View, node: onnx.NodeProto) -> _Part | None:
    """None for a Slice that is not over one known axis of known size, element by element."""
    sizes, bounds = view.sizes.get(node.input[0]), [view.integers.get(name) for name in node.input[1:]]
    if not sizes or len(bounds) < 3 or bounds[3:] not in ([], [1]):
        return None
    start, end, axis = bounds[:3]
    if start is None or end is None or axis is None:
        return None
    axis %= len(sizes)
    first, last, _ = slice(start, end).indices(sizes[axis])
    return _Part(axis, first, last, node.output[0])


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
