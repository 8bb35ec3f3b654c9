"""Ways through a plan: from a transpose along the values that carry a layout, to whoever insists on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from layoutopt.layout.plan.candidates import Question


@dataclass(frozen=True, slots=True)
class Stand:
    """A choice on the way from a transpose, seen from the wire that led to it.

    Attributes:
        choice: its index.
        port: the index of the port where the wire ends.
        wire: the index of the wire.
        wanted: the layouts of the wire that the way leads away from those carried, to those of the other side.
        variants: those of the choice that have one of them.
        path: the choices before it.
    """

    choice: int
    port: int
    wire: int
    wanted: frozenset[int]
    variants: tuple[int, ...]
    path: tuple[int, ...]


class Ways:
    """Walks from a transpose along the values that carry a layout, to the nearest who cannot have another."""

    def __init__(self, question: Question, chosen: tuple[int, ...]) -> None:
        self._question = question
        self._chosen = chosen
        self._wires = {end: wire for wire, ends in enumerate(question.ends) for end in ends}

    def nearest(self, wire: int, carried: int, wanted: int) -> Stand | None:
        """The nearest choice that cannot follow to ``wanted``, or not for nothing; None where all can."""
        seen: set[int] = set()
        queue = deque(self._enter(wire, carried, frozenset({wanted}), (), seen))
        while queue:
            stand = queue.popleft()
            costs = self._question.problem.variants[stand.choice]
            chosen = self._chosen[stand.choice]
            if not stand.variants or min(costs[variant] for variant in stand.variants) > costs[chosen]:
                return stand
            for port in range(len(self._question.choices[stand.choice].ports)):
                queue.extend(self._onward(stand, port, seen))
        return None

    def writes(self, choice: int) -> bool:
        """Whether ``choice`` writes the value at its first port, for others to read."""
        return self._question.ends[self._wires[choice, 0]][0] == (choice, 0)

    def ends(self, wire: int, carried: int) -> Iterator[tuple[int, int]]:
        """The choices and ports that have the layout ``carried`` at ``wire``."""
        ends = self._question.problem.wires[wire].ends
        for end, (choice, port) in zip(ends, self._question.ends[wire], strict=True):
            if end.layouts[self._chosen[choice]] == carried:
                yield choice, port

    def _enter(
        self, wire: int, carried: int, wanted: frozenset[int], path: tuple[int, ...], seen: set[int]
    ) -> Iterator[Stand]:
        for choice, port in self.ends(wire, carried):
            if choice not in seen:
                seen.add(choice)
                layouts = self._layouts(choice, port)
                variants = tuple(variant for variant, layout in enumerate(layouts) if layout in wanted)
                yield Stand(choice, port, wire, wanted, variants, path)

    def _onward(self, stand: Stand, port: int, seen: set[int]) -> Iterator[Stand]:
        wire = self._wires[stand.choice, port]
        layouts = self._layouts(stand.choice, port)
        carried, wanted = layouts[self._chosen[stand.choice]], frozenset(layouts[v] for v in stand.variants)
        if carried not in wanted:
            yield from self._enter(wire, carried, wanted, (*stand.path, stand.choice), seen)

    def _layouts(self, choice: int, port: int) -> tuple[int, ...]:
        """The layout at a port under each variant, as the wire there counts them."""
        wire = self._wires[choice, port]
        at = self._question.ends[wire].index((choice, port))
        return self._question.problem.wires[wire].ends[at].layouts
