"""From a graph to a plan: candidates, the problem, its solution, every axis order. Changes nothing in the graph."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from layoutopt.ir.perm import Perm, channels_last, identity
from layoutopt.layout import problem as form
from layoutopt.layout.assign import assign
from layoutopt.layout.layouts import Layout, copy_rank
from layoutopt.layout.problem import Assignment, Problem
from layoutopt.layout.rules import Kind, LayoutRule, anchored, rule_for
from layoutopt.layout.variants import Port, Variant, is_constant, known_shape, size_in_bytes, static_shape

MAX_LAYOUTS = 64
"""Candidates per value; where there would be more, the optimum is not proved."""

MAX_COPY_RANK = 6
"""TFLite's TRANSPOSE takes tensors of at most this rank."""


@dataclass(frozen=True)
class Plan:
    """What the solver chose, in the words of the graph.

    Attributes:
        rules: the rule of each node that has one.
        variants: the variant of each node that has a rule; for an anchor, of its result and its operand together.
        inputs: the axis order of each graph input that may change its layout.
        outputs: the axis order of each graph output that may change its layout, by position.
        assignment: cost and proof.
        anchors: how many nodes become operators of the dialect because the target runs them in channels-last only.
    """

    rules: Mapping[ir.Node, LayoutRule]
    variants: Mapping[ir.Node, Variant]
    inputs: Mapping[ir.Value, Perm]
    outputs: Mapping[int, Perm]
    assignment: Assignment
    anchors: int


def make_plan(graph: ir.Graph, opset: int, free: frozenset[str], *, anchors_only: bool = False) -> Plan:
    """Chooses the layout of the whole graph at once.

    Args:
        graph: with static shapes wherever layouts shall be chosen; what has none is pinned to the natural layout.
        opset: version of the default domain.
        free: names of the graph inputs and outputs that may be natural or channels-last, whichever is cheaper.
        anchors_only: whether all operators but the anchors are pinned to the natural layout.

    Returns:
        The plan with the fewest bytes moved.
    """
    rules = {node: rule for node in graph if (rule := rule_for(node, opset)) is not None and _can_copy(node, rule)}
    if anchors_only:
        rules = {node: rule for node, rule in rules.items() if rule.kind is Kind.ANCHOR}
    search = _Search(graph, rules, free)
    search.run()
    problem, groups = search.problem()
    assignment = _as_proved(assign(problem), _read_twice_of_one_view(graph, rules), capped=search.capped)
    chosen = {id(group): group.variants[v] for group, v in zip(groups, assignment.choice, strict=False)}
    return search.plan(assignment, chosen)


def _as_proved(assignment: Assignment, shared: int, *, capped: bool) -> Assignment:
    """Takes back what the solver's proof does not hold for.

    Args:
        assignment: with the bound of the problem as it was put.
        shared: of how many values that are views of one the same copy may be paid for.
        capped: whether candidates were left out.
    """
    lower_bound = 0 if capped else -(-assignment.lower_bound // max(1, shared))
    proved = assignment.proved_optimal and lower_bound == assignment.cost
    return Assignment(assignment.choice, assignment.cost, lower_bound, proved)


def _read_twice_of_one_view(graph: ir.Graph, rules: Mapping[ir.Node, LayoutRule]) -> int:
    """How many values that hold the same bytes are read more than once, at most.

    Each of them pays for its own copies, although one Transpose may serve several. One that is read once needs none: a
    view takes the copy of what it is a view of.
    """
    roots: dict[ir.Value, ir.Value] = {}
    views = {node for node, rule in rules.items() if rule.kind is Kind.VIEW}
    for node in graph:
        if node in views and (source := node.inputs[0]) is not None:
            roots[node.outputs[0]] = roots.get(source, source)
    read = Counter(
        roots.get(value, value)
        for value in {*roots, *roots.values()}
        if len(value.uses()) + sum(output is value for output in graph.outputs) > 1
    )
    return max(read.values(), default=0)


def _can_copy(node: ir.Node, rule: LayoutRule) -> bool:
    """Whether a natural operand can give a natural result: no copy does what a Transpose of too many axes does."""
    operand, result = rule.ports(node)[0], Port(result=True, index=0)
    if rule.kind is not Kind.VIEW:
        return True
    variant = rule.variant(node, operand, identity(len(known_shape(operand.value(node)))))
    natural = Layout.natural(known_shape(result.value(node)))
    return variant is not None and copy_rank(variant.layout(node, result), natural) <= MAX_COPY_RANK


@dataclass(eq=False, slots=True)
class _Group:
    """Ports that take a layout together, and the variants found so far; no ``node`` for a graph input or output."""

    ports: tuple[Port, ...]
    values: tuple[ir.Value, ...]
    node: ir.Node | None = None
    rule: LayoutRule | None = None
    keys: dict[tuple[Layout, ...], int] = field(default_factory=dict)
    variants: list[Variant] = field(default_factory=list)
    position: int = -1


_PUBLIC = Port(result=True, index=0)
"""The one port of a graph input or output."""


class _Search:
    """Candidates, closed under the rules in both directions."""

    def __init__(self, graph: ir.Graph, rules: Mapping[ir.Node, LayoutRule], free: frozenset[str]) -> None:
        self.graph = graph
        self.capped = False
        self._free = free
        self._rules = rules
        self._layouts: dict[ir.Value, dict[Layout, int]] = defaultdict(dict)
        self._at: dict[ir.Value, list[_Group]] = defaultdict(list)
        self._groups: list[_Group] = []
        self._inputs: dict[ir.Value, _Group] = {}
        self._outputs: dict[int, _Group] = {}
        self._queue: deque[tuple[ir.Value, Layout]] = deque()

    def run(self) -> None:
        """Finds every group, every variant, every layout."""
        for value in self.graph.inputs:
            if self._is_free(value):
                self._inputs[value] = self._public(value)
        for node, rule in self._rules.items():
            self._add_node(node, rule)
        for position, value in enumerate(self.graph.outputs):
            if self._is_free(value):
                self._outputs[position] = self._public(value, position)
        for group in self._groups:
            self._seed(group)
        while self._queue:
            value, layout = self._queue.popleft()
            self._spread(value, layout)

    def _is_free(self, value: ir.Value) -> bool:
        shape = static_shape(value)
        return value.name in self._free and shape is not None and not is_constant(value) and not value.is_initializer()

    def _public(self, value: ir.Value, position: int = -1) -> _Group:
        group = _Group((_PUBLIC,), (value,), position=position)
        self._register(group)
        return group

    def _add_node(self, node: ir.Node, rule: LayoutRule) -> None:
        ports = tuple(p for p in rule.ports(node) if not is_constant(p.value(node)))
        parts = [(port,) for port in ports] if rule.kind is Kind.ANCHOR else [ports]
        for part in parts:
            self._register(_Group(part, tuple(port.value(node) for port in part), node, rule))

    def _register(self, group: _Group) -> None:
        self._groups.append(group)
        for value in dict.fromkeys(group.values):
            self._at[value].append(group)

    def _seed(self, group: _Group) -> None:
        """The variants that a group has by itself."""
        if group.node is None or group.rule is None:
            rank = len(known_shape(group.values[0]))
            for order in (identity(rank), channels_last(rank)):
                self._add(group, Variant({_PUBLIC: order}), (Layout.of(known_shape(group.values[0]), order),))
        elif group.rule.kind is Kind.ANCHOR:
            variant = anchored(group.rule, group.node, group.ports[0])
            self._add(group, variant, (variant.layout(group.node, group.ports[0]),))
        else:
            for port, value in zip(group.ports, group.values, strict=True):
                self._induce(group, port, identity(len(known_shape(value))))

    def _spread(self, value: ir.Value, layout: Layout) -> None:
        """Asks every group at ``value`` what follows from ``layout``."""
        if (order := layout.order(known_shape(value))) is None:
            return
        for group in self._at[value]:
            if group.rule is not None and group.rule.kind is not Kind.ANCHOR:
                for port, at in zip(group.ports, group.values, strict=True):
                    if at is value:
                        self._induce(group, port, order)

    def _induce(self, group: _Group, port: Port, order: Perm) -> None:
        assert group.node is not None
        assert group.rule is not None
        if (variant := group.rule.variant(group.node, port, order)) is not None:
            self._add(group, variant, tuple(variant.layout(group.node, port) for port in group.ports))

    def _add(self, group: _Group, variant: Variant, key: tuple[Layout, ...]) -> None:
        if key in group.keys:
            return
        for value, layout in zip(group.values, key, strict=True):
            known = self._layouts[value]
            if layout not in known and len(known) >= MAX_LAYOUTS:
                self.capped = True
                return
        group.keys[key] = len(group.variants)
        group.variants.append(variant)
        for value, layout in zip(group.values, key, strict=True):
            known = self._layouts[value]
            if layout not in known:
                known[layout] = len(known)
                self._queue.append((value, layout))

    # --- the problem ---

    def problem(self) -> tuple[Problem, list[_Group]]:
        """The solvers' form, and the groups in the order of its leading ``variants``."""
        index = {id(group): position for position, group in enumerate(self._groups)}
        variants = [tuple(variant.cost for variant in group.variants) for group in self._groups]
        wires = []
        for value in list(self._layouts):
            self._natural_first(value)
            source, *readers = self._ends(value, index, variants)
            wires.append(self._wire(value, source, readers))
        return Problem(tuple(variants), tuple(wires)), self._groups

    def _ends(self, value: ir.Value, index: Mapping[int, int], variants: list[tuple[int, ...]]) -> Iterator[form.Port]:
        """Who writes ``value``, then who reads it; ends without a group are pinned to the natural layout."""
        source: form.Port | None = None
        readers: list[form.Port] = []
        covered = set()
        for group in self._at[value]:
            for position, (port, at) in enumerate(zip(group.ports, group.values, strict=True)):
                if at is not value:
                    continue
                end = form.Port(index[id(group)], tuple(self._layouts[value][key[position]] for key in group.keys))
                if self._writes(group, port, value):
                    source = end
                else:
                    readers.append(end)
                    covered.add((group.node, port.index) if group.node is not None else group.position)
        if source is None or self._uncovered(value, covered):
            variants.append((0,))
            pinned = form.Port(len(variants) - 1, (0,))
            source = source or pinned
            if self._uncovered(value, covered):
                readers.append(pinned)
        yield source
        yield from readers

    def _natural_first(self, value: ir.Value) -> None:
        """Numbers the layouts of ``value`` with the natural one as 0: pinned ends name it, a minimum cut needs it."""
        found = self._layouts[value]
        layouts = dict.fromkeys((Layout.natural(known_shape(value)), *found))
        self._layouts[value] = {layout: index for index, layout in enumerate(layouts)}

    def _writes(self, group: _Group, port: Port, value: ir.Value) -> bool:
        return group is self._inputs.get(value) if group.node is None else port.result

    def _uncovered(self, value: ir.Value, covered: Iterable[object]) -> bool:
        """Whether anybody reads ``value`` without a group: a pinned node or operand, a body, an output."""
        uses = {(use.node, use.idx) for use in value.uses()} | {
            position for position, output in enumerate(self.graph.outputs) if output is value
        }
        return bool(uses - set(covered))

    def _wire(self, value: ir.Value, source: form.Port, readers: list[form.Port]) -> form.Wire:
        layouts = list(self._layouts[value])
        forbidden = frozenset(
            (i, j)
            for i, stored in enumerate(layouts)
            for j, read in enumerate(layouts)
            if i != j and copy_rank(stored, read) > MAX_COPY_RANK
        )
        return form.Wire(source, tuple(readers), len(layouts), size_in_bytes(value), forbidden)

    # --- the plan ---

    def plan(self, assignment: Assignment, chosen: Mapping[int, Variant]) -> Plan:
        """Spells the solution out, and gives axes of size 1 the places that need the fewest reshapes."""
        inputs = {value: chosen[id(group)].orders[_PUBLIC] for value, group in self._inputs.items()}
        outputs = {position: chosen[id(group)].orders[_PUBLIC] for position, group in self._outputs.items()}
        by_node: dict[ir.Node, list[Variant]] = defaultdict(list)
        for group in self._groups:
            if group.node is not None:
                by_node[group.node].append(chosen[id(group)])
        stored = dict(inputs)
        variants: dict[ir.Node, Variant] = {}
        for node in self.graph:
            if (rule := self._rules.get(node)) is None:
                continue
            variants[node] = (
                _united(by_node[node]) if rule.kind is Kind.ANCHOR else _settled(node, rule, by_node[node][0], stored)
            )
            for port, order in variants[node].orders.items():
                if port.result:
                    stored[port.value(node)] = order
        anchors = sum(rule.kind is Kind.ANCHOR for rule in self._rules.values())
        return Plan(self._rules, variants, inputs, outputs, assignment, anchors)


def _united(parts: list[Variant]) -> Variant:
    """The variants of an anchor's groups as one."""
    return Variant(
        {port: order for part in parts for port, order in part.orders.items()},
        tuple(edit for part in parts for edit in part.edits),
    )


def _settled(node: ir.Node, rule: LayoutRule, variant: Variant, stored: Mapping[ir.Value, Perm]) -> Variant:
    """Of all variants with the layouts of ``variant``, one that takes an operand just as it is stored."""
    for port in variant.orders:
        value = port.value(node)
        if port.result or is_constant(value):
            continue
        order = stored.get(value, identity(len(known_shape(value))))
        other = rule.variant(node, port, order)
        if other is not None and all(variant.layout(node, port) == other.layout(node, port) for port in variant.orders):
            return other
    return variant
