"""Pad of ONNX in all its modes; what convolutions and pools do with their pads is in `layoutopt.lowering.padding`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layoutopt.lowering.kernel_types import DTypeSemantics, takes
from layoutopt.lowering.node import Node, constant, lowers, scalar
from layoutopt.lowering.slicing import per_axis, take_slices
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

Amounts = Sequence[Sequence[int]]
"""The elements that are added before and after each axis."""


@lowers("Pad", types=takes("b i4 i8 f4", DTypeSemantics.BITS))
def pad(node: Node) -> Value:
    """Lower Pad to PAD or PADV2; other modes join pieces of the operand to it, negative pads cut."""
    if not node.x.is_static or (
        node.opset >= 11 and not all(node.known(i) for i in (1, 3) if node.optional(i) is not None)
    ):
        return _run_time_pad(node)
    x, pads = node.x, _pads(node)
    if any(size < 0 for pair in pads for size in pair):
        kept = {i: slice(max(-low, 0), node.shape[i] - max(-high, 0)) for i, (low, high) in enumerate(pads)}
        x, pads = take_slices(x, kept), [(max(low, 0), max(high, 0)) for low, high in pads]
    mode = node.text("mode", "constant")
    if mode == "constant":
        return tfl.pad(x, pads, _pad_value(node))
    for axis, (low, high) in enumerate(pads):
        if low or high:
            x = _extend(x, axis, low, high, mode)
    return x


def _pads(node: Node) -> Amounts:
    rank = node.x.rank
    if node.opset < 11:
        flat = node.ints("pads") or node.ints("paddings") or [0] * 2 * rank
    else:
        flat = node.optional_ints(1) or [0] * 2 * rank
    axes = node.optional_ints(3) or range(rank)
    half, pads = len(flat) // 2, [(0, 0)] * rank
    for i, axis in enumerate(axes):
        pads[axis] = (flat[i], flat[half + i])
    return pads


def _pad_value(node: Node) -> Value:
    """Return a scalar of the operand's type."""
    if node.opset < 11:
        return constant(node.number("value", 0.0), node.x.dtype)
    value = node.optional(2)
    return constant(0, node.x.dtype) if value is None else scalar(value)


def _extend(x: Value, axis: int, low: int, high: int, mode: str) -> Value:
    """Join pieces of ``x`` to it along ``axis``: MIRROR_PAD goes element by element and takes 20 times as long."""
    length = x.sizes[axis]

    def part(start: int, count: int) -> Value:
        return take_slices(x, {axis: slice(start, start + count)})

    if mode == "edge":
        before, after = [part(0, 1)] * low, [part(length - 1, 1)] * high
    elif mode == "wrap":
        before, after = [part(length - low, low)], [part(0, high)]
    else:
        before, after = [_reversed(part(1, low), axis)], [_reversed(part(length - 1 - high, high), axis)]
    return tfl.concatenation([*before[:low], x, *after[:high]], axis)


def _reversed(x: Value, axis: int) -> Value:
    return x if x.sizes[axis] == 1 else tfl.reverse(x, [axis])


# --- amounts and sizes that come at run time -------------------------------------------------------------------------


def _run_time_pad(node: Node) -> Value:
    """Return a slice for what is negative and PADV2; other modes take elements by their indices."""
    x, rank = node.x, node.x.rank
    low, high = _run_time_amounts(node)
    sizes = tfl.shape_of(x)
    mode = node.text("mode", "constant")
    if mode == "constant":
        if not (_is_known(low, at_least=0) and _is_known(high, at_least=0)):
            ends = sizes + tfl.minimum(high, 0)
            x = tfl.strided_slice(x, tfl.maximum(-low, 0), ends, np.ones(rank, np.int32))
        return tfl.pad(x, tfl.pack([tfl.maximum(low, 0), tfl.maximum(high, 0)], 1), _pad_value(node))
    for axis in range(rank):
        places = tfl.range_(-low[axis], sizes[axis] + high[axis])
        x = tfl.gather(x, _source_index(places, sizes[axis], mode), axis)
    return x


def _is_known(amounts: Value, *, at_least: int) -> bool:
    return amounts.is_constant and bool((amounts.array >= at_least).all())


def _run_time_amounts(node: Node) -> tuple[Value, Value]:
    """Return the amounts of padding before and after each axis, as vectors of INT32."""
    rank = node.x.rank
    if node.opset < 11 or all(node.known(i) for i in (1, 3) if node.optional(i) is not None):
        low, high = np.array(_pads(node), np.int32).reshape(rank, 2).T
        return constant(low), constant(high)
    flat = tfl.int32(node[1])
    half = flat.sizes[0] // 2
    axes = node.optional(3)
    return per_axis(flat[:half], axes, rank, 0), per_axis(flat[half:], axes, rank, 0)


def _source_index(places: Value, size: Value, mode: str) -> Value:
    """Return the index of the element that stands at places that may lie outside of 0 to ``size`` - 1."""
    if mode == "edge":
        return tfl.minimum(tfl.maximum(places, 0), size - 1)
    if mode == "wrap":
        return tfl.floor_mod(places, size)
    period = tfl.maximum(2 * (size - 1), 1)
    around = tfl.floor_mod(places, period)
    return tfl.minimum(around, period - around)
