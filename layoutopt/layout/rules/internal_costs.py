"""The data that the target moves inside an operator, by the layouts at its ports. Its time belongs to `costs`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import axis_of
from layoutopt.ir.values import size_in_bytes
from layoutopt.layout.costs.objectives import NOTHING, InnerCost
from layoutopt.layout.rules.variants import PhysicalLayouts, result

InternalCost = Callable[[ir.Node, PhysicalLayouts], InnerCost]
"""(node, how its ports are stored) -> what the target does inside the operator."""


def last_axis_only(node: ir.Node, layouts: PhysicalLayouts) -> InnerCost:
    """The last stored dimension is free; to any other axis the target moves the data there and back."""
    layout = layouts[result()]
    value = axis_of(node, -1, len(layout.shape))
    if value is None or (position := layout.position(value, ordered=False)) is None:
        return NOTHING
    moves = layout.shape[value] != 1 and any(size != 1 for size in layout.sizes[position + 1 :])
    return InnerCost(transposed=sum(size_in_bytes(port.value(node)) for port in layouts)) if moves else NOTHING


def interleaving(node: ir.Node, layouts: PhysicalLayouts) -> InnerCost:
    """Pieces that are joined or cut side by side take longer where they are short."""
    whole, *parts = layouts if node.op_type == "Split" else reversed(list(layouts))
    layout = layouts[whole]
    axis = axis_of(node, 0, len(layout.shape))
    if axis is None or (found := layout.outermost(axis)) is None:
        return NOTHING
    place, before, _ = found
    pieces = prod(layout.sizes[:place]) * before * len(parts)
    return InnerCost(pieces=pieces, piece=max(1, size_in_bytes(whole.value(node)) // pieces))
