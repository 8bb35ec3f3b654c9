"""Slice, and what is a slice in disguise: a Gather at indices of one distance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layoutopt.lowering.kernel_types import DTypeSemantics, takes
from layoutopt.lowering.node import Node, axis_size, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Value

_INT32 = np.iinfo(np.int32)


@lowers("Slice", types=takes("b u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def slice_(node: Node) -> Value:
    """Lower Slice to SLICE or STRIDED_SLICE, after REVERSE_V2 where a step is negative; to nothing where all is kept.

    Bounds that come at run time take STRIDED_SLICE.
    """
    if (bounds := _known_bounds(node)) is None:
        return _run_time_slice(node)
    reversed_axes, parts = [], {}
    for axis, bound in bounds.items():
        length = None if node.x.shape is None else node.x.shape[axis]
        if length is None:
            parts[axis] = _open_slice(bound)
            continue
        # Python clamps and counts from the end as ONNX does.
        start, end, step = bound.indices(length)
        if step < 0:  # XNNPACK slices forwards only
            reversed_axes.append(axis)
            start, end, step = length - 1 - start, length - 1 - end, -step
        parts[axis] = slice(start, max(end, start), step)
    return take_slices(tfl.reverse(node.x, reversed_axes), parts)


def _known_bounds(node: Node) -> dict[int, slice] | None:
    """Return the slice of each axis that a Slice names; None if they, or how many axes there are, come at run time.

    None too where it goes backwards from an end that comes at run time.
    """
    if node.opset < 10:
        starts, ends = node.ints("starts") or [], node.ints("ends") or []
        axes, steps = node.ints("axes"), None
    elif all(node.known(i) for i in range(1, len(node.operands)) if node.optional(i) is not None):
        starts, ends = node.optional_ints(1) or [], node.optional_ints(2) or []
        axes, steps = node.optional_ints(3), node.optional_ints(4)
    else:
        return None
    if (shape := node.x.shape) is None:
        return None
    bounds = map(slice, starts, ends, steps or [1] * len(starts))
    found = {axis % len(shape): each for axis, each in zip(axes or range(len(starts)), bounds, strict=True)}
    return None if any(shape[axis] is None and each.step < 0 for axis, each in found.items()) else found


def _open_slice(bounds: slice) -> slice:
    """Return bounds along an axis of unknown size that fit into INT32; an end beyond is the end of the axis."""
    start, end = max(bounds.start, -_INT32.max), max(bounds.stop, -_INT32.max)
    return slice(min(start, _INT32.max), end if end < _INT32.max else None, bounds.step)


def take_slices(x: Value, parts: Mapping[int, slice]) -> Value:
    """Return the part of ``x`` that slices of some of its axes take."""
    return x[tuple(parts.get(axis, slice(None)) for axis in range(x.rank))]


def _run_time_slice(node: Node) -> Value:
    """Record STRIDED_SLICE with begins, ends and strides for all axes."""
    rank, axes = node.x.rank, node.optional(3)
    steps = node.optional(4)
    begins, ends = (_narrowed(node[i]) for i in (1, 2))
    return tfl.strided_slice(
        node.x,
        per_axis(begins, axes, rank, 0),
        per_axis(ends, axes, rank, tfl.shape_of(node.x)),
        np.ones(rank, np.int32) if steps is None else per_axis(_narrowed(steps), axes, rank, 1),
    )


def _narrowed(bounds: Value) -> Value:
    """Return bounds in INT32; those beyond it, which mean the end, at its limits."""
    if bounds.dtype is DType.INT64:
        bounds = tfl.minimum(tfl.maximum(bounds, -_INT32.max), _INT32.max)
    return tfl.int32(bounds)


def per_axis(values: Value, axes: Value | None, rank: int, otherwise: Value | int) -> Value:
    """Spread numbers for some axes over all axes.

    Args:
        values: of INT32, one for each of ``axes``.
        axes: which may count from the end; the first ones if left out.
        rank: how many axes there are.
        otherwise: what the other axes have.

    Returns:
        A vector of ``rank`` numbers.
    """
    count = values.sizes[0]
    named = tfl.int32(np.arange(count) if axes is None else axes)
    here = tfl.one_hot(
        tfl.select_v2(named < 0, named + rank, named), rank, Value.constant(np.array(1, np.int32)), 0
    )  # (count, rank)
    placed = tfl.sum_(here * tfl.reshape(values, (count, 1)), 0)
    return tfl.select_v2(tfl.sum_(here, 0) > 0, placed, otherwise)


@lowers("Gather", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def gather(node: Node) -> Value:
    """Lower Gather to GATHER, or to a slice where the indices are constants at one distance from each other."""
    axis, index = node.integer("axis", 0) % max(node.x.rank, 1), node[1]
    length = axis_size(node.x, axis)
    if not (index.is_constant and length.is_constant):
        # LiteRT's GATHER counts no index from the end.
        return tfl.gather(node.x, tfl.select_v2(index < 0, index + tfl.cast(length, index.dtype), index), axis)
    places = np.where(index.array < 0, index.array + length.array, index.array).astype(np.int32)
    if places.ndim == 0:
        return node.x[(slice(None),) * axis + (int(places),)]
    if (part := _as_slice(places.reshape(-1))) is None or not node.x.is_static:
        return tfl.gather(node.x, places, axis)
    shape = (*node.shape[:axis], *places.shape, *node.shape[axis + 1 :])
    return tfl.reshape(take_slices(node.x, {axis: part}), shape)


def _as_slice(index: Array) -> slice | None:
    """Return the slice that takes the same elements in the same order; None where there is none."""
    if not index.size:
        return None
    step = int(index[1] - index[0]) if index.size > 1 else 1
    return slice(int(index[0]), int(index[-1]) + 1, step) if step > 0 and (np.diff(index) == step).all() else None
