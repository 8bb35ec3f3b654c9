"""From candidates to the numbers that the solver gets, and what each of these numbers stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import onnx_ir as ir

from layoutopt.ir.values import bits_of
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.algebra.transposition import route, transposition
from layoutopt.layout.costs.objectives import Costs, InnerCost
from layoutopt.layout.plan.candidates import BOUNDARY, Candidates
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import Port
from layoutopt.layout.solver.problem import Net, Pin, Problem, net_copies


@dataclass(frozen=True, slots=True)
class DecisionGroup:
    """Ports that take a layout together, and what there was to choose from.

    Attributes:
        node: whose ports; None for a graph input or output, and for all that need one value in the natural layout.
        rule: of the node.
        ports: the ports.
        values: the value at each port.
        layouts: for each variant the layout at each port, in the modes of the root.
        public: whether it is a graph input or output that may change its layout.
    """

    node: ir.Node | None
    rule: LayoutRule | None
    ports: tuple[Port, ...]
    values: tuple[ir.Value, ...]
    layouts: tuple[tuple[ModeOrder, ...], ...]
    public: bool


@dataclass(frozen=True, slots=True)
class EncodedProblem:
    """The problem for the solver, and what its numbers stand for.

    Attributes:
        problem: the numbers.
        groups: of the problem.
        roots: the value of each net of the problem.
        ends: for each net and each of its ends, the index of the group and of the port there.
        layouts: for each net the layouts of its value.
        forms: for each group what each of its variants does inside the operator.
    """

    problem: Problem
    groups: tuple[DecisionGroup, ...]
    roots: tuple[ir.Value, ...]
    ends: tuple[tuple[tuple[int, int], ...], ...]
    layouts: tuple[tuple[ModeOrder, ...], ...]
    forms: tuple[tuple[InnerCost, ...], ...]


CopyCost = Callable[[ir.Value, ModeOrder, ModeOrder], int]
"""(root, how it is stored, how it is read) -> what a copy costs."""


def encode(candidates: Candidates, costs: Costs, *, last_only: bool = False) -> EncodedProblem:
    """Return the solver's form of ``candidates``: groups and nets in the order in which they were found.

    Args:
        candidates: what there is to choose from.
        costs: of what is moved.
        last_only: whether a copy costs what the last of its Transposes does. No choice costs less than it does so, also
            where copies share the other ones.
    """

    def copy_cost(root: ir.Value, stored: ModeOrder, read: ModeOrder) -> int:
        steps = list(pairwise((stored, *route(stored, read))))
        return sum(transpose_cost(root, *step, costs) for step in (steps[-1:] if last_only else steps))

    index = {id(group): position for position, group in enumerate(candidates.groups)}
    ends = [candidates.source_and_readers(root) for root in candidates.ends]
    nets = []
    for root, its_ends in zip(candidates.ends, ends, strict=True):
        numbers = candidates.layouts[root]
        source, *readers = (
            Pin(index[id(group)], tuple([numbers[key[at]] for key in group.keys])) for group, at in its_ends
        )
        nets.append(_net(root, numbers, source, readers, copy_cost))
    forms = tuple([tuple([variant.inner for variant in group.variants]) for group in candidates.groups])
    variants, ties = (tuple(map(of, forms)) for of in (costs.inside, costs.ties))
    return EncodedProblem(
        Problem(variants, tuple(nets), ties, costs.copy_tie),
        tuple([DecisionGroup(g.node, g.rule, g.ports, g.values, tuple(g.keys), g.public) for g in candidates.groups]),
        tuple(candidates.ends),
        tuple([tuple([(index[id(group)], at) for group, at in its_ends]) for its_ends in ends]),
        tuple([tuple(candidates.layouts[root]) for root in candidates.ends]),
        forms,
    )


def natural_boundaries(candidates: Candidates) -> dict[int, int]:
    """Return the group of each graph input and output that may change, and its natural variant."""
    public = {id(group) for group in (*candidates.inputs.values(), *candidates.outputs.values())}
    return {
        position: index
        for position, group in enumerate(candidates.groups)
        if id(group) in public
        for index, variant in enumerate(group.variants)
        if variant.layouts[BOUNDARY].is_natural
    }


def transpose_cost(root: ir.Value, before: ModeOrder, after: ModeOrder, costs: Costs) -> int:
    """Return the cost of the one Transpose from a layout to the next on a `route`."""
    found = transposition(before, after)
    assert found is not None, "a copy that no Transpose can do"
    return costs.copy(*found, bits_of(root))


def _net(root: ir.Value, numbers: Mapping[ModeOrder, int], source: Pin, readers: list[Pin], copy_cost: CopyCost) -> Net:
    copies = {
        (i, j): copy_cost(root, stored, read) for stored, i in numbers.items() for read, j in numbers.items() if i != j
    }
    most = max(copies.values(), default=0)
    other = {pair: cost for pair, cost in copies.items() if cost != most}
    return Net(source, tuple(readers), len(numbers), most, other)


Copies = Mapping[ir.Value, Mapping[ModeOrder, ModeOrder]]
"""For each value the layouts that it is copied to, and which one each of these copies is made of."""


def copies_of(encoded: EncodedProblem, choice: Sequence[int]) -> Copies:
    """Return the Transposes that a choice takes; each layout on the `route` of a copy is made once, for all copies."""
    found = {}
    for root, layouts, net in zip(encoded.roots, encoded.layouts, encoded.problem.nets, strict=True):
        pairs = sorted(net_copies(net, choice))
        if pairs:
            stored, _ = pairs[0]
            found[root] = hops(layouts[stored], [layouts[read] for _, read in pairs])
    return found


def hops(stored: ModeOrder, read: Iterable[ModeOrder]) -> dict[ModeOrder, ModeOrder]:
    """Return the layouts that copies go through, and which one each is made of: the one from which it takes fewest."""
    made: dict[ModeOrder, ModeOrder] = {}
    left = list(read)
    while left:
        pairs = ((source, target) for source in (stored, *made) for target in left)
        source, target = min(pairs, key=lambda pair: len(route(*pair)))
        for before, after in pairwise((source, *route(source, target))):
            made.setdefault(after, before)
        left.remove(target)
    return made


def copies_cost(copies: Copies, costs: Costs) -> int:
    """Return the cost of Transposes."""
    return sum(
        transpose_cost(root, before, after, costs) for root, made in copies.items() for after, before in made.items()
    )


def may_share(encoded: EncodedProblem) -> bool:
    """Return whether a copy that takes several Transposes may be of a value that is copied to another layout as well.

    Then some of them may serve both, so that they cost less than the solver knows.
    """
    return any(_may_share(layouts, net) for layouts, net in zip(encoded.layouts, encoded.problem.nets, strict=True))


def _may_share(layouts: Sequence[ModeOrder], net: Net) -> bool:
    read = {layout for reader in net.readers for layout in reader.layouts}
    pairs = ((stored, each) for stored in set(net.source.layouts) for each in read - {stored})
    return net.most_copies > 1 and any(len(route(layouts[stored], layouts[each])) > 1 for stored, each in pairs)
