"""Operators that read between the elements: rows of channels, gathered at the neighbours of each point and blended."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np

from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Value

Tap: TypeAlias = "tuple[Value, Value]"
"""A whole number, in float32, that is a position along one axis, and its weight."""

_CUBIC = -0.75  # the parameter of the cubic kernel


class Outside(enum.Enum):
    """The values that are read beyond the border."""

    ZEROS = "zeros"
    BORDER = "border"
    REFLECTION = "reflection"


@lowers("GridSample")
def grid_sample(node: Node) -> Value:
    """Lower GridSample to a GATHER for each neighbour of a point, weighted and added up."""
    rank = len(node.shape)
    mode = node.text("mode", "linear").removeprefix("bi").removeprefix("tri")
    if mode not in _TAPS or (mode == "cubic" and rank != 4):
        raise node.unsupported(f"mode {mode!r} on {rank - 2} spatial axes")
    outside, aligned = Outside(node.text("padding_mode", "zeros")), node.integer("align_corners", 0) == 1
    sizes = node.shape[2:]
    taps = []
    for axis, size in enumerate(sizes):
        given = node[1][..., rank - 3 - axis]  # the last axis of the grid says x, y, z
        point = (given + 1) * (0.5 * (size - 1)) if aligned else ((given + 1) * size - 1) * 0.5
        low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
        if mode == "nearest":
            point = tfl.round_(point)
        if outside is Outside.REFLECTION:
            point = _reflected(point, low, high)
        taps.append([_on_axis(tap, size, outside, low, high) for tap in _TAPS[mode](point)])
    first = tfl.value_of(_batch_starts(node.shape[0], sizes, rank - 2))
    y = blended(_rows(node.x), first, sizes, taps)
    return tfl.transpose(y, [0, rank - 1, *range(1, rank - 1)])


@lowers("DeformConv")
def deform_conv(node: Node) -> Value:
    """Lower DeformConv to the columns of the convolution, blended from their neighbours, times the weights."""
    if len(node.shape) != 4:
        raise node.unsupported("only two spatial axes have a form in LiteRT")
    batch, channels, *sizes = node.shape
    weights, offset, mask = node[1], node[2], node.optional(4)
    kernel = node.ints("kernel_shape") or list(weights.sizes[2:])
    out, parts, count = offset.sizes[2:], node.integer("offset_group", 1), int(np.prod(kernel))
    offset = tfl.transpose(tfl.reshape(offset, (batch, parts, count, 2, *out)), [0, 4, 5, 2, 1, 3])
    taps = [
        [_on_axis(tap, size, Outside.ZEROS, 0, size - 1) for tap in _linear(offset[..., axis] + fixed)]
        for axis, (size, fixed) in enumerate(zip(sizes, _window_positions(node, kernel, out), strict=True))
    ]
    groups = np.arange(parts, dtype=np.int32)
    first = tfl.value_of(_batch_starts(batch, sizes, 4) * np.int32(parts) + groups)
    columns = blended(_rows(node.x, parts), first, sizes, taps, parts)  # N, oh, ow, kernel, parts, channels
    if mask is not None:
        mask = tfl.transpose(tfl.reshape(mask, (batch, parts, count, *out)), [0, 3, 4, 2, 1])
        columns = columns * mask[..., None]
    y = _product(columns, weights, batch * int(np.prod(out)), count, channels, node.integer("group", 1))
    if (bias := node.optional(3)) is not None:
        y = y + bias
    return tfl.transpose(tfl.reshape(y, (batch, *out, weights.sizes[0])), [0, 3, 1, 2])


def _window_positions(node: Node, kernel: Sequence[int], out: Sequence[int]) -> list[Array]:
    """Return for each spatial axis where the elements of each window lie without their offsets.

    Each is (1, out height, out width, kernel, 1).
    """
    strides, dilations = node.ints("strides") or [1, 1], node.ints("dilations") or [1, 1]
    pads = node.ints("pads") or [0] * 4
    elements = np.indices(kernel).reshape(2, 1, 1, 1, -1, 1)
    windows = np.indices(out).reshape(2, 1, *out, 1, 1)
    each = zip(windows, elements, strides, dilations, pads, strict=False)
    return [
        (window * stride + element * dilation - pad).astype(np.float32)
        for window, element, stride, dilation, pad in each
    ]


def _product(columns: Value, weights: Value, points: int, count: int, channels: int, groups: int) -> Value:
    """Record columns (points, kernel, channels) times weights (out, channels / groups, kernel): (points, out)."""
    features, per_group = weights.sizes[0], channels // groups
    by_group = tfl.transpose(tfl.reshape(weights, (groups, features // groups, per_group, count)), (0, 1, 3, 2))
    matrices = tfl.reshape(by_group, (groups, features // groups, count * per_group))
    if groups == 1:
        matrix = tfl.reshape(matrices, (features, count * channels))
        return tfl.fully_connected(tfl.reshape(columns, (points, count * channels)), matrix)
    columns = tfl.transpose(tfl.reshape(columns, (points, count, groups, per_group)), [2, 0, 1, 3])
    y = tfl.batch_matmul(tfl.reshape(columns, (groups, points, count * per_group)), matrices, adj_y=True)
    return tfl.reshape(tfl.transpose(y, [1, 0, 2]), (points, features))


# --- rows of channels --------------------------------------------------------------------------------------------


def _rows(x: Value, parts: int = 1) -> Value:
    """Return a value (N, C, spatial...) as a matrix with a row per place, or ``parts`` rows."""
    batch, channels, *sizes = x.sizes
    last = tfl.transpose(x, (0, *range(2, 2 + len(sizes)), 1))
    return tfl.reshape(last, (batch * int(np.prod(sizes)) * parts, channels // parts))


def _batch_starts(batch: int, sizes: Sequence[int], rank: int) -> Array:
    """Return the first row of each element of the batch, to be added to a value with ``rank`` more axes."""
    starts: Array = (np.arange(batch) * int(np.prod(sizes))).astype(np.int32).reshape(batch, *(1,) * rank)
    return starts


def blended(rows: Value, first: Value, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], parts: int = 1) -> Value:
    """Record the weighted sum of rows at all combinations of one tap per axis.

    Args:
        rows: a matrix, a row per place, row-major in ``sizes`` from ``first`` on.
        first: which row is the first of each point, int32, broadcast with the taps.
        sizes: of the axes.
        taps: for each axis, the positions along it, within its size.
        parts: rows per place.

    Returns:
        The points with an axis of channels at the end.
    """
    return reduce(tfl.add, weighted(rows, first, sizes, taps, parts))


def weighted(
    rows: Value, first: Value, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], parts: int = 1
) -> list[Value]:
    """Record what `blended` adds up."""
    strides = np.cumprod([parts, *sizes[:0:-1]])[::-1].tolist()
    offsets = [
        [tfl.int32(position) * stride for position, _ in axis] for axis, stride in zip(taps, strides, strict=True)
    ]
    found = []
    for choice in itertools.product(*(range(len(axis)) for axis in taps)):
        row = first + reduce(tfl.add, [offsets[axis][tap] for axis, tap in enumerate(choice)])
        weight = reduce(tfl.mul, [taps[axis][tap][1] for axis, tap in enumerate(choice)])
        found.append(tfl.gather(rows, row) * tfl.expand_dims(weight, -1))
    return found


# --- positions and weights ---------------------------------------------------------------------------------------


def _nearest(point: Value) -> list[Tap]:
    return [(point, tfl.ones_like(point))]


def _linear(point: Value) -> list[Tap]:
    low = tfl.floor(point)
    return [(low, low + 1 - point), (low + 1, point - low)]


def _cubic(point: Value) -> list[Tap]:
    low = tfl.floor(point)
    distances = [point - low + 1, point - low, low + 1 - point, low + 2 - point]
    weights = [kernel(d) for kernel, d in zip((_far, _near, _near, _far), distances, strict=True)]
    return [(low + (i - 1), weight) for i, weight in enumerate(weights)]


def _near(distance: Value) -> Value:
    """Record the cubic kernel up to a distance of 1."""
    return ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1


def _far(distance: Value) -> Value:
    """Record the cubic kernel between distances of 1 and 2."""
    return ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC


_TAPS: Mapping[str, Callable[[Value], list[Tap]]] = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}


def _on_axis(tap: Tap, size: int, outside: Outside, low: float, high: float) -> Tap:
    """Return a tap that lies within ``size``; beyond the border its weight is 0, or it is moved."""
    position, weight = tap
    if outside is Outside.REFLECTION:
        position = _reflected(position, low, high)
    inside = clamp(position, 0.0, size - 1.0)
    if outside is Outside.ZEROS:  # EQUAL of two of one shape has no limit of rank, LESS with a number has
        weight = weight * tfl.cast(tfl.equal(inside, position), weight.dtype)
    return inside, weight


def clamp(x: Value, low: float, high: float) -> Value:
    """Record MAXIMUM and MINIMUM."""
    return tfl.minimum(tfl.maximum(x, low), high)


def _reflected(point: Value, low: float, high: float) -> Value:
    """Fold a point back into [low, high] as often as it takes."""
    span = high - low
    if span == 0:
        return tfl.zeros_like(point)
    return high - tfl.abs_(tfl.floor_mod(point - low, 2 * span) - span)
