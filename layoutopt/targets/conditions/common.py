"""The facts of an operation that conditions look at."""

from __future__ import annotations

from collections.abc import Iterator

from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.opset import definition

DATA_ROLES = frozenset({"a", "b", "x", "on", "off", "updates", "update", "value", "slope", "boxes", "scores"})
"""Roles of operands that hold numbers to compute with; the others say where, how many or by what weights."""


def run_time_values(operation: Operation) -> list[Value]:
    """Return the operands that are not constant, and the results."""
    operands = [each for each in operation.operands if each is not None and not each.is_constant]
    return [*operands, *operation.results]


def with_role(operation: Operation, role: str) -> Iterator[Value]:
    """Iterate over the operands with a role, according to the table of operators."""
    facts = definition(operation.code)
    for index, operand in enumerate(operation.operands):
        if operand is not None and facts.role(index) == role:
            yield operand


def main_operand(operation: Operation) -> Value | None:
    """Return the first operand that is data; None if it is left out."""
    return operation.operand(definition(operation.code).main)


def shape_or_zeros(value: Value) -> tuple[int, ...]:
    """Return the shape, with 0 for sizes that are not known."""
    return tuple(size or 0 for size in value.shape or ())
