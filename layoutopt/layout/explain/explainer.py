"""The reason for every transpose that is left: operators that need the layouts on either side."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

import onnx_ir as ir

from layoutopt.ir.counts import bytes_transposed
from layoutopt.ir.values import known_shape, size_in_bytes
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.algebra.transposition import route
from layoutopt.layout.explain.certificate import part_proof
from layoutopt.layout.explain.conflicts import ConflictSearch, Frontier
from layoutopt.layout.explain.explanation import Copy, Explanation, InternalMovement, KeptTranspose, TransposeSide
from layoutopt.layout.explain.layout_names import layout_words
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.rules import matmul, propagation, spatial
from layoutopt.layout.rules.applicability import objection
from layoutopt.layout.rules.internal_costs import InternalCost, interleaving, last_axis_only
from layoutopt.layout.rules.matmul import product_form
from layoutopt.layout.rules.propagation import Propagation
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.variants import Port
from layoutopt.layout.solver.problem import net_copies


def explain(opset: int, plans: Mapping[ir.Graph, Plan]) -> Explanation:
    """Explain plans.

    Args:
        opset: version of the default domain.
        plans: of a graph and the bodies in it, as `make_plan` returned them; the graphs are unchanged since.
    """
    whole = Explanation((), (), (), ())
    for graph, plan in plans.items():
        found = _Explainer(graph, opset, plan, len(whole.parts)).explanation()
        copies = sorted(whole.copies + found.copies, key=lambda copy: (-copy.cost, copy.value))
        whole = Explanation(
            tuple(copies), whole.inside + found.inside, whole.kept + found.kept, whole.parts + found.parts
        )
    return whole


def label(node: ir.Node) -> str:
    """Name an operator by type and name, or by its result where it has no name."""
    return f"{node.op_type} {node.name or node.outputs[0].name}"


class _Explainer:
    """Put the numbers of the solver back into the words of the graph."""

    def __init__(self, graph: ir.Graph, opset: int, plan: Plan, known_parts: int) -> None:
        self._graph = graph
        self._opset = opset
        self._plan = plan
        self._encoded = plan.encoded
        self._chosen = plan.assignment.choice
        self._ways = ConflictSearch(plan.encoded, plan.assignment.choice)
        costly = [part for part in plan.assignment.parts if part.assignment.cost]
        self._parts = dict(enumerate(costly, start=known_parts + 1))
        self._part_of = {group: n for n, part in self._parts.items() for group in part.component.groups}

    def explanation(self) -> Explanation:
        """Return all there is to say."""
        proofs = tuple(part_proof(number, part) for number, part in self._parts.items())
        return Explanation(tuple(self._copies()), tuple(self._inside()), tuple(self._kept()), proofs)

    def _copies(self) -> Iterator[Copy]:
        for index, net in enumerate(self._encoded.problem.nets):
            for stored, read in sorted(net_copies(net, self._chosen)):
                yield self._copy(index, stored, read, net.copy_cost(stored, read))

    def _copy(self, net: int, stored: int, read: int, cost: int) -> Copy:
        root = self._encoded.roots[net]
        layouts = self._encoded.layouts[net]
        values = [self._encoded.groups[choice].values[port] for choice, port in self._encoded.ends[net]]
        words = layout_words((layouts[stored], layouts[read]), dict.fromkeys(map(known_shape, (root, *values))))
        written, who_writes = self._side(net, stored, read, words[0])
        reading, who_reads = self._side(net, read, stored, words[1])
        part = next((self._part_of[group] for group, _ in self._encoded.ends[net] if group in self._part_of), 0)
        shape, dtype = known_shape(root), str(root.dtype.numpy()) if root.dtype else ""
        size, operators = size_in_bytes(root), who_writes | who_reads
        steps = len(route(layouts[stored], layouts[read]))
        return Copy(str(root.name), shape, dtype, size, cost, steps, part, written, reading, operators)

    def _side(self, net: int, carried: int, wanted: int, layout: str) -> tuple[TransposeSide, frozenset[str]]:
        """Return one side of a copy, and the operators without a rule that it ends at."""
        ends = [self._who(choice) for choice, _ in self._ways.ends(net, carried)]
        frontier = self._ways.nearest(net, carried, wanted)
        frontiers = [choice for choice, _ in self._ways.ends(net, carried)] + ([frontier.choice] if frontier else [])
        unruled = frozenset(node.op_type for choice in frontiers for node in self._unruled(choice))
        if frontier is None:
            return TransposeSide(layout, tuple(ends), (), "", "it costs less here than anywhere else"), unruled
        through = tuple(self._who(choice) for choice in frontier.path)
        return TransposeSide(layout, tuple(ends), through, self._who(frontier.choice), self._why(frontier)), unruled

    # --- who ---

    def _who(self, index: int) -> str:
        """Return a choice in words."""
        choice = self._encoded.groups[index]
        if choice.node is not None:
            return label(choice.node)
        value = choice.values[0]
        if self._ways.writes(index):
            producer = value.producer()
            return f"input {value.name}" if producer is None else label(producer)
        if choice.public:
            return f"output {value.name}"
        readers = [label(node) for node, _ in self._natural_readers(value)]
        return ", ".join(dict.fromkeys((*readers, *([f"output {value.name}"] if self._is_kept(value) else []))))

    def _unruled(self, index: int) -> Iterator[ir.Node]:
        """Yield the operators without a rule at a choice that stands for a value in logical order."""
        choice = self._encoded.groups[index]
        if choice.node is not None or choice.public:
            return
        value = choice.values[0]
        nodes = [node for node, _ in self._natural_readers(value)]
        for node in [value.producer()] if self._ways.writes(index) else nodes:
            if node is not None and node not in self._plan.rules and node.op_type not in VIEWS:
                yield node

    @cached_property
    def _covered(self) -> Collection[tuple[ir.Node | None, int]]:
        """Return the operands that have a layout of their own."""
        choices = (choice for choice in self._encoded.groups if choice.node is not None)
        ports = {(c.node, port.index) for c in choices for port in c.ports if not port.result}
        return ports | {(value.producer(), 0) for value in self._plan.views}

    def _natural_readers(self, value: ir.Value) -> list[tuple[ir.Node, int]]:
        return [(use.node, use.idx) for use in value.uses() if (use.node, use.idx) not in self._covered]

    def _is_kept(self, value: ir.Value) -> bool:
        """Return whether ``value`` is a graph output whose layout is not to be chosen."""
        positions = (at for at, output in enumerate(self._graph.outputs) if output is value)
        return any(position not in self._plan.outputs for position in positions)

    # --- why ---

    def _why(self, frontier: Frontier) -> str:
        choice = self._encoded.groups[frontier.choice]
        if frontier.variants:
            return f"the other layout costs more inside: {_inside(choice.rule)}"
        if choice.node is not None and choice.rule is not None:
            wanted = min(frontier.wanted)
            layout = self._encoded.layouts[frontier.net][wanted]
            return self._why_ruled(choice.node, choice.rule, choice.ports[frontier.port], layout)
        value = choice.values[0]
        if choice.public:
            return "natural or channels-last only" if len(choice.layouts) > 1 else "its layout was asked for"
        if self._ways.writes(frontier.choice):
            producer = value.producer()
            if producer is not None and producer.graph is not self._graph:
                return "from around the body, where it is natural"
            return "its layout is kept" if producer is None else self._why_unruled(producer)
        reasons = [self._why_reader(node, index) for node, index in self._natural_readers(value)]
        return ", ".join(dict.fromkeys((*reasons, *(["its layout is kept"] if self._is_kept(value) else []))))

    def _why_ruled(self, node: ir.Node, rule: LayoutRule, port: Port, order: ModeOrder) -> str:
        """Return why ``node`` has no variant with the root's ``order`` at ``port``."""
        value = port.value(node)
        seen = self._plan.view(value).outward(order)
        layout = None if seen is None else PhysicalLayout.of(known_shape(value), seen)
        if rule.required_layout is not None:
            last = layout is not None and _is_channels_last(layout)
            return _CHANNELS if last else f"TFLite runs {node.op_type} channels-last only"
        if layout is None:
            return f"the layout cuts through the axes of {value.name}"
        return _PROPAGATION_REASONS.get(rule.propagate, f"{node.op_type} cannot run in the other layout")

    def _why_reader(self, node: ir.Node, index: int) -> str:
        if node.graph is not self._graph:
            return "in a body of If, Loop or Scan, which sees values in the natural layout"
        if node in self._plan.rules:
            return f"{node.op_type} takes operand {index} in the natural layout"
        return self._why_unruled(node)

    def _why_unruled(self, node: ir.Node) -> str:
        return objection(node, self._opset)

    # --- what else moves ---

    def _inside(self) -> Iterator[InternalMovement]:
        costs = self._encoded.problem.variants
        for index, choice in enumerate(self._encoded.groups):
            if choice.node is not None and (cost := costs[index][self._chosen[index]]):
                yield InternalMovement(label(choice.node), cost, self._part_of.get(index, 0), _inside(choice.rule))

    def _kept(self) -> Iterator[KeptTranspose]:
        for node in self._plan.unpriced:
            yield KeptTranspose(label(node), bytes_transposed(node), "its shape is not known")


_INTERNAL_COST_REASONS: Mapping[InternalCost | None, str] = {
    last_axis_only: "TFLite runs it on the last axis only",
    interleaving: "the pieces that it joins or cuts are short",
    product_form: "its product of matrices takes longer in that form",
}
"""The reasons for which operators move data inside, by the internal costs of their rules."""


_CHANNELS = "it cannot have its rows or channels in that order"


_WHOLE = "an axis that it joins, cuts or works along would not lie in one piece"


_PROPAGATION_REASONS: Mapping[Propagation, str] = {
    propagation.aligned: _WHOLE,
    propagation.gathering: _WHOLE,
    propagation.inserting: _WHOLE,
    propagation.reduction: _WHOLE,
    propagation.normalized: "the axes that it normalizes would not lie innermost",
    propagation.per_matrix: "its matrices would not lie innermost",
    spatial.per_channel: "TFLite runs it natural or channels-last only",
    matmul.matmul: "no matrix product has its axes in the order of the other layout",
}
"""The reasons for which operators cannot have a layout, by the propagations of their rules."""


def _inside(rule: LayoutRule | None) -> str:
    return _INTERNAL_COST_REASONS.get(rule.internal_cost if rule else None, "the operator moves its data")


def _is_channels_last(layout: PhysicalLayout) -> bool:
    """Return whether all channels lie innermost, in whatever order they and the rows are."""
    last = layout.dims[-1]
    return last.axis == spatial.CHANNEL and last.size == layout.shape[spatial.CHANNEL]
