"""Remaps: what else in a node names an axis, and what it must say instead under a choice of layouts.

A remap returns None where the node cannot say it, so that there is no such variant. What the target moves inside an
operator is in `internal_costs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.attributes import (
    axis_of,
    constant_integers,
    has_operand,
    integer,
    integers,
)
from layoutopt.ir.perm import identity
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.modes import Mode
from layoutopt.layout.algebra.physical import ModeOrder, PhysicalLayout
from layoutopt.layout.rules.variants import Edit, PhysicalLayouts, Port, operand, result

Remap = Callable[[ir.Node, PhysicalLayouts], "Edit | None"]
"""(node, how its ports are stored) -> what must change."""


FIRST = operand(0)


# --- remaps ----------------------------------------------------------------------------------------------------------


def to_dialect(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The operator of the NHWC dialect that runs the node in channels-last."""
    del layouts
    return Edit(operator=dialect.OPERATORS[node.op_type][len(FIRST.shape(node))].name)


def axis(default: int | None = None, port: Port = FIRST, *, ordered: bool = True) -> Remap:
    """Remap the attribute ``axis`` of the value at ``port``; ``ordered`` if it matters how the axis lies."""

    def remap(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
        """The attribute ``axis``, which is stored whole."""
        layout = layouts[port]
        value = axis_of(node, default, len(layout.shape))
        position = None if value is None else _whole_position(value, layouts, len(layout.shape), ordered=ordered)
        return None if position is None else Edit(attributes={"axis": position})

    return remap


def joint(default: int | None = None) -> Remap:
    """Remap the attribute ``axis`` of a Concat or a Split, and the sizes of the pieces where it names them."""

    def remap(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
        """The attribute ``axis``, of which whole outermost pieces are joined or cut."""
        whole = FIRST if node.op_type == "Split" else result()
        value = axis_of(node, default, len(layouts[whole].shape))
        cut_shapes = None if value is None else _cut_shapes(layouts, whole, (value,))
        if cut_shapes is None or not cut_shapes.alike:
            return None
        (place,) = cut_shapes.places
        sizes = tuple(each[place] for port, each in cut_shapes.sizes.items() if port.result)
        named = {"axis": place}
        if "split" in node.attributes:
            return Edit(attributes={**named, "split": sizes}, sizes=cut_shapes.sizes)
        cut = node.op_type == "Split" and has_operand(node, 1)
        return Edit(attributes=named, operands={1: _like(node, 1, sizes)} if cut else {}, sizes=cut_shapes.sizes)

    return remap


def axis_operand(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The axis that the constant operand 1 names, which is stored whole."""
    positions = _whole_positions(constant_integers(node, 1), layouts)
    if positions is None or len(positions) != 1:
        return None
    return Edit(operands={1: _like(node, 1, positions).reshape(())})


def axes(index: int, default: tuple[int, ...] | None = None) -> Remap:
    """Remap the axes: an attribute, which has a ``default``, or in newer opsets the operand at ``index``."""

    def remap(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
        """The axes, which are known offline."""
        layout = layouts[FIRST]
        if (named := integers(node, "axes", default)) is not None:
            moved = _positions(named, layout)
            return None if moved is None else Edit(attributes={"axes": moved})
        if not has_operand(node, index):
            return Edit()
        moved = _positions(constant_integers(node, index), layout)
        return None if moved is None else Edit(operands={index: _like(node, index, moved)})

    return remap


def innermost_axes(default: int, *, ordered: bool = False) -> Remap:
    """Remap the first one of the axes that a node takes for one; ``ordered`` if it matters how these lie."""

    def remap(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
        """The axes from ``axis`` on, which lie innermost."""
        layout = layouts[FIRST]
        first = axis_of(node, default, len(layout.shape))
        if first is None or (place := _innermost(layout, first)) is None:
            return None
        if ordered and layout.without(range(first)).mode_order != ModeOrder.natural(layout.shape[first:]):
            return None
        affine = {port: layout.sizes[place:] for port in layouts if not port.result and port != FIRST}
        return Edit(attributes={"axis": place}, sizes=affine)

    return remap


def matrices(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The last two axes, which lie innermost and as they are."""
    del node
    layout = layouts[FIRST]
    rank = len(layout.shape)
    last = PhysicalLayout.natural(layout.shape).dims[-2:]
    return Edit() if rank >= 2 and layout.dims[-2:] == last else None


def sequence_axes(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The axes of batch and time, which lie outermost."""
    names = {"batch_axis": 1, "time_axis": 0}
    values = [integer(node, name, default) for name, default in names.items()]
    positions = _whole_positions([value for value in values if value is not None], layouts)
    if positions is None or sorted(positions) != [0, 1]:
        return None
    return Edit(attributes=dict(zip(names, positions, strict=True)))


def centered_axes(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The axes, which are stored whole; all if none are named."""
    moved = _whole_positions(integers(node, "axes", identity(len(layouts[FIRST].shape))), layouts)
    return None if moved is None else Edit(attributes={"axes": moved})


def quantized_axis(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The axis that has a scale for each element, which is stored whole; no axis if there is one scale for all."""
    scales = operand(1).shape(node)
    if len(scales) > 1 or integer(node, "block_size", 0):
        return None
    return Edit() if prod(scales) == 1 else axis(1)(node, layouts)


def repeats(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The number of times that each stored dimension is repeated."""
    shape = FIRST.shape(node)
    repeated = [axis for axis, size in enumerate(result().shape(node)) if size != shape[axis] != 1]
    cut_shapes = _cut_shapes(layouts, result(), repeated)
    if cut_shapes is None:
        return None
    before, after = cut_shapes.sizes[FIRST], cut_shapes.sizes[result()]
    return Edit(
        sizes=cut_shapes.sizes,
        operands={1: _like(node, 1, [new // old for old, new in zip(before, after, strict=True)])},
    )


def expanded_shape(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The shape to expand to."""
    return Edit(operands={1: _like(node, 1, layouts[result()].sizes)})


def made_shape(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The shape to fill."""
    return Edit(operands={0: _like(node, 0, layouts[result()].sizes)})


def slices(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The axes, which default to the first ones and are stored whole, or cut between whole outermost pieces."""
    if "starts" in node.attributes:
        return _older_slice(node, layouts)
    starts, ends = constant_integers(node, 1), constant_integers(node, 2)
    values = constant_integers(node, 3) if has_operand(node, 3) else starts and identity(len(starts))
    axes = 3 if has_operand(node, 3) else 1
    if (moved := _whole_positions(values, layouts)) is not None:
        return Edit(operands={3: _like(node, axes, moved)})
    steps = constant_integers(node, 4) if has_operand(node, 4) else starts and (1,) * len(starts)
    if values is None or starts is None or ends is None or steps is None or set(steps) != {1}:
        return None
    found = _cut_pieces(node, values, starts, ends, layouts)
    if found is None:
        return None
    (moved, starts, ends), stored = found
    rows = {1: _like(node, 1, starts), 2: _like(node, 2, ends), 3: _like(node, axes, moved)}
    return Edit(operands=rows, sizes=stored)


def _older_slice(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """Remap a Slice that has attributes, which come in the order of the axes."""
    starts, ends = integers(node, "starts", ()) or (), integers(node, "ends", ()) or ()
    axes = integers(node, "axes", identity(len(starts))) or ()
    if not len(axes) == len(starts) == len(ends):
        return None
    stored: Mapping[Port, Shape] = {}
    moved = _whole_positions(axes, layouts)
    if moved is None:
        found = _cut_pieces(node, axes, starts, ends, layouts)
        if found is None:
            return None
        (moved, starts, ends), stored = found
    rows = zip(*sorted(zip(moved, starts, ends, strict=True)), strict=True)
    return Edit(attributes=dict(zip(("axes", "starts", "ends"), rows, strict=True)), sizes=stored)


def _cut_pieces(
    node: ir.Node, axes: Sequence[int], starts: Sequence[int], ends: Sequence[int], layouts: PhysicalLayouts
) -> tuple[tuple[Shape, Shape, Shape], Mapping[Port, Shape]] | None:
    """Return the dimensions to slice, where from and to, and the stored shapes; None where a piece would be cut."""
    shape = FIRST.shape(node)
    rank = len(shape)
    if len({axis % rank for axis in axes}) < len(axes) or any(not -rank <= axis < rank for axis in axes):
        return None
    axes = [axis % rank for axis in axes]
    cut_shapes = _cut_shapes(layouts, FIRST, axes)
    if cut_shapes is None or not cut_shapes.alike:
        return None
    bounds = []
    for axis, place, top, start, end in zip(axes, cut_shapes.places, cut_shapes.tops, starts, ends, strict=True):
        begin, stop, _ = slice(start, end).indices(shape[axis])
        inner = cut_shapes.sizes[FIRST][place] // top.size
        if begin % top.stride or stop % top.stride:
            return None
        bounds.append((begin // top.stride * inner, stop // top.stride * inner))
    begins, stops = zip(*bounds, strict=True)
    return (cut_shapes.places, begins, stops), cut_shapes.sizes


def pads(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The pads, begins and ends per axis, or the axes where some are named; each that is padded is stored whole."""
    layout = layouts[FIRST]
    if has_operand(node, 3):
        moved = _whole_positions(constant_integers(node, 3), layouts)
        return None if moved is None else Edit(operands={3: _like(node, 3, moved)})
    attribute = integers(node, "pads")
    values = attribute if attribute is not None else constant_integers(node, 1)
    rank = len(layout.shape)
    if values is None or len(values) != 2 * rank:
        return None
    padded = [axis for axis in range(rank) if values[axis] or values[rank + axis]]
    if _whole_positions(padded, layouts) is None:
        return None
    moved = tuple(values[start + dim.axis] for start in (0, rank) for dim in layout.dims)
    return Edit(attributes={"pads": moved}) if attribute is not None else Edit(operands={1: _like(node, 1, moved)})


# --- what they share -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _CutShapes:
    """Stored shapes in which some dimensions begin with the outermost modes of their axes.

    Attributes:
        places: of these dimensions.
        tops: the outermost modes.
        sizes: the stored shape at each port.
    """

    places: Shape
    tops: tuple[Mode, ...]
    sizes: Mapping[Port, Shape]

    @property
    def alike(self) -> bool:
        """Return whether all ports have the same dimensions beside these."""
        beside = (tuple(n for at, n in enumerate(each) if at not in self.places) for each in self.sizes.values())
        return len(set(beside)) == 1


def _cut_shapes(layouts: PhysicalLayouts, whole: Port, axes: Sequence[int]) -> _CutShapes | None:
    """Cut dimensions before the outermost modes of ``axes``, as they lie at ``whole``; None where one has none."""
    found = [each for axis in axes if (each := layouts[whole].outermost(axis)) is not None]
    if len(found) < len(axes):
        return None
    before = {place: count for place, count, _ in found if count > 1}
    places = tuple(place + sum(cut <= place for cut in before) for place, _, _ in found)
    sizes = {
        port: tuple(
            size
            for place, whole_size in enumerate(layout.sizes)
            for size in ((before[place], whole_size // before[place]) if place in before else (whole_size,))
        )
        for port, layout in layouts.items()
    }
    return _CutShapes(places, tuple(top for _, _, top in found), sizes)


def _innermost(layout: PhysicalLayout, first: int) -> int | None:
    """Return where the axes from ``first`` on begin; None where others of more than one element come after one."""
    inner = [dim.axis >= first for dim in layout.dims if dim.modes]
    if not any(inner) or inner != sorted(inner):
        return None
    return next(place for place, dim in enumerate(layout.dims) if dim.modes and dim.axis >= first)


def _positions(values: Sequence[int] | None, layout: PhysicalLayout) -> tuple[int, ...] | None:
    """Return all dimensions of the axes ``values``, in the order in which these are named.

    None where there are none, since to name no axis means all of them: axes of size 1 may not be stored at all.
    """
    rank = len(layout.shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    found = tuple(position for value in values for position in layout.positions((value % rank,)))
    return found if found or not values else None


def _whole_positions(values: Sequence[int] | None, layouts: PhysicalLayouts) -> tuple[int, ...] | None:
    """Return the dimensions of the axes ``values``; None where one does not lie in one piece and in its own order."""
    rank = len(layouts[FIRST].shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    found = [_whole_position(value % rank, layouts, rank) for value in values]
    return tuple(position for position in found if position is not None) if None not in found else None


def _whole_position(axis: int, layouts: PhysicalLayouts, rank: int, *, ordered: bool = True) -> int | None:
    """Return the dimension that is ``axis`` at every port of ``rank``: one of size 1 alone would seem whole."""
    found = {layout.position(axis, ordered=ordered) for layout in layouts.values() if len(layout.shape) == rank}
    return found.pop() if len(found) == 1 else None


def _like(node: ir.Node, index: int, values: Sequence[int]) -> npt.NDArray[np.integer]:
    """Return ``values`` in the type of the constant at ``index``, where one is asked for the other operands' type."""
    value = node.inputs[index]
    return np.array(values, np.int64 if value is None or value.dtype is None else value.dtype.numpy())
