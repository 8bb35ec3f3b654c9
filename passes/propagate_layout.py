"""Chooses the layout of the whole graph at once and rewrites the graph to it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain, compress, repeat

import numpy as np
import onnx_ir as ir

from layoutopt.ir import dialect, edit
from layoutopt.ir.io import record_orders
from layoutopt.ir.perm import Perm, is_identity
from layoutopt.ir.rearrange import rearranged
from layoutopt.ir.values import Shape, constant_of, is_constant, known_shape, static_shape
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.algebra.transposition import copy_steps
from layoutopt.layout.costs.calibration import load_costs
from layoutopt.layout.costs.objectives import Costs
from layoutopt.layout.plan.decoding import Plan
from layoutopt.layout.plan.following import ChosenLayouts, name_of
from layoutopt.layout.plan.interface import interface_orders
from layoutopt.layout.plan.planner import make_plan
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import Edit, Take, operand, result
from layoutopt.layout.solver.problem import Assignment
from layoutopt.options import NO_LAYOUTS, Io, Layouts, Objective
from layoutopt.passes.base import NO_OPTION, Pass


class Scope(Enum):
    """The parts of a graph over which a layout may spread."""

    GRAPH = "graph"
    """Through the whole graph: the optimum."""
    OPERATOR = "operator"
    """Not beyond the operator that needs it: the per-operator layout, to compare with."""


@dataclass
class LayoutResult(ir.passes.PassResult):
    """The result of layout propagation.

    Attributes:
        assignment: cost and proof; None where the pass changed nothing.
        chosen: the layouts of the graph and of each body in it, outer ones first.
    """

    assignment: Assignment | None = None
    chosen: Sequence[ChosenLayouts] = ()


@dataclass(frozen=True)
class PropagateLayout(Pass, ir.passes.InPlacePass):
    """Choose all layouts at once so that moving data takes the least time, and rewrite the graph to them.

    So it does with each If, Loop and Scan body, whose inputs, outputs and outer values are natural.

    Attributes:
        io: what may happen to the layout of graph inputs and outputs.
        scope: how far a layout may spread.
        objective: what is made as small as it can be.
        threads: of XNNPACK, when times were measured; bytes do not depend on it.
        layouts: of graph inputs and outputs that ``io`` does not decide.
        chosen: layouts of each graph of the same model at other sizes, outer ones first, to follow wherever they exist;
            which ones cost least depends on the sizes. No option of a pipeline's text.
    """

    io: Io = Io.FREE
    scope: Scope = Scope.GRAPH
    objective: Objective = Objective.TIME
    threads: int = 1
    layouts: Layouts = NO_LAYOUTS
    chosen: Sequence[ChosenLayouts] = field(default=(), metadata=NO_OPTION)

    def call(self, model: ir.Model) -> LayoutResult:
        """Plan first, edits afterwards: an error while planning leaves the model as it was.

        Raises:
            CalibrationError: times are to be minimized, and the file of this machine's times is broken.
            UsageError: ``layouts`` do not fit the model.
        """
        plans = self.plans(model)
        asked = any(not is_identity(order) for order, *_ in self.orders(model).values())
        changes = [
            _improves(plan) or (asked and graph is model.graph) if follow is None else follow.changed
            for (graph, plan), follow in zip(plans.items(), self._followed(), strict=False)
        ]
        chosen = [
            ChosenLayouts.of(plan, changed=changed) for plan, changed in zip(plans.values(), changes, strict=True)
        ]
        changed = list(compress(plans, changes))
        for graph in reversed(changed):  # bodies before what is around them, where their outer values are natural
            _Rewriter(model, graph, plans[graph]).run()
        assignment = Assignment.together([plan.total for plan in plans.values()])
        return LayoutResult(model, bool(changed), assignment, chosen)

    def _followed(self) -> Iterator[ChosenLayouts | None]:
        """Yield what to follow in each graph, without an end: None where there is nothing."""
        return chain(self.chosen, repeat(None))

    def plans(self, model: ir.Model) -> Mapping[ir.Graph, Plan]:
        """Plan the layouts of the graph and of all bodies in it, outer ones first, without any change.

        Raises:
            CalibrationError: times are to be minimized, and the file of this machine's times is broken.
            UsageError: ``layouts`` do not fit the model.
        """
        orders, costs = self.orders(model), load_costs(self.objective, threads=self.threads)
        plans = {
            graph: self._plan(model, graph, orders if graph is model.graph else {}, costs, chosen=follow)
            for graph, follow in zip(edit.graphs_of(model), self._followed(), strict=False)
        }
        crossed = any(map(_holds_tensors, model.graph.subgraphs()))
        return {graph: replace(plan, crossed=crossed) for graph, plan in plans.items()}

    def plan(self, model: ir.Model, *, assumed: Mapping[ir.Node, LayoutRule] | None = None) -> Plan:
        """Plan the layouts of the main graph, without any change.

        Args:
            model: is not changed.
            assumed: rules of nodes that have none, to learn what such rules would change.

        Raises:
            CalibrationError: times are to be minimized, and the file of this machine's times is broken.
            UsageError: ``layouts`` do not fit the model.
        """
        costs = load_costs(self.objective, threads=self.threads)
        return self._plan(model, model.graph, self.orders(model), costs, assumed)

    def _plan(
        self,
        model: ir.Model,
        graph: ir.Graph,
        orders: Mapping[str, Sequence[Perm]],
        costs: Costs,
        assumed: Mapping[ir.Node, LayoutRule] | None = None,
        chosen: ChosenLayouts | None = None,
    ) -> Plan:
        alone = self.scope is Scope.OPERATOR
        plan = functools.partial(
            make_plan, graph, model.opset_imports.get("", 0), orders, sensitive_only=alone, costs=costs, assumed=assumed
        )
        if chosen is not None:
            followed = frozenset(node for node in graph if name_of(node) in chosen.spelled_out)
            return plan(spelled_out=followed, chosen=chosen)
        best = plan()
        spelled_out: frozenset[ir.Node] = frozenset()
        for node in [node for node in best.rules if node.domain == "" and node.op_type in _BLOCKS and not alone]:
            if best.total.cost:  # one Transpose of blocks may do where the operator needs two around it
                other = plan(spelled_out=spelled_out | {node})
                if other.total.cost < best.total.cost:
                    best, spelled_out = other, spelled_out | {node}
        return best

    def orders(self, model: ir.Model) -> dict[str, tuple[Perm, ...]]:
        """Return for each graph input and output that may change its layout the orders of its axes that it may have.

        Raises:
            UsageError: ``layouts`` do not fit the model.
        """
        return interface_orders(model, self.io, self.layouts.named)


def _holds_tensors(body: ir.Graph) -> bool:
    """Return whether a body computes with values of more than one axis, so that some may cross its border."""
    values = (value for node in body for value in (*node.inputs, *node.outputs) if value is not None)
    return any(value.shape is None or len(value.shape) > 1 for value in values)


_BLOCKS = ("DepthToSpace", "SpaceToDepth")


def _improves(plan: Plan) -> bool:
    """Return whether the graph is not what ``plan`` makes of it already."""
    return plan.sensitive > 0 or plan.oversized or plan.assignment.cost < plan.before


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor of the rewritten graph: the order of its bytes in the modes of a root, and its own shape."""

    physical: ir.Value
    mode_order: ModeOrder
    sizes: Shape


class _Rewriter:
    """Apply the edits of the chosen variants and insert the copies: nothing else."""

    def __init__(self, model: ir.Model, graph: ir.Graph, plan: Plan) -> None:
        self._model = model
        self._graph = graph
        self._plan = plan
        self._stored: dict[ir.Value, _Stored] = {}
        self._copies: dict[tuple[ir.Value, ModeOrder], _Stored] = {}
        self._reshaped: dict[tuple[ir.Value, Shape], ir.Value] = {}
        self._constants: dict[tuple[ir.Value, ModeOrder, Shape], ir.Value] = {}
        self._taken: dict[tuple[ir.Value, Take], ir.Value] = {}

    def run(self) -> None:
        """Rewrite the graph in topological order."""
        views = [node for value in self._plan.views if (node := value.producer()) is not None]
        orders: dict[str, Perm] = {}
        for value, layout in self._plan.inputs.items():
            self._store(value, layout.mode_order, layout.sizes)
            orders[str(value.name)] = layout.order or ()
        views += self._plan.links
        replaced = set(views)
        for node in list(self._graph):
            if node in self._plan.links:
                self._link(node)
            elif node not in replaced:
                self._rewrite(node)
        results = self._outputs(orders)
        self._read_in_bodies()
        for stored in self._stored.values():
            stored.physical.shape = ir.Shape(stored.sizes)
        for position, value in results.items():
            edit.replace_output(self._graph, position, value)
        self._graph.remove(views, safe=True)
        record_orders(self._model, {name: order for name, order in orders.items() if not is_identity(order)})
        dialect.define(self._model)

    def _outputs(self, orders: dict[str, Perm]) -> dict[int, ir.Value]:
        """Return the new graph outputs by position, and record their ``orders``."""
        results = {}
        for value, position in {value: position for position, value in enumerate(self._graph.outputs)}.items():
            layout = self._plan.outputs.get(position)
            if layout is not None:
                orders[str(value.name)] = layout.order or ()
            results[position] = self._read_natural(value) if layout is None else self._read(value, layout)
        return results

    def _store(self, value: ir.Value, order: ModeOrder, sizes: Shape) -> None:
        self._stored[value] = _Stored(value, order, sizes)

    def _rewrite(self, node: ir.Node) -> None:
        variant = self._plan.variants.get(node)
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            port = operand(index)
            if variant is not None and port in variant.layouts:
                read = self._read(value, variant.layouts[port], variant.sizes(port))
            else:
                read = self._read_natural(value)
            node.replace_input_with(index, read)
        if variant is None:
            return
        for change in variant.edits:
            self._apply(node, change)
        for index, value in enumerate(node.outputs):
            if (port := result(index)) in variant.layouts:
                self._store(value, variant.mode_order(port), variant.sizes(port))

    def _link(self, node: ir.Node) -> None:
        """Let the result of a view be what it reads, under other axes."""
        source, variant, port = node.inputs[0], self._plan.variants[node], operand(0)
        assert source is not None
        read = self._read(source, variant.layouts[port])
        self._stored[node.outputs[0]] = _Stored(read, variant.mode_order(result()), variant.layouts[port].sizes)

    def _apply(self, node: ir.Node, change: Edit) -> None:
        if change.operator is not None:
            node.domain, node.op_type = dialect.DOMAIN, change.operator
            self._name_results(node)
        for name, attribute in change.attributes.items():
            node.attributes[name] = _attribute(name, attribute)
        for index, array in change.operands.items():
            if index >= len(node.inputs):
                node.resize_inputs(index + 1)
            constant = edit.add_constant(self._graph, f"{node.outputs[0].name}_operand_{index}", array)
            node.replace_input_with(index, constant)
        for take in change.takes:
            if take.operand < len(node.inputs) and (value := node.inputs[take.operand]) is not None:
                node.replace_input_with(take.operand, self._take(value, take))
        if change.inputs:
            inputs = list(node.inputs)
            for index, source in enumerate(change.inputs):
                node.replace_input_with(index, inputs[source])

    def _name_results(self, node: ir.Node) -> None:
        """Give a node the optional results that it leaves out: functions have all of theirs."""
        if node.op_type in dialect.RECURRENT:
            node.resize_outputs(len(dialect.RECURRENT[node.op_type]))
            for value in node.outputs:
                value.name = value.name or edit.fresh_name(self._graph, f"{node.name}_unread")

    def _read_natural(self, value: ir.Value) -> ir.Value:
        """Return ``value`` as ONNX says."""
        shape = static_shape(value)
        known = value in self._plan.views or value in self._stored
        return self._read(value, PhysicalLayout.natural(shape)) if known and shape is not None else value

    def _read(self, value: ir.Value, layout: PhysicalLayout, sizes: Shape | None = None) -> ir.Value:
        """Return ``value`` in ``layout`` and ``sizes``: itself, a view, or the copy that all such readers share."""
        sizes = layout.sizes if sizes is None else sizes
        if is_constant(value):
            return self._constant(value, layout.mode_order, sizes)
        view = self._plan.view(value)
        order = view.inward(layout.mode_order)
        assert order is not None, "a layout that was no candidate"
        shape = known_shape(view.root)
        stored = self._stored.get(view.root) or _Stored(view.root, ModeOrder.natural(shape), shape)
        if stored.mode_order != order:
            stored = self._copy(view.root, stored, order, sizes)
        return stored.physical if stored.sizes == sizes else self._reshape(stored.physical, sizes)

    def _copy(self, root: ir.Value, stored: _Stored, order: ModeOrder, sizes: Shape) -> _Stored:
        key = (root, order)
        if key not in self._copies:
            before = self._plan.copies[root][order]
            if before != stored.mode_order:
                stored = self._copy(root, stored, before, sizes)
            steps = copy_steps(stored.mode_order, stored.sizes, order, sizes)
            source = stored.physical
            if steps.sizes != stored.sizes:
                source = self._reshape(source, steps.sizes)
            natural = order == ModeOrder.natural(known_shape(root))
            name = f"{root.name}_{'natural' if natural else 'nhwc'}"
            copy = edit.transpose(self._graph, source, steps.perm, steps.result, name)
            self._copies[key] = _Stored(copy, order, steps.result)
        return self._copies[key]

    def _reshape(self, physical: ir.Value, sizes: Shape) -> ir.Value:
        key = (physical, sizes)
        if key not in self._reshaped:
            self._reshaped[key] = edit.reshape(self._graph, physical, sizes, f"{physical.name}_reshaped")
        return self._reshaped[key]

    def _constant(self, value: ir.Value, order: ModeOrder, sizes: Shape) -> ir.Value:
        """Return a constant in another layout, rearranged now."""
        tensor = constant_of(value)
        assert tensor is not None
        shape = tuple(tensor.shape.numpy())
        scalar = tensor.size == 1 and len(shape) <= len(sizes)
        if scalar or (sizes == shape and order == ModeOrder.natural(shape)):
            return value
        key = (value, order, sizes)
        if key not in self._constants:
            modes = sorted(order.modes, reverse=True)
            split, perm = [mode.size for mode in modes], tuple(modes.index(mode) for mode in order.modes)
            stored = rearranged(tensor, split, perm, sizes)
            self._constants[key] = edit.add_tensor(self._graph, f"{value.name}_nhwc", stored)
        return self._constants[key]

    def _take(self, value: ir.Value, take: Take) -> ir.Value:
        """Return a constant with the elements along one axis reordered offline."""
        key = (value, take)
        if key not in self._taken:
            tensor = constant_of(value)
            assert tensor is not None
            array = np.take(tensor.numpy(), take.indices, axis=take.axis)
            self._taken[key] = edit.add_constant(self._graph, f"{value.name}_ordered", array)
        return self._taken[key]

    def _read_in_bodies(self) -> None:
        """Let bodies see the values around them in the natural layout."""
        for graph in self._graph.subgraphs():
            for node in graph:
                for index, value in enumerate(node.inputs):
                    if value is not None:
                        node.replace_input_with(index, self._read_natural(value))


def _attribute(name: str, value: int | str | tuple[int, ...]) -> ir.Attr:
    match value:
        case int():
            return ir.AttrInt64(name, value)
        case str():
            return ir.AttrString(name, value)
        case _:
            return ir.AttrInt64s(name, value)
