"""Slices of every other row and column that are joined again along the channels: SPACE_TO_DEPTH in one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask", "offset")


@rule("CONCATENATION")
def use_space_to_depth(operation: Operation, _: Uses) -> Value | None:
    """Write slices of a picture, joined row by row of each block, as SPACE_TO_DEPTH."""
    found = _blocks(operation)
    if found is None:
        return None
    x, block, order = found
    return tfl.space_to_depth(x, block) if list(order) == sorted(order) else None


@rule("CONV_2D")
def reorder_blocks_in_filters(operation: Operation, uses: Uses) -> Value | None:
    """Write a convolution of slices that are joined in another order as one of SPACE_TO_DEPTH, by other filters."""
    joined, filters = uses.producer(operation.operand(0), "CONCATENATION"), operation[1]
    found = None if joined is None or not filters.is_constant else _blocks(joined)
    if found is None or filters.array.shape[3] != operation[0].sizes[3]:
        return None
    x, block, order = found
    split = filters.array.reshape(*filters.array.shape[:3], len(order), -1)
    moved = np.ascontiguousarray(split[:, :, :, np.argsort(order)]).reshape(filters.array.shape)
    return record_again(operation, tfl.space_to_depth(x, block), Value.constant(moved), *operation.operands[2:])


def _blocks(operation: Operation) -> tuple[Value, int, Sequence[int]] | None:
    """Return a picture of which all parts of each block are joined, the size of a block, and the order of its parts."""
    if operation.options["axis"] not in (3, -1) or operation.options["fused_activation_function"] != "NONE":
        return None
    parts = [_part(operand) for operand in operation.operands]
    first = parts[0]
    if first is None:
        return None
    x, block, _ = first
    order = [part[2] for part in parts if part is not None and part[0] is x and part[1] == block]
    return (x, block, order) if sorted(order) == list(range(block * block)) and len(parts) == len(order) else None


def _part(value: Value | None) -> tuple[Value, int, int] | None:
    """Return a picture, and the size of the blocks of which a value is one element each, with its position in them."""
    operation = None if value is None else value.producer
    if operation is None or operation.code != "STRIDED_SLICE" or any(operation.options[mask] for mask in _MASKS):
        return None
    x, begin, _, strides = (each for each in operation.operands if each is not None)
    if not (x.is_static and begin.is_constant and strides.is_constant and x.rank == 4 and x.dtype is DType.FLOAT32):
        return None
    (_, down, right, _), (_, block, _, _) = begin.array.tolist(), strides.array.tolist()
    batch, height, width, channels = x.sizes
    fits = block > 1 and not height % block and not width % block and 0 <= down < block and 0 <= right < block
    whole = fits and operation.result.shape == (batch, height // block, width // block, channels)
    return (x, block, down * block + right) if whole and strides.array.tolist() == [1, block, block, 1] else None
