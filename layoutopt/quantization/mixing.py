"""Chooses which operators stay float for the outputs to be as exact as asked for, at the least cost.

Each group of operators is tried on integers alone. Their noises are taken to add up, and a linear program finds the
groups to keep float: the cheapest for which the sum is small enough, conversions between both kinds included. Noises do
not quite add up, so the result is judged on other samples, and the bound moved until it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layoutopt.quantization.building import QuantizedGraph
from layoutopt.quantization.costs import conversion, saving
from layoutopt.quantization.judging import noise_of
from layoutopt.quantization.operators import data_of
from layoutopt.quantization.sections import sections
from layoutopt.tfl.graph import Graph, Operation

Floats = npt.NDArray[np.float64]
Trial = Callable[[Collection[Operation]], QuantizedGraph]
"""Builds and judges the graph with these operations on floats."""

_MAX_GROUPS = 64
"""The groups that are tried alone; of larger networks groups are larger."""
_MAX_ROUNDS = 8
"""The times that the bound of the noise is moved."""
_MARGIN = 1.0
"""The dB that other samples may have less than those that the choice is checked on."""
_LEAST_COST = 1.0
"""Of a group on floats, in nanoseconds."""
_SECONDS = 10.0
"""The most time for one linear program; what is found by then will do."""


def mix(trial: Trial, alone: Trial, graph: Graph, target: float, say: Callable[[str], None]) -> frozenset[Operation]:
    """Return the operations that stay float in the cheapest graph whose outputs are as exact as asked for.

    Args:
        trial: builds and judges a graph.
        alone: likewise, on fewer samples; what is mostly on floats takes long.
        graph: of float operators.
        target: the least ratio of signal to noise of all outputs, in dB.
        say: called with what starts now.
    """
    target += _MARGIN
    whole = trial(frozenset())
    if _least(whole) >= target:
        return frozenset()
    groups = sections((each for each in graph.operations if each in whole.whole), _MAX_GROUPS)
    every = frozenset(whole.whole)
    noises = []
    for at, group in enumerate(groups, start=1):
        say(f"sensitivities: {at} of {len(groups)}")
        noises.append([noise_of(output) for output in alone(every - group).quality])
    program = _Program(np.array(noises), _costs(groups), _borders(graph, groups))
    floats = every
    low, high = 0.0, 10 ** (-target / 10) * 4
    bound = high / 4
    for _ in range(_MAX_ROUNDS):
        chosen = program.cheapest(bound)
        kept = frozenset(operation for at in np.flatnonzero(chosen) for operation in groups[at])
        say(f"{len(kept)} operators on floats")
        if _least(trial(kept)) >= target:
            if len(kept) <= len(floats):
                floats = kept
            low = bound
        else:
            high = bound
        bound = (low * high) ** 0.5 if low else high / 4
    return floats


def _least(found: QuantizedGraph) -> float:
    return min(output.sqnr for output in found.quality)


def _costs(groups: Sequence[Collection[Operation]]) -> Floats:
    """Return what each group costs more on floats, which is never less than nothing: integers are asked for."""
    return np.array([max(sum(map(saving, group)), _LEAST_COST) for group in groups])


def _borders(graph: Graph, groups: Sequence[Collection[Operation]]) -> dict[tuple[int, int], float]:
    """Return what converting costs between two groups, one of which is on floats."""
    place = {operation: at for at, group in enumerate(groups) for operation in group}
    found: dict[tuple[int, int], float] = {}
    for operation in graph.operations:
        if operation not in place:
            continue
        for at in data_of(operation):
            before = operation[at].producer
            if before is not None and before in place and place[before] != place[operation]:
                key = place[before], place[operation]
                found[key] = found.get(key, 0.0) + conversion(operation[at])
    return found


@dataclass(frozen=True, slots=True)
class _Program:
    """The choice as a linear program of integers.

    Attributes:
        noises: of each group alone on integers (rows), in each output (columns).
        costs: of each group on floats.
        borders: between groups of which one is on floats.
    """

    noises: Floats
    costs: Floats
    borders: dict[tuple[int, int], float]

    def cheapest(self, bound: float) -> npt.NDArray[np.bool_]:
        """Return which groups to keep float so that the noise of the others adds up to ``bound`` at most."""
        from scipy.optimize import Bounds, LinearConstraint, milp

        count, edges = len(self.costs), list(self.borders)
        objective = np.concatenate([self.costs, [self.borders[edge] for edge in edges]])
        limits = [LinearConstraint(np.pad(self.noises.T, ((0, 0), (0, len(edges)))), self.noises.sum(0) - bound)]
        rows = np.zeros((2 * len(edges), count + len(edges)))
        for at, (first, second) in enumerate(edges):
            for row, sign in ((2 * at, 1.0), (2 * at + 1, -1.0)):  # a border costs where its ends differ
                rows[row, [first, second, count + at]] = sign, -sign, 1.0
        if edges:
            limits.append(LinearConstraint(rows, 0))
        scaled = objective / np.abs(objective).max()
        integral = np.concatenate([np.ones(count), np.zeros(len(edges))])
        found = milp(
            scaled, constraints=limits, integrality=integral, bounds=Bounds(0, 1), options={"time_limit": _SECONDS}
        )
        if found.x is None:
            return np.ones(count, bool)
        return np.asarray(found.x[:count] > 0.5)
