"""Finds the cut that leaves out what cannot be converted."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable

import onnx_ir as ir

from layoutopt.boundary.cut import reads
from layoutopt.ir.values import constant_of, is_constant


def suggest_cut(model: ir.Model, failing: Collection[str]) -> str:
    """Return the options that cut off the nodes that cannot be converted; empty if no part remains.

    Either what leads up to them is kept or what comes after, whichever has more weights.

    Args:
        model: as it was to be converted.
        failing: names of those nodes, or of their first results.
    """
    graph = model.graph
    blocked = [node for node in graph if _is_named(node, failing)]
    if not blocked:
        return ""
    parts = []
    before = set(graph) - _after(graph, blocked)
    if outputs := _ends(graph, before):
        parts.append((_weights(before), _option("--outputs", outputs)))
    after = set(graph) - _before(blocked)
    if after and all(value.producer() in after for value in graph.outputs):
        starts = {value: None for node in graph if node in after for value in reads(node) if _is_start(value, after)}
        parts.append((_weights(after), _option("--inputs", starts)))
    weights, options = max(parts, default=(0, ""))
    return options if weights else ""


def _is_named(node: ir.Node, names: Collection[str]) -> bool:
    """Return whether one of the names is that of ``node``, or of a node in one of its bodies."""
    bodies = [attribute.as_graph() for attribute in node.attributes.values() if attribute.type == _GRAPH]
    own = (node.name, node.outputs[0].name if node.outputs else None)
    return any(name in names for name in own if name) or any(_is_named(each, names) for body in bodies for each in body)


_GRAPH = ir.AttributeType.GRAPH


def _after(graph: ir.Graph, nodes: Iterable[ir.Node]) -> set[ir.Node]:
    """Return these nodes and all that depend on them."""
    found = set(nodes)
    for node in graph:
        if any(value.producer() in found for value in reads(node)):
            found.add(node)
    return found


def _before(nodes: Iterable[ir.Node]) -> set[ir.Node]:
    """Return these nodes and all that they depend on."""
    found, waiting = set[ir.Node](), list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting.extend(producer for value in reads(node) if (producer := value.producer()) is not None)
    return found


def _ends(graph: ir.Graph, part: Collection[ir.Node]) -> list[ir.Value]:
    """Return the values of a part of the graph that the rest or the caller reads, unless only their shapes are read."""
    carried = set(graph.inputs)
    for node in graph:
        if node.op_type not in ("Shape", "Size") and any(value in carried for value in reads(node)):
            carried.update(node.outputs)
    wanted = {value for node in graph if node not in part for value in reads(node)} | set(graph.outputs)
    made = [value for node in graph if node in part for value in node.outputs]
    return [value for value in made if value in wanted and value in carried]


def _is_start(value: ir.Value, part: Collection[ir.Node]) -> bool:
    return value.producer() not in part and not is_constant(value)


def _weights(nodes: Iterable[ir.Node]) -> int:
    """Return the number of elements of the constants that these nodes read."""
    constants = {value: constant_of(value) for node in nodes for value in reads(node)}
    return sum(tensor.size for tensor in constants.values() if tensor is not None)


def _option(option: str, values: Iterable[ir.Value]) -> str:
    return f"{option} {shlex.quote(','.join(str(value.name) for value in values))}"
