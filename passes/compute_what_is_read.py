"""Computes only that part of a value that somebody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.values import constant_of, is_constant, known_shape, static_shape
from layoutopt.layout.analysis.demanded_slices import demanded_parts, read_result, reduced_attributes, selected_part
from layoutopt.layout.analysis.index_maps import AxisSubset
from layoutopt.layout.costs.arithmetic import Work, work_of, work_of_elementwise
from layoutopt.layout.rules.applicability import is_view
from layoutopt.passes.base import CostDrivenRewrite


@dataclass(frozen=True)
class ComputeWhatIsRead(CostDrivenRewrite):
    """Take Slices and Gathers with constant indices as far towards the inputs as it pays.

    Where all readers of a value take the same positions along one axis, a node that works position by position along it
    need not compute the others: f(x)[i] = f(x[i]) for elementwise operators; (A B)[i, :] = A[i, :] B and (A B)[:, j] =
    A B[:, j] for products, so attention takes fewer queries; normalization, Softmax and reductions over other axes,
    Transpose, views and Concat likewise; output channels of a Conv are rows of its weights, and a Conv of one pixel
    without padding and stride takes pixels. So the class token of a vision transformer takes one row of its last block.
    It ends where somebody reads more: there the Slice is put.

    Nothing that is computed is computed otherwise, so no result changes but for the shape that kernels choose their
    order of summation by. A Split of which one part is read is a Slice.
    """

    since = 13  # brought Slice, Softmax and Split as they are read and written here

    def rewrite(self, model: ir.Model) -> bool:
        """Rewrite the graph and all bodies."""
        modified = False
        for graph in edit.graphs_of(model):
            for cone in _cones(graph):
                if cone.nodes and self.is_worth(cone.ends[0], *cone.costs()):
                    cone.write(graph)
                    modified = True
        return modified


@dataclass(slots=True)
class _Cone:
    """Nodes of which a part is read, up to the Slices that read it.

    Attributes:
        ends: the Slices, Gathers and Splits.
        nodes: of whose result only a part is read, in the order of the graph, with that part.
        asked: the part of an operand, by node and position.
    """

    ends: list[ir.Node] = field(default_factory=list)
    nodes: dict[ir.Node, AxisSubset] = field(default_factory=dict)
    asked: dict[tuple[ir.Node, int], AxisSubset] = field(default_factory=dict)

    def costs(self) -> tuple[Work, Work]:
        """Return what the whole costs, and what the parts and taking them cost."""
        before = sum((_cost(node) for node in self.ends), Work())
        after = sum((work_of_elementwise(shape, shape) for shape in self._begins()), Work())
        for node, part in self.nodes.items():
            before += _cost(node)
            after += _cost(self._reduced(node, part))
        return before, after

    def _begins(self) -> list[tuple[int, ...]]:
        """Return the shapes of the parts that are taken of what is computed as a whole."""
        parts = {(value, part): None for value, part in self._operands() if value is not None}
        return [
            part.of(known_shape(value))
            for value, part in parts
            if value.producer() not in self.nodes and not is_constant(value)
        ]

    def _operands(self) -> list[tuple[ir.Value | None, AxisSubset]]:
        return [(node.inputs[at], part) for (node, at), part in self.asked.items() if node in self.nodes]

    def _reduced(self, node: ir.Node, part: AxisSubset) -> ir.Node:
        """Return ``node`` reduced to the part that is read, with values that have nothing but shapes."""
        operands = [_stand_in(value, self.asked.get((node, at))) for at, value in enumerate(node.inputs)]
        changed = {name: ir.AttrInt64(name, number) for name, number in reduced_attributes(node, part).items()}
        attributes = {**node.attributes, **changed}.values()
        made = ir.Node(node.domain, node.op_type, operands, attributes, num_outputs=1)
        made.outputs[0].shape = ir.Shape(part.of(known_shape(node.outputs[0])))
        return made

    def write(self, graph: ir.Graph) -> None:
        """Let the parts be computed, and the ends be what was computed."""
        made: dict[ir.Value, ir.Value] = {}
        taken: dict[tuple[ir.Value, AxisSubset], ir.Value] = {}

        def operand(node: ir.Node, at: int) -> ir.Value | None:
            value, part = node.inputs[at], self.asked.get((node, at))
            if value is None or part is None or value in made:
                return value if value is None or part is None else made[value]
            if (value, part) not in taken:
                taken[value, part] = _taken(_writer(graph, node, value), value, part)
            return taken[value, part]

        for node, part in self.nodes.items():
            result = node.outputs[0]
            write, shape = _writer(graph, node, result), part.of(known_shape(result))
            operands = [operand(node, at) for at in range(len(node.inputs))]
            if is_view(node) and node.op_type != "Transpose":
                assert operands[0] is not None
                made[result] = write.reshaped(operands[0], shape)
            else:
                made[result] = write.again(node, shape, *operands, attributes=reduced_attributes(node, part))
        for end in self.ends:
            read, source = read_result(end), end.inputs[0]
            assert read is not None
            assert source is not None
            edit.replace_uses(graph, read, _writer(graph, end, read).reshaped(made[source], known_shape(read)))
            edit.remove_dead(end)


def _writer(graph: ir.Graph, place: ir.Node, value: ir.Value) -> edit.Writer:
    return edit.Writer(graph, place, f"{value.name}_read", value.dtype or ir.DataType.FLOAT)


def _cost(node: ir.Node) -> Work:
    return Work() if is_view(node) else work_of(node)


def _stand_in(value: ir.Value | None, part: AxisSubset | None) -> ir.Value | None:
    """Return a value with the shape that ``part`` of ``value`` has, and the same type."""
    if value is None:
        return None
    shape = static_shape(value) or ()
    return ir.val(None, value.dtype, ir.Shape(shape if part is None else part.of(shape)))


def _taken(write: edit.Writer, value: ir.Value, part: AxisSubset) -> ir.Value:
    """Return ``part`` of ``value``: offline where that is constant."""
    shape = part.of(known_shape(value))
    tensor = constant_of(value)
    if tensor is not None:
        return write.constant(tensor.numpy().take(list(part.indices), part.axis))
    if (bounds := part.as_slice) is None:
        indices = write.constant(np.array(part.indices, np.int64))
        return write("Gather", shape, value, indices, attributes={"axis": part.axis})
    start, end, step = (write.constant(np.array([number], np.int64)) for number in bounds)
    return write("Slice", shape, value, start, end, write.constant(np.array([part.axis], np.int64)), step)


# --- search ------------------------------------------------------------------------------------------------------


def _cones(graph: ir.Graph) -> Sequence[_Cone]:
    """Return the parts of ``graph`` that compute more than is read, those that depend on each other together."""
    whole = _Cone()
    groups: dict[ir.Node, ir.Node] = {}
    for node in reversed(graph):
        _visit(node, whole, groups)
    cones: dict[ir.Node, _Cone] = {}
    for node in graph:
        if node not in groups:
            continue
        cone = cones.setdefault(_root(groups, node), _Cone())
        if node in whole.nodes:
            cone.nodes[node] = whole.nodes[node]
        else:
            cone.ends.append(node)
        cone.asked |= {(node, at): whole.asked[node, at] for at in range(len(node.inputs)) if (node, at) in whole.asked}
    return list(cones.values())


def _visit(node: ir.Node, whole: _Cone, groups: dict[ir.Node, ir.Node]) -> None:
    """Find out what ``node`` needs to compute, given all its readers."""
    part = _read(node, whole.asked)
    parts = demanded_parts(node, part) if part is not None else None
    if part is not None and parts is not None and any(parts):
        whole.nodes[node] = part
        groups[node] = node
        whole.asked.update({(node, at): each for at, each in enumerate(parts) if each is not None})
        for use in node.outputs[0].uses():
            groups[_root(groups, use.node)] = _root(groups, node)
    elif (
        (own := selected_part(node)) is not None and (source := node.inputs[0]) is not None and not is_constant(source)
    ):
        whole.asked[node, 0] = own
        groups[node] = node


def _read(node: ir.Node, asked: Mapping[tuple[ir.Node, int], AxisSubset]) -> AxisSubset | None:
    """Return the part that all readers of the result of ``node`` take; None if they differ or one takes all."""
    result = node.outputs[0]
    if result.is_graph_output() or not result.uses():
        return None
    parts = {asked.get((use.node, use.idx)) for use in result.uses()}
    return parts.pop() if len(parts) == 1 else None


def _root(groups: Mapping[ir.Node, ir.Node], node: ir.Node) -> ir.Node:
    while groups[node] is not node:
        node = groups[node]
    return node
