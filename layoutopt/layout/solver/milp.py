"""Any number of layouts: an exact solve by mixed-integer linear programming (HiGHS, through scipy).

``x[g, v]`` says that group ``g`` runs as variant ``v``; ``t[w, l]`` that net ``w`` is copied to layout ``l``. For each
reader, ``t[w, l] >= x[reader reads l] - x[source stores l]``. Where the cost of a copy depends on what is stored,
there is one ``t`` per rise of the cost, and all that is stored where the cost is lower takes the place of ``l``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layoutopt.layout.solver.problem import Assignment, Net, Pin, Problem, Weights

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

TIME_LIMIT = 60.0
"""Seconds after which the best assignment found so far is taken, with the bound known by then."""


def solve(problem: Problem, *, time_limit: float = TIME_LIMIT) -> Assignment:
    """Return the assignment of least weight: costs first, then ties.

    Returns:
        The best assignment that was found in time; where none was, the natural one.
    """
    from scipy.optimize import Bounds, milp  # slow to import, and seldom needed

    program = _program(problem)
    scale = min(max(program.objective), MAX_SCALE) or 1
    result = milp(
        np.array(program.objective, dtype=float) / scale,
        integrality=np.array(program.integrality),
        bounds=Bounds(0, 1),
        constraints=program.constraints(),
        options={"time_limit": time_limit, "mip_rel_gap": 0.0},
    )
    choice = _choice(problem, program, result.x)
    cost = problem.cost(choice)
    # Weights are whole numbers; a bound that is off by the tolerance alone is that number.
    weight = np.ceil((result.mip_dual_bound or 0.0) * scale - 0.1)
    bound = min(cost, problem.weights.to_cost(max(0, int(weight)) if np.isfinite(weight) else 0))
    timed_out = result.status == _OUT_OF_TIME
    return Assignment(choice, cost, bound, not timed_out and bound == cost, timed_out)


def _choice(problem: Problem, program: _Program, values: npt.NDArray[np.float64] | None) -> tuple[int, ...]:
    """Return the variants that ``values`` of the columns stand for; variant 0 for all where there are none."""
    if values is None:
        return (0,) * len(problem.variants)
    return tuple(
        int(np.argmax(values[first : first + len(costs)]))
        for first, costs in zip(program.first, problem.variants, strict=True)
    )


_OUT_OF_TIME = 1
"""The ``status`` in the result of ``scipy.optimize.milp`` that says so."""

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
        from scipy.optimize import LinearConstraint
        from scipy.sparse import csr_array

        entries = [(row, column, value) for row, terms in enumerate(self.rows) for column, value in terms.items()]
        rows, columns, values = zip(*entries, strict=True)
        matrix = csr_array((values, (rows, columns)), shape=(len(self.rows), len(self.objective)))
        return LinearConstraint(matrix, self.low, self.high)


def _program(problem: Problem) -> _Program:
    program = _Program()
    for weights in problem.variant_weights:
        columns = [program.column(weight, integral=True) for weight in weights]
        program.first.append(columns[0])
        program.row(dict.fromkeys(columns, 1.0), 1, 1)
    for net in problem.nets:
        _add_wire(program, net, problem.weights)
    return program


def _add_wire(program: _Program, net: Net, weights: Weights) -> None:
    """Add the copies of one value: a column per layout that may be read and rise of its cost, a row per reader."""
    stored = _columns(program, net.source)
    copies: dict[int, list[tuple[int, set[int]]]] = {}
    for reader in net.readers:
        for layout, reading in _columns(program, reader).items():
            if layout not in copies:
                rises = _rises(net, stored, layout, weights)
                copies[layout] = [(program.column(rise, integral=False), cheaper) for rise, cheaper in rises]
            for column, cheaper in copies[layout]:
                _add_row(program, {column: 1.0}, (stored[other] for other in cheaper), reading)


def _rises(net: Net, stored: Iterable[int], layout: int, weights: Weights) -> Iterator[tuple[int, set[int]]]:
    """Yield by how much the copy to ``layout`` rises in weight, and what is stored where it costs less.

    Where the cost does not depend on what is stored there is one rise, from nothing to the cost.
    """
    weight = {other: 0 if other == layout else weights.of_copy(net.copy_cost(other, layout)) for other in stored}
    known = 0
    for step in sorted(set(weight.values()) - {0}):
        yield step - known, {other for other in weight if weight[other] < step}
        known = step


def _add_row(program: _Program, terms: dict[int, float], storing: Iterable[list[int]], reading: list[int]) -> None:
    """Require that ``terms`` are at least 1 where one of ``reading`` is chosen and none of ``storing``."""
    for columns in storing:
        _add(terms, columns, 1.0)
    _add(terms, reading, -1.0)
    program.row(terms, 0, np.inf)


def _columns(program: _Program, end: Pin) -> dict[int, list[int]]:
    """Return the columns of the variants that take each layout at one end of a net."""
    columns: dict[int, list[int]] = defaultdict(list)
    for variant, layout in enumerate(end.layouts):
        columns[layout].append(program.first[end.group] + variant)
    return columns


def _add(terms: dict[int, float], columns: list[int], value: float) -> None:
    for column in columns:
        terms[column] = terms.get(column, 0.0) + value
