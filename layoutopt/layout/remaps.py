"""Remaps and prices: the pure questions that a layout rule asks about a choice of storages.

A *remap* tells what else in the node names an axis, and what it must say instead. A *price* tells what the target moves
inside the operator. Where there is no such variant, both answer None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.edit import constant_of
from layoutopt.ir.perm import Perm, identity
from layoutopt.layout.layouts import Layout, Storage
from layoutopt.layout.variants import Edit, Port, Storages, operand, result, size_in_bytes

Remap = Callable[[ir.Node, Storages], "Edit | None"]
"""(node, how its ports are stored) -> what must change."""

Price = Callable[[ir.Node, Storages], "int | None"]
"""(node, how its ports are stored) -> bytes that the target moves inside the operator."""

FIRST = operand(0)


# --- remaps ----------------------------------------------------------------------------------------------------------


def to_dialect(node: ir.Node, storages: Storages) -> Edit | None:
    """The operator of the NHWC dialect that runs the node in channels-last."""
    del storages
    return Edit(operator=dialect.OPERATORS[node.op_type][len(FIRST.shape(node))].name)


def axis(default: int | None = None, port: Port = FIRST) -> Remap:
    """A remap of the attribute ``axis``, which counts the axes of the value at ``port``."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        """The attribute ``axis``, which is stored whole."""
        storage = storages[port]
        value = axis_of(node, default, len(storage.shape))
        position = None if value is None else _whole_position(value, storages, len(storage.shape))
        return None if position is None else Edit(attributes={"axis": position})

    return remap


def joint(default: int | None = None) -> Remap:
    """A remap of the attribute ``axis`` of a Concat or a Split, and of the sizes of the pieces where it names them."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        """The attribute ``axis``, of which whole outermost pieces are joined or cut."""
        whole = storages[FIRST if node.op_type == "Split" else result()]
        value = axis_of(node, default, len(whole.shape))
        place = None if value is None else whole.front(value)
        if place is None or len({(*each.sizes[:place], *each.sizes[place + 1 :]) for each in storages.values()}) > 1:
            return None
        sizes = tuple(each.sizes[place] for port, each in storages.items() if port.result)
        named = {"axis": place}
        if "split" in node.attributes:
            return Edit(attributes={**named, "split": sizes})
        cut = node.op_type == "Split" and has_operand(node, 1)
        return Edit(attributes=named, operands={1: _like(node, 1, sizes)} if cut else {})

    return remap


def axis_operand(node: ir.Node, storages: Storages) -> Edit | None:
    """The axis that the constant operand 1 names, which is stored whole."""
    positions = _whole_positions(constant_integers(node, 1), storages)
    if positions is None or len(positions) != 1:
        return None
    return Edit(operands={1: _like(node, 1, positions).reshape(())})


def axes(index: int, default: tuple[int, ...] | None = None) -> Remap:
    """A remap of the axes: an attribute, which has a ``default``, or in newer opsets the operand at ``index``."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        """The axes, which are known offline."""
        storage = storages[FIRST]
        if (named := integers(node, "axes", default)) is not None:
            moved = _positions(named, storage)
            return None if moved is None else Edit(attributes={"axes": moved})
        if not has_operand(node, index):
            return Edit()
        moved = _positions(constant_integers(node, index), storage)
        return None if moved is None else Edit(operands={index: _like(node, index, moved)})

    return remap


def innermost_axes(default: int, *, ordered: bool = False) -> Remap:
    """A remap of the first one of the axes that a node takes for one; ``ordered`` if it matters how these lie."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        """The axes from ``axis`` on, which lie innermost."""
        storage = storages[FIRST]
        first = axis_of(node, default, len(storage.shape))
        if first is None or (place := _innermost(storage, first)) is None:
            return None
        if ordered and storage.without(range(first)).layout != Layout.natural(storage.shape[first:]):
            return None
        affine = {port: storage.sizes[place:] for port in storages if not port.result and port != FIRST}
        return Edit(attributes={"axis": place}, sizes=affine)

    return remap


def matrices(node: ir.Node, storages: Storages) -> Edit | None:
    """The last two axes, which lie innermost and as they are."""
    del node
    storage = storages[FIRST]
    rank = len(storage.shape)
    last = Storage.natural(storage.shape).dims[-2:]
    return Edit() if rank >= 2 and storage.dims[-2:] == last else None


def sequence_axes(node: ir.Node, storages: Storages) -> Edit | None:
    """The axes of batch and time, which lie outermost."""
    names = {"batch_axis": 1, "time_axis": 0}
    values = [integer(node, name, default) for name, default in names.items()]
    positions = _whole_positions([value for value in values if value is not None], storages)
    if positions is None or sorted(positions) != [0, 1]:
        return None
    return Edit(attributes=dict(zip(names, positions, strict=True)))


def centered_axes(node: ir.Node, storages: Storages) -> Edit | None:
    """The axes, which are stored whole; all if none are named."""
    moved = _whole_positions(integers(node, "axes", identity(len(storages[FIRST].shape))), storages)
    return None if moved is None else Edit(attributes={"axes": moved})


def quantized_axis(node: ir.Node, storages: Storages) -> Edit | None:
    """The axis that has a scale for each element, which is stored whole; no axis if there is one scale for all."""
    scales = operand(1).shape(node)
    if len(scales) > 1 or integer(node, "block_size", 0):
        return None
    return Edit() if prod(scales) == 1 else axis(1)(node, storages)


def repeats(node: ir.Node, storages: Storages) -> Edit | None:
    """How often each stored dimension is repeated."""
    before, after = storages[FIRST].sizes, storages[result()].sizes
    return Edit(operands={1: _like(node, 1, [new // old for old, new in zip(before, after, strict=True)])})


def expanded_shape(node: ir.Node, storages: Storages) -> Edit | None:
    """The shape to expand to."""
    return Edit(operands={1: _like(node, 1, storages[result()].sizes)})


def made_shape(node: ir.Node, storages: Storages) -> Edit | None:
    """The shape to fill."""
    return Edit(operands={0: _like(node, 0, storages[result()].sizes)})


def slices(node: ir.Node, storages: Storages) -> Edit | None:
    """The axes, which default to the first ones and are stored whole."""
    if "starts" in node.attributes:
        return _older_slice(node, storages)
    starts = constant_integers(node, 1)
    values = constant_integers(node, 3) if has_operand(node, 3) else starts and identity(len(starts))
    moved = _whole_positions(values, storages)
    return None if moved is None else Edit(operands={3: _like(node, 3 if has_operand(node, 3) else 1, moved)})


def _older_slice(node: ir.Node, storages: Storages) -> Edit | None:
    """A Slice that has attributes, which come in the order of the axes."""
    starts, ends = integers(node, "starts", ()) or (), integers(node, "ends", ()) or ()
    moved = _whole_positions(integers(node, "axes", identity(len(starts))), storages)
    if moved is None or not len(moved) == len(starts) == len(ends):
        return None
    rows = zip(*sorted(zip(moved, starts, ends, strict=True)), strict=True)
    return Edit(attributes=dict(zip(("axes", "starts", "ends"), rows, strict=True)))


def pads(node: ir.Node, storages: Storages) -> Edit | None:
    """The pads, begins and ends per axis, or the axes where some are named; each that is padded is stored whole."""
    storage = storages[FIRST]
    if has_operand(node, 3):
        moved = _whole_positions(constant_integers(node, 3), storages)
        return None if moved is None else Edit(operands={3: _like(node, 3, moved)})
    attribute = integers(node, "pads")
    values = attribute if attribute is not None else constant_integers(node, 1)
    rank = len(storage.shape)
    if values is None or len(values) != 2 * rank:
        return None
    padded = [axis for axis in range(rank) if values[axis] or values[rank + axis]]
    if _whole_positions(padded, storages) is None:
        return None
    moved = tuple(values[start + dim.axis] for start in (0, rank) for dim in storage.dims)
    return Edit(attributes={"pads": moved}) if attribute is not None else Edit(operands={1: _like(node, 1, moved)})


# --- prices ----------------------------------------------------------------------------------------------------------


def last_axis_only(node: ir.Node, storages: Storages) -> int | None:
    """The last stored dimension is free; to any other axis the target moves the data there and back."""
    storage = storages[result()]
    value = axis_of(node, -1, len(storage.shape))
    if value is None or (position := storage.position(value)) is None:
        return None
    moves = storage.shape[value] != 1 and any(size != 1 for size in storage.sizes[position + 1 :])
    return sum(size_in_bytes(port.value(node)) for port in storages) if moves else 0


SHORTEST_RUN = 8
"""Elements side by side from which on joining and cutting cost no more than that of long pieces: measured in LiteRT."""


def interleaving(node: ir.Node, storages: Storages) -> int | None:
    """Pieces of 8 elements side by side are free; shorter ones, where the natural order has longer, cost all bytes."""
    whole, *parts = storages if node.op_type == "Split" else reversed(list(storages))
    storage = storages[whole]
    axis = axis_of(node, 0, len(storage.shape))
    if axis is None or storage.is_natural or (place := storage.front(axis)) is None:
        return 0
    run = max(prod(storages[part].sizes[place:]) for part in parts)
    natural = max(prod(storages[part].shape[axis:]) for part in parts)
    if run >= min(SHORTEST_RUN, natural):
        return 0
    return size_in_bytes(whole.value(node)) if run > 1 else None


# --- what they share -------------------------------------------------------------------------------------------------


def transpose_perm(node: ir.Node) -> Perm | None:
    """The permutation of a Transpose, which reverses the axes where it names none; None where it is not valid.

    Also None where the rank of the operand is unknown and nothing is named.
    """
    shape = FIRST.value(node).shape
    attribute = node.attributes.get("perm")
    if attribute is None:
        return None if shape is None else tuple(reversed(identity(len(shape))))
    perm = tuple(attribute.as_ints()) if attribute.type is ir.AttributeType.INTS else ()
    rank = len(perm) if shape is None else len(shape)
    return perm if sorted(perm) == list(range(rank)) else None


def constant_integers(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """The values of a constant operand of whole numbers; None where it is empty or not known offline."""
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = constant_of(value) if value is not None else None
    return None if tensor is None else tuple(int(number) for number in tensor.numpy().reshape(-1))


def has_operand(node: ir.Node, index: int) -> bool:
    """Whether ``node`` has an operand at ``index`` that is not left empty."""
    return index < len(node.inputs) and node.inputs[index] is not None


def integer(node: ir.Node, name: str, default: int | None) -> int | None:
    """An attribute that is a whole number."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """An attribute that is a list of whole numbers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(attribute.as_ints())


def axis_of(node: ir.Node, default: int | None, rank: int) -> int | None:
    """The attribute ``axis``, not negative; None where it is missing or out of range."""
    value = integer(node, "axis", default)
    return None if value is None or not -rank <= value < rank else value % rank


def reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes that a reduction drops, not negative; None where they are not known offline."""
    rank = len(FIRST.shape(node))
    if node.op_type in ("ArgMax", "ArgMin"):
        values: tuple[int, ...] | None = (integer(node, "axis", 0) or 0,)
    elif has_operand(node, 1):
        values = constant_integers(node, 1)
    else:
        values = integers(node, "axes", ())
    if values == () and not integer(node, "noop_with_empty_axes", 0):
        values = identity(rank)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    return tuple(value % rank for value in values)


def _innermost(storage: Storage, first: int) -> int | None:
    """Where the axes from ``first`` on begin; None where others, of more than one element, lie behind one of them."""
    inner = [dim.axis >= first for dim in storage.dims if dim.digits]
    if not any(inner) or inner != sorted(inner):
        return None
    return next(place for place, dim in enumerate(storage.dims) if dim.digits and dim.axis >= first)


def _positions(values: Sequence[int] | None, storage: Storage) -> tuple[int, ...] | None:
    """All dimensions of the axes ``values``, in the order in which these are named.

    None where there are none, since to name no axis means all of them: axes of size 1 may not be stored at all.
    """
    rank = len(storage.shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    found = tuple(position for value in values for position in storage.positions((value % rank,)))
    return found if found or not values else None


def _whole_positions(values: Sequence[int] | None, storages: Storages) -> tuple[int, ...] | None:
    """The dimensions of the axes ``values``; None where one does not lie in one piece and in its own order."""
    rank = len(storages[FIRST].shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    found = [_whole_position(value % rank, storages, rank) for value in values]
    return tuple(position for position in found if position is not None) if None not in found else None


def _whole_position(axis: int, storages: Storages, rank: int) -> int | None:
    """The dimension that is ``axis`` at every port of ``rank``: where it has size 1 alone, it would seem whole."""
    found = {storage.position(axis) for storage in storages.values() if len(storage.shape) == rank}
    return found.pop() if len(found) == 1 else None


def _like(node: ir.Node, index: int, values: Sequence[int]) -> npt.NDArray[np.integer]:
    """``values`` in the type of the constant at ``index``, where one is asked for the other operands' type."""
    value = node.inputs[index]
    return np.array(values, np.int64 if value is None or value.dtype is None else value.dtype.numpy())
