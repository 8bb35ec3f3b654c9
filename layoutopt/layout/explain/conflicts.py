"""Searches in a plan: from a transpose along the values that carry a layout, to the operator that needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from layoutopt.layout.plan.encoding import EncodedProblem


@dataclass(frozen=True, slots=True)
class Frontier:
    """A choice on the way from a transpose, seen from the net that led to it.

    Attributes:
        choice: its index.
        port: the index of the port where the net ends.
        net: the index of the net.
        wanted: the layouts of the net that the way leads away from those carried, to those of the other side.
        variants: those of the choice that have one of them.
        path: the choices before it.
    """

    choice: int
    port: int
    net: int
    wanted: frozenset[int]
    variants: tuple[int, ...]
    path: tuple[int, ...]


class ConflictSearch:
    """Search from a transpose, along the values that carry its layout, for the nearest operator that needs that."""

    def __init__(self, encoded: EncodedProblem, chosen: tuple[int, ...]) -> None:
        self._encoded = encoded
        self._chosen = chosen
        self._nets = {end: net for net, ends in enumerate(encoded.ends) for end in ends}

    def nearest(self, net: int, carried: int, wanted: int) -> Frontier | None:
        """Return the nearest choice that cannot follow to ``wanted``, or not for nothing; None where all can."""
        seen: set[int] = set()
        queue = deque(self._enter(net, carried, frozenset({wanted}), (), seen))
        while queue:
            frontier = queue.popleft()
            costs = self._encoded.problem.variants[frontier.choice]
            chosen = self._chosen[frontier.choice]
            if not frontier.variants or min(costs[variant] for variant in frontier.variants) > costs[chosen]:
                return frontier
            for port in range(len(self._encoded.groups[frontier.choice].ports)):
                queue.extend(self._onward(frontier, port, seen))
        return None

    def writes(self, choice: int) -> bool:
        """Return whether ``choice`` writes the value at its first port, for others to read."""
        return self._encoded.ends[self._nets[choice, 0]][0] == (choice, 0)

    def ends(self, net: int, carried: int) -> Iterator[tuple[int, int]]:
        """Yield the choices and ports that have the layout ``carried`` at ``net``."""
        ends = self._encoded.problem.nets[net].ends
        for end, (choice, port) in zip(ends, self._encoded.ends[net], strict=True):
            if end.layouts[self._chosen[choice]] == carried:
                yield choice, port

    def _enter(
        self, net: int, carried: int, wanted: frozenset[int], path: tuple[int, ...], seen: set[int]
    ) -> Iterator[Frontier]:
        for choice, port in self.ends(net, carried):
            if choice not in seen:
                seen.add(choice)
                layouts = self._layouts(choice, port)
                variants = tuple(variant for variant, layout in enumerate(layouts) if layout in wanted)
                yield Frontier(choice, port, net, wanted, variants, path)

    def _onward(self, frontier: Frontier, port: int, seen: set[int]) -> Iterator[Frontier]:
        net = self._nets[frontier.choice, port]
        layouts = self._layouts(frontier.choice, port)
        carried, wanted = layouts[self._chosen[frontier.choice]], frozenset(layouts[v] for v in frontier.variants)
        if carried not in wanted:
            yield from self._enter(net, carried, wanted, (*frontier.path, frontier.choice), seen)

    def _layouts(self, choice: int, port: int) -> tuple[int, ...]:
        """Return the layout at a port under each variant, as the net there counts them."""
        net = self._nets[choice, port]
        at = self._encoded.ends[net].index((choice, port))
        return self._encoded.problem.nets[net].ends[at].layouts
