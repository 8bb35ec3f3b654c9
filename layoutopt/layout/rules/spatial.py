"""Operators that the target runs in channels-last only, and what they make of a permuted channel axis.

Rows are the batch and the spatial axes. A channel order other than the natural one costs nothing: constant weights
absorb it offline, and what works channel by channel hands it on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.perm import channels_last
from layoutopt.ir.values import Shape, is_constant
from layoutopt.layout.algebra.modes import Mode, merge_modes, split_modes
from layoutopt.layout.algebra.physical import Dim, PhysicalLayout
from layoutopt.layout.rules.variants import Edit, Known, PhysicalLayouts, Port, Take, operand, result

CHANNEL = 1


def natural_channels(node: ir.Node, port: Port) -> PhysicalLayout:
    """Return the channels-last layout, with the channels in their own order."""
    shape = port.shape(node)
    return PhysicalLayout.ordered(shape, channels_last(len(shape)))


def per_channel(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Channels-last, with one channel order for all ports."""
    del port, known
    shapes = {each: each.shape(node) for each in ports}
    channel = _channel(layout)
    if channel is not None and len({shape[CHANNEL] for shape in shapes.values()}) == 1:
        yield {each: _channels_last(shape, channel) for each, shape in shapes.items()}


def conv(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Channels-last in any channel order that the weights can absorb."""
    if is_pointwise(node):
        yield from _pointwise(node, ports, port, layout, known)
        return
    channel = _channel(layout)
    if channel is None or not (_is_whole(channel, layout.shape) or absorbs_orders(node)):
        return
    if is_depthwise(node):
        yield from per_channel(node, ports, port, layout, known)
    elif _keeps_groups(channel, integer(node, "group", 1) or 1):  # the result's channels come in as many groups
        yield {port: _channels_last(layout.shape, channel)}


def separate(node: ir.Node) -> bool:
    """Return whether operand and result of a convolution take their channel orders independently."""
    return not is_pointwise(node) and not is_depthwise(node)


def conv_weights(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """Weights and bias, reordered like the channels that they belong to."""
    inward, outward = (1, 0) if node.op_type == "Conv" else (0, 1)
    takes = []
    if operand(0) in layouts and not is_depthwise(node):
        size = weights_shape(node)[inward]
        takes.append(Take(1, inward, _order(layouts[operand(0)])[:size]))
    if result() in layouts:
        order = _order(layouts[result()])
        takes.append(Take(1, outward if not is_depthwise(node) else 0, order))
        takes.append(Take(2, 0, order))
    return Edit(takes=tuple(take for take in takes if take.indices != tuple(range(len(take.indices)))))


def pointwise_rows(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """A 1x1 convolution is a matrix product: any rows will do, as long as they are two spatial dimensions."""
    rank = len(operand(0).shape(node))
    sizes = {}
    for port, layout in layouts.items():
        if len(layout.dims) != rank:
            *rows, channel = layout.sizes
            most = rank - 1
            rows = [1] * (most - len(rows)) + rows if len(rows) <= most else [1] * (most - 1) + [prod(rows)]
            sizes[port] = (*rows, channel)
    return Edit(sizes=sizes)


def depth_to_space(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Channels-last; the deep side has the block, then the channels of the wide side in any order.

    So a CRD operator is the DCR one of other channels, and what writes or reads them absorbs the order.
    """
    del ports, known
    deep, wide = (operand(0), result()) if node.op_type == "DepthToSpace" else (result(), operand(0))
    block = (integer(node, "blocksize", None) or 1) ** 2
    channels = deep.shape(node)[CHANNEL] // block
    mode = node.attributes.get("mode")
    crd = mode is not None and mode.as_string() == "CRD"
    scale, outer = (block, Mode(1, block)) if crd else (1, Mode(channels, block))
    if (channel := _channel(layout)) is None:
        return
    if port == wide:
        modes = channel.modes
    else:
        pieces = split_modes(channel.modes, (outer.stride, outer.top))
        if pieces is None or pieces[:1] != [outer]:
            return
        modes = tuple(Mode(mode.stride // scale, mode.size) for mode in pieces[1:])
    scaled = (Mode(mode.stride * scale, mode.size) for mode in modes)
    yield {
        deep: _channels_last(deep.shape(node), Dim(CHANNEL, merge_modes((outer, *scaled)))),
        wide: _channels_last(wide.shape(node), Dim(CHANNEL, merge_modes(modes))),
    }


def depth_first(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """With the channels in the right order, the operator is the one whose block is outermost."""
    del layouts
    return Edit(attributes={"mode": "DCR"} if "mode" in node.attributes else {})


def natural_depth(node: ir.Node, port: Port) -> PhysicalLayout:
    """Return the layout of `depth_to_space` with the channels of the wide side in their own order."""
    wide = result() if node.op_type == "DepthToSpace" else operand(0)
    (layouts,) = depth_to_space(node, (), wide, natural_channels(node, wide), lambda _: ())
    return layouts[port]


def is_pointwise(node: ir.Node) -> bool:
    """Return whether a Conv is 1x1, of stride 1, without padding or groups: a matrix product."""
    if node.op_type != "Conv" or integer(node, "group", 1) != 1:
        return False
    strides, pads = node.attributes.get("strides"), node.attributes.get("pads")
    return (
        set(weights_shape(node)[2:]) == {1}
        and (strides is None or set(strides.as_ints()) == {1})
        and (pads is None or set(pads.as_ints()) == {0})
    )


def is_depthwise(node: ir.Node) -> bool:
    """Return whether a convolution works channel by channel."""
    return integer(node, "group", 1) == operand(0).shape(node)[CHANNEL] == result().shape(node)[CHANNEL] != 1


def absorbs_orders(node: ir.Node) -> bool:
    """Return whether the weights and the bias of a convolution can be reordered offline."""
    if node.op_type == "ConvTranspose" and integer(node, "group", 1) != 1:
        return False
    return all(value is None or is_constant(value) for value in node.inputs[1:])


def weights_shape(node: ir.Node) -> Shape:
    """Return the shape of a convolution's weights."""
    return operand(1).shape(node)


def _pointwise(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Yield layouts with rows in any order, the same for operand and result, and the channels innermost."""
    if (found := _rows(layout)) is None:
        return
    rows, channel = found
    others = [each for each in ports if each != port]
    for other in others:
        shape = other.shape(node)
        options = {Dim.whole(CHANNEL, shape[CHANNEL]): None}
        options |= {theirs[1]: None for each in known(other) if (theirs := _rows(each)) and theirs[0] == rows}
        for option in options:
            chosen = {port: channel, other: option}
            if absorbs_orders(node) or all(_is_whole(dim, each.shape(node)) for each, dim in chosen.items()):
                yield {each: _with_rows(each.shape(node), rows, dim) for each, dim in chosen.items()}


def _channel(layout: PhysicalLayout) -> Dim | None:
    """Return the channels of a channels-last layout with whole rows in their own order; None for any other."""
    found = _rows(layout)
    return found[1] if found is not None and found[0] == _whole_rows(layout.shape) else None


def _rows(layout: PhysicalLayout) -> tuple[tuple[Dim, ...], Dim] | None:
    """Return the rows and the channels, where these lie innermost."""
    dims = tuple(dim for dim in layout.dims if dim.modes)
    if layout.shape[CHANNEL] == 1:
        return dims, Dim(CHANNEL, ())
    if not dims or dims[-1].axis != CHANNEL or dims[-1].size != layout.shape[CHANNEL]:
        return None
    return dims[:-1], dims[-1]


def _whole_rows(shape: Shape) -> tuple[Dim, ...]:
    return tuple(Dim.whole(axis, size) for axis, size in enumerate(shape) if axis != CHANNEL and size != 1)


def _channels_last(shape: Shape, channel: Dim) -> PhysicalLayout:
    """Return the layout of rows as they come, then ``channel``, which may be another axis size of the same order."""
    rows = (Dim.whole(axis, size) for axis, size in enumerate(shape) if axis != CHANNEL)
    return PhysicalLayout(shape, (*rows, channel))


def _with_rows(shape: Shape, rows: tuple[Dim, ...], channel: Dim) -> PhysicalLayout:
    return _channels_last(shape, channel) if rows == _whole_rows(shape) else PhysicalLayout(shape, (*rows, channel))


def _is_whole(channel: Dim, shape: Shape) -> bool:
    return channel == Dim.whole(CHANNEL, shape[CHANNEL])


def _keeps_groups(channel: Dim, groups: int) -> bool:
    """Return whether the channels of each group stay together, and the groups in their order."""
    indices, size = channel.indices, channel.size // groups
    return all(index // size == place // size for place, index in enumerate(indices))


def _order(layout: PhysicalLayout) -> tuple[int, ...]:
    """Return the channel at each stored place."""
    return layout.dims[-1].indices
