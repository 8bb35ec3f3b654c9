"""Finds operators that could compute with integers and are better left on floats, for what converting would cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from layoutopt.quantization.costs import conversion, saving
from layoutopt.quantization.operators import data_of, is_real
from layoutopt.tfl.graph import Graph, Operation, Value


def cheaper_in_float(
    graph: Graph, readers: Mapping[Value, Sequence[Operation | None]], candidates: Collection[Operation]
) -> set[Operation]:
    """Return the candidates that stay float where savings less conversions are the most.

    A linear program: each operator is on integers (0) or on floats (1), and a value is rounded where a reader is below
    its producer, or made real where one is above it. Constraints are differences of two variables, so that its corners
    are whole numbers, and the minimum is exact.

    Args:
        graph: of float operators.
        readers: of each value, None for a caller.
        candidates: operators that can compute with integers; inputs, outputs and all others are floats.
    """
    found = _Program(graph, readers, {operation: at for at, operation in enumerate(candidates)})
    return found.floats()


@dataclass(slots=True)
class _Program:
    """The linear program.

    Attributes:
        graph: of float operators.
        readers: of each value.
        place: the variable of each candidate.
        costs: of each variable.
        rows: ``x[first] - x[second] <= x[third]``, with None for what is a float.
    """

    graph: Graph
    readers: Mapping[Value, Sequence[Operation | None]]
    place: Mapping[Operation, int]
    costs: list[float] = field(default_factory=list)
    rows: list[tuple[int | None, int | None, int]] = field(default_factory=list)

    def floats(self) -> set[Operation]:
        """Return the candidates that are on floats in the cheapest solution."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        if not self.place:
            return set()
        self.costs = [saving(operation) for operation in self.place]
        for value in [*self.graph.inputs, *(each for one in self.graph.operations for each in one.results)]:
            if is_real(value):
                self._add_conversions(value)
        entries = [
            (row, at, sign)
            for row, (first, second, third) in enumerate(self.rows)
            for at, sign in ((first, 1.0), (second, -1.0), (third, -1.0))
            if at is not None
        ]
        most = [float(second is None) - float(first is None) for first, second, _ in self.rows]
        places, columns, signs = zip(*entries, strict=True)
        matrix = csr_array((signs, (places, columns)), shape=(len(self.rows), len(self.costs)))
        costs = np.array(self.costs)
        found = linprog(costs / np.abs(costs).max(), A_ub=matrix, b_ub=most, bounds=(0, 1), method="highs")
        return {operation for operation, at in self.place.items() if found.x[at] > 0.5}

    def _add_conversions(self, value: Value) -> None:
        source = None if value.producer is None else self.place.get(value.producer)
        wanted = {self._kind(reader, value) for reader in self.readers.get(value, [])}
        for rounds in (True, False):
            others = {each for each in wanted if each != source and (each is not None or not rounds)}
            if not others or (source is None and not rounds):
                continue
            variable = len(self.costs)
            self.costs.append(conversion(value))
            self.rows += [(source, each, variable) if rounds else (each, source, variable) for each in others]

    def _kind(self, reader: Operation | None, value: Value) -> int | None:
        """Return the variable that says whether a reader takes a value as floats; None where it surely does."""
        if reader is None or reader not in self.place:
            return None
        return self.place[reader] if any(reader[at] is value for at in data_of(reader)) else None
