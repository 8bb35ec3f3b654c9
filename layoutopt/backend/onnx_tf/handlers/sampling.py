"""Operators that read between the elements: rows of channels, gathered at the neighbours of each point and blended."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Array, Node, Operand, handles, permuted, reshaped, shape_of

Tap: TypeAlias = "tuple[Operand, Operand]"
"""A whole number, in float32, that is a position along one axis, and its weight."""

_CUBIC = -0.75  # the parameter of the cubic kernel


class Outside(enum.Enum):
    """What is read beyond the border."""

    ZEROS = "zeros"
    BORDER = "border"
    REFLECTION = "reflection"


@handles("GridSample")
def grid_sample(node: Node) -> Operand:
    """GATHER of the neighbours of each point, weighted and added up."""
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
            point = tf.round(point)
        if outside is Outside.REFLECTION:
            point = _reflected(point, low, high)
        taps.append([_on_axis(tap, size, outside, low, high) for tap in _TAPS[mode](point)])
    first = _batch_starts(node.shape[0], sizes, rank - 2)
    y = blended(_rows(node.x), first, sizes, taps)
    return tf.transpose(y, [0, rank - 1, *range(1, rank - 1)])


@handles("DeformConv")
def deform_conv(node: Node) -> Operand:
    """The columns of the convolution, blended from their neighbours, times the weights."""
    if len(node.shape) != 4:
        raise node.unsupported("only two spatial axes have a form in TFLite")
    batch, channels, *sizes = node.shape
    weights, offset, mask = node[1], node[2], node.optional(4)
    kernel = node.ints("kernel_shape") or list(shape_of(weights)[2:])
    out, parts, count = shape_of(offset)[2:], node.integer("offset_group", 1), int(np.prod(kernel))
    offset = tf.transpose(reshaped(offset, (batch, parts, count, 2, *out)), [0, 4, 5, 2, 1, 3])
    taps = [
        [_on_axis(tap, size, Outside.ZEROS, 0, size - 1) for tap in _linear(offset[..., axis] + fixed)]
        for axis, (size, fixed) in enumerate(zip(sizes, _window_positions(node, kernel, out), strict=True))
    ]
    first = _batch_starts(batch, sizes, 4) * np.int32(parts)
    groups = np.arange(parts, dtype=np.int32)
    columns = blended(_rows(node.x, parts), first + groups, sizes, taps, parts)  # N, oh, ow, kernel, parts, channels
    if mask is not None:
        mask = tf.transpose(reshaped(mask, (batch, parts, count, *out)), [0, 3, 4, 2, 1])
        columns = columns * mask[..., None]
    y = _product(columns, weights, batch * int(np.prod(out)), count, channels, node.integer("group", 1))
    if (bias := node.optional(3)) is not None:
        y = y + bias
    return tf.transpose(reshaped(y, (batch, *out, shape_of(weights)[0])), [0, 3, 1, 2])


def _window_positions(node: Node, kernel: Sequence[int], out: Sequence[int]) -> list[Array]:
    """For each spatial axis, where the elements of each window lie without their offsets: (1, oh, ow, kernel, 1)."""
    strides, dilations = node.ints("strides") or [1, 1], node.ints("dilations") or [1, 1]
    pads = node.ints("pads") or [0] * 4
    elements = np.indices(kernel).reshape(2, 1, 1, 1, -1, 1)
    windows = np.indices(out).reshape(2, 1, *out, 1, 1)
    each = zip(windows, elements, strides, dilations, pads, strict=False)
    return [
        (window * stride + element * dilation - pad).astype(np.float32)
        for window, element, stride, dilation, pad in each
    ]


def _product(columns: Operand, weights: Operand, points: int, count: int, channels: int, groups: int) -> Operand:
    """Columns (points, kernel, channels) times weights (out, channels / groups, kernel): (points, out)."""
    features, per_group = shape_of(weights)[0], channels // groups
    matrix = permuted(reshaped(weights, (groups, features // groups, per_group, count)), (0, 3, 2, 1))
    matrix = reshaped(matrix, (groups, count * per_group, features // groups))
    if groups == 1:
        return tf.matmul(reshaped(columns, (points, count * channels)), reshaped(matrix, shape_of(matrix)[1:]))
    columns = tf.transpose(reshaped(columns, (points, count, groups, per_group)), [2, 0, 1, 3])
    y = tf.matmul(reshaped(columns, (groups, points, count * per_group)), matrix)
    return reshaped(tf.transpose(y, [1, 0, 2]), (points, features))


# --- rows of channels --------------------------------------------------------------------------------------------


def _rows(x: Operand, parts: int = 1) -> Operand:
    """A value (N, C, spatial...) as a matrix with a row per place, or ``parts`` rows."""
    batch, channels, *sizes = shape_of(x)
    last = permuted(x, (0, *range(2, 2 + len(sizes)), 1))
    return reshaped(last, (batch * int(np.prod(sizes)) * parts, channels // parts))


def _batch_starts(batch: int, sizes: Sequence[int], rank: int) -> Array:
    """The first row of each element of the batch, to be added to a value with ``rank`` more axes."""
    starts: Array = (np.arange(batch) * int(np.prod(sizes))).astype(np.int32).reshape(batch, *(1,) * rank)
    return starts


def blended(
    rows: Operand, first: Operand, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], parts: int = 1
) -> Operand:
    """The weighted sum of rows at all combinations of one tap per axis.

    Args:
        rows: a matrix, a row per place, row-major in ``sizes`` from ``first`` on.
        first: which row is the first of each point, int32, broadcast with the taps.
        sizes: of the axes.
        taps: for each axis, the positions along it, within its size.
        parts: rows per place.

    Returns:
        The points with an axis of channels behind.
    """
    return reduce(tf.add, weighted(rows, first, sizes, taps, parts))


def weighted(
    rows: Operand, first: Operand, sizes: Sequence[int], taps: Sequence[Sequence[Tap]], parts: int = 1
) -> list[Operand]:
    """What `blended` adds up."""
    strides = np.cumprod([parts, *sizes[:0:-1]])[::-1].astype(np.int32)
    offsets = [
        [tf.cast(position, tf.int32) * stride for position, _ in axis]
        for axis, stride in zip(taps, strides, strict=True)
    ]
    found = []
    for choice in itertools.product(*(range(len(axis)) for axis in taps)):
        row = first + reduce(tf.add, [offsets[axis][tap] for axis, tap in enumerate(choice)])
        weight = reduce(tf.multiply, [taps[axis][tap][1] for axis, tap in enumerate(choice)])
        found.append(tf.gather(rows, row) * tf.expand_dims(weight, -1))
    return found


# --- positions and weights ---------------------------------------------------------------------------------------


def _nearest(point: Operand) -> list[Tap]:
    return [(point, tf.ones_like(point))]


def _linear(point: Operand) -> list[Tap]:
    low = tf.floor(point)
    return [(low, low + 1 - point), (low + 1, point - low)]


def _cubic(point: Operand) -> list[Tap]:
    low = tf.floor(point)
    distances = [point - low + 1, point - low, low + 1 - point, low + 2 - point]
    weights = [kernel(d) for kernel, d in zip((_far, _near, _near, _far), distances, strict=True)]
    return [(low + (i - 1), weight) for i, weight in enumerate(weights)]


def _near(distance: Operand) -> Operand:
    """The cubic kernel up to a distance of 1."""
    return ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1


def _far(distance: Operand) -> Operand:
    """The cubic kernel between distances of 1 and 2."""
    return ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC


_TAPS = {"nearest": _nearest, "linear": _linear, "cubic": _cubic}


def _on_axis(tap: Tap, size: int, outside: Outside, low: float, high: float) -> Tap:
    """A tap that lies within ``size``; beyond the border its weight is 0, or it is moved."""
    position, weight = tap
    if outside is Outside.ZEROS:
        within = tf.logical_and(position >= 0, position <= size - 1)
        weight = weight * tf.cast(within, weight.dtype)
    elif outside is Outside.REFLECTION:
        position = _reflected(position, low, high)
    return tf.clip_by_value(position, 0.0, size - 1.0), weight


def _reflected(point: Operand, low: float, high: float) -> Operand:
    """Folded back into [low, high] as often as it takes."""
    span = high - low
    if span == 0:
        return tf.zeros_like(point)
    return high - tf.abs(tf.math.floormod(point - low, 2 * span) - span)
