"""Conditions on the axes that an operation works over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layoutopt.targets.conditions.common import main_operand, shape_or_zeros, with_role
from layoutopt.tfl.graph import Operation


def _axes(operation: Operation) -> list[int] | None:
    """Return the axes that are reduced, split, packed or searched, from 0; None if they are not known."""
    rank = _rank(operation)
    given = [*with_role(operation, "axes"), *with_role(operation, "axis")]
    if given:
        if not all(each.is_constant for each in given):
            return None
        found = [int(axis) for each in given for axis in np.atleast_1d(each.array)]
    else:
        found = [operation.options["axis"]] if "axis" in operation.options else []
    return [axis % rank if rank else axis for axis in found]


def _rank(operation: Operation) -> int:
    """Return how many axes the operation can work over; for PACK, those of its result."""
    value = operation.results[0] if operation.code == "PACK" else main_operand(operation)
    return 0 if value is None else len(value.shape or ())


def not_the_batch(operation: Operation, wanted: bool) -> str | None:
    """Require that the first of several axes, the batch, is not worked over."""
    axes = _axes(operation)
    if wanted and _rank(operation) > 1 and (axes is None or 0 in axes):
        return "works over the batch"
    return None


def last_axis(operation: Operation, wanted: bool) -> str | None:
    """Require that the operation works over the last axis, or over any but the last."""
    axes = _axes(operation)
    if axes is None:
        return "works over an axis that is not known"
    is_last = axes == [_rank(operation) - 1]
    return None if is_last == wanted else f"works {'not over' if wanted else 'over'} the last axis"


def reduced_depth(operation: Operation, wanted: str) -> str | None:
    """Require that the last of four axes is reduced only if it, or another one except the batch, has the size 1."""
    axes, value = _axes(operation), main_operand(operation)
    shape = () if value is None else shape_or_zeros(value)
    if axes and wanted == "flat" and len(shape) == 4 and 3 in axes and 1 not in shape[1:]:
        return f"reduces the channels of {list(shape)}"
    return None


def reduced_depth_multiple(operation: Operation, wanted: int) -> str | None:
    """Require that the last of four axes has such a multiple as its size if it is reduced."""
    axes, value = _axes(operation), main_operand(operation)
    shape = () if value is None else shape_or_zeros(value)
    if axes and len(shape) == 4 and 3 in axes and shape[3] % wanted:
        return f"reduces {shape[3]} channels, not a multiple of {wanted}"
    return None


def padding_of_batch(operation: Operation, wanted: bool) -> str | None:
    """Require that the batch is not padded, or allow it."""
    for paddings in with_role(operation, "paddings"):
        of_batch = len(paddings.shape or ()) == 2 and shape_or_zeros(paddings)[0] > 3
        if not wanted and of_batch and (not paddings.is_constant or np.any(paddings.array[0])):
            return "pads the batch"
    return None


def unit_strides(operation: Operation, wanted: bool) -> str | None:
    """Require that all strides are 1."""
    for strides in with_role(operation, "strides"):
        if wanted and (not strides.is_constant or np.any(strides.array != 1)):
            return "takes every so many elements"
    return None


def positive_strides(operation: Operation, wanted: bool) -> str | None:
    """Require that no stride is negative."""
    for strides in with_role(operation, "strides"):
        if wanted and (not strides.is_constant or np.any(strides.array < 0)):
            return "goes backwards"
    return None


def scale_factors(operation: Operation, wanted: Mapping[str, Sequence[int]]) -> str | None:
    """Require that images grow by one of these factors: ``centers`` with half-pixel centers, ``corners`` without.

    Both axes grow by the same factor, counted in gaps between pixels where corners are aligned. What is 1 x 1, or does
    not grow, passes.
    """
    before, after = shape_or_zeros(operation[0]), shape_or_zeros(operation.results[0])
    if len(before) != 4 or before[1:3] == (1, 1) or before == after:
        return None
    less = int(bool(operation.options.get("align_corners")))
    factors = {
        (new - less) / (old - less) if old > less else 0.0 for old, new in zip(before[1:3], after[1:3], strict=True)
    }
    allowed = wanted["centers" if operation.options.get("half_pixel_centers") else "corners"]
    if len(factors) == 1 and factors <= set(map(float, allowed)):
        return None
    return f"resizes {before[1]} x {before[2]} to {after[1]} x {after[2]}, not by {' or '.join(map(str, allowed))}"
