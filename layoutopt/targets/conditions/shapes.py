"""Conditions on numbers of axes and their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from layoutopt.targets.conditions.common import main_operand, run_time_values, shape_or_zeros, with_role
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
        shape = shape_or_zeros(value)
        if prod(shape[:-wanted]) != 1:
            return f"has a value of shape {list(shape)}: only the last {wanted} axes may be longer than 1"
    return None


def batch_of_one(operation: Operation, wanted: bool) -> str | None:
    """Require that the first of four axes has the size 1."""
    value = main_operand(operation)
    if wanted and value is not None and len(shape := shape_or_zeros(value)) == 4 and shape[0] != 1:
        return f"has a batch of {shape[0]}"
    return None


def max_elements(operation: Operation, wanted: int) -> str | None:
    """Require that the operand has at most one axis with a size over 1, and at most this number of elements."""
    value = main_operand(operation)
    shape = () if value is None else shape_or_zeros(value)
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


def role_ranks(operation: Operation, wanted: Mapping[str, Sequence[int]]) -> str | None:
    """Require that the operands with certain roles have one of these numbers of axes."""
    return _wrong_ranks(operation, wanted, constants_only=False)


def constant_ranks(operation: Operation, wanted: Mapping[str, Sequence[int]]) -> str | None:
    """Require that the constants with certain roles have one of these numbers of axes."""
    return _wrong_ranks(operation, wanted, constants_only=True)


def _wrong_ranks(operation: Operation, wanted: Mapping[str, Sequence[int]], *, constants_only: bool) -> str | None:
    for role, allowed in wanted.items():
        for value in with_role(operation, role):
            rank = len(value.shape or ())
            if rank not in allowed and (value.is_constant or not constants_only):
                kind = "a constant" if constants_only else "operand"
                return f"has {kind} {role} of {rank} axes, not {' or '.join(map(str, allowed))}"
    return None


def kept_rank(operation: Operation, wanted: bool) -> str | None:
    """Require as many axes in the result as in the data operand where the options ask for all of them to be kept."""
    value = main_operand(operation)
    ranks = {len(shape_or_zeros(each)) for each in (value, operation.results[0]) if each is not None}
    return (
        "keeps axes and changes their number"
        if wanted and operation.options.get("keep_num_dims") and len(ranks) > 1
        else None
    )


def broadcast_to_image(operation: Operation, wanted: bool) -> str | None:
    """Require that two operands of different ranks over 1 broadcast in a way that a GPU has.

    Images with a batch of 1 broadcast with three axes, or with [1, 1]; images also with [batch, channels].
    """
    shapes = sorted((shape_or_zeros(each) for each in operation.operands if each is not None), key=len)
    if not wanted or len(shapes) != 2 or len(shapes[0]) < 2 or len(shapes[0]) == len(shapes[1]):
        return None
    short, image = shapes
    if len(image) == 4 and (
        (len(short) == 3 and image[0] == 1)
        or (short == (1, 1) and image[0] == 1)
        or (len(short) == 2 and short == (image[0], image[3]))
    ):
        return None
    return f"broadcasts {list(short)} to {list(image)}"


def scalar_or_result(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that the operands with certain roles have one element, or the shape of the result."""
    result = shape_or_zeros(operation.results[0])
    for role in wanted:
        for value in with_role(operation, role):
            shape = shape_or_zeros(value)
            if shape not in ((), (1,), result):
                return f"broadcasts {list(shape)} to {list(result)}"
    return None


def same_shape(operation: Operation, wanted: bool) -> str | None:
    """Require that operands and result have the same shape."""
    shapes = {shape_or_zeros(each) for each in [*operation.operands, *operation.results] if each is not None}
    return "broadcasts operands" if wanted and len(shapes) > 1 else None
