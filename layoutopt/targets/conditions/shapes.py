"""Conditions on numbers of axes and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from layoutopt.targets.conditions.common import main_operand, run_time_values, shape_of
from layoutopt.tfl.graph import Operation


def static(operation: Operation, wanted: bool) -> str | None:
    """Require that all sizes are known."""
    if wanted and not all(value.is_static for value in run_time_values(operation)):
        return "has sizes that are known at run time only"
    return None


def max_rank(operation: Operation, wanted: int) -> str | None:
    """Require that run-time values have at most this number of axes."""
    rank = max((len(value.shape or ()) for value in run_time_values(operation)), default=0)
    return f"has values of {rank} axes, more than {wanted}" if rank > wanted else None


def ranks(operation: Operation, wanted: Sequence[int]) -> str | None:
    """Require that the data operand has one of these numbers of axes."""
    value = main_operand(operation)
    if value is None or value.shape is None or len(value.shape) in wanted:
        return None
    return f"takes {len(value.shape)} axes, not {' or '.join(map(str, wanted))}"


def result_min_rank(operation: Operation, wanted: int) -> str | None:
    """Require that results have at least this number of axes."""
    if any(value.shape is not None and len(value.shape) < wanted for value in operation.results):
        return f"gives a value of fewer axes than {wanted}"
    return None


def innermost_axes(operation: Operation, wanted: int) -> str | None:
    """Require that only this number of axes, the last ones, have a size over 1."""
    for value in run_time_values(operation):
        if prod(shape_of(value)[:-wanted]) != 1:
            return f"has a value of shape {list(shape_of(value))}: only the last {wanted} axes may be longer than 1"
    return None


def batch_of_one(operation: Operation, wanted: bool) -> str | None:
    """Require that the first of four axes has the size 1."""
    value = main_operand(operation)
    if wanted and value is not None and len(shape := shape_of(value)) == 4 and shape[0] != 1:
        return f"has a batch of {shape[0]}"
    return None


def max_elements(operation: Operation, wanted: int) -> str | None:
    """Require that the operand has at most one axis with a size over 1, and at most this number of elements."""
    value = main_operand(operation)
    shape = () if value is None else shape_of(value)
    if sum(size != 1 for size in shape) > 1:
        return f"takes a value of shape {list(shape)}, not of one axis"
    return f"takes {prod(shape):,} elements, more than {wanted:,}" if prod(shape) > wanted else None


def leading_ones(operation: Operation, wanted: bool) -> str | None:
    """Require that only the first axes are squeezed."""
    value = main_operand(operation)
    if wanted and value is not None and value.is_static and operation.results[0].is_static:
        kept = operation.results[0].sizes
        if value.sizes != (1,) * (len(value.sizes) - len(kept)) + kept:
            return f"takes axes of length 1 out of the middle of {list(value.sizes)}"
    return None


def covering(operation: Operation, wanted: bool) -> str | None:
    """Require that one of two operands is as large as the result on all axes."""
    shapes = [shape_of(each) for each in operation.operands if each is not None]
    if wanted and len({len(shape) for shape in shapes}) == 1 and shape_of(operation.results[0]) not in shapes:
        return f"broadcasts both operands, {list(shapes[0])} and {list(shapes[-1])}"
    return None


def same_shape(operation: Operation, wanted: bool) -> str | None:
    """Require that operands and result have the same shape."""
    shapes = {shape_of(each) for each in [*operation.operands, *operation.results] if each is not None}
    return "broadcasts operands" if wanted and len(shapes) > 1 else None
