"""The layout problem: pick one variant per group so that the fewest bytes are copied.

A *group* is a set of operands and results of one node that take a layout together. A *wire* is a value that somebody
produces and others read. Nothing here knows of ONNX: the solvers and the brute force of the tests share this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from math import gcd

from layoutopt.errors import LayoutoptError


class InfeasibleError(LayoutoptError):
    """Every choice of variants needs a copy that is forbidden.

    Args:
        wires: indices of those whose forbidden copies an assignment with the fewest such needs.
    """

    def __init__(self, wires: tuple[int, ...]) -> None:
        super().__init__(
            f"no layout assignment avoids the forbidden copies of the wires {wires}",
            hint="Please report the model: natural layouts always are one.",
        )
        self.wires = wires


@dataclass(frozen=True, slots=True)
class Port:
    """One end of a wire: which group, and which of the layouts of the wire each variant of the group takes there.

    Attributes:
        group: index of the group.
        layouts: for each variant of the group, an index into the layouts of the wire.
    """

    group: int
    layouts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wire:
    """A value and its price.

    Attributes:
        source: the end that writes it.
        readers: the ends that read it.
        layouts: how many layouts it can have.
        cost: what one copy of it costs, in bytes; however many readers share the copy.
        forbidden: pairs (stored, read) of layouts between which no copy is possible.
        prices: what the copy (stored, read) costs where that is not ``cost``.
    """

    source: Port
    readers: tuple[Port, ...]
    layouts: int
    cost: int
    forbidden: frozenset[tuple[int, int]] = frozenset()
    prices: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def ends(self) -> tuple[Port, ...]:
        """The source, then the readers."""
        return (self.source, *self.readers)

    def price(self, stored: int, read: int) -> int:
        """What the copy from ``stored`` to ``read`` costs, in bytes."""
        return self.prices.get((stored, read), self.cost)

    @property
    def most_copies(self) -> int:
        """How many copies of it there can be at once."""
        return min(self.layouts - 1, len(self.readers))


@dataclass(frozen=True)
class Problem:
    """Groups and wires.

    Attributes:
        variants: for each group, the cost of each of its variants, in bytes. Variant 0 is the natural one, if any.
        wires: the values between them.
    """

    variants: tuple[tuple[int, ...], ...]
    wires: tuple[Wire, ...]

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The parts that have no choice in common, each a problem of its own.

        A group of one variant is a constant and connects nothing; neither it nor a wire between such is in any part.
        """
        free = [len(costs) > 1 for costs in self.variants]
        touched = [[end.group for end in wire.ends if free[end.group]] for wire in self.wires]
        labels = _labels(len(free), ((groups[0], group) for groups in touched for group in groups[1:]))
        groups: dict[int, list[int]] = {}
        position = [0] * len(free)
        for group, label in enumerate(labels):
            if free[group]:
                part = groups.setdefault(label, [])
                position[group] = len(part)
                part.append(group)
        wires: dict[int, list[Wire]] = {label: [] for label in groups}
        for wire, among in zip(self.wires, touched, strict=True):
            if among:
                wires[labels[among[0]]].append(_moved(wire, position, free, len(groups[labels[among[0]]])))
        return tuple(self._component(groups[label], wires[label]) for label in groups)

    def _component(self, groups: Sequence[int], wires: Sequence[Wire]) -> Component:
        variants = (*(self.variants[group] for group in groups), (0,))
        return Component(Problem(variants, tuple(wires)), tuple(groups))

    def cost(self, choice: Sequence[int]) -> int | None:
        """Bytes that the assignment ``choice`` (a variant per group) copies; None where it needs a forbidden copy."""
        total = sum(costs[variant] for costs, variant in zip(self.variants, choice, strict=True))
        for wire in self.wires:
            for pair in wire_copies(wire, choice):
                if pair in wire.forbidden:
                    return None
                total += wire.price(*pair)
        return total

    def copies(self, choice: Sequence[int]) -> int:
        """How many copies, that is Transposes, the assignment ``choice`` needs."""
        return sum(len(wire_copies(wire, choice)) for wire in self.wires)

    @cached_property
    def weights(self) -> Weights:
        """Bytes first, then the number of copies, as one whole number per choice."""
        return Weights(gcd(*self._prices()) or 1, 1 + sum(wire.most_copies for wire in self.wires))

    def _prices(self) -> Iterator[int]:
        for costs in self.variants:
            yield from costs
        for wire in self.wires:
            yield wire.cost
            yield from wire.prices.values()


def _labels(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of ``count`` things the first one of its part, where ``pairs`` are connected."""
    above = list(range(count))

    def first(one: int) -> int:
        while above[one] != one:
            above[one] = one = above[above[one]]  # halves the way for the next one
        return one

    for one, other in pairs:
        low, high = sorted((first(one), first(other)))
        above[high] = low
    return [first(one) for one in range(count)]


def _moved(wire: Wire, position: Sequence[int], free: Sequence[bool], constant: int) -> Wire:
    """``wire`` between the groups at their ``position``, or at ``constant`` for all that are not ``free``."""

    def moved(end: Port) -> Port:
        return Port(position[end.group] if free[end.group] else constant, end.layouts)

    readers = tuple([moved(reader) for reader in wire.readers])
    return Wire(moved(wire.source), readers, wire.layouts, wire.cost, wire.forbidden, wire.prices)


@dataclass(frozen=True, slots=True)
class Component:
    """A connected part of a problem.

    Attributes:
        problem: the part; its last group stands for all that have no choice, and costs nothing.
        groups: for each of its other groups, the index in the whole.
    """

    problem: Problem
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weighs bytes and copies so that no number of copies outweighs ``unit`` bytes.

    Attributes:
        unit: the greatest common divisor of all costs, in bytes.
        count: what one unit weighs; a copy weighs 1 on top of its bytes.
    """

    unit: int
    count: int

    def of_copy(self, cost: int) -> int:
        """The weight of a copy of ``cost`` bytes."""
        return self.of_bytes(cost) + 1

    def of_bytes(self, cost: int) -> int:
        """The weight of ``cost`` bytes that are moved by something else than a copy."""
        return cost // self.unit * self.count

    def to_bytes(self, weight: int) -> int:
        """The bytes in a total ``weight``."""
        return weight // self.count * self.unit


def wire_copies(wire: Wire, choice: Sequence[int]) -> set[tuple[int, int]]:
    """The pairs (stored, read) of layouts that ``wire`` must be copied between under ``choice``."""
    stored = wire.source.layouts[choice[wire.source.group]]
    read = {reader.layouts[choice[reader.group]] for reader in wire.readers}
    return {(stored, layout) for layout in read - {stored}}


class Solver(Enum):
    """Who solved a component."""

    CUT = "minimum cut"
    ELIMINATION = "elimination"
    MILP = "MILP"


@dataclass(frozen=True, slots=True)
class Part:
    """How one component was solved.

    Attributes:
        component: which.
        solver: by whom.
        assignment: its solution and its proof.
    """

    component: Component
    solver: Solver
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Assignment:
    """A solution and its proof.

    Attributes:
        choice: a variant per group.
        cost: bytes that it copies.
        lower_bound: bytes that any assignment must copy, in bytes; never above ``cost``.
        proved_optimal: the two are equal, and nothing was left out of the search.
        timed_out: a solver was stopped before it was done.
        parts: the components that it was put together from.
        inside: of ``cost``, what operators move inside, such as a concatenation of short runs.
        unpriced: transposes of values whose size is known at run time only; they are in no sum.
    """

    choice: tuple[int, ...]
    cost: int
    lower_bound: int
    proved_optimal: bool
    timed_out: bool = False
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)
    inside: int = 0
    unpriced: int = 0

    @classmethod
    def together(cls, parts: Sequence[Assignment]) -> Assignment:
        """The assignments of problems that have nothing in common, as one."""
        return cls(
            tuple(variant for part in parts for variant in part.choice),
            sum(part.cost for part in parts),
            sum(part.lower_bound for part in parts),
            all(part.proved_optimal for part in parts),
            any(part.timed_out for part in parts),
            inside=sum(part.inside for part in parts),
            unpriced=sum(part.unpriced for part in parts),
        )
