"""From the solver's assignment to a plan: the physical layout at every port. Edits belong to the pass."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

from layoutopt.ir.perm import Perm
from layoutopt.ir.values import Shape, is_constant, known_shape
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.costs.objectives import NOTHING, Costs
from layoutopt.layout.plan.candidates import BOUNDARY, Candidates
from layoutopt.layout.plan.encoding import Copies, EncodedProblem, copies_cost, copies_of, hops
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.variants import Variant, node_context
from layoutopt.layout.rules.views import View
from layoutopt.layout.solver.problem import Assignment


@dataclass(frozen=True)
class Plan:
    """The choice of the solver, in terms of the graph.

    Attributes:
        rules: the rule of each node that has one.
        variants: the variant of each node that has a rule, of all its groups together.
        views: the values that hold the bytes of others.
        links: the views whose values do not, as told in `LINK`.
        inputs: the physical layout of each graph input that may change its layout.
        outputs: the physical layout of each graph output that may change its layout, by position.
        encoded: what the solver was asked.
        assignment: cost and proof.
        copies: the Transposes that it takes.
        before: what the graph costs as it is, in the same unit.
        oversized: whether a Transpose of the graph has more axes than one may have.
        sensitive: how many nodes become others because the target runs them in channels-last only.
        inside: what operators move inside.
        unpriced: the Transposes of values whose size is not known.
        crossed: whether tensors may cross the border of a body somewhere in the model.
        apart: the nodes whose results are no views, so that there may be a copy on either side of them.
        spelled_out: those DepthToSpace and SpaceToDepth that are taken for Reshape, Transpose, Reshape.
    """

    rules: Mapping[ir.Node, LayoutRule]
    variants: Mapping[ir.Node, Variant]
    views: Mapping[ir.Value, View]
    links: Collection[ir.Node]
    inputs: Mapping[ir.Value, PhysicalLayout]
    outputs: Mapping[int, PhysicalLayout]
    encoded: EncodedProblem
    assignment: Assignment
    copies: Copies
    before: int
    oversized: bool
    sensitive: int
    inside: int
    unpriced: Sequence[ir.Node]
    crossed: bool = False
    apart: frozenset[ir.Node] = frozenset()
    spelled_out: frozenset[ir.Node] = frozenset()

    @property
    def total(self) -> Assignment:
        """Cost and proof of all that moves.

        Nothing is proved beside Transposes of unknown size, which are told, or next to the border of a body: what
        crosses it is natural, but a Transpose on either side may undo one on the other.
        """
        asked = self.assignment
        if self.crossed and asked.cost:
            asked = replace(asked, lower_bound=0, proved_optimal=False)
        proved = asked.proved_optimal and not self.unpriced
        return replace(asked, proved_optimal=proved, inside=self.inside, unpriced=len(self.unpriced))

    @property
    def transposes(self) -> int:
        """Return how many Transposes there are afterwards, without those of constants and of unknown size."""
        return sum(map(len, self.copies.values()))

    def view(self, value: ir.Value) -> View:
        """Return ``value`` as a view of its root, which it may be itself."""
        return self.views.get(value) or View(value)


def decode(
    candidates: Candidates, encoded: EncodedProblem, assignment: Assignment, costs: Costs, *, sensitive_only: bool
) -> Plan:
    """Return the plan that ``assignment`` stands for, with axes of size 1 where they need the fewest Reshapes.

    Args:
        candidates: what there was to choose from.
        encoded: the same as the solver was asked it.
        assignment: what it chose.
        costs: of what is moved.
        sensitive_only: whether Transposes of the model are none of the plan's business.

    Raises:
        PassFailedError: a rule is wrong; the message names the node.
    """
    choices = zip(candidates.groups, assignment.choice, strict=True)
    chosen = {id(group): group.variants[choice] for group, choice in choices}
    inputs = {value: chosen[id(group)].layouts[BOUNDARY] for value, group in candidates.inputs.items()}
    outputs = {position: chosen[id(group)].layouts[BOUNDARY] for position, group in candidates.outputs.items()}
    stored = dict(inputs)
    variants: dict[ir.Node, Variant] = {}
    for node in (node for node in candidates.graph if node in candidates.of_node):
        variant = _united([chosen[id(group)] for group in candidates.of_node[node]])
        with node_context(node):
            variants[node] = _settled(candidates, node, variant, stored)
        for port, layout in variants[node].layouts.items():
            if port.result:
                sizes = variants[node].sizes(port)
                stored[port.value(node)] = PhysicalLayout.of(layout.shape, layout.mode_order, sizes) or layout
    rules, views = candidates.rules, candidates.views
    sensitive = sum(rule.required_layout is not None for rule in rules.values())
    viewing = [value.producer() for value in views]
    sensitive += sum(node is not None and node.op_type not in VIEWS for node in viewing)
    before = list(_copies_before(candidates))
    inside = sum(each[at] for each, at in zip(encoded.problem.variants, assignment.choice, strict=True))
    return Plan(
        *(rules, variants, views, candidates.links, inputs, outputs, encoded, assignment),
        copies=copies_of(encoded, assignment.choice),
        before=_inside_before(candidates, encoded) + sum(copies_cost(each, costs) for each in before),
        oversized=any(len(made) > 1 for each in before for made in each.values()),
        sensitive=sensitive,
        inside=inside,
        unpriced=() if sensitive_only else tuple(filter(candidates.is_unknown, candidates.graph)),
    )


def _united(parts: list[Variant]) -> Variant:
    """Return the variants of a node's groups as one."""
    return Variant(
        {port: layout for part in parts for port, layout in part.layouts.items()},
        tuple(edit for part in parts for edit in part.edits),
        next((part.inner for part in parts if part.inner is not NOTHING), NOTHING),
    )


def _settled(
    candidates: Candidates, node: ir.Node, variant: Variant, stored: Mapping[ir.Value, PhysicalLayout]
) -> Variant:
    """Return that variant with the layouts of ``variant`` that makes Reshapes, which are copies, the smallest.

    Those are of the operands, and of the results where their dimensions are others than their readers would expect.
    Where it makes no difference, the operands are taken as they are stored: the readers may do so too. Elements
    count and not bytes, or a QuantizeLinear or Cast would look like a better place for a Reshape that need not be.
    """
    rule = candidates.rules.get(node)
    if rule is None or rule.required_layout is not None or rule.separate(node):
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


def _inside_before(candidates: Candidates, encoded: EncodedProblem) -> int:
    """Return what operators do inside in their natural form."""
    groups = zip(candidates.groups, encoded.problem.variants, strict=True)
    return sum(each[0] for group, each in groups if group.rule is not None and group.rule.required_layout is None)


def _copies_before(candidates: Candidates) -> Iterator[Copies]:
    """Yield the Transposes that each Transpose of the graph takes."""
    for node in candidates.graph:
        value, perm = node.inputs[0] if node.inputs else None, _perm(node)
        if value is None or perm is None or not (node.outputs[0] in candidates.views or node in candidates.links):
            continue
        shape = known_shape(value)
        yield {value: hops(ModeOrder.natural(shape), [ModeOrder.of(shape, perm)])}


def _perm(node: ir.Node) -> Perm | None:
    """Return how ``node`` permutes the axes of its operand, if that is all it does."""
    return VIEWS[node.op_type](node) if node.op_type in VIEWS else None
