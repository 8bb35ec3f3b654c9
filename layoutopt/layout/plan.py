"""From a graph to a plan: candidates, the problem, its solution, every storage. Changes nothing in the graph."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import onnx_ir as ir

from layoutopt.ir.perm import Perm
from layoutopt.layout import problem as form
from layoutopt.layout.assign import as_it_was, assign
from layoutopt.layout.costs import BytesMoved, Costs
from layoutopt.layout.layouts import Layout, Shape, Storage, transposition
from layoutopt.layout.problem import Assignment, InfeasibleError, Problem
from layoutopt.layout.rules import VIEWS, LayoutRule, rule_for
from layoutopt.layout.variants import (
    Known,
    Port,
    Variant,
    bits_of,
    blaming,
    is_constant,
    known_shape,
    result,
    static_shape,
)
from layoutopt.layout.views import MAX_COPY_RANK, View, views_of

MAX_LAYOUTS = 64
"""Candidates per value; where there would be more, the optimum is not proved."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Ports that take a layout together, and what there was to choose from.

    Attributes:
        node: whose ports; None for a graph input or output, and for all who want one value natural.
        rule: of the node.
        ports: the ports.
        values: the value at each port.
        layouts: for each variant the layout at each port, in the digits of the root.
        public: whether it is a graph input or output that may change its layout.
    """

    node: ir.Node | None
    rule: LayoutRule | None
    ports: tuple[Port, ...]
    values: tuple[ir.Value, ...]
    layouts: tuple[tuple[Layout, ...], ...]
    public: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What the solver was asked, and what its numbers stand for.

    Attributes:
        problem: the question.
        choices: the groups of the problem.
        roots: the value of each wire of the problem.
        ends: for each wire and each of its ends, the index of the choice and of the port there.
        layouts: for each wire the layouts of its value.
    """

    problem: Problem
    choices: tuple[Choice, ...]
    roots: tuple[ir.Value, ...]
    ends: tuple[tuple[tuple[int, int], ...], ...]
    layouts: tuple[tuple[Layout, ...], ...]


@dataclass(frozen=True)
class Plan:
    """What the solver chose, in the words of the graph.

    Attributes:
        rules: the rule of each node that has one.
        variants: the variant of each node that has a rule, of all its groups together.
        views: the values that hold the bytes of others.
        inputs: the storage of each graph input that may change its layout.
        outputs: the storage of each graph output that may change its layout, by position.
        question: what the solver was asked.
        assignment: cost and proof.
        before: what the graph costs as it is, in the same unit.
        anchors: how many nodes become others because the target runs them in channels-last only.
        inside: what operators move inside.
        left_out: what the Transposes cost that are no views, so that there was nothing to choose.
        unpriced: how many Transposes are of values whose size is not known.
    """

    rules: Mapping[ir.Node, LayoutRule]
    variants: Mapping[ir.Node, Variant]
    views: Mapping[ir.Value, View]
    inputs: Mapping[ir.Value, Storage]
    outputs: Mapping[int, Storage]
    question: Question
    assignment: Assignment
    before: int
    anchors: int
    inside: int
    left_out: int
    unpriced: int

    @property
    def total(self) -> Assignment:
        """Cost and proof of all that moves, Transposes included that the solver was not asked about."""
        asked = self.assignment
        return replace(
            asked,
            cost=asked.cost + self.left_out,
            proved_optimal=asked.proved_optimal and not (self.left_out or self.unpriced),
            inside=self.inside,
            unpriced=self.unpriced,
        )

    def view(self, value: ir.Value) -> View:
        """``value`` as a view of its root, which it may be itself."""
        return self.views.get(value) or View(value)


def make_plan(
    graph: ir.Graph,
    opset: int,
    orders: Mapping[str, Sequence[Perm]],
    *,
    anchors_only: bool = False,
    costs: Costs | None = None,
    assumed: Mapping[ir.Node, LayoutRule] | None = None,
    spelled_out: frozenset[ir.Node] = frozenset(),
) -> Plan:
    """Chooses the layout of the whole graph at once.

    Args:
        graph: the main graph or a body, with static shapes wherever layouts shall be chosen; what has none, and what
            comes from around a body, is pinned to the natural layout.
        opset: version of the default domain.
        orders: for each graph input and output that may change its layout, by name, the orders of its axes that it may
            have; the natural one comes first if it is among them.
        anchors_only: whether all operators but the anchors are pinned to the natural layout.
        costs: what it costs to move data; bytes where None.
        assumed: rules of nodes that have none, to learn what such rules would change.
        spelled_out: those DepthToSpace and SpaceToDepth to take for the Reshape, Transpose, Reshape that they are.

    Returns:
        The cheapest plan.

    Raises:
        PassFailedError: a node is not what its operator asks for, or its rule is wrong; the message names it.
    """
    costs = costs or BytesMoved()
    rules = _rules(graph, opset, assumed or {})
    if anchors_only:
        rules = {node: rule for node, rule in rules.items() if rule.anchor is not None}
    rules = {node: rule for node, rule in rules.items() if node not in spelled_out}
    pinned: set[ir.Node] = set()
    while True:
        views = {} if anchors_only else views_of(graph, pinned, spelled_out)
        search = _Search(graph, rules, views, orders, costs, closed=not anchors_only)
        try:
            search.run()
            problem = search.problem()
            assignment = as_it_was(problem, assign(problem), search.natural_ends())
            return search.plan(problem, _as_proved(assignment, whole=not (search.capped or pinned)))
        except InfeasibleError as error:
            dividing = search.views_at(error.wires) - pinned
            if not dividing:
                raise
            pinned |= dividing  # with a copy on either side there is a way


def _rules(graph: ir.Graph, opset: int, assumed: Mapping[ir.Node, LayoutRule]) -> dict[ir.Node, LayoutRule]:
    rules = {}
    for node in graph:
        with blaming(node):
            if (rule := assumed.get(node) or rule_for(node, opset)) is not None:
                rules[node] = rule
    return rules


def _as_proved(assignment: Assignment, *, whole: bool) -> Assignment:
    """Takes the solver's proof back where candidates were left out."""
    return assignment if whole else replace(assignment, lower_bound=0, proved_optimal=assignment.cost == 0)


@dataclass(eq=False, slots=True)
class _Group:
    """Ports that take a layout together, and the variants found so far.

    Without a rule it is a graph input or output, or whoever wants the natural layout of one value.
    """

    ports: tuple[Port, ...]
    values: tuple[ir.Value, ...]
    node: ir.Node | None = None
    rule: LayoutRule | None = None
    keys: dict[tuple[Layout, ...], int] = field(default_factory=dict)
    variants: list[Variant] = field(default_factory=list)
    public: bool = False


_PUBLIC = result()
"""The one port of a graph input, a graph output, or a pinned end."""


class _Search:
    """Candidates, closed under the rules in both directions. All layouts are told in the digits of the roots."""

    def __init__(
        self,
        graph: ir.Graph,
        rules: Mapping[ir.Node, LayoutRule],
        views: Mapping[ir.Value, View],
        orders: Mapping[str, Sequence[Perm]],
        costs: Costs,
        *,
        closed: bool,
    ) -> None:
        self.capped = False
        self._graph = graph
        self._orders = orders
        self._costs = costs
        self._rules = rules
        self._views = views
        self._closed = closed
        self._layouts: dict[ir.Value, dict[Layout, int]] = defaultdict(dict)
        self._at: dict[ir.Value, list[tuple[_Group, int]]] = defaultdict(list)
        self._sources: dict[ir.Value, tuple[_Group, int]] = {}
        self._groups: list[_Group] = []
        self._of_node: dict[ir.Node, list[_Group]] = defaultdict(list)
        self._inputs: dict[ir.Value, _Group] = {}
        self._outputs: dict[int, _Group] = {}
        self._queue: deque[tuple[ir.Value, Layout]] = deque()

    def run(self) -> None:
        """Finds every group, every variant, every layout."""
        for value in self._graph.inputs:
            if self._is_free(value):
                self._inputs[value] = self._public(value, source=True)
        for node, rule in self._rules.items():
            with blaming(node):
                self._add_node(node, rule)
        for position, value in enumerate(self._graph.outputs):
            if self._is_free(value):
                self._outputs[position] = self._public(value, source=False)
        self._pin_the_rest()
        while self._queue and self._closed:
            self._spread(*self._queue.popleft())

    # --- groups ---

    def _add_node(self, node: ir.Node, rule: LayoutRule) -> None:
        for ports in rule.groups(node):
            group = _Group(ports, tuple(port.value(node) for port in ports), node, rule)
            self._of_node[node].append(group)
            self._register(group, [index for index, port in enumerate(ports) if port.result])
            if (natural := rule.natural(node)) is not None:
                self._add(group, natural)
            else:
                self._anchor(group, node, rule)

    def _anchor(self, group: _Group, node: ir.Node, rule: LayoutRule) -> None:
        """The variants that the target insists on."""
        assert rule.anchor is not None, "its natural form is none that the operator has"
        storage = rule.anchor(node, group.ports[0])
        for variant in rule.variants(node, group.ports[0], storage, lambda _: ()):
            self._add(group, variant)
        if not group.variants:  # each would need two copies, one on either side of the views
            roots = {root for value in group.values if (root := self._root(value)) is not value}
            assert roots, "the target has no layout for it"
            raise InfeasibleError(tuple(index for index, root in enumerate(self._at) if root in roots))

    def _public(self, value: ir.Value, *, source: bool) -> _Group:
        group = _Group((_PUBLIC,), (value,), public=True)
        self._register(group, [0] if source else [])
        shape = known_shape(value)
        for order in self._orders[str(value.name)]:
            self._add(group, Variant({_PUBLIC: Storage.ordered(shape, order)}))
        return group

    def _pin(self, value: ir.Value, *, source: bool) -> None:
        group = _Group((_PUBLIC,), (value,))
        self._register(group, [0] if source else [])
        self._add(group, Variant({_PUBLIC: Storage.natural(known_shape(value))}))

    def _register(self, group: _Group, written: Sequence[int]) -> None:
        self._groups.append(group)
        for index, value in enumerate(group.values):
            self._at[self._root(value)].append((group, index))
            if index in written:
                self._sources[value] = (group, index)

    def _pin_the_rest(self) -> None:
        """Whoever writes or reads a value without a group of its own: pinned nodes and operands, bodies, outputs."""
        covered = {
            (node, port.index)
            for node, groups in self._of_node.items()
            for group in groups
            for port in group.ports
            if not port.result
        } | {(value.producer(), 0) for value in self._views}
        fixed = {id(value) for position, value in enumerate(self._graph.outputs) if position not in self._outputs}
        for value in self._values():
            root = self._root(value)
            if root is value and value not in self._sources and root in self._at:
                self._pin(value, source=True)
            moves = root in self._at or (value in self._views and self._views[value].steps)
            if moves and (id(value) in fixed or any((use.node, use.idx) not in covered for use in value.uses())):
                if root not in self._sources:
                    self._pin(root, source=True)
                self._pin(value, source=False)

    def _values(self) -> Iterator[ir.Value]:
        """The values that can have a layout, those from around a body among them."""
        touched = (value for node in self._graph for value in (*node.inputs, *node.outputs) if value is not None)
        values = dict.fromkeys((*self._graph.inputs, *touched))
        return (value for value in values if static_shape(value) is not None and not is_constant(value))

    def _is_free(self, value: ir.Value) -> bool:
        shape = static_shape(value)
        return (
            value.name in self._orders and shape is not None and not is_constant(value) and not value.is_initializer()
        )

    # --- closure ---

    def _root(self, value: ir.Value) -> ir.Value:
        return self._views[value].root if value in self._views else value

    def _inward(self, value: ir.Value, layout: Layout) -> Layout | None:
        return self._views[value].inward(layout) if value in self._views else layout

    def _storage(self, value: ir.Value, layout: Layout, like: Shape = ()) -> Storage | None:
        """The root's ``layout`` as a storage of ``value``."""
        seen = self._views[value].outward(layout) if value in self._views else layout
        return None if seen is None else Storage.of(known_shape(value), seen, like)

    def _spread(self, root: ir.Value, layout: Layout) -> None:
        """Asks every group at ``root`` what follows from ``layout``."""
        for group, index in self._at[root]:
            if group.rule is None or group.node is None:
                continue
            storage = self._storage(group.values[index], layout)
            if storage is None:
                continue
            with blaming(group.node):
                for variant in group.rule.variants(group.node, group.ports[index], storage, self._known(group.node)):
                    self._add(group, variant)

    def _known(self, node: ir.Node) -> Known:
        """What is known at the ports of ``node``."""

        def known(port: Port) -> Collection[Storage]:
            value = port.value(node)
            found = (self._storage(value, layout) for layout in self._layouts.get(self._root(value), ()))
            return [storage for storage in found if storage is not None]

        return known

    def _add(self, group: _Group, variant: Variant) -> None:
        key = []
        for port, value in zip(group.ports, group.values, strict=True):
            layout = self._inward(value, variant.layout(port))
            if layout is None:
                self.capped = True  # it would take two copies, one on either side of the views
                return
            key.append(layout)
        if tuple(key) in group.keys:
            return
        roots = [self._root(value) for value in group.values]
        new = [(root, layout) for root, layout in zip(roots, key, strict=True) if layout not in self._layouts[root]]
        if group.variants and any(len(self._layouts[root]) >= MAX_LAYOUTS for root, _ in new):
            self.capped = True
            return
        group.keys[tuple(key)] = len(group.variants)
        group.variants.append(variant)
        for root, layout in new:
            if layout not in self._layouts[root]:
                self._layouts[root][layout] = len(self._layouts[root])
                self._queue.append((root, layout))

    # --- the problem ---

    def problem(self) -> Problem:
        """The solvers' form: groups and wires in their order here."""
        index = {id(group): position for position, group in enumerate(self._groups)}
        moved = self._costs.moved
        variants = tuple(tuple(moved(variant.cost) for variant in group.variants) for group in self._groups)
        wires = []
        for root in self._at:
            self._natural_first(root)
            source, *readers = (self._end(root, end, index) for end in self._ends(root))
            wires.append(self._wire(root, source, readers))
        return Problem(variants, tuple(wires))

    def _ends(self, root: ir.Value) -> list[tuple[_Group, int]]:
        """Who writes ``root``, then all who read it."""
        source = self._sources[root]
        return [source, *(end for end in self._at[root] if end != source)]

    def _question(self, problem: Problem) -> Question:
        index = {id(group): position for position, group in enumerate(self._groups)}
        return Question(
            problem,
            tuple([Choice(g.node, g.rule, g.ports, g.values, tuple(g.keys), g.public) for g in self._groups]),
            tuple(self._at),
            tuple([tuple([(index[id(group)], at) for group, at in self._ends(root)]) for root in self._at]),
            tuple([tuple(self._layouts[root]) for root in self._at]),
        )

    def natural_ends(self) -> dict[int, int]:
        """Return the group of each graph input and output that may change, and its natural variant."""
        public = {id(group) for group in (*self._inputs.values(), *self._outputs.values())}
        return {
            position: index
            for position, group in enumerate(self._groups)
            if id(group) in public
            for index, variant in enumerate(group.variants)
            if variant.storages[_PUBLIC].is_natural
        }

    def views_at(self, wires: Collection[int]) -> set[ir.Node]:
        """The nodes that make the views of what is on ``wires``."""
        roots = {root for index, root in enumerate(self._at) if index in wires}
        nodes = (value.producer() for value, view in self._views.items() if view.root in roots)
        return {node for node in nodes if node is not None}

    def _end(self, root: ir.Value, end: tuple[_Group, int], index: Mapping[int, int]) -> form.Port:
        group, position = end
        return form.Port(index[id(group)], tuple(self._layouts[root][key[position]] for key in group.keys))

    def _natural_first(self, root: ir.Value) -> None:
        """Numbers the layouts of ``root`` with the natural one as 0: a minimum cut needs it."""
        layouts = dict.fromkeys((Layout.natural(known_shape(root)), *self._layouts[root]))
        self._layouts[root] = {layout: index for index, layout in enumerate(layouts)}

    def _wire(self, root: ir.Value, source: form.Port, readers: list[form.Port]) -> form.Wire:
        layouts = list(self._layouts[root])
        copies = {
            (i, j): self._copy_cost(root, stored, read)
            for i, stored in enumerate(layouts)
            for j, read in enumerate(layouts)
            if i != j
        }
        forbidden = frozenset(pair for pair, cost in copies.items() if cost is None)
        prices = {pair: cost for pair, cost in copies.items() if cost is not None}
        cost = max(prices.values(), default=0)
        other = {pair: price for pair, price in prices.items() if price != cost}
        return form.Wire(source, tuple(readers), len(layouts), cost, forbidden, other)

    def _copy_cost(self, root: ir.Value, stored: Layout, read: Layout) -> int | None:
        """What the one Transpose from ``stored`` to ``read`` costs; None where the target has none."""
        found = transposition(stored, read)
        return None if found is None or len(found[1]) > MAX_COPY_RANK else self._costs.copy(*found, bits_of(root))

    def _before(self) -> int:
        """What the graph costs as it is: its Transposes, and what operators move inside."""
        natural = (rule.natural(node) for node, rule in self._rules.items())
        inside = sum(self._costs.moved(variant.cost) for variant in natural if variant is not None)
        copies = (
            self._copy_cost(value, Layout.natural(shape), Layout.of(shape, perm))
            for node in self._graph
            if node.outputs[0] in self._views and (perm := _perm(node)) is not None
            if (value := node.inputs[0]) is not None and (shape := static_shape(value)) is not None
        )
        return inside + sum(cost for cost in copies if cost is not None)

    # --- the plan ---

    def plan(self, problem: Problem, assignment: Assignment) -> Plan:
        """Spells the solution out, and gives axes of size 1 the places that need the fewest reshapes."""
        choices = zip(self._groups, assignment.choice, strict=True)
        chosen = {id(group): group.variants[choice] for group, choice in choices}
        inputs = {value: chosen[id(group)].storages[_PUBLIC] for value, group in self._inputs.items()}
        outputs = {position: chosen[id(group)].storages[_PUBLIC] for position, group in self._outputs.items()}
        stored = dict(inputs)
        variants: dict[ir.Node, Variant] = {}
        for node, groups in self._of_node.items():
            variant = _united([chosen[id(group)] for group in groups])
            with blaming(node):
                variants[node] = self._settled(node, variant, stored)
            for port, storage in variants[node].storages.items():
                if port.result:
                    sizes = variants[node].sizes(port)
                    stored[port.value(node)] = Storage.of(storage.shape, storage.layout, sizes) or storage
        anchors = sum(rule.anchor is not None for rule in self._rules.values())
        viewing = [value.producer() for value in self._views]
        anchors += sum(node is not None and node.op_type not in VIEWS for node in viewing)
        question = self._question(problem)
        inside = sum(self._costs.moved(variant.cost) for variant in variants.values())
        left_out = self._left_out()
        return Plan(
            self._rules,
            variants,
            self._views,
            inputs,
            outputs,
            question,
            assignment,
            self._before(),
            anchors,
            inside,
            sum(cost for cost in left_out if cost is not None),
            left_out.count(None),
        )

    def _left_out(self) -> list[int | None]:
        """What each Transpose costs that is no view; None where the size is not known. Of constants, nothing."""
        if not self._closed:
            return []
        found: list[int | None] = []
        for node in self._graph:
            source = node.inputs[0] if node.op_type == "Transpose" and node.domain == "" else None
            if source is None or node.outputs[0] in self._views or is_constant(source):
                continue
            shape, perm = static_shape(source), VIEWS["Transpose"](node)
            if shape is None or perm is None:
                found.append(None)
                continue
            copy = transposition(Layout.natural(shape), Layout.of(shape, perm))
            found.append(0 if copy is None else self._costs.copy(*copy, bits_of(source)))
        return found

    def _settled(self, node: ir.Node, variant: Variant, stored: Mapping[ir.Value, Storage]) -> Variant:
        """Of all variants with the layouts of ``variant``, the one that makes Reshapes, which are copies, the smallest.

        Those are of the operands, and of the results where their dimensions are others than their readers would expect.
        Where it makes no difference, the operands are taken as they are stored: the readers may do so too. Elements
        count and not bytes, lest a QuantizeLinear or Cast look like a better place for a Reshape that need not be.
        """
        if self._rules[node].anchor is not None:
            return variant
        sources = {
            port: source
            for port in variant.storages
            if not (port.result or is_constant(port.value(node)))
            and (source := self._uncopied(port.value(node), variant.layout(port), stored)) is not None
        }

        def reshaped(each: Variant) -> tuple[int, int]:
            now = [port for port, source in sources.items() if source.sizes != each.sizes(port)]
            later = [port for port in each.storages if port.result and each.sizes(port) != variant.sizes(port)]
            sizes = [sum(prod(known_shape(port.value(node))) for port in ports) for ports in (now, later)]
            return sum(sizes), sizes[0]

        best = variant
        for port, source in sources.items():
            storage = self._storage(port.value(node), source.layout, source.sizes)
            if any(reshaped(best)) and storage is not None and not _is_pooled(source.sizes, storage.shape):
                others = self._rules[node].variants(node, port, storage, self._known(node))
                same = (o for o in others if all(o.layout(p) == variant.layout(p) for p in variant.storages))
                best = min((best, *same), key=reshaped)
        return best

    def _uncopied(self, value: ir.Value, layout: Layout, stored: Mapping[ir.Value, Storage]) -> Storage | None:
        """How the root of ``value`` is stored; None where ``value`` has to be copied to have ``layout``."""
        root = self._root(value)
        source = stored.get(root) or Storage.natural(known_shape(root))
        return source if source.layout == self._inward(value, layout) else None


def _perm(node: ir.Node) -> Perm | None:
    """How ``node`` permutes the axes of its operand, if that is all it does."""
    return VIEWS[node.op_type](node) if node.op_type in VIEWS else None


def _is_pooled(sizes: Shape, shape: Shape) -> bool:
    """Whether a tensor of ``shape`` is stored with pooled axes that it lacks: the pool can drop them, nobody later."""
    return sizes.count(1) > shape.count(1) + 1


def _united(parts: list[Variant]) -> Variant:
    """The variants of a node's groups as one."""
    return Variant(
        {port: storage for part in parts for port, storage in part.storages.items()},
        tuple(edit for part in parts for edit in part.edits),
        sum(part.cost for part in parts),
    )
