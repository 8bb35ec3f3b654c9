"""What the target does inside an operator, by the layouts at its ports. How long that takes belongs to `costs`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from layoutopt.ir.attributes import axis_of
from layoutopt.ir.values import size_in_bytes
from layoutopt.layout.costs.objectives import NOTHING, InnerCost
from layoutopt.layout.rules.variants import Storages, result

Price = Callable[[ir.Node, Storages], InnerCost]
"""(node, how its ports are stored) -> what the target does inside the operator."""


def last_axis_only(node: ir.Node, storages: Storages) -> InnerCost:
    """The last stored dimension is free; to any other axis the target moves the data there and back."""
    storage = storages[result()]
    value = axis_of(node, -1, len(storage.shape))
    if value is None or (position := storage.position(value)) is None:
        return NOTHING
    moves = storage.shape[value] != 1 and any(size != 1 for size in storage.sizes[position + 1 :])
    return InnerCost(transposed=sum(size_in_bytes(port.value(node)) for port in storages)) if moves else NOTHING


def interleaving(node: ir.Node, storages: Storages) -> InnerCost:
    """Pieces that are joined or cut side by side take longer where they are short."""
    whole, *parts = storages if node.op_type == "Split" else reversed(list(storages))
    storage = storages[whole]
    axis = axis_of(node, 0, len(storage.shape))
    if axis is None or (place := storage.front(axis)) is None:
        return NOTHING
    pieces = prod(storage.sizes[:place]) * len(parts)
    return InnerCost(pieces=pieces, piece=max(1, size_in_bytes(whole.value(node)) // pieces))
