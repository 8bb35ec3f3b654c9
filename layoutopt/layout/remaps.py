"""Carries and remaps: the pure questions that a layout rule asks.

A *carry* tells which axis orders follow from the order at one port. A *remap* tells what else in the node names an
axis, and what it must say instead. Both answer None where there is no such variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.edit import constant_of
from layoutopt.ir.perm import Perm, channels_last, identity, invert, lift, permute
from layoutopt.layout.layouts import Layout
from layoutopt.layout.variants import Edit, Orders, Port, known_shape, size_in_bytes

Carry = Callable[[ir.Node, Sequence[Port], Port, Perm], "Orders | None"]
"""(node, all ports of the group, one of them, its order) -> the orders of all."""

Remap = Callable[[ir.Node, Perm], "Edit | None"]
"""(node, order of the first operand) -> what must change."""

Price = Callable[[ir.Node, Perm], int]
"""(node, order of the first operand) -> bytes that the target moves inside the operator."""


# --- carries ---------------------------------------------------------------------------------------------------------


def broadcast(node: ir.Node, ports: Sequence[Port], port: Port, order: Perm) -> Orders | None:
    """All ports alike; operands of lower rank are raised by leading axes first."""
    del port
    rank = max(len(known_shape(each.value(node))) for each in ports)
    return dict.fromkeys(ports, lift(order, rank))


def reduction(node: ir.Node, ports: Sequence[Port], port: Port, order: Perm) -> Orders | None:
    """As ``broadcast`` where the axes stay; else the result keeps the order of the axes that are left."""
    if _integer(node, "keepdims", 1):
        return broadcast(node, ports, port, order)
    operand = Port(result=False, index=0)
    axes = _reduced_axes(node)
    if port != operand or axes is None:
        return None
    left = [axis for axis in range(len(order)) if axis not in axes]
    return {each: tuple(left.index(axis) for axis in order if axis in left) if each.result else order for each in ports}


def reshape(node: ir.Node, ports: Sequence[Port], port: Port, order: Perm) -> Orders | None:
    """The bytes stay as they are; the other port has the order that they mean there."""
    layout = Layout.of(known_shape(port.value(node)), order)
    orders = {each: order if each == port else layout.order(known_shape(each.value(node))) for each in ports}
    return {each: found for each, found in orders.items() if found is not None} if None not in orders.values() else None


def transpose(node: ir.Node, ports: Sequence[Port], port: Port, order: Perm) -> Orders | None:
    """A Transpose only renames the axes: the stored order stays, told in the names of the other side."""
    perm = transpose_perm(node)
    names = perm if port.result else invert(perm)
    return {each: order if each == port else permute(names, order) for each in ports}


def spatial_only(node: ir.Node, ports: Sequence[Port], port: Port, order: Perm) -> Orders | None:
    """Natural or channels-last, nothing else."""
    usual = (identity(len(order)), channels_last(len(order)))
    return broadcast(node, ports, port, order) if order in usual else None


# --- remaps ----------------------------------------------------------------------------------------------------------


def to_dialect(node: ir.Node, order: Perm) -> Edit | None:
    """The operator of the NHWC dialect that runs the node in channels-last."""
    return Edit(operator=dialect.OPERATORS[node.op_type].name) if order == channels_last(len(order)) else None


def axis(default: int | None = None) -> Remap:
    """The attribute ``axis``."""

    def remap(node: ir.Node, order: Perm) -> Edit | None:
        value = _integer(node, "axis", default)
        if value is None or not -len(order) <= value < len(order):
            return None
        return Edit(attributes={"axis": order.index(value % len(order))})

    return remap


def axes(operand: int) -> Remap:
    """The axes, an attribute in older opsets and the operand at index ``operand`` in newer ones; none means all."""

    def remap(node: ir.Node, order: Perm) -> Edit | None:
        if (attribute := node.attributes.get("axes")) is not None:
            return _edit_axes(attribute.as_ints(), order, lambda moved: Edit(attributes={"axes": moved}))
        if not _has_operand(node, operand):
            return Edit()
        if (values := constant_integers(node, operand)) is None:
            return None
        return _edit_axes(values, order, lambda moved: Edit(operands={operand: _like(node, operand, moved)}))

    return remap


def slices(node: ir.Node, order: Perm) -> Edit | None:
    """The axes of a Slice, which default to the first ones."""
    if _has_operand(node, 3):
        return axes(3)(node, order)
    if (starts := constant_integers(node, 1)) is None:
        return None
    return _edit_axes(tuple(range(len(starts))), order, lambda moved: Edit(operands={3: _like(node, 1, moved)}))


def pads(node: ir.Node, order: Perm) -> Edit | None:
    """The pads of a Pad: begins and ends per axis, or its axes where it names some."""
    if _has_operand(node, 3):
        return axes(3)(node, order)
    if (attribute := node.attributes.get("pads")) is not None:
        return Edit(attributes={"pads": _permute_pads(attribute.as_ints(), order)})
    if (values := constant_integers(node, 1)) is None or len(values) != 2 * len(order):
        return None
    return Edit(operands={1: _like(node, 1, _permute_pads(values, order))})


# --- prices ----------------------------------------------------------------------------------------------------------


def last_axis_only(node: ir.Node, order: Perm) -> int:
    """TFLite runs the operator on the last axis alone: to any other it moves the data there and back."""
    value = _integer(node, "axis", -1)
    assert value is not None
    axis, shape = value % len(order), known_shape(node.outputs[0])
    behind = order[order.index(axis) + 1 :]
    moves = shape[axis] != 1 and any(shape[each] != 1 for each in behind)
    return 2 * size_in_bytes(node.outputs[0]) if moves else 0


# --- what they share -------------------------------------------------------------------------------------------------


def transpose_perm(node: ir.Node) -> Perm:
    """The permutation of a Transpose, which reverses the axes where it names none."""
    attribute = node.attributes.get("perm")
    if attribute is not None:
        return tuple(attribute.as_ints())
    return tuple(reversed(identity(len(known_shape(Port(result=False, index=0).value(node))))))


def constant_integers(node: ir.Node, operand: int) -> tuple[int, ...] | None:
    """The values of a constant operand of whole numbers; None where it is empty or not known offline."""
    value = node.inputs[operand] if operand < len(node.inputs) else None
    tensor = constant_of(value) if value is not None else None
    return None if tensor is None else tuple(int(number) for number in tensor.numpy().reshape(-1))


def _reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes that a reduction drops, not negative; None where they are not known offline."""
    rank = len(known_shape(Port(result=False, index=0).value(node)))
    if "axis" in node.attributes or node.op_type in ("ArgMax", "ArgMin"):
        values: tuple[int, ...] | None = (_integer(node, "axis", 0) or 0,)
    elif "axes" in node.attributes:
        values = tuple(node.attributes["axes"].as_ints())
    elif _has_operand(node, 1):
        values = constant_integers(node, 1)
    else:
        values = ()
    if values == () and not _integer(node, "noop_with_empty_axes", 0):
        values = identity(rank)
    return None if values is None else tuple(value % rank for value in values)


def _edit_axes(values: Sequence[int], order: Perm, edit: Callable[[tuple[int, ...]], Edit]) -> Edit | None:
    rank = len(order)
    if any(not -rank <= value < rank for value in values):
        return None
    return edit(tuple(order.index(value % rank) for value in values))


def _like(node: ir.Node, operand: int, values: Sequence[int]) -> npt.NDArray[np.integer]:
    """``values`` in the type of the constant at index ``operand``, where one is asked for the other operands' type."""
    value = node.inputs[operand]
    return np.array(values, np.int64 if value is None or value.dtype is None else value.dtype.numpy())


def _permute_pads(values: Sequence[int], order: Perm) -> tuple[int, ...]:
    rank = len(order)
    return (*permute(values[:rank], order), *permute(values[rank:], order))


def _has_operand(node: ir.Node, index: int) -> bool:
    return index < len(node.inputs) and node.inputs[index] is not None


def _integer(node: ir.Node, name: str, default: int | None) -> int | None:
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()
