"""Values that hold the same bytes: a value and what Reshape, Transpose and their like make of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import onnx_ir as ir

from layoutopt.ir.perm import Perm, invert
from layoutopt.ir.values import Shape, known_shape
from layoutopt.layout.algebra.physical import CACHE, ModeOrder, PhysicalLayout
from layoutopt.layout.rules.applicability import is_view
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.variants import Known, PhysicalLayouts, Port, node_context

Steps = tuple[tuple[Shape, Perm], ...]
"""The Transposes on the way from the root to a view: the shape before each, and its permutation."""


@dataclass(frozen=True, slots=True)
class View:
    """A value as a view of its root.

    Attributes:
        root: the value whose bytes it holds.
        steps: how the axes were permuted on the way; reshapes leave no trace in the modes.
    """

    root: ir.Value
    steps: Steps = ()

    def inward(self, order: ModeOrder) -> ModeOrder | None:
        """Return a layout of the view in the root's modes; None where a mode straddles two of the permuted axes."""
        return _inward(self.steps, order) if self.steps else order

    def outward(self, order: ModeOrder) -> ModeOrder | None:
        """Return a layout of the root in the view's modes; None where a mode straddles two of the permuted axes."""
        return _outward(self.steps, order) if self.steps else order

    def natural(self, shape: Shape) -> ModeOrder | None:
        """Return the natural layout of the view, of ``shape``, in the modes of the root; None if they do not divide."""
        return self.inward(ModeOrder.natural(shape))


def views_of(
    graph: ir.Graph, apart: Collection[ir.Node], spelled_out: Collection[ir.Node] = ()
) -> Mapping[ir.Value, View]:
    """Return the values of ``graph`` that are views of others.

    A Transpose makes none if its axes are those that a Reshape has put together from pieces of others, as (2, 3)
    Transposed, (2, 3) again, and Transposed.

    Args:
        graph: in topological order.
        apart: nodes that must make none.
        spelled_out: those DepthToSpace and SpaceToDepth to take for the Reshape, Transpose, Reshape that they are.
    """
    views: dict[ir.Value, View] = {}
    for node in graph:
        with node_context(node):
            if node in apart or not (node in spelled_out or is_view(node)):
                continue
        source, value = node.inputs[0], node.outputs[0]
        assert source is not None
        parent = views.get(source) or View(source)
        view = View(parent.root, (*parent.steps, *_steps(node)))
        if view.natural(known_shape(value)) is not None:
            views[value] = view
    return views


def links_of(
    graph: ir.Graph, views: Mapping[ir.Value, View], spelled_out: Collection[ir.Node] = ()
) -> tuple[ir.Node, ...]:
    """Return the nodes of ``graph`` that only give bytes other axes, and whose values are not among ``views``."""
    return tuple(node for node in graph if node.outputs[0] not in views and (node in spelled_out or is_view(node)))


def _steps(node: ir.Node) -> Steps:
    """Return how a view permutes the axes of its operand."""
    source = node.inputs[0]
    assert source is not None
    if node.op_type not in VIEWS:
        return (blocks_moved(node),)
    perm = VIEWS[node.op_type](node)
    return ((known_shape(source), perm),) if perm else ()


def _same_bytes(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """The bytes stay as they are."""
    del known
    source, value = (each.value(node) for each in ports)
    view, order = View(source, _steps(node)), layout.mode_order
    there = view.inward(order) if port.result else view.outward(order)
    other = PhysicalLayout.of(known_shape(source if port.result else value), there) if there is not None else None
    if other is not None:
        yield dict(zip(ports, (other, layout) if port.result else (layout, other), strict=True))


LINK = LayoutRule(propagate=_same_bytes)
"""The rule of a view that is no view of its operand's root: a net ends at its operand, and another begins.

It moves nothing, in any layout in which both sides have their axes; in the natural one on both sides, it does not run.
"""


def blocks_moved(node: ir.Node) -> tuple[Shape, Perm]:
    """Return the shape that a DepthToSpace or SpaceToDepth reshapes its operand to, and the axes' permutation there."""
    source = node.inputs[0]
    assert source is not None
    batch, channels, height, width = known_shape(source)
    block, mode = node.attributes["blocksize"].as_int(), node.attributes.get("mode")
    channels_first = mode is not None and mode.as_string() == "CRD"
    if node.op_type == "SpaceToDepth":  # which has a mode since opset 28
        sizes = (batch, channels, height // block, block, width // block, block)
        return sizes, (0, 1, 3, 5, 2, 4) if channels_first else (0, 3, 5, 1, 2, 4)
    depth = channels // block**2
    if channels_first:
        return (batch, depth, block, block, height, width), (0, 1, 4, 2, 5, 3)
    return (batch, block, block, depth, height, width), (0, 3, 4, 1, 5, 2)


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """A value that holds the elements of another one in a different order.

    Attributes:
        source: the other one.
        first: the node of the chain between them that reads it.
        layout: how the value lies, in the modes of ``source``.
    """

    source: ir.Value
    first: ir.Node
    mode_order: ModeOrder

    def along(self, axis: int) -> tuple[int, ...] | None:
        """Return the index of ``source`` for each index along ``axis``; None if other axes take part, or none does."""
        shape = known_shape(self.source)
        layout = PhysicalLayout.of(shape, self.mode_order)
        natural = PhysicalLayout.natural(shape)
        moved = [dim for dim in layout.dims if dim not in natural.dims] if layout is not None else []
        if layout is None or [dim.axis for dim in moved] != [axis]:
            return None
        axes = [dim.axis for dim in layout.dims if dim.modes]
        return moved[0].indices if axes == sorted(axes) else None


def rearrangements(result: ir.Value) -> Iterator[Rearrangement]:
    """Yield of which values ``result`` is a rearrangement, nearest first.

    The values in between are read by nobody else, so the whole chain is dead once nobody reads ``result``.
    """
    steps: Steps = ()
    graph, value = None, result
    while (node := value.producer()) is not None and is_view(node) and graph in (None, node.graph):
        source = node.inputs[0]
        assert source is not None
        if (perm := VIEWS[node.op_type](node)) is not None:
            steps = ((known_shape(source), perm), *steps)
        if (order := View(source, steps).natural(known_shape(result))) is not None:
            yield Rearrangement(source, node, order)
        if len(source.uses()) > 1 or source.is_graph_output():
            return
        graph, value = node.graph, source


@lru_cache(maxsize=CACHE)
def _inward(steps: Steps, order: ModeOrder) -> ModeOrder | None:
    for shape, perm in reversed(steps):
        layout = PhysicalLayout.of(tuple(shape[axis] for axis in perm), order)
        if layout is None:
            return None
        order = layout.renamed(perm).mode_order
    return order


@lru_cache(maxsize=CACHE)
def _outward(steps: Steps, order: ModeOrder) -> ModeOrder | None:
    for shape, perm in steps:
        layout = PhysicalLayout.of(shape, order)
        if layout is None:
            return None
        order = layout.renamed(invert(perm)).mode_order
    return order
