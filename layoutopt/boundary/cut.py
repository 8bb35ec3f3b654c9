"""Extracts the part of a model between given tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, ShapeInferencePass

from layoutopt.boundary.names import find_tensors
from layoutopt.errors import UsageError
from layoutopt.ir.values import is_constant
from layoutopt.text import first_few

_MAX_LISTED = 8
"""Kinds of operators, or names, that a note lists."""


def cut(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[ir.Model, tuple[str, ...]]:
    """Return the part of a model that computes ``outputs`` from ``inputs``, and notes on what was removed.

    Args:
        model: may be changed.
        inputs: names of tensors or nodes; those of the model, as far as they are read, where there are none.
        outputs: likewise.

    Raises:
        UsageError: a name is wrong, an output needs an input that is not given, or an input is read by none.
    """
    ShapeInferencePass(data_prop=True)(model)  # an input has to have a type, and better a shape
    graph = model.graph
    targets = find_tensors(graph, outputs, "--outputs") if outputs else list(graph.outputs)
    given = find_tensors(graph, inputs, "--inputs") if inputs else list(graph.inputs)
    for value in targets if outputs else ():
        if value.is_graph_input() or value in given:
            raise UsageError(f"--outputs: {value.name!r} is an input: there is nothing between them")
    nodes, roots = part_between(given, targets)
    if inputs:
        _require_bounded(given, roots, targets)
    given = [value for value in given if value in roots]
    _require_types(given)
    extracted = ir.convenience.extract(graph, given, targets)
    result = ir.Model(
        extracted,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
        functions=list(model.functions.values()),
        metadata_props=dict(model.metadata_props),
    )
    RemoveUnusedFunctionsPass()(result)  # type: ignore[no-untyped-call]
    return result, tuple(_told(graph, nodes, given, targets))


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Iterate over the values that ``node`` reads, including those that its bodies read from the outer graph."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        bodies: Sequence[ir.Graph] = ()
        if attribute.type == ir.AttributeType.GRAPH:
            bodies = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            bodies = attribute.as_graphs()
        for body in bodies:
            inside = [value for inner in body.all_nodes() for value in inner.inputs if value is not None]
            yield from (value for value in (*inside, *body.outputs) if value.graph is node.graph)


def part_between(
    inputs: Collection[ir.Value], outputs: Collection[ir.Value]
) -> tuple[set[ir.Node], dict[ir.Value, None]]:
    """Return the nodes that compute ``outputs`` from ``inputs``, and the values that they need and do not compute."""
    stop, nodes, roots = set(inputs), set[ir.Node](), dict[ir.Value, None]()
    waiting = list(outputs)
    while waiting:
        value = waiting.pop()
        if value in stop or (value.producer() is None and not is_constant(value)):
            roots[value] = None
        elif (node := value.producer()) is not None and node not in nodes:
            nodes.add(node)
            waiting.extend(reads(node))
    return nodes, roots


def _require_bounded(given: Sequence[ir.Value], roots: Collection[ir.Value], targets: Sequence[ir.Value]) -> None:
    """Refuse inputs if others are needed too, or if some are not needed."""
    asked = ",".join(str(value.name) for value in given)
    if missing := [str(value.name) for value in roots if value not in given]:
        raise UsageError(
            f"--inputs {asked}: the outputs also need {first_few(missing, _MAX_LISTED)}",
            hint=f"Cut later, or keep what is missing: --inputs {asked},{','.join(missing)}",
        )
    if idle := [str(value.name) for value in given if value not in roots]:
        outputs = first_few([str(value.name) for value in targets], _MAX_LISTED)
        raise UsageError(
            f"--inputs {asked}: nothing up to the outputs {outputs} reads {first_few(idle, _MAX_LISTED)}",
            hint="Leave it out, or choose a later output.",
        )


def _require_types(inputs: Sequence[ir.Value]) -> None:
    for value in inputs:
        if value.dtype is None:
            raise UsageError(
                f"--inputs: the element type of {value.name!r} is not known",
                hint="Cut at another tensor: 'layoutopt tensors MODEL.onnx' shows their types.",
            )


def _told(
    graph: ir.Graph, nodes: Collection[ir.Node], given: Sequence[ir.Value], targets: Sequence[ir.Value]
) -> Iterator[str]:
    """Iterate over notes on what was removed."""
    gone = Counter(node.op_type for node in graph if node not in nodes and node.op_type != "Constant")
    if gone:
        kinds = [f"{count} {operator}" if count > 1 else operator for operator, count in gone.most_common()]
        yield f"Removed: {gone.total()} of {len(graph)} operators: {first_few(kinds, _MAX_LISTED)}."
    for what, before, after in (("inputs", graph.inputs, given), ("outputs", graph.outputs, targets)):
        if lost := [str(value.name) for value in before if value not in after]:
            yield f"Removed: {what} {first_few(lost, _MAX_LISTED)}."
