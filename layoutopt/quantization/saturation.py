"""The numbers of a value that its readers tell apart, so that the integers of it need not reach beyond."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.rewrites.integer_kernels import MOVEMENTS

Limits = tuple[float, float]

_NONE: Limits = (-inf, inf)
_SWISH: Limits = (-8.0, inf)
"""Of ``x * sigmoid(x)``, which is at most 0.003 from 0 below."""
_LIMITS: Mapping[str, Limits] = {
    "ELU": (-8.0, inf),
    "GELU": (-5.0, inf),
    "HARD_SWISH": (-3.0, inf),
    "RELU": (0.0, inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}
"""Operators that give nearly the same for all numbers below the first, and for all above the second."""


def reader_limits(graph: Graph) -> dict[Value, Limits]:
    """Return for each value the limits beyond which no reader tells numbers apart, where there are any.

    A layer before HARD_SWISH often reaches far below -3, where all becomes 0: steps spent there are lost.
    """
    readers = graph.readers()
    found: dict[Value, Limits] = {}

    def of_reader(reader: Operation | None, value: Value) -> Limits:
        if reader is None:
            return _NONE
        if reader.code in MOVEMENTS and reader[MOVEMENTS[reader.code]] is value:
            return _union([found.get(result, _NONE) for result in reader.results])
        gates = readers.get(reader.result, []) if reader.code == "LOGISTIC" else [reader]
        if gates and all(gate is not None and _is_swish(gate, value) for gate in gates):
            return _SWISH
        return _LIMITS.get(reader.code, _NONE)

    for operation in reversed(graph.operations):
        for result in operation.results:
            limits = _union([of_reader(reader, result) for reader in readers.get(result, [])])
            if limits != _NONE:
                found[result] = limits
    return found


def _is_swish(operation: Operation, value: Value) -> bool:
    """Return whether an operation multiplies a value by its sigmoid."""
    if operation.code != "MUL" or not any(operand is value for operand in operation.operands):
        return False
    producers = (each.producer for each in operation.operands if each is not None)
    return any(each is not None and each.code == "LOGISTIC" and each[0] is value for each in producers)


def _union(limits: list[Limits]) -> Limits:
    if not limits:
        return _NONE
    return min(low for low, _ in limits), max(high for _, high in limits)
