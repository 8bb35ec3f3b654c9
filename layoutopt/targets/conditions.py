"""The conditions that rules may state. Each returns why an operation does not meet it, as the end of a sentence.

A rule is ``condition = wanted`` in TOML. Values that are known when the file is loaded, such as weights, axes and
shapes, are constants; all others are run-time values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.opset import definition

Condition: TypeAlias = "Callable[[Operation, Any], str | None]"

_DATA_ROLES = frozenset({"a", "b", "x", "on", "off", "updates", "update", "value", "slope", "boxes", "scores"})
"""Roles of operands that hold numbers to compute with; the others say where, how many or by what weights."""


def run_time_values(operation: Operation) -> list[Value]:
    """Return the operands that are not constant, and the results."""
    operands = [each for each in operation.operands if each is not None and not each.is_constant]
    return [*operands, *operation.results]


def _with_role(operation: Operation, role: str) -> Iterator[Value]:
    facts = definition(operation.code)
    for index, operand in enumerate(operation.operands):
        if operand is not None and facts.role(index) == role:
            yield operand


def _main(operation: Operation) -> Value | None:
    return operation.operand(definition(operation.code).main)


def _shape(value: Value) -> tuple[int, ...]:
    """Return the shape, with 0 for what is not known."""
    return tuple(size or 0 for size in value.shape or ())


def _named(types: Sequence[str]) -> str:
    return ", ".join(each.lower() for each in types)


# --- types and quantization ------------------------------------------------------------------------------------------


def types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that all run-time values have one of these element types."""
    for value in run_time_values(operation):
        if value.dtype.value not in wanted:
            return f"has a run-time value of {value.dtype}, not of {_named(wanted)}"
    return None


def input_types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that the operand that is computed with has one of these element types."""
    value = _main(operation)
    if value is not None and value.dtype.value not in wanted:
        return f"takes {value.dtype}, not {_named(wanted)}"
    return None


def result_types(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that the results have one of these element types."""
    for value in operation.results:
        if value.dtype.value not in wanted:
            return f"gives {value.dtype}, not {_named(wanted)}"
    return None


def role_types(operation: Operation, wanted: Mapping[str, Sequence[str]]) -> str | None:
    """Require that the operands with certain roles have one of these element types."""
    for role, named in wanted.items():
        for value in _with_role(operation, role):
            if value.dtype.value not in named:
                return f"has {role} of {value.dtype}, not of {_named(named)}"
    return None


def quantized(operation: Operation, wanted: bool) -> str | None:
    """Require a scale of all integers that stand for real numbers."""
    facts = definition(operation.code)
    data = [each for at, each in enumerate(operation.operands) if each is not None and facts.role(at) in _DATA_ROLES]
    for value in [*data, *operation.results]:
        if wanted and value.quantization is None:
            return f"has a value of {value.dtype} without quantization"
    return None


def per_tensor(operation: Operation, wanted: bool) -> str | None:
    """Require one scale for all of each value."""
    every = [*(each for each in operation.operands if each is not None), *operation.results]
    if wanted and any(each.quantization is not None and len(each.quantization.scales) > 1 for each in every):
        return "is quantized by channel"
    return None


def same_quantization(operation: Operation, wanted: bool) -> str | None:
    """Require that operands and results have the same scales and zero points."""
    grids = {each.quantization for each in [*run_time_values(operation)] if each.quantization is not None}
    return "has operands and a result of different scales" if wanted and len(grids) > 1 else None


# --- ranks and shapes ------------------------------------------------------------------------------------------------


def static(operation: Operation, wanted: bool) -> str | None:
    """Require that all sizes are known."""
    if wanted and not all(value.is_static for value in run_time_values(operation)):
        return "has sizes that are known at run time only"
    return None


def max_rank(operation: Operation, wanted: int) -> str | None:
    """Require that run-time values have so many axes at most."""
    rank = max((len(value.shape or ()) for value in run_time_values(operation)), default=0)
    return f"has values of {rank} axes, more than {wanted}" if rank > wanted else None


def ranks(operation: Operation, wanted: Sequence[int]) -> str | None:
    """Require that the operand that is computed with has one of these numbers of axes."""
    value = _main(operation)
    if value is None or value.shape is None or len(value.shape) in wanted:
        return None
    return f"takes {len(value.shape)} axes, not {' or '.join(map(str, wanted))}"


def result_min_rank(operation: Operation, wanted: int) -> str | None:
    """Require that results have so many axes at least."""
    if any(value.shape is not None and len(value.shape) < wanted for value in operation.results):
        return f"gives a value of fewer axes than {wanted}"
    return None


def innermost_axes(operation: Operation, wanted: int) -> str | None:
    """Require that only so many axes, the last ones, are longer than 1."""
    for value in run_time_values(operation):
        if prod(_shape(value)[:-wanted]) != 1:
            return f"has a value of shape {list(_shape(value))}: only the last {wanted} axes may be longer than 1"
    return None


def batch_of_one(operation: Operation, wanted: bool) -> str | None:
    """Require that the first of four axes is 1 long."""
    value = _main(operation)
    if wanted and value is not None and len(shape := _shape(value)) == 4 and shape[0] != 1:
        return f"has a batch of {shape[0]}"
    return None


def max_elements(operation: Operation, wanted: int) -> str | None:
    """Require that the operand has one axis longer than 1 at most, and so many elements at most."""
    value = _main(operation)
    shape = () if value is None else _shape(value)
    if sum(size != 1 for size in shape) > 1:
        return f"takes a value of shape {list(shape)}, not of one axis"
    return f"takes {prod(shape):,} elements, more than {wanted:,}" if prod(shape) > wanted else None


def leading_ones(operation: Operation, wanted: bool) -> str | None:
    """Require that what is squeezed are the first axes."""
    value = _main(operation)
    if wanted and value is not None and value.is_static and operation.results[0].is_static:
        kept = operation.results[0].sizes
        if value.sizes != (1,) * (len(value.sizes) - len(kept)) + kept:
            return f"takes axes of length 1 out of the middle of {list(value.sizes)}"
    return None


def covering(operation: Operation, wanted: bool) -> str | None:
    """Require that one of two operands is as large as the result on all axes."""
    shapes = [_shape(each) for each in operation.operands if each is not None]
    if wanted and len({len(shape) for shape in shapes}) == 1 and _shape(operation.results[0]) not in shapes:
        return f"broadcasts both operands, {list(shapes[0])} and {list(shapes[-1])}"
    return None


def same_shape(operation: Operation, wanted: bool) -> str | None:
    """Require that operands and result have the same shape."""
    shapes = {_shape(each) for each in [*operation.operands, *operation.results] if each is not None}
    return "broadcasts operands" if wanted and len(shapes) > 1 else None


# --- operands --------------------------------------------------------------------------------------------------------


def constant(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that operands with these roles are constant."""
    for role in wanted:
        if not all(value.is_constant for value in _with_role(operation, role)):
            return f"computes its {role} at run time"
    return None


def not_constant(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that operands with these roles are not constant."""
    for role in wanted:
        if any(value.is_constant for value in _with_role(operation, role)):
            return f"has a constant for its {role}"
    return None


def run_time_operands(operation: Operation, wanted: Sequence[int]) -> str | None:
    """Require such a number of operands that are not constant."""
    count = sum(each is not None and not each.is_constant for each in operation.operands)
    return None if count in wanted else f"has {count} run-time operands, not {' or '.join(map(str, wanted))}"


def constant_is_zero_padding(operation: Operation, wanted: bool) -> str | None:
    """Require that a constant is all zeros, and one of two operands."""
    constants = [each for each in operation.operands if each is not None and each.is_constant]
    if not wanted or not constants:
        return None
    zero = [each.quantization.zero_points[0] if each.quantization else 0 for each in constants]
    if len(operation.operands) == 2 and all(
        bool(np.all(each.array == number)) for each, number in zip(constants, zero, strict=True)
    ):
        return None
    return "joins a constant that is not one of two operands and all zeros"


def bias(operation: Operation, wanted: bool) -> str | None:
    """Require a bias."""
    at = definition(operation.code).bias
    return "has no bias" if wanted and at is not None and operation.operand(at) is None else None


def max_operands(operation: Operation, wanted: int) -> str | None:
    """Require so many operands at most."""
    count = len(operation.operands)
    return f"has {count} operands, more than {wanted}" if count > wanted else None


# --- options ---------------------------------------------------------------------------------------------------------


def options(operation: Operation, wanted: Mapping[str, Sequence[Any]]) -> str | None:
    """Require that options have one of these values."""
    for name, allowed in wanted.items():
        value = operation.options.get(name)
        if value is not None and value not in allowed:
            return f"has {name} = {value}, not {' or '.join(map(str, allowed))}"
    return None


def max_options(operation: Operation, wanted: Mapping[str, int]) -> str | None:
    """Require that options are so large at most."""
    for name, limit in wanted.items():
        value = operation.options.get(name)
        if value is not None and value > limit:
            return f"has {name} = {value}, more than {limit}"
    return None


def activations(operation: Operation, wanted: Sequence[str]) -> str | None:
    """Require that a fused activation is one of these."""
    found = operation.options.get("fused_activation_function", "NONE")
    return None if found in wanted else f"has {found} fused into it"


def equal_dilations(operation: Operation, wanted: bool) -> str | None:
    """Require the same dilation in height and width."""
    found = [operation.options.get(f"dilation_{axis}_factor", 1) for axis in "hw"]
    return f"has dilations {found}" if wanted and found[0] != found[1] else None


def large_strides(operation: Operation, wanted: int) -> str | None:
    """Require that strides above a limit go without dilation and padding."""
    stride = max(operation.options.get(f"stride_{axis}", 1) for axis in "hw")
    dilation = max(operation.options.get(f"dilation_{axis}_factor", 1) for axis in "hw")
    if stride > wanted and (dilation > 1 or _pads(operation)):
        return f"has a stride of {stride}, more than {wanted}, with padding or dilation"
    return None


def _pads(operation: Operation) -> bool:
    """Say whether a window over pictures reaches over the border."""
    options, before, after = operation.options, _shape(operation[0]), _shape(operation.results[0])
    window = {"h": options.get("filter_height"), "w": options.get("filter_width")}
    if None in window.values():
        window = dict(zip("hw", _shape(operation[1])[1:3], strict=True))
    return options.get("padding") != "VALID" and any(
        (after[at] - 1) * options.get(f"stride_{axis}", 1)
        + (int(window[axis] or 1) - 1) * options.get(f"dilation_{axis}_factor", 1)
        >= before[at]
        for at, axis in ((1, "h"), (2, "w"))
    )


def padded_kernel(operation: Operation, wanted: int) -> str | None:
    """Require that windows with padding are so large at most."""
    size = max(operation.options.get(f"filter_{axis}", 1) for axis in ("height", "width"))
    if operation.options.get("padding") != "VALID" and size > wanted:
        return f"has a window of {size} with padding, more than {wanted}"
    return None


def max_kernel(operation: Operation, wanted: int) -> str | None:
    """Require windows of so many elements at most."""
    size = prod(operation.options.get(f"filter_{axis}", 1) for axis in ("height", "width"))
    return f"has a window of {size:,} elements, more than {wanted:,}" if size > wanted else None


def depth_multiplier(operation: Operation, wanted: bool) -> str | None:
    """Require one filter per channel, or one channel."""
    value, channels = operation[0], _shape(operation.results[0])[-1:]
    if wanted and _shape(value)[-1:] not in (channels, (1,)):
        return "has several filters for each of several channels"
    return None


# --- axes ------------------------------------------------------------------------------------------------------------


def _axes(operation: Operation) -> list[int] | None:
    """Return the axes that are reduced, split, packed or searched, from 0; None where they are not known."""
    value = _main(operation)
    rank = 0 if value is None else len(value.shape or ())
    given = [*_with_role(operation, "axes"), *_with_role(operation, "axis")]
    if given:
        if not all(each.is_constant for each in given):
            return None
        found = [int(axis) for each in given for axis in np.atleast_1d(each.array)]
    else:
        found = [operation.options["axis"]] if "axis" in operation.options else []
    return [axis % rank if rank else axis for axis in found]


def not_the_batch(operation: Operation, wanted: bool) -> str | None:
    """Require that the first of several axes is left alone, which is where pictures of a batch lie."""
    axes, value = _axes(operation), _main(operation)
    if wanted and value is not None and len(value.shape or ()) > 1 and (axes is None or 0 in axes):
        return "works over the batch"
    return None


def last_axis(operation: Operation, wanted: bool) -> str | None:
    """Require that it works over the last axis, or over any but the last."""
    axes, value = _axes(operation), _main(operation)
    if value is None or axes is None:
        return "works over an axis that is not known"
    is_last = axes == [len(value.shape or ()) - 1]
    return None if is_last == wanted else f"works {'not over' if wanted else 'over'} the last axis"


def reduced_depth(operation: Operation, wanted: str) -> str | None:
    """Require that the last of four axes is reduced only where it, or another but the batch, is 1 long."""
    axes, value = _axes(operation), _main(operation)
    shape = () if value is None else _shape(value)
    if axes and wanted == "flat" and len(shape) == 4 and 3 in axes and 1 not in shape[1:]:
        return f"reduces the channels of {list(shape)}"
    return None


def reduced_depth_multiple(operation: Operation, wanted: int) -> str | None:
    """Require that the last of four axes is such a multiple where it is reduced."""
    axes, value = _axes(operation), _main(operation)
    shape = () if value is None else _shape(value)
    if axes and len(shape) == 4 and 3 in axes and shape[3] % wanted:
        return f"reduces {shape[3]} channels, not a multiple of {wanted}"
    return None


def padding_of_batch(operation: Operation, wanted: bool) -> str | None:
    """Require that the batch is not padded, or allow it."""
    for paddings in _with_role(operation, "paddings"):
        of_batch = len(paddings.shape or ()) == 2 and _shape(paddings)[0] > 3
        if not wanted and of_batch and (not paddings.is_constant or np.any(paddings.array[0])):
            return "pads the batch"
    return None


def unit_strides(operation: Operation, wanted: bool) -> str | None:
    """Require that all strides are 1."""
    for strides in _with_role(operation, "strides"):
        if wanted and (not strides.is_constant or np.any(strides.array != 1)):
            return "takes every so many elements"
    return None


def positive_strides(operation: Operation, wanted: bool) -> str | None:
    """Require that no stride is negative."""
    for strides in _with_role(operation, "strides"):
        if wanted and (not strides.is_constant or np.any(strides.array < 0)):
            return "goes backwards"
    return None


def scale_factors(operation: Operation, wanted: Mapping[str, Sequence[int]]) -> str | None:
    """Require that pictures grow by one of these factors: ``centers`` with half-pixel centers, ``corners`` without.

    Both axes grow by the same factor, counted in gaps between pixels where corners are aligned. What is 1 x 1, or does
    not grow, passes.
    """
    before, after = _shape(operation[0]), _shape(operation.results[0])
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


CONDITIONS: Mapping[str, Condition] = {
    condition.__name__: condition
    for condition in (
        *(types, input_types, result_types, role_types, quantized, per_tensor, same_quantization, static, max_rank),
        *(ranks, result_min_rank, innermost_axes, batch_of_one, max_elements, leading_ones, covering, same_shape),
        *(constant, not_constant, run_time_operands, constant_is_zero_padding, bias, max_operands, options),
        *(max_options, activations, equal_dilations, large_strides, padded_kernel, max_kernel, depth_multiplier),
        *(
            not_the_batch,
            last_axis,
            reduced_depth_multiple,
            padding_of_batch,
            unit_strides,
            positive_strides,
            scale_factors,
        ),
    )
}
"""By the names that rules call them."""
