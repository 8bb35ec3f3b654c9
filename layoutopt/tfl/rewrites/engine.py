"""Runs rewrites over a graph until nothing changes.

A rewrite is a function of one operation that records what takes its place with `layoutopt.tfl.build`, and returns that
value; None where there is nothing to do. What nobody reads any more goes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.recorder import record

_MAX_ROUNDS = 16
"""Each round shortens a chain of operations by one at least; networks need three or four."""


class Uses:
    """The readers of each value of a graph, the caller who gets the outputs included."""

    def __init__(self, graph: Graph) -> None:
        self._readers = graph.readers()

    def readers(self, value: Value) -> Sequence[Operation | None]:
        """Return the operations that read a value; None stands for the caller."""
        return self._readers.get(value, [])

    def is_read_once(self, value: Value) -> bool:
        """Return whether a value has one reader."""
        return len(self.readers(value)) == 1

    def producer(self, value: Value | None, *codes: str) -> Operation | None:
        """Return the operation of one of these codes that computes a value for one reader alone; else None."""
        operation = None if value is None else value.producer
        if operation is None or operation.code not in codes or value is None or not self.is_read_once(value):
            return None
        return operation

    def replace(self, old: Value, new: Value, recorded: Iterable[Operation]) -> None:
        """Let the readers of one value read another, which these operations compute."""
        for operation in recorded:
            for operand in operation.operands:
                if operand is not None:
                    self._readers.setdefault(operand, []).append(operation)
        self._readers.setdefault(new, []).extend(self._readers.pop(old, []))


RewriteFunction: TypeAlias = "Callable[[Operation, Uses], Value | None]"


@dataclass(frozen=True, slots=True)
class RewriteRule:
    """A rewrite of operations of some codes.

    Attributes:
        codes: of the operations that it looks at.
        rewrite: what to do with one of them, which has one result.
    """

    codes: frozenset[str]
    rewrite: RewriteFunction


def rule(*codes: str) -> Callable[[RewriteFunction], RewriteRule]:
    """Make a rule of a rewrite, for operations of these codes."""
    return lambda rewrite: RewriteRule(frozenset(codes), rewrite)


def apply_rules(graph: Graph, rules: Iterable[RewriteRule]) -> bool:
    """Apply rules to each operation once, in the order in which they run.

    Returns:
        Whether anything has changed.
    """
    by_code: dict[str, list[RewriteFunction]] = {}
    for each in rules:
        for code in each.codes:
            by_code.setdefault(code, []).append(each.rewrite)
    uses, replaced, operations = Uses(graph), dict[Value, Value](), list[Operation]()
    for operation in graph.operations:
        operation.operands = [replaced.get(each, each) if each is not None else None for each in operation.operands]
        for rewrite in by_code.get(operation.code, ()):
            with tfl.recording(Graph()) as recorded, tfl.scope(operation.scope):
                found = rewrite(operation, uses)
            if found is not None:
                if operation.result.is_static:  # as the model may state, where no rule tells
                    found.shape = operation.result.shape
                replaced[operation.result] = found
                uses.replace(operation.result, found, recorded.operations)
                operations.extend(recorded.operations)
                break
        else:
            operations.append(operation)
    graph.operations = operations
    graph.outputs = [replaced.get(output, output) for output in graph.outputs]
    return bool(replaced)


def record_again(operation: Operation, *operands: Value | None, **options: object) -> Value:
    """Record an operation with other operands, and perhaps other options.

    Args:
        operation: has one result.
        operands: all of them.
        options: those that differ.
    """
    (result,) = record(operation.code, *operands, **{**operation.options, **options})
    result.quantization = operation.result.quantization
    return result


def run_to_fixpoint(graph: Graph, steps: Sequence[Callable[[Graph], bool]]) -> None:
    """Run steps one after the other, in bodies first, until none of them changes anything."""
    for body in dict.fromkeys(body for operation in graph.operations for body in operation.bodies):
        run_to_fixpoint(body, steps)
    for _ in range(_MAX_ROUNDS):
        changed = [step(graph) for step in steps]
        if not any(changed):
            return
