"""Two variants per group: an exact solve by a minimum s-t cut (Greig, Porteous and Seheult, 1989).

Variant 0 of every group is on the source's side. A value that is stored as 0 and read as 1, or the other way round, is
cut once however many read it: a helper node per direction collects the readers. Problems that have nothing to do with
each other share one network, since each maximum flow costs time to start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from layoutopt.layout.solver.problem import Pin, Problem

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SOURCE, _SINK = 0, 1
_LIMIT = 2**30
"""``maximum_flow`` wraps at int32 without an error, so twice the sum of all capacities must stay below 2**31."""


def applies(problem: Problem) -> bool:
    """Return whether variant 0 is on layout 0, and variant 1 on layout 1, wherever an end of ``problem`` has a choice.

    Also that the weights fit into 32 bits.
    """
    if any(len(costs) > 2 for costs in problem.variants):
        return False
    if any(max(end.layouts) > 1 or end.layouts == (1, 0) for net in problem.nets for end in net.ends):
        return False
    return total_weight(problem) < _LIMIT - 1


def total_weight(problem: Problem) -> int:
    """Return at least the weight of all that could be cut in ``problem``."""
    nets = sum(2 * net.cost + sum(net.copy_costs.values()) for net in problem.nets)
    copies = 2 * problem.copy_tie * len(problem.nets)
    return problem.weights.of_cost(nets) + sum(map(sum, problem.variant_weights)) + copies


def solve(problems: Sequence[Problem]) -> list[tuple[int, ...]]:
    """Return the assignments of least weight: costs first, then ties; of equals, the one with most natural layouts.

    Args:
        problems: each one such that the cut ``applies``.

    Returns:
        A variant per group for each problem.
    """
    choices: list[tuple[int, ...]] = []
    for batch in _batches(problems):
        network = _Network()
        first = [network.add(problem) for problem in batch]
        sink_side = network.sink_side()
        for node, problem in zip(first, batch, strict=True):
            sides = sink_side[node : node + len(problem.variants)].tolist()
            choices.append(tuple([int(side and len(c) == 2) for side, c in zip(sides, problem.variants, strict=True)]))
    return choices


def max_flow(problem: Problem) -> int:
    """Return the cost that a maximum flow carries, which no assignment comes below.

    Args:
        problem: of a component, to which the cut ``applies``.
    """
    from scipy.sparse.csgraph import maximum_flow  # slow to import, and needed only where there is a choice

    network = _Network()
    network.add(problem)
    return problem.weights.to_cost(int(maximum_flow(network.capacity(), _SOURCE, _SINK, method="dinic").flow_value))


def _batches(problems: Iterable[Problem]) -> Iterator[list[Problem]]:
    """Yield consecutive problems whose weights together stay below the limit."""
    batch: list[Problem] = []
    weight = 1
    for problem in problems:
        more = total_weight(problem)
        if weight + more >= _LIMIT:
            yield batch
            batch, weight = [], 1
        batch.append(problem)
        weight += more
    if batch:
        yield batch


@dataclass(slots=True)
class _Network:
    """Arcs under construction: those with a cost, and those that may not be cut."""

    size: int = 2
    soft: list[tuple[int, int, int]] = field(default_factory=list)
    hard: list[tuple[int, int]] = field(default_factory=list)

    def add(self, problem: Problem) -> int:
        """Add ``problem`` and return the node of its first group; the others follow."""
        first, weights = self.size, problem.weights
        helper = first + len(problem.variants)
        self.size = helper + 2 * len(problem.nets)
        for node, each in enumerate(problem.variant_weights, start=first):
            if len(each) == 2:
                self.soft.append((node, _SINK, each[0]))
                self.soft.append((_SOURCE, node, each[1]))
        for to_last, net in zip(range(helper, self.size, 2), problem.nets, strict=True):
            source, to_natural = _node(net.source, first), to_last + 1
            for arc, pair in (((source, to_last), (0, 1)), ((to_natural, source), (1, 0))):
                self.soft.append((*arc, weights.of_copy(net.copy_cost(*pair))))
            for reader in net.readers:
                node = _node(reader, first)
                self.hard.append((to_last, node))
                self.hard.append((node, to_natural))
        return first

    def sink_side(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return whether each node is on the sink's side of the minimum cut that keeps the most on the source's."""
        from scipy.sparse.csgraph import breadth_first_order

        residual = self._residual()
        sink_side = np.zeros(self.size, dtype=np.bool_)
        sink_side[breadth_first_order(residual.T.tocsr(), _SINK, return_predecessors=False)] = True
        return sink_side

    def _residual(self) -> csr_array:
        """Return what a maximum flow leaves of the capacities."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow

        capacity = self.capacity()
        residual = csr_array(capacity - maximum_flow(capacity, _SOURCE, _SINK, method="dinic").flow)
        residual.eliminate_zeros()
        return residual

    def capacity(self) -> csr_array:
        """Return what each arc can carry."""
        from scipy.sparse import csr_array

        tails, heads, weights = np.array(self.soft, dtype=np.int64).reshape(-1, 3).T
        uncut = np.array(self.hard, dtype=np.int64).reshape(-1, 2).T
        infinite = 1 + weights.sum()
        capacities = np.concatenate([weights, np.full(uncut.shape[1], infinite)])
        ends = np.concatenate([tails, uncut[0]]), np.concatenate([heads, uncut[1]])
        capacity = csr_array((capacities, ends), shape=(self.size, self.size))
        capacity.sum_duplicates()
        capacity.data = np.minimum(capacity.data, infinite)
        return capacity.astype(np.int32)


def _node(end: Pin, first: int) -> int:
    """Return the node of the network that an end stands on: its group's, or a terminal where it has no choice."""
    return first + end.group if end.layouts == (0, 1) else (_SOURCE, _SINK)[end.layouts[0]]
