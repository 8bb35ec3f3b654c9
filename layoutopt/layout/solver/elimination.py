"""Any number of layouts, few groups at a time: an exact solve by non-serial dynamic programming.

Bertelè and Brioschi (1972); Dechter (1999) calls it bucket elimination. Groups go one by one: all tables that a group
is in are added up, and its best variant for each combination of its neighbours' makes a table over these. Chains and
trees take time linear in their length; what the rest takes is known before it starts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import reduce
from math import prod
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from layoutopt.layout.solver.problem import Net, Pin, Problem

MAX_TABLE = 2**20
"""Entries of one table: 8 MB."""

MAX_ENTRIES = 2**26
"""Entries of all tables: about a second."""

_EXACT = 2**53
"""Whole numbers up to here are exact in 64-bit floating point."""

T = TypeVar("T", bound=np.generic)
Table = npt.NDArray[np.float64]
Scope = tuple[int, ...]
"""The groups that a table is over, one axis each, in the order in which they go."""


def solve(problem: Problem) -> tuple[int, ...] | None:
    """Return the assignment of least weight: costs first, then ties; of equals, the one with the most variants 0.

    Args:
        problem: each net ends at a group with a choice, as in a component.

    Returns:
        A variant per group, or None where the tables would be too large.
    """
    if (scopes := _scopes(problem)) is None or _total_weight(problem) >= _EXACT:
        return None
    position = {scope[0]: index for index, scope in enumerate(scopes)}
    buckets: list[list[tuple[Scope, Table]]] = [[] for _ in scopes]
    for scope, table in _tables(problem, position):
        buckets[position[scope[0]]].append((scope, table))
    best: list[npt.NDArray[np.intp]] = []
    for scope, bucket in zip(scopes, buckets, strict=True):
        total = reduce(np.add, (_spread(problem, table, over, scope) for over, table in bucket))
        best.append(total.argmin(axis=0))
        if others := scope[1:]:
            buckets[position[others[0]]].append((others, total.min(axis=0)))
    choice = [0] * len(problem.variants)
    for scope, variant in zip(reversed(scopes), reversed(best), strict=True):
        choice[scope[0]] = int(variant[tuple(choice[group] for group in scope[1:])])
    return tuple(choice)


def _scopes(problem: Problem) -> list[Scope] | None:
    """Return for each group with a choice the table it goes with, the smallest first; None where they are too large."""
    sizes = [len(costs) for costs in problem.variants]
    near = {group: {group} for group, size in enumerate(sizes) if size > 1}
    for net in problem.nets:
        touched = {end.group for end in net.ends if end.group in near}
        for group in touched:
            near[group] |= touched

    def size(group: int) -> int:
        return prod(sizes[other] for other in near[group])

    heap = [(size(group), group) for group in near]
    heapq.heapify(heap)
    entries = 0
    gone: dict[int, set[int]] = {}
    while heap:
        known, group = heapq.heappop(heap)
        if group in gone or known != size(group):
            continue  # another entry took its place
        entries += known
        if known > MAX_TABLE or entries > MAX_ENTRIES:
            return None
        others = gone[group] = near.pop(group) - {group}
        for other in others:
            near[other] = (near[other] | others) - {group}
            heapq.heappush(heap, (size(other), other))
    position = {group: index for index, group in enumerate(gone)}
    return [(group, *sorted(others, key=position.__getitem__)) for group, others in gone.items()]


def _tables(problem: Problem, position: dict[int, int]) -> Iterator[tuple[Scope, Table]]:
    """Yield the weights of each group and net, as a table over the groups with a choice that it depends on."""
    natural = len(position) + 1
    for group in position:
        weights = [weight * natural + (variant > 0) for variant, weight in enumerate(problem.variant_weights[group])]
        yield (group,), np.array(weights, dtype=np.float64)
    for net in problem.nets:
        ends = {end.group for end in net.ends if end.group in position}
        scope = tuple(sorted(ends, key=position.__getitem__))
        yield scope, _wire_table(problem, net, scope) * natural


def _wire_table(problem: Problem, net: Net, scope: Scope) -> Table:
    """Return the weight of the copies of ``net``."""

    def layouts(end: Pin) -> npt.NDArray[np.intp]:
        array = np.array(end.layouts)
        return _spread(problem, array, (end.group,), scope) if len(array) > 1 else array

    stored, readers = layouts(net.source), [layouts(reader) for reader in net.readers]
    weights = _copy_weights(problem, net)
    table = np.zeros([len(problem.variants[group]) for group in scope])
    for layout in {layout for reader in net.readers for layout in reader.layouts}:
        read = reduce(np.logical_or, (reader == layout for reader in readers))
        table += np.where(read, weights[stored, layout], 0.0)
    return table


def _copy_weights(problem: Problem, net: Net) -> Table:
    """Return the weight of the copy of ``net`` from each layout to each."""
    of_copy = problem.weights.of_copy
    weights = np.full((net.layouts, net.layouts), float(of_copy(net.cost)))
    for pair, cost in net.copy_costs.items():
        weights[pair] = of_copy(cost)
    np.fill_diagonal(weights, 0.0)
    return weights


def _spread(problem: Problem, table: npt.NDArray[T], over: Scope, scope: Scope) -> npt.NDArray[T]:
    """Return ``table`` with an axis for each group of ``scope``, of size 1 where it does not depend on that group."""
    return table.reshape([len(problem.variants[group]) if group in over else 1 for group in scope])


def _total_weight(problem: Problem) -> int:
    """Return at least what any assignment weighs here, with the variants that are not natural."""
    weights = problem.weights
    groups = sum(map(max, problem.variant_weights))
    nets = sum(net.most_copies * weights.of_copy(max(net.cost, *net.copy_costs.values(), 0)) for net in problem.nets)
    return (groups + nets + 1) * (len(problem.variants) + 1)
