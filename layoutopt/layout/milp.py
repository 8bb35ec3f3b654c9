"""Any number of layouts: an exact solve by mixed-integer linear programming (HiGHS, through scipy).

``x[g, v]`` says that group ``g`` runs as variant ``v``; ``t[w, l]`` that wire ``w`` is copied to layout ``l``. For each
reader, ``t[w, l] >= x[reader reads l] - x[source stores l]``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from layoutopt.errors import LayoutoptError
from layoutopt.layout.problem import Port, Problem, Wire

TIME_LIMIT = 60.0
"""Seconds after which the best assignment found so far is taken, with the bound known by then."""


def solve(problem: Problem, *, time_limit: float = TIME_LIMIT) -> tuple[tuple[int, ...], int]:
    """The assignment of least weight (bytes, then copies) and a lower bound.

    Returns:
        A variant per group, and the bytes that any assignment must copy.

    Raises:
        LayoutoptError: where no assignment avoids the forbidden copies, or none was found in time.
    """
    program = _program(problem)
    scale = min(max(program.objective), MAX_SCALE) or 1
    result = milp(
        np.array(program.objective, dtype=float) / scale,
        integrality=np.array(program.integrality),
        bounds=Bounds(0, 1),
        constraints=program.constraints(),
        options={"time_limit": time_limit, "mip_rel_gap": 0.0},
    )
    if result.x is None:
        raise LayoutoptError(
            f"no layout assignment found: {result.message}",
            hint="Please report the model: natural layouts always are one.",
        )
    choice = tuple(
        int(np.argmax(result.x[first : first + len(costs)]))
        for first, costs in zip(program.first, problem.variants, strict=True)
    )
    bound = result.mip_dual_bound if result.mip_dual_bound is not None else result.fun
    # Weights are whole numbers; a bound that is off by the tolerance alone is that number.
    return choice, problem.weights.to_bytes(int(np.ceil(bound * scale - 0.1)))


MAX_SCALE = 10_000
"""HiGHS stops at an absolute gap of 1e-6, which must stay far below the smallest difference of two weights: 1."""


@dataclass(slots=True)
class _Program:
    """A linear program under construction, column by column and row by row."""

    objective: list[int] = field(default_factory=list)
    integrality: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    rows: list[dict[int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def column(self, weight: int, *, integral: bool) -> int:
        self.objective.append(weight)
        self.integrality.append(int(integral))
        return len(self.objective) - 1

    def row(self, terms: dict[int, float], low: float, high: float) -> None:
        self.rows.append(terms)
        self.low.append(low)
        self.high.append(high)

    def constraints(self) -> LinearConstraint:
        entries = [(row, column, value) for row, terms in enumerate(self.rows) for column, value in terms.items()]
        rows, columns, values = zip(*entries, strict=True)
        matrix = csr_array((values, (rows, columns)), shape=(len(self.rows), len(self.objective)))
        return LinearConstraint(matrix, self.low, self.high)


def _program(problem: Problem) -> _Program:
    program = _Program()
    for costs in problem.variants:
        columns = [program.column(problem.weights.of_bytes(cost), integral=True) for cost in costs]
        program.first.append(columns[0])
        program.row(dict.fromkeys(columns, 1.0), 1, 1)
    for wire in problem.wires:
        _add_wire(program, wire, problem.weights.of_copy(wire.cost))
    return program


def _add_wire(program: _Program, wire: Wire, weight: int) -> None:
    """Copies of one value: one column per layout that somebody may read, one row per reader and layout."""
    stored = _columns(program, wire.source)
    copies = {}
    for reader in wire.readers:
        for layout, reading in _columns(program, reader).items():
            if layout not in copies:
                copies[layout] = program.column(weight, integral=False)
            terms = {copies[layout]: 1.0}
            _add(terms, stored.get(layout, ()), 1.0)
            _add(terms, reading, -1.0)
            program.row(terms, 0, np.inf)
            for other, storing in stored.items():
                if (other, layout) in wire.forbidden:
                    terms = {}
                    _add(terms, storing, 1.0)
                    _add(terms, reading, 1.0)
                    program.row(terms, 0, 1)


def _columns(program: _Program, end: Port) -> dict[int, list[int]]:
    """The columns of the variants that take each layout at one end of a wire."""
    columns: dict[int, list[int]] = defaultdict(list)
    for variant, layout in enumerate(end.layouts):
        columns[layout].append(program.first[end.group] + variant)
    return columns


def _add(terms: dict[int, float], columns: list[int] | tuple[()], value: float) -> None:
    for column in columns:
        terms[column] = terms.get(column, 0.0) + value
