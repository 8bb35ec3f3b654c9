"""What the target moves inside an operator, by the layouts at its ports; None where it cannot run so."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import (
    axis_of,
)
from layoutopt.ir.values import size_in_bytes
from layoutopt.layout.rules.variants import PhysicalLayouts, result

InternalCost = Callable[[ir.Node, PhysicalLayouts], "int | None"]
"""(node, how its ports are stored) -> bytes that the target moves inside the operator."""


SHORTEST_RUN = 8
"""Elements side by side from which on joining and cutting cost no more than that of long pieces: measured in LiteRT."""


def last_axis_only(node: ir.Node, layouts: PhysicalLayouts) -> int | None:
    """The last stored dimension is free; to any other axis the target moves the data there and back."""
    layout = layouts[result()]
    value = axis_of(node, -1, len(layout.shape))
    if value is None or (position := layout.position(value, ordered=False)) is None:
        return None
    moves = layout.shape[value] != 1 and any(size != 1 for size in layout.sizes[position + 1 :])
    return sum(size_in_bytes(port.value(node)) for port in layouts) if moves else 0


def interleaving(node: ir.Node, layouts: PhysicalLayouts) -> int | None:
    """Pieces of 8 elements side by side are free; shorter ones, where the natural order has longer, cost all bytes."""
    whole, *parts = layouts if node.op_type == "Split" else reversed(list(layouts))
    layout = layouts[whole]
    axis = axis_of(node, 0, len(layout.shape))
    if axis is None or layout.is_natural or (place := layout.front(axis)) is None:
        return 0
    run = max(prod(layouts[part].sizes[place:]) for part in parts)
    natural = max(prod(layouts[part].shape[axis:]) for part in parts)
    if run >= min(SHORTEST_RUN, natural):
        return 0
    return size_in_bytes(whole.value(node)) if run > 1 else None
