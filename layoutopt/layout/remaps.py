"""Carries, remaps and prices: the pure questions that a layout rule asks.

A *carry* tells how all ports are stored, given one of them. A *remap* tells what else in the node names an axis, and
what it must say instead. A *price* tells what the target moves inside the operator. Where there is no such variant, a
carry gives nothing and the others answer None.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.edit import constant_of
from layoutopt.ir.perm import Perm, identity
from layoutopt.layout.layouts import Shape, Storage
from layoutopt.layout.variants import Edit, Known, Port, Storages, lifted, operand, result, size_in_bytes

Carry = Callable[[ir.Node, Sequence[Port], Port, Storage, Known], Iterator[Storages]]
"""(node, all ports of the group, one of them, how it is stored, what is known of all) -> how all are stored."""

Remap = Callable[[ir.Node, Storages], "Edit | None"]
"""(node, how its ports are stored) -> what must change."""

Price = Callable[[ir.Node, Storages], "int | None"]
"""(node, how its ports are stored) -> bytes that the target moves inside the operator."""


# --- carries ---------------------------------------------------------------------------------------------------------


def aligned(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """All ports alike, axis by axis; those of lower rank are raised by leading axes first, as broadcasting does.

    An axis that has another size elsewhere (Concat, Slice, ...) must be stored whole.
    """
    del port
    shapes = {each: each.shape(node) for each in ports}
    if all(shape == storage.shape for shape in shapes.values()):
        yield dict.fromkeys(ports, storage)
        return
    rank = max(map(len, shapes.values()))
    raised = {each: lifted(shape, rank) for each, shape in shapes.items()}
    for full in _enlarged(storage.lifted(rank), raised, known):
        fitted = {each: found for each, shape in raised.items() if (found := full.sized(shape)) is not None}
        if len(fitted) == len(raised):
            yield fitted


def reduction(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """As ``aligned`` where the axes stay; else the result keeps the order of the axes that are left."""
    if integer(node, "keepdims", 1):
        yield from aligned(node, ports, port, storage, known)
    elif (axes := _reduced_axes(node)) is not None:
        yield from dropping(axes)(node, ports, port, storage, known)


def dropping(axes: Collection[int]) -> Carry:
    """The results lack ``axes`` of the first operand."""

    def carry(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
        source = operand(0)
        for whole in [storage] if port == source else _restored(source.shape(node), axes, storage, known(source)):
            left = whole.without(axes)
            yield {each: left if each.result else whole for each in ports}

    return carry


def _enlarged(storage: Storage, raised: Mapping[Port, Shape], known: Known) -> Iterator[Storage]:
    """``storage`` for the largest size that each axis has at any port."""
    full = tuple(max(sizes) for sizes in zip(*raised.values(), strict=True))
    missing = [axis for axis, size in enumerate(full) if storage.shape[axis] == 1 != size]
    base = storage.sized(tuple(1 if axis in missing else size for axis, size in enumerate(full)))
    if base is None:
        return
    if not missing:
        yield base
        return
    larger = (port for port, shape in raised.items() if all(shape[axis] != 1 for axis in missing))
    others = (other.lifted(len(full)).sized(full) for port in larger for other in known(port))
    yield from _matching(base, full, missing, others)


def _restored(shape: Shape, axes: Collection[int], left: Storage, known: Iterable[Storage]) -> Iterator[Storage]:
    """Tensors of ``shape`` that are stored as ``left`` once ``axes`` are dropped."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    dims = tuple(replace(dim, axis=kept[dim.axis]) for dim in left.dims)
    single = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    yield from _matching(Storage(single, dims), shape, axes, known)


def _matching(
    small: Storage, full: Shape, missing: Collection[int], known: Iterable[Storage | None]
) -> Iterator[Storage]:
    """What is known already of the larger tensor and agrees, or else the ``missing`` axes at every place."""
    layout = small.layout
    agreeing = [other for other in known if other and (less := other.sized(small.shape)) and less.layout == layout]
    yield from agreeing or small.completed(full, missing)


# --- remaps ----------------------------------------------------------------------------------------------------------


def to_dialect(node: ir.Node, storages: Storages) -> Edit | None:
    """The operator of the NHWC dialect that runs the node in channels-last."""
    del storages
    return Edit(operator=dialect.OPERATORS[node.op_type].name)


def axis(default: int | None = None) -> Remap:
    """The attribute ``axis``, which must be stored whole."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        value = _axis(node, default, len(storages[operand(0)].shape))
        position = None if value is None else _whole_position(value, storages)
        return None if position is None else Edit(attributes={"axis": position})

    return remap


def axes(index: int) -> Remap:
    """The axes, an attribute in older opsets and the operand at ``index`` in newer ones; none means all."""

    def remap(node: ir.Node, storages: Storages) -> Edit | None:
        storage = storages[operand(0)]
        if (attribute := node.attributes.get("axes")) is not None:
            moved = _positions(attribute.as_ints(), storage)
            return None if moved is None else Edit(attributes={"axes": moved})
        if not has_operand(node, index):
            return Edit()
        moved = _positions(constant_integers(node, index), storage)
        return None if moved is None else Edit(operands={index: _like(node, index, moved)})

    return remap


def slices(node: ir.Node, storages: Storages) -> Edit | None:
    """The axes of a Slice, which default to the first ones; each is stored whole."""
    starts = constant_integers(node, 1)
    values = constant_integers(node, 3) if has_operand(node, 3) else starts and tuple(range(len(starts)))
    moved = _whole_positions(values, storages)
    return None if moved is None else Edit(operands={3: _like(node, 3 if has_operand(node, 3) else 1, moved)})


def pads(node: ir.Node, storages: Storages) -> Edit | None:
    """The pads of a Pad, begins and ends per axis, or its axes where it names some; each that is padded is whole."""
    storage = storages[operand(0)]
    if has_operand(node, 3):
        moved = _whole_positions(constant_integers(node, 3), storages)
        return None if moved is None else Edit(operands={3: _like(node, 3, moved)})
    attribute = node.attributes.get("pads")
    values = attribute.as_ints() if attribute is not None else constant_integers(node, 1)
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
    """TFLite runs the operator on the last axis alone: to any other it moves the data there and back."""
    storage = storages[result()]
    value = _axis(node, -1, len(storage.shape))
    if value is None or (position := storage.position(value)) is None:
        return None
    moves = storage.shape[value] != 1 and any(size != 1 for size in storage.sizes[position + 1 :])
    return 2 * size_in_bytes(node.outputs[0]) if moves else 0


SHORTEST_RUN = 16
"""Elements side by side below which copying piece by piece is about as dear as a Transpose, or dearer: measured."""


def interleaving(node: ir.Node, storages: Storages) -> int | None:
    """Joining or cutting short pieces costs what is written, and is not to be had for single elements.

    Only where the natural order has longer pieces.
    """
    whole, *parts = storages if node.op_type == "Split" else reversed(list(storages))
    storage = storages[whole]
    axis = _axis(node, 0, len(storage.shape))
    if axis is None or storage.is_natural or (position := storage.position(axis)) is None:
        return 0
    longest = max(storages[part].shape[axis] for part in parts)
    run, natural = (longest * prod(sizes) for sizes in (storage.sizes[position + 1 :], storage.shape[axis + 1 :]))
    if run >= min(SHORTEST_RUN, natural):
        return 0
    return size_in_bytes(whole.value(node)) if run > 1 else None


# --- what they share -------------------------------------------------------------------------------------------------


def transpose_perm(node: ir.Node) -> Perm:
    """The permutation of a Transpose, which reverses the axes where it names none."""
    attribute = node.attributes.get("perm")
    if attribute is not None:
        return tuple(attribute.as_ints())
    return tuple(reversed(identity(len(operand(0).shape(node)))))


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


def _axis(node: ir.Node, default: int | None, rank: int) -> int | None:
    """The attribute ``axis``, not negative; None where it is missing or out of range."""
    value = integer(node, "axis", default)
    return None if value is None or not -rank <= value < rank else value % rank


def _reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes that a reduction drops, not negative; None where they are not known offline."""
    rank = len(operand(0).shape(node))
    if "axis" in node.attributes or node.op_type in ("ArgMax", "ArgMin"):
        values: tuple[int, ...] | None = (integer(node, "axis", 0) or 0,)
    elif "axes" in node.attributes:
        values = tuple(node.attributes["axes"].as_ints())
    elif has_operand(node, 1):
        values = constant_integers(node, 1)
    else:
        values = ()
    if values == () and not integer(node, "noop_with_empty_axes", 0):
        values = identity(rank)
    return None if values is None else tuple(value % rank for value in values)


def _positions(values: Sequence[int] | None, storage: Storage) -> tuple[int, ...] | None:
    """All dimensions of the axes ``values``, in the order in which these are named."""
    rank = len(storage.shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    return tuple(position for value in values for position in storage.positions((value % rank,)))


def _whole_positions(values: Sequence[int] | None, storages: Storages) -> tuple[int, ...] | None:
    """The dimensions of the axes ``values``; None where one does not lie in one piece and in its own order."""
    rank = len(storages[operand(0)].shape)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    found = [_whole_position(value % rank, storages) for value in values]
    return tuple(position for position in found if position is not None) if None not in found else None


def _whole_position(axis: int, storages: Storages) -> int | None:
    """The dimension that is ``axis`` at every port that has it: where it has size 1 alone, it would seem whole."""
    rank = len(storages[operand(0)].shape)
    found = {storage.position(axis) for storage in storages.values() if len(storage.shape) == rank}
    return found.pop() if len(found) == 1 else None


def _like(node: ir.Node, index: int, values: Sequence[int]) -> npt.NDArray[np.integer]:
    """``values`` in the type of the constant at ``index``, where one is asked for the other operands' type."""
    value = node.inputs[index]
    return np.array(values, np.int64 if value is None or value.dtype is None else value.dtype.numpy())
