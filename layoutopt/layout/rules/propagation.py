"""Carries: how all ports of a node are stored, given one of them. A carry gives nothing where there is no such way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from layoutopt.ir.attributes import axis_of, integer, reduced_axes
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.physical import Storage
from layoutopt.layout.rules.spatial import natural_channels
from layoutopt.layout.rules.variants import Known, Port, Storages, lifted, operand, result

Carry = Callable[[ir.Node, Sequence[Port], Port, Storage, Known], Iterator[Storages]]
"""(node, all ports of the group, one of them, how it is stored, what is known of all) -> how all are stored."""


def aligned(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """All ports alike, axis by axis, also where some broadcast; an axis that changes its size is stored whole."""
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


def beside_scalars(
    node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known
) -> Iterator[Storages]:
    """All ports alike but those that hold a single number."""
    moving = [each for each in ports if each.shape(node)]
    scalars = {each: Storage.natural(()) for each in ports if each not in moving}
    if port in moving:
        for storages in aligned(node, moving, port, storage, known):
            yield {**storages, **scalars}


def reduction(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """All alike where the axes stay; else the result keeps the order of the axes that are left."""
    if integer(node, "keepdims", 1):
        yield from aligned(node, ports, port, storage, known)
    elif (axes := reduced_axes(node)) is not None:
        yield from dropping(axes, operand(0))(node, ports, port, storage, known)


def gathering(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """Both alike for indices of rank 1; a single index drops the axis. Indices of a higher rank: natural only."""
    axis, indices = axis_of(node, 0, len(operand(0).shape(node))), len(operand(1).shape(node))
    if indices == 1:
        yield from aligned(node, ports, port, storage, known)
    elif indices == 0 and axis is not None:
        yield from dropping((axis,), operand(0))(node, ports, port, storage, known)


def inserting(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """The result has the attribute ``axis`` more than the operand, and all others in the same order."""
    if (axis := axis_of(node, -1, len(result().shape(node)))) is not None:
        yield from dropping((axis,), result())(node, ports, port, storage, known)


def per_matrix(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """The result lacks the last two axes, and has all others in the same order."""
    rank = len(operand(0).shape(node))
    yield from dropping((rank - 2, rank - 1), operand(0))(node, ports, port, storage, known)


def normalized(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
    """All alike; scale and bias have the axes from ``axis`` on, in the same order."""
    del known
    shape = operand(0).shape(node)
    axis = axis_of(node, -1, len(shape))
    affine = [each for each in ports if each not in (operand(0), result())]
    if axis is not None and port not in affine and all(each.shape(node) == shape[axis:] for each in affine):
        inner = storage.without(range(axis))
        yield {each: inner if each in affine else storage for each in ports}


def ordered_channels(
    node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known
) -> Iterator[Storages]:
    """Channels-last, with the channels in their own order: neighbours matter."""
    del port, known
    natural = {each: natural_channels(node, each) for each in ports}
    if storage.layout == natural[operand(0)].layout:
        yield natural


def dropping(axes: Collection[int], whole: Port) -> Carry:
    """All ports lack ``axes`` of the one at ``whole``."""

    def carry(node: ir.Node, ports: Sequence[Port], port: Port, storage: Storage, known: Known) -> Iterator[Storages]:
        for full in [storage] if port == whole else _restored(whole.shape(node), axes, storage, known(whole)):
            left = full.without(axes)
            yield {each: full if each == whole else left for each in ports}

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
