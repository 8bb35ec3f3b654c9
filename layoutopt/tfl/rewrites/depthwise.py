"""Depthwise convolutions with more taps than fast kernels have: sums of several that have fewer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from math import prod

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.recorder import one
from layoutopt.tfl.rewrites.engine import Uses, apply_rules, rule, run_to_fixpoint

MAX_TAPS = 25
"""The most taps that XNNPACK's depthwise kernels have; LiteRT's own, which takes over, takes ten times as long."""
_MIN_PIXELS = 16
"""Of the result: below it, operators cost more than what they compute."""

Taps = tuple[range, range]
"""Rows and columns of a kernel, evenly spaced: a kernel with dilations."""


def split_depthwise_kernels(graph: Graph, *, resizable: bool = False) -> None:
    """Split the depthwise convolutions on floats with more taps than fast kernels allow, in a graph and its bodies.

    Args:
        graph: is changed; nothing else has to be done to its convolutions.
        resizable: whether the graph takes images of any size, so that nothing may depend on the size that it has now.
    """
    rules = (split_same_kernel,) if resizable else (split_same_kernel, split_kernel)
    run_to_fixpoint(graph, (partial(apply_rules, rules=rules),))


@rule("DEPTHWISE_CONV_2D")
def split_same_kernel(operation: Operation, _: Uses) -> Value | None:
    """Split a kernel into parts that lie around its centre, each of which SAME pads as it needs.

    A convolution is the sum over its taps, in any order: of 7 x 7, say, the 5 x 5 in the middle, the 2 x 7 of the first
    and last row, which is a kernel with a dilation of 6, and the 5 x 2 that is left.
    """
    if not _is_slow(operation) or operation.options["padding"] != "SAME" or _strides(operation) != (1, 1):
        return None
    kernel = operation[1].sizes[1:3]
    parts = divide_taps(*map(range, kernel))
    if not all(_is_central(taps, size) for part in parts for taps, size in zip(part, kernel, strict=True)):
        return None
    return _sum(operation, [(operation[0], "SAME", part) for part in parts])


@rule("DEPTHWISE_CONV_2D")
def split_kernel(operation: Operation, _: Uses) -> Value | None:
    """Split a kernel over an image of known size: each part reads its own window of the padded image."""
    x, result = operation[0], operation.result
    if not _is_slow(operation) or not x.is_static or not result.is_static or prod(result.sizes[1:3]) < _MIN_PIXELS:
        return None
    strides, dilations = _strides(operation), _dilations(operation)
    kernel, sizes = operation[1].sizes[1:3], result.sizes[1:3]
    if operation.options["padding"] == "SAME":
        axes = zip(x.sizes[1:3], sizes, kernel, strides, dilations, strict=True)
        totals = [max((out - 1) * s + (taps - 1) * d + 1 - size, 0) for size, out, taps, s, d in axes]
        x = tfl.pad(x, [[0, 0], *([total // 2, total - total // 2] for total in totals), [0, 0]])
    parts: list[tuple[Value, str, Taps]] = []
    for part in divide_taps(*map(range, kernel)):
        window = [slice(None)]
        for taps, out, s, d in zip(part, sizes, strides, dilations, strict=True):
            window.append(slice(taps[0] * d, taps[-1] * d + (out - 1) * s + 1))
        parts.append((x[tuple(window)], "VALID", part))
    return _sum(operation, parts)


def _is_slow(operation: Operation) -> bool:
    """Return whether it computes on floats, with one kernel per channel and more taps than fast kernels allow."""
    weights, bias, x = operation[1], operation.operand(2), operation[0]
    if weights.data is None or weights.dtype is not DType.FLOAT32 or (bias is not None and bias.data is None):
        return False
    if x.dtype is not DType.FLOAT32 or x.shape is None or x.shape[3] != weights.sizes[3]:
        return False
    return prod(weights.sizes[1:3]) > MAX_TAPS


def _strides(operation: Operation) -> tuple[int, int]:
    return operation.options["stride_h"], operation.options["stride_w"]


def _dilations(operation: Operation) -> tuple[int, int]:
    return operation.options["dilation_h_factor"], operation.options["dilation_w_factor"]


def _is_central(taps: range, size: int) -> bool:
    """Return whether SAME pads a part of a kernel of ``size`` like the whole kernel, less the taps before the part."""
    return (size - 1) // 2 - taps[0] == (taps[-1] - taps[0]) // 2


def _sum(operation: Operation, parts: Sequence[tuple[Value, str, Taps]]) -> Value:
    """Record the parts of a convolution, each with its input, padding and taps, and return their sum."""
    total: Value | None = None
    for at, (x, padding, taps) in enumerate(parts):
        rows, columns = (slice(each.start, each.stop, each.step) for each in taps)
        filters = operation[1].array[:, rows, columns]
        steps = [each.step * dilation for each, dilation in zip(taps, _dilations(operation), strict=True)]
        bias = operation.operand(2) if at == 0 else None
        made = tfl.depthwise_conv_2d(x, filters, bias, strides=_strides(operation), padding=padding, dilations=steps)
        activation = operation.options["fused_activation_function"] if at == len(parts) - 1 else "NONE"
        total = made if total is None else one("ADD", total, made, fused_activation_function=activation)
    assert total is not None
    return total


@cache
def divide_taps(rows: range, columns: range) -> tuple[Taps, ...]:
    """Divide these taps into as few evenly spaced parts as can be found, each of at most ``MAX_TAPS``."""
    if len(rows) * len(columns) <= MAX_TAPS:
        return ((rows, columns),)
    found = (tuple(part for each in halves for part in divide_taps(*each)) for halves in _halves(rows, columns))
    return min(found, key=len)


def _halves(rows: range, columns: range) -> Iterator[tuple[Taps, Taps]]:
    """Iterate over ways to divide taps in two along either axis: into inner and outer ones, or every other one."""
    for inner, outer in _divided(rows):
        yield (inner, columns), (outer, columns)
    for inner, outer in _divided(columns):
        yield (rows, inner), (rows, outer)


def _divided(taps: range) -> Iterator[tuple[range, range]]:
    if len(taps) > 2:
        yield taps[1:-1], taps[:: len(taps) - 1]
    if len(taps) > 1:
        yield taps[::2], taps[1::2]
