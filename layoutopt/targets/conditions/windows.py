"""Conditions on options, most of which windows over pictures have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from layoutopt.targets.conditions.common import shape_or_zeros
from layoutopt.tfl.graph import Operation


def options(operation: Operation, wanted: Mapping[str, Sequence[Any]]) -> str | None:
    """Require that options have one of these values."""
    for name, allowed in wanted.items():
        value = operation.options.get(name)
        if value is not None and value not in allowed:
            return f"has {name} = {value}, not {' or '.join(map(str, allowed))}"
    return None


def max_options(operation: Operation, wanted: Mapping[str, int]) -> str | None:
    """Require that options have at most these values."""
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
    """Require no dilation and no padding for strides above a limit."""
    stride = max(operation.options.get(f"stride_{axis}", 1) for axis in "hw")
    dilation = max(operation.options.get(f"dilation_{axis}_factor", 1) for axis in "hw")
    if stride > wanted and (dilation > 1 or _pads(operation)):
        return f"has a stride of {stride}, more than {wanted}, with padding or dilation"
    return None


def _pads(operation: Operation) -> bool:
    """Return whether a window over images reaches over the border."""
    options, before, after = operation.options, shape_or_zeros(operation[0]), shape_or_zeros(operation.results[0])
    window = {"h": options.get("filter_height"), "w": options.get("filter_width")}
    if None in window.values():
        window = dict(zip("hw", shape_or_zeros(operation[1])[1:3], strict=True))
    return options.get("padding") != "VALID" and any(
        (after[at] - 1) * options.get(f"stride_{axis}", 1)
        + (int(window[axis] or 1) - 1) * options.get(f"dilation_{axis}_factor", 1)
        >= before[at]
        for at, axis in ((1, "h"), (2, "w"))
    )


def padded_kernel(operation: Operation, wanted: int) -> str | None:
    """Require that windows with padding have at most this size."""
    size = max(operation.options.get(f"filter_{axis}", 1) for axis in ("height", "width"))
    if operation.options.get("padding") != "VALID" and size > wanted:
        return f"has a window of {size} with padding, more than {wanted}"
    return None


def max_kernel(operation: Operation, wanted: int) -> str | None:
    """Require windows of at most this number of elements."""
    size = prod(operation.options.get(f"filter_{axis}", 1) for axis in ("height", "width"))
    return f"has a window of {size:,} elements, more than {wanted:,}" if size > wanted else None


def depth_multiplier(operation: Operation, wanted: bool) -> str | None:
    """Require one filter per channel, or one channel."""
    value, channels = operation[0], shape_or_zeros(operation.results[0])[-1:]
    if wanted and shape_or_zeros(value)[-1:] not in (channels, (1,)):
        return "has several filters for each of several channels"
    return None
