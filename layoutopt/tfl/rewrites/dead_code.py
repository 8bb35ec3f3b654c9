"""Operations whose results nobody reads."""

from __future__ import annotations

from layoutopt.tfl.graph import Graph


def eliminate_dead_code(graph: Graph) -> bool:
    """Drop operations whose results nobody reads.

    Returns:
        Whether there were any.
    """
    read, live = set(graph.outputs), []
    for operation in reversed(graph.operations):
        if any(result in read for result in operation.results):
            live.append(operation)
            read.update(operand for operand in operation.operands if operand is not None)
    changed = len(live) < len(graph.operations)
    graph.operations = live[::-1]
    return changed
