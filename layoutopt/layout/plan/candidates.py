"""The candidates: every group of ports with its variants, closed under the rules in both directions.

All layouts are told in the modes of the roots. What the solver is asked about them belongs to `encoding`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from layoutopt.errors import LayoutoptError
from layoutopt.ir.perm import Perm
from layoutopt.ir.values import Shape, is_constant, known_shape, static_shape
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import Known, Port, Variant, node_context, result
from layoutopt.layout.rules.views import LINK, View

MAX_LAYOUTS = 64
"""Candidates per value; where there would be more, the optimum is not proved."""

BOUNDARY = result()
"""The one port of a graph input, a graph output, or a layout-fixed end."""


@dataclass(eq=False, slots=True)
class CandidateGroup:
    """Ports that take a layout together, and the variants found so far.

    Without a rule it is a graph input or output, or all that need one value in the natural layout.

    Attributes:
        ports: the ports.
        values: the value at each port.
        node: whose ports; None without a rule.
        rule: of the node.
        keys: the index of each variant, by the layout at each port.
        variants: in the order in which they were found.
        public: whether it is a graph input or output that may change its layout.
    """

    ports: tuple[Port, ...]
    values: tuple[ir.Value, ...]
    node: ir.Node | None = None
    rule: LayoutRule | None = None
    keys: dict[tuple[ModeOrder, ...], int] = field(default_factory=dict)
    variants: list[Variant] = field(default_factory=list)
    public: bool = False


class DividedError(LayoutoptError):
    """A layout that an operator needs is none that the roots of its views can have.

    Args:
        roots: of these views.
    """

    def __init__(self, roots: Collection[ir.Value]) -> None:
        names = ", ".join(str(root.name) for root in roots)
        super().__init__(f"no layout of {names} is the one that is needed", hint="Please report the model.")
        self.roots = roots


End = tuple[CandidateGroup, int]
"""A group and the index of one of its ports."""


@dataclass(eq=False, slots=True)
class Candidates:
    """The groups of a graph, their variants, and the layouts of every root.

    Attributes:
        graph: the graph.
        rules: the rule of each node that has one.
        views: the values that hold the bytes of others.
        links: the views among the nodes whose values do not, as told in `LINK`.
        groups: in the order in which they were found.
        layouts: the layouts of each root, with their numbers.
        ends: who writes or reads each root.
        sources: who writes each value.
        of_node: the groups of each node.
        inputs: the group of each graph input that may change its layout.
        outputs: the group of each graph output that may change its layout, by position.
        capped: whether candidates were left out, so that the optimum among them need not be that of all.
        divided: the roots of views in layouts that the roots cannot have; these are left out as well.
    """

    graph: ir.Graph
    rules: Mapping[ir.Node, LayoutRule]
    views: Mapping[ir.Value, View] = field(default_factory=dict)
    links: Collection[ir.Node] = ()
    groups: list[CandidateGroup] = field(default_factory=list)
    layouts: dict[ir.Value, dict[ModeOrder, int]] = field(default_factory=lambda: defaultdict(dict))
    ends: dict[ir.Value, list[End]] = field(default_factory=lambda: defaultdict(list))
    sources: dict[ir.Value, End] = field(default_factory=dict)
    of_node: dict[ir.Node, list[CandidateGroup]] = field(default_factory=lambda: defaultdict(list))
    inputs: dict[ir.Value, CandidateGroup] = field(default_factory=dict)
    outputs: dict[int, CandidateGroup] = field(default_factory=dict)
    capped: bool = False
    divided: set[ir.Value] = field(default_factory=set)

    def root(self, value: ir.Value) -> ir.Value:
        """Return the value whose bytes ``value`` holds, which it may be itself."""
        return self.views[value].root if value in self.views else value

    def inward(self, value: ir.Value, order: ModeOrder) -> ModeOrder | None:
        """Return the layout of the root where ``value`` has ``layout``; None where no single Transpose makes it."""
        return self.views[value].inward(order) if value in self.views else order

    def physical_layout(self, value: ir.Value, order: ModeOrder, like: Shape = ()) -> PhysicalLayout | None:
        """Return how ``value`` lies under the root's ``order``; None where a mode straddles two of its axes."""
        seen = self.views[value].outward(order) if value in self.views else order
        return None if seen is None else PhysicalLayout.of(known_shape(value), seen, like)

    def known(self, node: ir.Node) -> Known:
        """Return the function that gives the physical layouts found so far at a port of ``node``."""

        def known(port: Port) -> Collection[PhysicalLayout]:
            value = port.value(node)
            found = (self.physical_layout(value, order) for order in self.layouts.get(self.root(value), ()))
            return [layout for layout in found if layout is not None]

        return known

    def source_and_readers(self, root: ir.Value) -> list[End]:
        """Return who writes ``root``, then all who read it."""
        source = self.sources[root]
        return [source, *(end for end in self.ends[root] if end != source)]

    def is_unknown(self, node: ir.Node) -> bool:
        """Return whether ``node`` is a Transpose of which the choice knows nothing, as its size is not known."""
        if node.op_type != "Transpose" or node.domain != "" or (source := node.inputs[0]) is None:
            return False
        return not (node.outputs[0] in self.views or node in self.links or is_constant(source))

    def views_at(self, roots: Collection[ir.Value]) -> set[ir.Node]:
        """Return the nodes that make the views of ``roots``."""
        nodes = (value.producer() for value, view in self.views.items() if view.root in roots)
        return {node for node in nodes if node is not None}


def find_candidates(candidates: Candidates, orders: Mapping[str, Sequence[Perm]], *, closed: bool = True) -> None:
    """Find every group, every variant and every layout.

    Args:
        candidates: has no groups yet; gets all.
        orders: for each graph input and output that may change its layout, by name, the orders of its axes.
        closed: whether layouts spread from operator to operator.

    Raises:
        DividedError: an operator can have no layout because of views.
        PassFailedError: a node is not what its operator asks for, or its rule is wrong.
    """
    _Closure(candidates, orders).run(closed=closed)


class _Closure:
    """Add groups and variants to candidates until the rules give no further ones."""

    def __init__(self, candidates: Candidates, orders: Mapping[str, Sequence[Perm]]) -> None:
        self._found = candidates
        self._orders = orders
        self._queue: deque[tuple[ir.Value, ModeOrder]] = deque()

    def run(self, *, closed: bool) -> None:
        """Do all of it."""
        found = self._found
        for value in found.graph.inputs:
            if self._is_free(value):
                found.inputs[value] = self._add_public(value, source=True)
        for node, rule in found.rules.items():
            with node_context(node):
                self._add_node(node, rule)
        for node in found.links:
            with node_context(node):
                self._add_link(node)
        for position, value in enumerate(found.graph.outputs):
            if self._is_free(value):
                found.outputs[position] = self._add_public(value, source=False)
        self._fix_the_rest()
        while self._queue and closed:
            self._spread(*self._queue.popleft())
        for root in found.ends:
            self._number_natural_first(root)

    def _is_free(self, value: ir.Value) -> bool:
        shape = static_shape(value)
        return (
            value.name in self._orders and shape is not None and not is_constant(value) and not value.is_initializer()
        )

    # --- groups ---

    def _add_node(self, node: ir.Node, rule: LayoutRule) -> None:
        for ports in rule.groups(node):
            group = self._add_group(node, rule, ports)
            if (natural := rule.natural(node, ports)) is not None:
                self._add(group, natural)
            else:
                self._add_required(group, node, rule)

    def _add_link(self, node: ir.Node) -> None:
        """Add the variants in which one of both sides is natural; others follow from the layouts around it."""
        group = self._add_group(node, LINK, LINK.ports(node))
        for port in group.ports:
            for variant in LINK.variants(node, port, PhysicalLayout.natural(port.shape(node)), lambda _: ()):
                self._add(group, variant)

    def _add_group(self, node: ir.Node, rule: LayoutRule, ports: tuple[Port, ...]) -> CandidateGroup:
        group = CandidateGroup(ports, tuple(port.value(node) for port in ports), node, rule)
        self._found.of_node[node].append(group)
        self._register(group, [index for index, port in enumerate(ports) if port.result])
        return group

    def _add_required(self, group: CandidateGroup, node: ir.Node, rule: LayoutRule) -> None:
        """Add the variants of a layout-sensitive operator, which the target has in one layout only."""
        assert rule.required_layout is not None, "its natural form is none that the operator has"
        layout = rule.required_layout(node, group.ports[0])
        for variant in rule.variants(node, group.ports[0], layout, lambda _: ()):
            self._add(group, variant)
        if not group.variants:  # each would need two copies, one on either side of the views
            roots = {root for value in group.values if (root := self._found.root(value)) is not value}
            assert roots, "the target has no layout for it"
            raise DividedError(roots)

    def _add_public(self, value: ir.Value, *, source: bool) -> CandidateGroup:
        group = CandidateGroup((BOUNDARY,), (value,), public=True)
        self._register(group, [0] if source else [])
        shape = known_shape(value)
        for order in self._orders[str(value.name)]:
            self._add(group, Variant({BOUNDARY: PhysicalLayout.ordered(shape, order)}))
        return group

    def _add_fixed(self, value: ir.Value, *, source: bool) -> None:
        group = CandidateGroup((BOUNDARY,), (value,))
        self._register(group, [0] if source else [])
        self._add(group, Variant({BOUNDARY: PhysicalLayout.natural(known_shape(value))}))

    def _register(self, group: CandidateGroup, written: Sequence[int]) -> None:
        self._found.groups.append(group)
        for index, value in enumerate(group.values):
            self._found.ends[self._found.root(value)].append((group, index))
            if index in written:
                self._found.sources[value] = (group, index)

    def _fix_the_rest(self) -> None:
        """Add a group for whatever writes or reads a value without one: layout-fixed nodes, bodies, graph outputs."""
        found = self._found
        covered = {
            (node, port.index)
            for node, groups in found.of_node.items()
            for group in groups
            for port in group.ports
            if not port.result
        } | {(value.producer(), 0) for value in found.views}
        fixed = {id(value) for position, value in enumerate(found.graph.outputs) if position not in found.outputs}
        for value in self._values():
            root = found.root(value)
            if root is value and value not in found.sources and root in found.ends:
                self._add_fixed(value, source=True)
            moves = root in found.ends or (value in found.views and found.views[value].steps)
            if moves and (id(value) in fixed or any((use.node, use.idx) not in covered for use in value.uses())):
                if root not in found.sources:
                    self._add_fixed(root, source=True)
                self._add_fixed(value, source=False)

    def _values(self) -> Iterator[ir.Value]:
        """Yield the values that can have a layout, those from around a body among them."""
        graph = self._found.graph
        touched = (value for node in graph for value in (*node.inputs, *node.outputs) if value is not None)
        values = dict.fromkeys((*graph.inputs, *touched))
        return (value for value in values if static_shape(value) is not None and not is_constant(value))

    # --- variants ---

    def _spread(self, root: ir.Value, order: ModeOrder) -> None:
        """Ask every group at ``root`` what follows from ``layout``."""
        found = self._found
        for group, index in found.ends[root]:
            if group.rule is None or group.node is None:
                continue
            layout = found.physical_layout(group.values[index], order)
            if layout is None:
                continue
            with node_context(group.node):
                for variant in group.rule.variants(group.node, group.ports[index], layout, found.known(group.node)):
                    self._add(group, variant)

    def _add(self, group: CandidateGroup, variant: Variant) -> None:
        found, key = self._found, []
        for port, value in zip(group.ports, group.values, strict=True):
            order = found.inward(value, variant.mode_order(port))
            if order is None:
                found.divided.add(found.root(value))
                return
            key.append(order)
        if tuple(key) in group.keys:
            return
        roots = [found.root(value) for value in group.values]
        new = [(root, order) for root, order in zip(roots, key, strict=True) if order not in found.layouts[root]]
        if group.variants and any(len(found.layouts[root]) >= MAX_LAYOUTS for root, _ in new):
            found.capped = True
            return
        group.keys[tuple(key)] = len(group.variants)
        group.variants.append(variant)
        for root, order in new:
            if order not in found.layouts[root]:
                found.layouts[root][order] = len(found.layouts[root])
                self._queue.append((root, order))

    def _number_natural_first(self, root: ir.Value) -> None:
        """Give the natural layout of ``root`` the number 0, which a minimum cut needs."""
        layouts = dict.fromkeys((ModeOrder.natural(known_shape(root)), *self._found.layouts[root]))
        self._found.layouts[root] = {order: index for index, order in enumerate(layouts)}
