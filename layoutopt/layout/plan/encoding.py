"""From candidates to the numbers that the solver gets, and what each of these numbers stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir.values import bits_of
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.algebra.transposition import transposition
from layoutopt.layout.costs.objectives import Costs, InnerCost
from layoutopt.layout.plan.candidates import BOUNDARY, Candidates
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import Port
from layoutopt.layout.rules.views import MAX_COPY_RANK
from layoutopt.layout.solver.problem import Net, Pin, Problem


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


def encode(candidates: Candidates, costs: Costs) -> EncodedProblem:
    """Return the solver's form of ``candidates``: groups and nets in the order in which they were found."""
    index = {id(group): position for position, group in enumerate(candidates.groups)}
    ends = [candidates.source_and_readers(root) for root in candidates.ends]
    nets = []
    for root, its_ends in zip(candidates.ends, ends, strict=True):
        numbers = candidates.layouts[root]
        source, *readers = (
            Pin(index[id(group)], tuple([numbers[key[at]] for key in group.keys])) for group, at in its_ends
        )
        nets.append(_net(root, numbers, source, readers, costs))
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


def copy_cost(root: ir.Value, stored: ModeOrder, read: ModeOrder, costs: Costs) -> int | None:
    """Return the cost of the one Transpose from ``stored`` to ``read``; None where the target has none."""
    found = transposition(stored, read)
    return None if found is None or len(found[1]) > MAX_COPY_RANK else costs.copy(*found, bits_of(root))


def _net(root: ir.Value, numbers: Mapping[ModeOrder, int], source: Pin, readers: list[Pin], costs: Costs) -> Net:
    copies = {
        (i, j): copy_cost(root, stored, read, costs)
        for stored, i in numbers.items()
        for read, j in numbers.items()
        if i != j
    }
    forbidden = frozenset(pair for pair, cost in copies.items() if cost is None)
    possible = {pair: cost for pair, cost in copies.items() if cost is not None}
    most = max(possible.values(), default=0)
    other = {pair: cost for pair, cost in possible.items() if cost != most}
    return Net(source, tuple(readers), len(numbers), most, forbidden, other)
