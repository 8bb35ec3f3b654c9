"""Propagation: the layouts at all ports of a node, given that at one of them.

A propagation yields nothing where no layout of the others goes with that one. What a node must say otherwise under the
layouts is in `remaps`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir

from layoutopt.ir.attributes import axis_of, integer, reduced_axes
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.rules.spatial import natural_channels
from layoutopt.layout.rules.variants import Known, PhysicalLayouts, Port, lifted, operand, result

Propagation = Callable[[ir.Node, Sequence[Port], Port, PhysicalLayout, Known], Iterator[PhysicalLayouts]]
"""(node, all ports of the group, one of them, how it is stored, what is known of all) -> how all are stored."""


def aligned(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """All ports alike, axis by axis, also where some broadcast; an axis that changes its size is stored whole."""
    del port
    shapes = {each: each.shape(node) for each in ports}
    if all(shape == layout.shape for shape in shapes.values()):
        yield dict.fromkeys(ports, layout)
        return
    rank = max(map(len, shapes.values()))
    raised = {each: lifted(shape, rank) for each, shape in shapes.items()}
    for full in _enlarged(layout.lifted(rank), raised, known):
        fitted = {each: found for each, shape in raised.items() if (found := full.sized(shape)) is not None}
        if len(fitted) == len(raised):
            yield fitted


def axis_anywhere_or_last(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """All ports alike, as they come or with the axis moved to the end, where the target need not move it itself."""
    yield from aligned(node, ports, port, layout, known)
    if (axis := axis_of(node, -1, len(layout.shape))) is not None:
        yield from aligned(node, ports, port, layout.with_last(axis), known)


def beside_scalars(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """All ports alike but those that hold a single number."""
    moving = [each for each in ports if each.shape(node)]
    scalars = {each: PhysicalLayout.natural(()) for each in ports if each not in moving}
    if port in moving:
        for layouts in aligned(node, moving, port, layout, known):
            yield {**layouts, **scalars}


def reduction(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """All alike where the axes stay; else the result keeps the order of the axes that are left."""
    if integer(node, "keepdims", 1):
        yield from aligned(node, ports, port, layout, known)
    elif (axes := reduced_axes(node)) is not None:
        yield from dropping(axes, operand(0))(node, ports, port, layout, known)


def gathering(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Both alike for indices of rank 1; a single index drops the axis. Indices of a higher rank: natural only."""
    axis, indices = axis_of(node, 0, len(operand(0).shape(node))), len(operand(1).shape(node))
    if indices == 1:
        yield from aligned(node, ports, port, layout, known)
    elif indices == 0 and axis is not None:
        yield from dropping((axis,), operand(0))(node, ports, port, layout, known)


def inserting(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """The result has the attribute ``axis`` more than the operand, and all others in the same order."""
    if (axis := axis_of(node, -1, len(result().shape(node)))) is not None:
        yield from dropping((axis,), result())(node, ports, port, layout, known)


def per_matrix(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """The result lacks the last two axes, and has all others in the same order."""
    rank = len(operand(0).shape(node))
    yield from dropping((rank - 2, rank - 1), operand(0))(node, ports, port, layout, known)


def normalized(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """All alike; scale and bias have the axes from ``axis`` on, in the same order."""
    del known
    shape = operand(0).shape(node)
    axis = axis_of(node, -1, len(shape))
    affine = [each for each in ports if each not in (operand(0), result())]
    if axis is not None and port not in affine and all(each.shape(node) == shape[axis:] for each in affine):
        inner = layout.without(range(axis))
        yield {each: inner if each in affine else layout for each in ports}


def ordered_channels(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Channels-last, with the channels in their own order: neighbours matter."""
    del port, known
    natural = {each: natural_channels(node, each) for each in ports}
    if layout.mode_order == natural[operand(0)].mode_order:
        yield natural


def dropping(axes: Collection[int], whole: Port) -> Propagation:
    """Return a propagation in which all ports lack ``axes`` of the one at ``whole``."""

    def propagate(
        node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
    ) -> Iterator[PhysicalLayouts]:
        for full in [layout] if port == whole else _restored(whole.shape(node), axes, layout, known(whole)):
            left = full.without(axes)
            yield {each: full if each == whole else left for each in ports}

    return propagate


def _enlarged(layout: PhysicalLayout, raised: Mapping[Port, Shape], known: Known) -> Iterator[PhysicalLayout]:
    """Return ``layout`` for the largest size that each axis has at any port."""
    full = tuple(max(sizes) for sizes in zip(*raised.values(), strict=True))
    missing = [axis for axis, size in enumerate(full) if layout.shape[axis] == 1 != size]
    base = layout.sized(tuple(1 if axis in missing else size for axis, size in enumerate(full)))
    if base is None:
        return
    if not missing:
        yield base
        return
    larger = (port for port, shape in raised.items() if all(shape[axis] != 1 for axis in missing))
    others = (other.lifted(len(full)).sized(full) for port in larger for other in known(port))
    yield from _matching(base, full, missing, others)


def _restored(
    shape: Shape, axes: Collection[int], left: PhysicalLayout, known: Iterable[PhysicalLayout]
) -> Iterator[PhysicalLayout]:
    """Yield layouts of tensors of ``shape`` that are stored as ``left`` once ``axes`` are dropped."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    dims = tuple(replace(dim, axis=kept[dim.axis]) for dim in left.dims)
    single = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    yield from _matching(PhysicalLayout(single, dims), shape, axes, known)


def _matching(
    small: PhysicalLayout, full: Shape, missing: Collection[int], known: Iterable[PhysicalLayout | None]
) -> Iterator[PhysicalLayout]:
    """Yield what is known of the larger tensor and agrees, and the ``missing`` axes at every place."""
    order = small.mode_order
    agreeing = [other for other in known if other and (less := other.sized(small.shape)) and less.mode_order == order]
    yield from dict.fromkeys((*agreeing, *small.completed(full, missing)))
