"""Chooses the layout of the whole graph at once and rewrites the graph to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import dialect, edit
from layoutopt.ir.counts import bytes_transposed
from layoutopt.ir.io import record_orders, recorded_orders
from layoutopt.ir.perm import Perm, identity, is_identity, permute
from layoutopt.layout.layouts import Layout
from layoutopt.layout.plan import Plan, make_plan
from layoutopt.layout.problem import Assignment
from layoutopt.layout.rules import Kind, LayoutRule
from layoutopt.layout.variants import Edit, Port, Variant, is_constant, known_shape, lifted, static_shape
from layoutopt.options import Io


class Scope(Enum):
    """How far a layout may spread."""

    GRAPH = "graph"
    """Through the whole graph: the optimum."""
    OPERATOR = "operator"
    """Not beyond the operator that needs it: the sandwich, to compare with."""


@dataclass
class LayoutResult(ir.passes.PassResult):
    """The result of layout propagation.

    Attributes:
        assignment: cost and proof; None where the pass changed nothing.
    """

    assignment: Assignment | None = None


@dataclass(frozen=True)
class PropagateLayout(ir.passes.InPlacePass):
    """Chooses all layouts at once so that the fewest bytes are transposed, and rewrites the graph to them.

    Attributes:
        io: what may happen to the layout of graph inputs and outputs.
        scope: how far a layout may spread.
    """

    io: Io = Io.FREE
    scope: Scope = Scope.GRAPH

    def call(self, model: ir.Model) -> LayoutResult:
        """Plans first, edits afterwards: an error while planning leaves the model as it was.

        Two values that are views of one do not share their copies while they are planned. Where that matters, a second
        plan, of the rewritten graph, has fewer bytes.
        """
        plan = self._plan(model)
        assignment, modified = plan.assignment, False
        while _improves(plan) and (not modified or plan.assignment.cost < assignment.cost):
            _Rewriter(model, plan).run()
            assignment, modified = plan.assignment, True
            plan = self._plan(model)
        return LayoutResult(model, modified, assignment)

    def _plan(self, model: ir.Model) -> Plan:
        opset = model.opset_imports.get("", 0)
        return make_plan(model.graph, opset, self._free(model), anchors_only=self.scope is Scope.OPERATOR)

    def _free(self, model: ir.Model) -> frozenset[str]:
        if self.io is Io.KEEP:
            return frozenset()
        recorded = recorded_orders(model)
        return frozenset(
            value.name
            for value in (*model.graph.inputs, *model.graph.outputs)
            if value.name and value.name not in recorded and 3 <= len(static_shape(value) or ()) <= 5
        )


def _improves(plan: Plan) -> bool:
    """Whether the graph is not what ``plan`` makes of it already."""
    return plan.anchors > 0 or plan.assignment.cost < sum(_bytes_moved(*item) for item in plan.rules.items())


def _bytes_moved(node: ir.Node, rule: LayoutRule) -> int:
    """What ``node`` costs as it stands: the bytes of a Transpose, or those moved inside an operator."""
    first = rule.ports(node)[0]
    natural = rule.variant(node, first, identity(len(known_shape(first.value(node)))))
    return bytes_transposed(node) + (natural.cost if natural is not None else 0)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A value as the rewritten graph holds it: ``order`` of the axes of its logical ``shape``."""

    physical: ir.Value
    shape: tuple[int, ...]
    order: Perm

    @property
    def layout(self) -> Layout:
        return Layout.of(self.shape, self.order)


class _Rewriter:
    """Applies the edits of the chosen variants and inserts the copies: nothing else."""

    def __init__(self, model: ir.Model, plan: Plan) -> None:
        self._model = model
        self._graph = model.graph
        self._plan = plan
        self._stored: dict[ir.Value, _Stored] = {}
        self._copies: dict[tuple[ir.Value, Layout], _Stored] = {}
        self._reshaped: dict[tuple[ir.Value, tuple[int, ...]], ir.Value] = {}
        self._constants: dict[tuple[ir.Value, Perm], ir.Value] = {}
        self._removed: list[ir.Node] = []

    def run(self) -> None:
        """Rewrites the graph in topological order."""
        orders: dict[str, Perm] = {}
        outputs = list(self._graph.outputs)
        for value, order in self._plan.inputs.items():
            self._store(value, value, known_shape(value), order)
            orders[str(value.name)] = order
        for node in list(self._graph):
            self._rewrite(node)
        results = {}
        for value, position in {value: position for position, value in enumerate(outputs)}.items():
            rank = len(value.shape or ())
            order = self._plan.outputs.get(position, identity(rank))
            if position in self._plan.outputs:
                orders[str(value.name)] = order
            results[position] = self._read(value, order)
        self._read_in_bodies()
        for stored in self._stored.values():
            stored.physical.shape = ir.Shape(permute(stored.shape, stored.order))
        for position, result in results.items():
            edit.replace_output(self._graph, position, result)
        self._graph.remove(self._removed, safe=True)
        record_orders(self._model, {name: order for name, order in orders.items() if not is_identity(order)})
        dialect.define(self._model)

    def _store(self, value: ir.Value, physical: ir.Value, shape: tuple[int, ...], order: Perm) -> None:
        self._stored[value] = _Stored(physical, shape, order)

    def _rewrite(self, node: ir.Node) -> None:
        variant = self._plan.variants.get(node, Variant({}))
        if self._is_view(node) and not variant.natural:
            self._rename_axes(node, variant)
            return
        for index, value in enumerate(node.inputs):
            if value is not None:
                order = variant.orders.get(Port(False, index), identity(len(value.shape or ())))
                node.replace_input_with(index, self._read(value, order))
        for change in variant.edits:
            self._apply(node, change)
        for index, result in enumerate(node.outputs):
            if (stored := variant.orders.get(Port(True, index))) is not None:
                self._store(result, result, known_shape(result), stored)

    def _is_view(self, node: ir.Node) -> bool:
        rule = self._plan.rules.get(node)
        return rule is not None and rule.kind is Kind.VIEW

    def _rename_axes(self, node: ir.Node, variant: Variant) -> None:
        """A view needs no operator of its own, or a Reshape where the stored axes are grouped otherwise."""
        source, result = Port(False, 0), Port(True, 0)
        value = result.value(node)
        order, shape = variant.orders[result], known_shape(value)
        physical = self._read(source.value(node), variant.orders[source])
        stored = permute(known_shape(source.value(node)), variant.orders[source])
        if stored != permute(shape, order):
            physical = self._reshape(physical, permute(shape, order))
        self._store(value, physical, shape, order)
        self._removed.append(node)

    def _apply(self, node: ir.Node, change: Edit) -> None:
        if change.operator is not None:
            node.domain, node.op_type = dialect.DOMAIN, change.operator
        for name, number in change.attributes.items():
            node.attributes[name] = (
                ir.AttrInt64(name, number) if isinstance(number, int) else ir.AttrInt64s(name, number)
            )
        for index, array in change.operands.items():
            if index >= len(node.inputs):
                node.resize_inputs(index + 1)
            constant = edit.add_constant(self._graph, f"{node.outputs[0].name}_operand_{index}", array)
            node.replace_input_with(index, constant)

    def _read(self, value: ir.Value, order: Perm) -> ir.Value:
        """``value`` with its axes in ``order``: as it is stored, reshaped, or copied, once for all such readers."""
        shape = static_shape(value)
        if is_constant(value) or shape is None:
            return value if is_identity(order) else self._constant(value, order)
        stored = self._stored.get(value) or _Stored(value, shape, identity(len(shape)))
        raised = lifted(shape, len(order))
        wanted = Layout.of(raised, order)
        if stored.layout != wanted:
            extra = len(raised) - len(shape)
            stored = self._copy(value, stored, wanted, tuple(axis - extra for axis in order if axis >= extra))
        target = shape if is_identity(order) else permute(raised, order)
        fits = permute(stored.shape, stored.order) == target
        return stored.physical if fits else self._reshape(stored.physical, target)

    def _copy(self, value: ir.Value, stored: _Stored, wanted: Layout, order: Perm) -> _Stored:
        key = (value, wanted)
        if key not in self._copies:
            perm = tuple(stored.order.index(axis) for axis in order)
            name = f"{value.name}_{'natural' if is_identity(order) else 'nhwc'}"
            copy = edit.transpose(self._graph, stored.physical, perm, permute(stored.shape, order), name)
            self._copies[key] = _Stored(copy, stored.shape, order)
        return self._copies[key]

    def _reshape(self, physical: ir.Value, shape: tuple[int, ...]) -> ir.Value:
        key = (physical, shape)
        if key not in self._reshaped:
            self._reshaped[key] = edit.reshape(self._graph, physical, shape, f"{physical.name}_reshaped")
        return self._reshaped[key]

    def _constant(self, value: ir.Value, order: Perm) -> ir.Value:
        """A constant is relabelled offline."""
        tensor = edit.constant_of(value)
        if tensor is None or tensor.size == 1:
            return value
        key = (value, order)
        if key not in self._constants:
            array: npt.NDArray[np.generic] = tensor.numpy()
            array = array.reshape(lifted(array.shape, len(order))).transpose(order)
            self._constants[key] = edit.add_constant(self._graph, f"{value.name}_nhwc", np.ascontiguousarray(array))
        return self._constants[key]

    def _read_in_bodies(self) -> None:
        """If, Loop and Scan bodies see the values around them in the natural layout."""
        for graph in self._graph.subgraphs():
            for node in graph:
                for index, value in enumerate(node.inputs):
                    if value in self._stored:
                        node.replace_input_with(index, self._read(value, identity(len(value.shape or ()))))
