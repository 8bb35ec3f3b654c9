"""The layout problem: pick one variant per group so that variants and copies cost the least.

A *group* is a set of operands and results of one node that take a layout together. A *net* is a value that one node
produces and others read. Nothing here knows of ONNX: the solvers and the brute force of the tests share this form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from math import gcd


@dataclass(frozen=True, slots=True)
class Pin:
    """One end of a net: which group, and which of the layouts of the net each variant of the group takes there.

    Attributes:
        group: index of the group.
        layouts: for each variant of the group, an index into the layouts of the net.
    """

    group: int
    layouts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """A value and what copies of it cost.

    Attributes:
        source: the end that writes it.
        readers: the ends that read it.
        layouts: how many layouts it can have.
        cost: of one copy of it, in the unit of the objective, however many readers share the copy.
        copy_costs: of the copy (stored, read) where that is not ``cost``.
    """

    source: Pin
    readers: tuple[Pin, ...]
    layouts: int
    cost: int
    copy_costs: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def ends(self) -> tuple[Pin, ...]:
        """Return the source, then the readers."""
        return (self.source, *self.readers)

    def copy_cost(self, stored: int, read: int) -> int:
        """Return the cost of the copy from ``stored`` to ``read``."""
        return self.copy_costs.get((stored, read), self.cost)

    @property
    def most_copies(self) -> int:
        """Return how many copies of it there can be at once."""
        return min(self.layouts - 1, len(self.readers))


@dataclass(frozen=True)
class Problem:
    """Groups and nets.

    Attributes:
        variants: for each group, the cost of each of its variants, in the unit of the objective. Variant 0 is the
            natural one, if any.
        nets: the values between them.
        ties: for each group, what each of its variants adds where costs are equal; empty where nothing does.
        copy_tie: what each copy adds where costs are equal.
    """

    variants: tuple[tuple[int, ...], ...]
    nets: tuple[Net, ...]
    ties: tuple[tuple[int, ...], ...] = ()
    copy_tie: int = 1

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Return the parts that have no choice in common, each a problem of its own.

        A group of one variant is a constant and connects nothing; neither it nor a net between such is in any part.
        """
        free = [len(costs) > 1 for costs in self.variants]
        touched = [[end.group for end in net.ends if free[end.group]] for net in self.nets]
        labels = _labels(len(free), ((groups[0], group) for groups in touched for group in groups[1:]))
        groups: dict[int, list[int]] = {}
        position = [0] * len(free)
        for group, label in enumerate(labels):
            if free[group]:
                part = groups.setdefault(label, [])
                position[group] = len(part)
                part.append(group)
        nets: dict[int, list[Net]] = {label: [] for label in groups}
        for net, among in zip(self.nets, touched, strict=True):
            if among:
                nets[labels[among[0]]].append(_moved(net, position, free, len(groups[labels[among[0]]])))
        return tuple(self._component(groups[label], nets[label]) for label in groups)

    def _component(self, groups: Sequence[int], nets: Sequence[Net]) -> Component:
        variants = (*(self.variants[group] for group in groups), (0,))
        ties = (*(self.ties[group] for group in groups), (0,)) if self.ties else ()
        return Component(Problem(variants, tuple(nets), ties, self.copy_tie), tuple(groups))

    def restricted(self, given: Mapping[int, int]) -> Problem:
        """Return the problem in which some groups have one variant, the ``given`` one, which has number 0 then."""

        def pick(of: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
            return tuple((each[given[group]],) if group in given else each for group, each in enumerate(of))

        def end(pin: Pin) -> Pin:
            return Pin(pin.group, (pin.layouts[given[pin.group]],)) if pin.group in given else pin

        nets = (replace(net, source=end(net.source), readers=tuple(map(end, net.readers))) for net in self.nets)
        return Problem(pick(self.variants), tuple(nets), pick(self.ties), self.copy_tie)

    def cost(self, choice: Sequence[int]) -> int:
        """Return the cost of the assignment ``choice`` (a variant per group)."""
        inside = sum(costs[variant] for costs, variant in zip(self.variants, choice, strict=True))
        return inside + sum(net.copy_cost(*pair) for net in self.nets for pair in net_copies(net, choice))

    def copies(self, choice: Sequence[int]) -> int:
        """Return how many copies, that is Transposes, the assignment ``choice`` needs."""
        return sum(len(net_copies(net, choice)) for net in self.nets)

    def tie(self, choice: Sequence[int]) -> int:
        """Return what decides between the assignment ``choice`` and another one of the same cost: less is better."""
        inside = sum(ties[variant] for ties, variant in zip(self.ties, choice, strict=False))
        return inside + self.copy_tie * self.copies(choice)

    @cached_property
    def weights(self) -> Weights:
        """Weigh costs first, then what decides between equals, as one whole number per choice."""
        copies = sum(net.most_copies for net in self.nets)
        return Weights(gcd(*self._costs()) or 1, 1 + self.copy_tie * copies + sum(map(max, self.ties)), self.copy_tie)

    @cached_property
    def variant_weights(self) -> tuple[tuple[int, ...], ...]:
        """Return the weight of each variant of each group."""
        ties = self.ties or tuple((0,) * len(costs) for costs in self.variants)
        return tuple(
            tuple(self.weights.of_cost(cost) + tie for cost, tie in zip(*pair, strict=True))
            for pair in zip(self.variants, ties, strict=True)
        )

    def _costs(self) -> Iterator[int]:
        for costs in self.variants:
            yield from costs
        for net in self.nets:
            yield net.cost
            yield from net.copy_costs.values()


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


def _moved(net: Net, position: Sequence[int], free: Sequence[bool], constant: int) -> Net:
    """Return ``net`` between the groups at their ``position``, or at ``constant`` for all that are not ``free``."""

    def moved(end: Pin) -> Pin:
        return Pin(position[end.group] if free[end.group] else constant, end.layouts)

    readers = tuple([moved(reader) for reader in net.readers])
    return Net(moved(net.source), readers, net.layouts, net.cost, net.copy_costs)


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
    """Weigh costs and ties so that no ties outweigh ``unit`` of cost.

    Attributes:
        unit: the greatest common divisor of all costs.
        count: what one unit weighs.
        copy_tie: what a copy weighs on top of its cost.
    """

    unit: int
    count: int
    copy_tie: int

    def of_copy(self, cost: int) -> int:
        """Return the weight of a copy of ``cost``."""
        return self.of_cost(cost) + self.copy_tie

    def of_cost(self, cost: int) -> int:
        """Return the weight of ``cost`` alone."""
        return cost // self.unit * self.count

    def to_cost(self, weight: int) -> int:
        """Return the cost in a total ``weight``."""
        return weight // self.count * self.unit


def net_copies(net: Net, choice: Sequence[int]) -> set[tuple[int, int]]:
    """Return the pairs (stored, read) of layouts that ``net`` must be copied between under ``choice``."""
    stored = net.source.layouts[choice[net.source.group]]
    read = {reader.layouts[choice[reader.group]] for reader in net.readers}
    return {(stored, layout) for layout in read - {stored}}


class Solver(Enum):
    """The methods that solve a component."""

    CUT = "minimum cut"
    ELIMINATION = "elimination"
    MILP = "MILP"


@dataclass(frozen=True, slots=True)
class ComponentSolution:
    """The solution of one component, and its proof.

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
        cost: of its variants and copies, in the unit of the objective.
        lower_bound: what any assignment costs at least; never above ``cost``.
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
    parts: tuple[ComponentSolution, ...] = field(default=(), compare=False, repr=False)
    inside: int = 0
    unpriced: int = 0

    @classmethod
    def together(cls, parts: Sequence[Assignment]) -> Assignment:
        """Return the assignments of problems that have nothing in common, as one."""
        return cls(
            tuple(variant for part in parts for variant in part.choice),
            sum(part.cost for part in parts),
            sum(part.lower_bound for part in parts),
            all(part.proved_optimal for part in parts),
            any(part.timed_out for part in parts),
            inside=sum(part.inside for part in parts),
            unpriced=sum(part.unpriced for part in parts),
        )
