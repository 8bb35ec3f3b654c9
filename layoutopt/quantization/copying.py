"""Copies of a graph, so that one float graph can be quantized in several ways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from layoutopt.tfl.graph import Graph, Operation, Value


def copy_graph(graph: Graph) -> tuple[Graph, dict[Value, Value]]:
    """Return a copy of a graph whose operations and computed values can be changed.

    Constants and the bodies of control flow are shared with the original.

    Returns:
        The copy, and the copy of each input and of each computed value.
    """
    copies = {value: _copy_value(value) for value in graph.inputs}
    made = Graph(list(copies.values()), [], [], graph.name)
    for operation in graph.operations:
        operands = [None if each is None else copies.get(each, each) for each in operation.operands]
        twin = Operation(operation.code, operands, [], dict(operation.options), operation.bodies, operation.scope)
        for result in operation.results:
            copies[result] = _copy_value(result)
            copies[result].producer = twin
            twin.results.append(copies[result])
        made.operations.append(twin)
    made.outputs = [copies.get(output, output) for output in graph.outputs]
    return made, copies


def _copy_value(value: Value) -> Value:
    return replace(value, producer=None)


def drop_operands(operations: Iterable[Operation]) -> None:
    """Let operations that nobody needs any more go without their operands, whose weights are freed at once.

    Operations and values refer to each other, and the collector of such cycles comes too late where dozens of graphs
    have weights of their own.
    """
    for operation in operations:
        operation.operands.clear()
