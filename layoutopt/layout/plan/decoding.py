"""From the solver's assignment to a plan: the physical layout at every port. Edits belong to the pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from layoutopt.ir.values import Shape, is_constant, known_shape, static_shape
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.costs.movement import Costs
from layoutopt.layout.plan.candidates import BOUNDARY, Candidates
from layoutopt.layout.plan.encoding import EncodedProblem, copy_cost
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.variants import Variant, blaming
from layoutopt.layout.rules.views import View
from layoutopt.layout.solver.problem import Assignment


@dataclass(frozen=True)
class Plan:
    """What the solver chose, in terms of the graph.

    Attributes:
        rules: the rule of each node that has one.
        variants: the variant of each node that has a rule, of all its groups together.
        views: the values that hold the bytes of others.
        inputs: the physical layout of each graph input that may change its layout.
        outputs: the physical layout of each graph output that may change its layout, by position.
        encoded: what the solver was asked.
        assignment: cost and proof.
        before: what the graph costs as it is, in the same unit.
        sensitive: how many nodes become operators of the dialect because the target runs them in channels-last only.
    """

    rules: Mapping[ir.Node, LayoutRule]
    variants: Mapping[ir.Node, Variant]
    views: Mapping[ir.Value, View]
    inputs: Mapping[ir.Value, PhysicalLayout]
    outputs: Mapping[int, PhysicalLayout]
    encoded: EncodedProblem
    assignment: Assignment
    before: int
    sensitive: int

    def view(self, value: ir.Value) -> View:
        """Return ``value`` as a view of its root, which it may be itself."""
        return self.views.get(value) or View(value)


def decode(candidates: Candidates, encoded: EncodedProblem, assignment: Assignment, costs: Costs) -> Plan:
    """Return the plan that ``assignment`` stands for, with axes of size 1 where they need the fewest Reshapes.

    Raises:
        PassFailedError: a rule is wrong; the message names the node.
    """
    choices = zip(candidates.groups, assignment.choice, strict=True)
    chosen = {id(group): group.variants[choice] for group, choice in choices}
    inputs = {value: chosen[id(group)].layouts[BOUNDARY] for value, group in candidates.inputs.items()}
    outputs = {position: chosen[id(group)].layouts[BOUNDARY] for position, group in candidates.outputs.items()}
    stored = dict(inputs)
    variants: dict[ir.Node, Variant] = {}
    for node, groups in candidates.of_node.items():
        variant = _united([chosen[id(group)] for group in groups])
        with blaming(node):
            variants[node] = _settled(candidates, node, variant, stored)
        for port, layout in variants[node].layouts.items():
            if port.result:
                sizes = variants[node].sizes(port)
                stored[port.value(node)] = PhysicalLayout.of(layout.shape, layout.mode_order, sizes) or layout
    rules, views = candidates.rules, candidates.views
    sensitive = sum(rule.required_layout is not None for rule in rules.values())
    before = _cost_before(candidates, costs)
    return Plan(rules, variants, views, inputs, outputs, encoded, assignment, before, sensitive)


def _united(parts: list[Variant]) -> Variant:
    """Return the variants of a node's groups as one."""
    return Variant(
        {port: layout for part in parts for port, layout in part.layouts.items()},
        tuple(edit for part in parts for edit in part.edits),
        sum(part.cost for part in parts),
    )


def _settled(
    candidates: Candidates, node: ir.Node, variant: Variant, stored: Mapping[ir.Value, PhysicalLayout]
) -> Variant:
    """Return that variant with the layouts of ``variant`` that makes Reshapes, which are copies, the smallest.

    Those are of the operands, and of the results where their dimensions are others than their readers would expect.
    Where it makes no difference, the operands are taken as they are stored: the readers may do so too. Elements
    count and not bytes, lest a QuantizeLinear or Cast look like a better place for a Reshape that need not be.
    """
    rule = candidates.rules[node]
    if rule.required_layout is not None:
        return variant
    sources = {
        port: source
        for port in variant.layouts
        if not (port.result or is_constant(port.value(node)))
        and (source := _uncopied(candidates, port.value(node), variant.mode_order(port), stored)) is not None
    }

    def reshaped(each: Variant) -> tuple[int, int]:
        now = [port for port, source in sources.items() if source.sizes != each.sizes(port)]
        later = [port for port in each.layouts if port.result and each.sizes(port) != variant.sizes(port)]
        sizes = [sum(prod(known_shape(port.value(node))) for port in ports) for ports in (now, later)]
        return sum(sizes), sizes[0]

    best = variant
    for port, source in sources.items():
        layout = candidates.physical_layout(port.value(node), source.mode_order, source.sizes)
        if any(reshaped(best)) and layout is not None and not _is_pooled(source.sizes, layout.shape):
            others = rule.variants(node, port, layout, candidates.known(node))
            same = (o for o in others if all(o.mode_order(p) == variant.mode_order(p) for p in variant.layouts))
            best = min((best, *same), key=reshaped)
    return best


def _uncopied(
    candidates: Candidates, value: ir.Value, order: ModeOrder, stored: Mapping[ir.Value, PhysicalLayout]
) -> PhysicalLayout | None:
    """Return how the root of ``value`` is stored; None where ``value`` has to be copied to have ``layout``."""
    root = candidates.root(value)
    source = stored.get(root) or PhysicalLayout.natural(known_shape(root))
    return source if source.mode_order == candidates.inward(value, order) else None


def _is_pooled(sizes: Shape, shape: Shape) -> bool:
    """Tell whether a tensor of ``shape`` is stored with pooled axes that it lacks: only the pool can drop them."""
    return sizes.count(1) > shape.count(1) + 1


def _cost_before(candidates: Candidates, costs: Costs) -> int:
    """Return what the graph costs as it is: its Transposes, and what operators move inside."""
    natural = (rule.natural(node) for node, rule in candidates.rules.items())
    inside = sum(costs.moved(variant.cost) for variant in natural if variant is not None)
    copies = (
        copy_cost(value, ModeOrder.natural(shape), ModeOrder.of(shape, perm), costs)
        for node in candidates.graph
        if node.outputs[0] in candidates.views and (perm := VIEWS[node.op_type](node)) is not None
        if (value := node.inputs[0]) is not None and (shape := static_shape(value)) is not None
    )
    return inside + sum(cost for cost in copies if cost is not None)
