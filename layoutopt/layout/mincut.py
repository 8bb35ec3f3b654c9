"""Two variants per group: an exact solve by a minimum s-t cut (Greig, Porteous and Seheult, 1989).

Variant 0 of every group is on the source's side. A value that is stored as 0 and read as 1, or the other way round, is
cut once however many read it: a helper node per direction collects the readers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from layoutopt.layout.problem import Port, Problem

_SOURCE, _SINK = 0, 1
_LIMIT = 2**31
"""``maximum_flow`` wraps capacities at int32 without an error, so the sum of all must stay below."""

Arc = tuple[int, int, int]


def applies(problem: Problem) -> bool:
    """Whether ``problem`` is a cut problem: variant 0 on layout 0, variant 1 on layout 1 wherever an end has a choice.

    Also that no copy is forbidden and that the weights fit into 32 bits.
    """
    if any(len(costs) > 2 for costs in problem.variants) or any(wire.forbidden for wire in problem.wires):
        return False
    ends = (end for wire in problem.wires for end in (wire.source, *wire.readers))
    if any(max(end.layouts) > 1 or end.layouts == (1, 0) for end in ends):
        return False
    return 2 * _infinite(_soft_arcs(problem)) < _LIMIT


def solve(problem: Problem) -> tuple[int, ...]:
    """The assignment of least weight: bytes first, then copies; of equals, the one with the most natural layouts.

    Returns:
        A variant per group.
    """
    soft = _soft_arcs(problem)
    infinite = _infinite(soft)
    arcs = soft + [(tail, head, infinite) for tail, head in _hard_arcs(problem)]
    size = 2 + len(problem.variants) + 2 * len(problem.wires)
    tails, heads, capacities = np.array(arcs, dtype=np.int64).reshape(-1, 3).T
    capacity = csr_array((capacities, (tails, heads)), shape=(size, size))
    capacity.sum_duplicates()
    capacity.data = np.minimum(capacity.data, infinite)
    capacity = capacity.astype(np.int32)
    residual = csr_array(capacity - maximum_flow(capacity, _SOURCE, _SINK, method="dinic").flow)
    residual.eliminate_zeros()
    # What still reaches the sink is its side; all else stays natural.
    sink_side = set(breadth_first_order(residual.T.tocsr(), _SINK, return_predecessors=False).tolist())
    return tuple(int(len(costs) == 2 and 2 + group in sink_side) for group, costs in enumerate(problem.variants))


def _soft_arcs(problem: Problem) -> list[Arc]:
    """The arcs that may be cut, at a price."""
    weights = problem.weights
    arcs = []
    for group, costs in enumerate(problem.variants):
        if len(costs) == 2:
            arcs.append((2 + group, _SINK, weights.of_bytes(costs[0])))
            arcs.append((_SOURCE, 2 + group, weights.of_bytes(costs[1])))
    for index, wire in enumerate(problem.wires):
        source, (to_last, to_natural) = _node(wire.source), _helpers(problem, index)
        arcs.append((source, to_last, weights.of_copy(wire.cost)))
        arcs.append((to_natural, source, weights.of_copy(wire.cost)))
    return arcs


def _hard_arcs(problem: Problem) -> Iterator[tuple[int, int]]:
    """The arcs that may not be cut: from and to the helpers of each wire."""
    for index, wire in enumerate(problem.wires):
        to_last, to_natural = _helpers(problem, index)
        for reader in map(_node, wire.readers):
            yield to_last, reader
            yield reader, to_natural


def _infinite(arcs: list[Arc]) -> int:
    return 1 + sum(weight for _, _, weight in arcs)


def _node(end: Port) -> int:
    """The node of the network that an end stands on: its group's, or a terminal where it has no choice."""
    return 2 + end.group if end.layouts == (0, 1) else (_SOURCE, _SINK)[end.layouts[0]]


def _helpers(problem: Problem, wire: int) -> tuple[int, int]:
    first = 2 + len(problem.variants) + 2 * wire
    return first, first + 1
