"""Recognizes what LiteRT has one kernel for, or fewer, and ONNX spells with several nodes.

- ``x / 2 * (1 + erf(x / sqrt(2)))`` and ``x / 2 * (1 + tanh(a x + b x^3))``, however they are multiplied out, are one
  Gelu. In the same way, ``x * clip(x + 3, 0, 6) / 6`` is HardSwish.
- ``x * tanh(softplus(x))`` is Mish. PyTorch's newer exporter writes a Softplus as itself up to a threshold, x beyond.
- Slices that cut a value into equal parts are one Split: PyTorch's older exporter writes a ``chunk`` so.

Gelu, HardSwish and Mish are of the dialect where the opset has none (`layoutopt.ir.dialect`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, pi, sqrt

import onnx_ir as ir

from layoutopt.ir.dialect import activation
from layoutopt.ir.edit import remove_dead
from layoutopt.ir.polynomials import Polynomial, combine, constant_tensor, evaluate, is_close, scalar_of


def recognize(model: ir.Model) -> bool:
    """Put one node in the place of each pattern, in the main graph and all bodies, and return whether there was one."""
    activations = recognize_activations(model)
    slices = [node for node in model.graph.all_nodes() if node.op_type == "Slice" and node.domain in ("", "ai.onnx")]
    _recognize_splits(slices, model.graph.opset_imports.get("", 1))
    return activations


def recognize_activations(model: ir.Model) -> bool:
    """Put one node in the place of each activation that is spelled out, and return whether there was one."""
    opset, modified = model.graph.opset_imports.get("", 1), False
    for node in list(model.graph.all_nodes()):
        if node.domain not in ("", "ai.onnx") or node.graph is None:
            continue
        match node.op_type:
            case "Erf" | "Tanh" | "Clip" | "HardSigmoid":
                modified |= _recognize_gated(node, opset)
            case "Softplus" | "Where":
                modified |= _recognize_softplus(node, opset)
    return modified


def _replace(old: Sequence[ir.Value], new: ir.Node, place: ir.Node) -> None:
    """Put ``new`` before ``place``, its results where ``old`` were, by their names; what nobody reads then goes."""
    producers = dict.fromkeys(producer for value in old if (producer := value.producer()) is not None)
    graph = place.graph
    assert isinstance(graph, ir.Graph)
    new.name = place.name
    for value, result in zip(old, new.outputs, strict=True):
        result.name, result.type, result.shape = value.name, value.type, value.shape
    graph.insert_before(place, new)
    ir.convenience.replace_all_uses_with(old, new.outputs, replace_graph_outputs=True)
    for producer in producers:
        remove_dead(producer)


def _only_reader(value: ir.Value) -> ir.Node | None:
    """Return the node of the same graph that alone reads a value, once; None where others do too."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    ((reader, _),) = uses
    producer = value.producer()
    return reader if producer is not None and reader.graph is producer.graph else None


def _producer(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """Return the node that computes a value if it is one of these operators."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type in operators else None


# --- Gelu and HardSwish --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """An operator that is ``summand + factor * gate(argument)``, all three polynomials of its operand."""

    operator: str
    argument: Polynomial
    summand: Polynomial
    factor: Polynomial


_HALF: Polynomial = (0, 0.5)
_BY_TANH: Polynomial = (0, sqrt(2 / pi), 0, 0.044715 * sqrt(2 / pi))
_FORMS: Mapping[str, _Form] = {
    "Erf": _Form("Gelu", (0, sqrt(0.5)), _HALF, _HALF),
    "Tanh": _Form("GeluTanh", _BY_TANH, _HALF, _HALF),
    "Clip": _Form("HardSwish", (3, 1), (0,), (0, 1 / 6)),
    "HardSigmoid": _Form("HardSwish", (0, 1), (0,), (0, 1)),
}
"""By the operator of the gate; a Clip is one to [0, 6], a HardSigmoid is PyTorch's."""
_TYPES = frozenset((None, ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16))
"""Element types that ONNX Runtime has the activations for."""
_MAX_STEPS = 4
"""Nodes from the gate to the result: an Add, and products with up to three factors."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A node that what is computed from the gate goes through, and its other operand."""

    node: ir.Node
    other: ir.Value


def _recognize_gated(gate: ir.Node, opset: int) -> bool:
    """Put one operator in the place of what is computed from ``gate`` by sums and products; False if none is known."""
    form, argument, value = _FORMS[gate.op_type], gate.inputs[0], gate.outputs[0]
    steps: list[_Step] = []
    while argument is not None and len(steps) < _MAX_STEPS and (step := _next_step(value)) is not None:
        steps.append(step)
        value = step.node.outputs[0]
        if any(form.summand) and all(each.node.op_type != "Add" for each in steps):
            continue
        for x in _candidates(steps):
            if _is_gate(gate, x) and is_close(evaluate(argument, x), form.argument, x.dtype) and _fits(form, x, steps):
                _replace([value], activation(form.operator, x, opset), step.node)
                return True
    return False


def _is_gate(node: ir.Node, x: ir.Value) -> bool:
    """Return whether a node has the numbers of its entry in ``_FORMS``."""
    if node.op_type == "HardSigmoid":
        alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        return isclose(alpha, 1 / 6, abs_tol=1e-6) and beta == 0.5
    if node.op_type == "Clip":
        bounds = (*node.inputs[1:3], None, None)[:2]
        low, high = (None if bound is None else scalar_of(bound, x) for bound in bounds)
        return (node.attributes.get_float("min", low), node.attributes.get_float("max", high)) == (0, 6)
    return True


def _next_step(value: ir.Value) -> _Step | None:
    """Return the sum or product that alone reads a value; None where something else does."""
    node = _only_reader(value)
    if node is None or node.op_type not in ("Add", "Mul", "Div"):
        return None
    first, second = node.inputs
    other = second if first is value else first
    if other is None or (node.op_type == "Div" and other is first):
        return None
    return _Step(node, other)


def _candidates(steps: Sequence[_Step]) -> Iterator[ir.Value]:
    """Iterate over what x may be: an operand on the way, or what such an operand is a multiple of."""
    for step in reversed(steps):
        node = _producer(step.other, "Mul", "Div")
        for value in (step.other, *(node.inputs if node is not None else ())):
            if value is None or constant_tensor(value) is not None:
                continue
            if value.dtype in _TYPES:
                yield value


def _fits(form: _Form, x: ir.Value, steps: Sequence[_Step]) -> bool:
    """Return whether the steps take the gate to the sum and product that a form tells."""
    summand: Polynomial | None = (0,)
    factor: Polynomial | None = (1,)
    for step in steps:
        other, operator = evaluate(step.other, x), step.node.op_type
        if other is None or summand is None or factor is None:
            return False
        summand = combine(operator, summand, other)
        factor = factor if operator == "Add" else combine(operator, factor, other)
    return is_close(summand, form.summand, x.dtype) and is_close(factor, form.factor, x.dtype)


# --- Softplus and Mish ---------------------------------------------------------------------------------------------


_MIN_THRESHOLD = 17
"""From here on softplus(x) is x in float32."""


def _recognize_softplus(node: ir.Node, opset: int) -> bool:
    """Put a Mish in the place of ``x * tanh(softplus(x))``, a Softplus in that of one with a threshold, or nothing."""
    result = node.outputs[0]
    x = node.inputs[0] if node.op_type == "Softplus" else _softplus_operand(node)
    if x is None or x.dtype not in _TYPES:
        return False
    tanh = _only_reader(result)
    product = _only_reader(tanh.outputs[0]) if tanh is not None and tanh.op_type == "Tanh" else None
    if product is not None and product.op_type == "Mul" and x in product.inputs:
        _replace([product.outputs[0]], activation("Mish", x, opset), product)
    elif node.op_type == "Where":
        _replace([result], ir.node("Softplus", [x]), node)
    else:
        return False
    return True


def _softplus_operand(node: ir.Node) -> ir.Value | None:
    """Return the x for which a Where is ``x > threshold ? x : softplus(x)``; None where it is something else."""
    condition, x, other = node.inputs
    greater, softplus = _producer(condition, "Greater", "GreaterOrEqual"), _producer(other, "Softplus")
    if x is None or greater is None or softplus is None or x is not greater.inputs[0] or x is not softplus.inputs[0]:
        return None
    limit = greater.inputs[1]
    threshold = None if limit is None else scalar_of(limit, x)
    return x if threshold is not None and threshold >= _MIN_THRESHOLD else None


# --- Split ---------------------------------------------------------------------------------------------------------


def _recognize_splits(slices: Sequence[ir.Node], opset: int) -> None:
    """Put a Split in the place of Slices that cut a value into equal parts, one for each source, axis and size."""
    found: dict[tuple[ir.Graph | ir.Function | None, ir.Value, int, int], list[_Part]] = defaultdict(list)
    for node in slices:
        if (part := _part(node)) is not None:
            found[node.graph, part.source, part.axis, part.size].append(part)
    for (_, source, axis, size), parts in found.items():
        _recognize_split(source, axis, size, parts, opset)


@dataclass(frozen=True, slots=True)
class _Part:
    """The part that a Slice takes of its source along one axis."""

    node: ir.Node
    source: ir.Value
    axis: int
    start: int
    size: int


def _part(node: ir.Node) -> _Part | None:
    """Return None for a Slice that is not along one known axis of known size, element by element."""
    source, bounds = node.inputs[0], _bounds(node)
    if source is None or source.shape is None or bounds is None:
        return None
    start, end, axis, step = bounds
    if not -source.shape.rank() <= axis < source.shape.rank() or step != 1:
        return None
    total = source.shape[axis]
    if not isinstance(total, int):
        return None
    first, last, _ = slice(start, end).indices(total)
    return _Part(node, source, axis % source.shape.rank(), first, last - first)


def _bounds(node: ir.Node) -> tuple[int, int, int, int] | None:
    """Return start, end, axis and step of a Slice along one axis: attributes before opset 10, operands since."""
    if len(node.inputs) == 1:
        start, end, axis = (_only(node.attributes.get_ints(name, ())) for name in ("starts", "ends", "axes"))
        step: int | None = 1
    else:
        operands = (*node.inputs[1:], None, None)
        start, end, axis = (_integer(each) for each in operands[:3])
        step = 1 if operands[3] is None else _integer(operands[3])
    return None if start is None or end is None or axis is None or step is None else (start, end, axis, step)


def _only(numbers: Sequence[int] | None) -> int | None:
    return numbers[0] if numbers is not None and len(numbers) == 1 else None


def _integer(value: ir.Value | None) -> int | None:
    """Return the one integer that a constant of one element is; None for others."""
    tensor = None if value is None else constant_tensor(value)
    return int(tensor.numpy().item()) if tensor is not None and tensor.size == 1 else None


def _recognize_split(source: ir.Value, axis: int, size: int, parts: Sequence[_Part], opset: int) -> None:
    """Put a Split in the place of Slices of one size, if they take all of the source."""
    starts = sorted({part.start for part in parts})
    assert source.shape is not None
    total = source.shape[axis]
    if len(starts) < 2 or not size or starts != list(range(0, len(starts) * size, size)) or len(starts) * size != total:
        return
    attributes = {"axis": axis, **({"num_outputs": len(starts)} if opset >= 18 else {})}
    split = ir.node("Split", [source], attributes, num_outputs=len(starts))
    old = {part.start: part.node.outputs[0] for part in reversed(parts)}
    _replace([old[start] for start in starts], split, parts[0].node)
