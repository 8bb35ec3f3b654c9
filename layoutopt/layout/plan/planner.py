"""The choice of layouts of one graph, from its nodes to a plan. Changes nothing in the graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from layoutopt.ir.perm import Perm
from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.costs.objectives import Costs
from layoutopt.layout.plan.candidates import Candidates, DividedError, find_candidates
from layoutopt.layout.plan.decoding import Plan, decode
from layoutopt.layout.plan.encoding import (
    EncodedProblem,
    copies_cost,
    copies_of,
    encode,
    may_share,
    natural_boundaries,
)
from layoutopt.layout.plan.following import ChosenLayouts, followed_variants, name_of
from layoutopt.layout.rules.applicability import rule_for
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import node_context
from layoutopt.layout.rules.views import links_of, views_of
from layoutopt.layout.solver.assign import assign, assign_rest, keep_interface
from layoutopt.layout.solver.problem import Assignment
from layoutopt.options import Objective


def make_plan(
    graph: ir.Graph,
    opset: int,
    orders: Mapping[str, Sequence[Perm]],
    *,
    sensitive_only: bool = False,
    costs: Costs | None = None,
    assumed: Mapping[ir.Node, LayoutRule] | None = None,
    spelled_out: frozenset[ir.Node] = frozenset(),
    chosen: ChosenLayouts | None = None,
) -> Plan:
    """Choose the layout of the whole graph at once.

    Args:
        graph: the main graph or a body, with static shapes wherever layouts are to be chosen; what has none, and what
            comes from around a body, is fixed to the natural layout.
        opset: version of the default domain.
        orders: for each graph input and output that may change its layout, by name, the orders of its axes that it may
            have; the natural one comes first if it is among them.
        sensitive_only: whether all operators but the layout-sensitive ones are fixed to the natural layout.
        costs: what it costs to move data; bytes where None.
        assumed: rules of nodes that have none, to learn what such rules would change.
        spelled_out: those DepthToSpace and SpaceToDepth to take for the Reshape, Transpose, Reshape that they are.
        chosen: layouts of the same graph at other sizes, to follow wherever they exist at these.

    Returns:
        The plan of the least cost; the one that follows ``chosen`` if there is that, of which nothing is proved.

    Raises:
        PassFailedError: a node is not what its operator asks for, or its rule is wrong; the message names it.
    """
    costs = costs or load_costs(Objective.BYTES)
    rules = _rules(graph, opset, assumed or {})
    if sensitive_only:
        rules = {node: rule for node, rule in rules.items() if rule.required_layout is not None}
    rules = {node: rule for node, rule in rules.items() if node not in spelled_out}
    apart = set() if chosen is None else {node for node in graph if name_of(node) in chosen.apart}
    plans: list[Plan] = []
    while True:
        candidates = Candidates(graph, rules)
        if not sensitive_only:
            candidates.views = views_of(graph, apart, spelled_out)
            candidates.links = links_of(graph, candidates.views, spelled_out)
        try:
            find_candidates(candidates, orders, closed=not sensitive_only)
            found = _solved(candidates, costs, sensitive_only=sensitive_only, chosen=chosen)
            plans.append(replace(found, apart=frozenset(apart), spelled_out=spelled_out))
            divided: Collection[ir.Value] = candidates.divided if chosen is None else ()
        except DividedError as error:
            divided = error.roots
        if not (dividing := candidates.views_at(divided)):
            return min(plans, key=lambda plan: (plan.total.cost, not plan.total.proved_optimal))
        apart |= dividing  # with a copy on either side of these views there are more ways


def _solved(candidates: Candidates, costs: Costs, *, sensitive_only: bool, chosen: ChosenLayouts | None = None) -> Plan:
    encoded = encode(candidates, costs)
    if chosen is None:
        found = keep_interface(encoded.problem, assign(encoded.problem), natural_boundaries(candidates))
        found = _proved(candidates, encoded, found, costs)
    else:
        found = assign_rest(encoded.problem, followed_variants(candidates, chosen))
    return decode(candidates, encoded, found, costs, sensitive_only=sensitive_only)


def _rules(graph: ir.Graph, opset: int, assumed: Mapping[ir.Node, LayoutRule]) -> dict[ir.Node, LayoutRule]:
    rules = {}
    for node in graph:
        with node_context(node):
            if (rule := assumed.get(node) or rule_for(node, opset)) is not None:
                rules[node] = rule
    return rules


def _proved(candidates: Candidates, encoded: EncodedProblem, found: Assignment, costs: Costs) -> Assignment:
    """Return what the solver found with the cost that it has, and with no more of a proof than there is.

    There is none where candidates were left out. Where copies may share Transposes, as the solver does not know, the
    bound is that of a problem in which each copy is its last Transpose alone.
    """
    whole = not (candidates.capped or candidates.divided)
    if whole and not may_share(encoded):
        return found
    inside = sum(each[at] for each, at in zip(encoded.problem.variants, found.choice, strict=True))
    cost = inside + copies_cost(copies_of(encoded, found.choice), costs)
    bound = min(cost, assign(encode(candidates, costs, last_only=True).problem).lower_bound) if whole else 0
    return replace(found, cost=cost, lower_bound=bound, proved_optimal=bound == cost)
