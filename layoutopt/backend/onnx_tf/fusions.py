"""What TFLite has one kernel for and ONNX spells with several nodes, where the TFLite converter does not see it.

- ``x / 2 * (1 + erf(x / sqrt(2)))`` and ``x / 2 * (1 + tanh(a x + b x^3))``, however they are multiplied out, are one
  Gelu. Our handlers take it, and Mish, at any opset.
- ``x * tanh(softplus(x))`` is Mish. PyTorch's newer exporter writes a Softplus as itself up to a threshold, x beyond.
- Slices that cut a value into equal parts are one Split: PyTorch's older exporter writes a ``chunk`` so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from numpy.polynomial import Polynomial


def fused(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The graph's nodes with one node for each pattern above. The graph itself is left as it is."""
    view = _View.of(graph)
    found = [*_gelus(view, graph), *_mishes(view, graph), *_splits(view, graph)]
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

    def polynomial(self, name: str, x: str, depth: int = 6) -> Polynomial | None:
        """The polynomial of the value ``x`` that ``name`` is; None if it is none, or a long one."""
        if name == x:
            return Polynomial([0, 1])
        if name in self.scalars:
            return Polynomial([self.scalars[name]])
        node = self.producers.get(name)
        if node is None or node.op_type not in _ARITHMETIC or not depth:
            return None
        left, right = (self.polynomial(operand, x, depth - 1) for operand in node.input)
        if left is None or right is None or left.degree() + right.degree() > _HIGHEST_DEGREE:
            return None
        if node.op_type in ("Div", "Pow") and right.degree() > 0:
            return None
        result: Polynomial | None = _ARITHMETIC[node.op_type](left, right)
        return result

    def only_reader(self, name: str, operator: str) -> onnx.NodeProto | None:
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0].op_type == operator else None


def _is_one(tensor: onnx.TensorProto) -> bool:
    return bool(np.prod(tensor.dims) == 1)


def _power(base: Polynomial, exponent: Polynomial) -> Polynomial | None:
    number = exponent.coef[0]
    return base ** int(number) if number in (2, 3) and base.degree() == 1 else None


_ARITHMETIC: Mapping[str, Callable[[Polynomial, Polynomial], Polynomial | None]] = {
    "Add": Polynomial.__add__,
    "Sub": Polynomial.__sub__,
    "Mul": Polynomial.__mul__,
    "Div": lambda left, right: left * (1 / right.coef[0]),
    "Pow": _power,
}
_HIGHEST_DEGREE = 6
"""Of two factors together."""
_GATES = {"Erf": ("none", [0, 0.5**0.5]), "Tanh": ("tanh", [0, (2 / np.pi) ** 0.5, 0, 0.044715 * (2 / np.pi) ** 0.5])}
"""The functions inside a GELU, with the attribute that tells of them and the polynomial of x that they are taken of."""
_THRESHOLD = 17
"""From here on softplus(x) is x in float32."""


def _gelus(view: _View, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        if node.op_type in _GATES and (found := _gelu(view, node)) is not None:
            source, product = found
            approximate, _ = _GATES[node.op_type]
            yield onnx.helper.make_node("Gelu", [source], product.output, product.name, approximate=approximate)


def _gelu(view: _View, gate: onnx.NodeProto) -> tuple[str, onnx.NodeProto] | None:
    """The operand and the last node of the GELU around ``gate``; None where it is not one.

    That is ``factors * (1 + gate)``, where the factors make x / 2.
    """
    node = view.only_reader(gate.output[0], "Add")
    if node is None or not any(view.is_scalar(name, 1) for name in node.input):
        return None
    factors: list[str] = []
    while (product := view.only_reader(value := node.output[0], "Mul")) is not None and len(factors) < 2:
        factors.append(product.input[0] if product.input[1] == value else product.input[1])
        node = product
        for x in _operands(view, factors):
            if _is_half(view, factors, x) and _is(view.polynomial(gate.input[0], x), _GATES[gate.op_type][1]):
                return x, product
    return None


def _operands(view: _View, factors: Sequence[str]) -> Iterator[str]:
    """What x may be: a factor, or what a factor is a multiple of."""
    for name in factors:
        yield name
        node = view.producers.get(name)
        if node is not None and node.op_type in ("Mul", "Div"):
            yield from node.input


def _is_half(view: _View, factors: Sequence[str], x: str) -> bool:
    """Whether the product of ``factors`` is x / 2."""
    product: Polynomial | None = Polynomial([1])
    for name in factors:
        factor = view.polynomial(name, x)
        product = None if product is None or factor is None else product * factor
    return _is(product, [0, 0.5])


def _is(found: Polynomial | None, wanted: Sequence[float]) -> bool:
    """Whether two polynomials are the same but for rounding to float32, and for the digits that authors give."""
    return (
        found is not None and found.degree() + 1 == len(wanted) and np.allclose(found.coef, wanted, rtol=1e-5, atol=0)
    )


def _mishes(view: _View, graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Each Mish, and each Softplus that is written with a threshold."""
    for node in graph.node:
        x = _softplus_of(view, node.output[0]) if node.output else None
        if x is None:
            continue
        tanh = view.only_reader(node.output[0], "Tanh")
        product = None if tanh is None else view.only_reader(tanh.output[0], "Mul")
        if product is not None and x in product.input:
            yield onnx.helper.make_node("Mish", [x], product.output, product.name)
        elif node.op_type == "Where":
            yield onnx.helper.make_node("Softplus", [x], node.output, node.name)


def _softplus_of(view: _View, name: str) -> str | None:
    """The x for which ``name`` is softplus(x)."""
    node = view.producers.get(name)
    if node is None or node.op_type not in ("Softplus", "Where"):
        return None
    if node.op_type == "Softplus":
        return node.input[0]
    condition, x, other = node.input
    greater, softplus = view.producers.get(condition), view.producers.get(other)
    if greater is None or greater.op_type != "Greater" or greater.input[0] != x:
        return None
    if view.scalars.get(greater.input[1], 0) < _THRESHOLD or softplus is None or softplus.op_type != "Softplus":
        return None
    return x if softplus.input[0] == x else None


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
