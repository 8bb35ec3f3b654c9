"""Operators that move, cut, join or repeat elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value
from layoutopt.tfl.recorder import Integers, Operand, int32, one, record, value_of, values_of


def reshape(x: Operand, shape: Integers) -> Value:
    """Record RESHAPE; a size of -1 follows from the others."""
    value, target = value_of(x), int32(shape)
    if target.is_constant and value.is_static:
        sizes = target.array.reshape(-1).tolist()
        if -1 in sizes:
            rest = int(np.prod([size for size in sizes if size != -1]))
            sizes[sizes.index(-1)] = value.count // max(rest, 1)
        if tuple(sizes) == value.shape:
            return value
        target = int32(np.array(sizes, np.int32))
    new_shape = target.array if target.is_constant else None
    return one("RESHAPE", value, target, new_shape=new_shape)


def squeeze(x: Operand, axes: Sequence[int]) -> Value:
    """Drop axes of size 1, by RESHAPE where the shape is static and SQUEEZE elsewhere."""
    value = value_of(x)
    gone = sorted({axis % value.rank for axis in axes})
    if value.is_static:
        return reshape(value, [size for i, size in enumerate(value.sizes) if i not in gone])
    return one("SQUEEZE", value, squeeze_dims=np.array(gone, np.int32))


def expand_dims(x: Operand, axis: int) -> Value:
    """Add an axis of size 1, by RESHAPE where the shape is static and EXPAND_DIMS elsewhere."""
    value = value_of(x)
    axis %= value.rank + 1
    if value.is_static:
        return reshape(value, (*value.sizes[:axis], 1, *value.sizes[axis:]))
    return one("EXPAND_DIMS", value, int32(axis))


def transpose(x: Operand, perm: Sequence[int]) -> Value:
    """Record TRANSPOSE; a constant gives a view."""
    value = value_of(x)
    if list(perm) == list(range(len(perm))):
        return value
    return one("TRANSPOSE", value, int32([int(axis) for axis in perm]))


def concatenation(values: Sequence[Operand], axis: int) -> Value:
    """Record CONCATENATION along an axis; parts without elements are left out."""
    parts = values_of(*values)
    axis %= parts[0].rank
    filled = [part for part in parts if part.shape is None or part.shape[axis] != 0] or parts[:1]
    return filled[0] if len(filled) == 1 else one("CONCATENATION", *filled, axis=axis)


def pack(values: Sequence[Operand], axis: int = 0) -> Value:
    """Record PACK: the values along a new axis."""
    parts = values_of(*values)
    return expand_dims(parts[0], axis) if len(parts) == 1 else one("PACK", *parts, values_count=len(parts), axis=axis)


def unpack(x: Operand, axis: int = 0, count: int | None = None) -> list[Value]:
    """Return a value for each index of an axis, of which ``count`` tells the size where it is not static.

    UNPACK, which refuses what has no elements; slices where the elements may be none at run time.
    """
    value = value_of(x)
    axis %= value.rank
    number = value.sizes[axis] if count is None else count
    if value.is_static:
        return record("UNPACK", value, num=number, axis=axis)
    return [sliced(value, (slice(None),) * axis + (index,)) for index in range(number)]


def split(x: Operand, count: int, axis: int) -> list[Value]:
    """Record SPLIT into equal parts."""
    value = value_of(x)
    return [value] if count == 1 else record("SPLIT", int32(axis % value.rank), value, num_splits=count)


def split_v(x: Operand, sizes: Integers, axis: int, count: int | None = None) -> list[Value]:
    """Record SPLIT_V into parts of the given sizes, of which ``count`` tells the number where they are not constant."""
    value, parts = value_of(x), int32(sizes)
    number = int(parts.sizes[0]) if count is None else count
    return record("SPLIT_V", value, parts, int32(axis % value.rank), num_splits=number)


def slice_(x: Operand, begin: Integers, size: Integers) -> Value:
    """Record SLICE; a size of -1 reaches to the end."""
    return one("SLICE", value_of(x), int32(begin), int32(size))


def strided_slice(x: Operand, begin: Integers, end: Integers, strides: Integers, **masks: Any) -> Value:
    """Record STRIDED_SLICE; ``masks`` are options such as ``begin_mask``."""
    return one("STRIDED_SLICE", value_of(x), int32(begin), int32(end), int32(strides), **masks)


def sliced(x: Operand, index: Any) -> Value:
    """Return what NumPy's basic indexing takes: integers, slices, None and an ellipsis, all known now.

    SLICE where every step is 1, else STRIDED_SLICE; nothing where all is kept. Integers and None add a RESHAPE.
    """
    value = value_of(x)
    keys = _all_axes(index if isinstance(index, tuple) else (index,), value.rank)
    if value.is_constant:
        return Value.constant(np.asarray(value.array[tuple(keys)]))
    parts = [key for key in keys if key is not None]
    y = _part(value, [key if isinstance(key, slice) else slice(key, key + 1 or None) for key in parts])
    if all(isinstance(key, slice) for key in keys):
        return y
    if y.is_static:
        sizes = iter(y.sizes)
        pairs = [(key, 1 if key is None else next(sizes)) for key in keys]
        return reshape(y, [size for key, size in pairs if key is None or isinstance(key, slice)])
    y = squeeze(y, gone) if (gone := [i for i, key in enumerate(parts) if not isinstance(key, slice)]) else y
    kept = [key for key in keys if key is None or isinstance(key, slice)]
    for axis in (i for i, key in enumerate(kept) if key is None):
        y = expand_dims(y, axis)
    return y


Value.record_slice = sliced


def _all_axes(index: tuple[Any, ...], rank: int) -> list[Any]:
    """Return an index with one entry for each axis, and None for each new one."""
    named = sum(key is not None and key is not Ellipsis for key in index)
    rest = [slice(None)] * (rank - named)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        return [*index[:at], *rest, *index[at + 1 :]]
    return [*index, *rest]


def _part(x: Value, parts: Sequence[slice]) -> Value:
    """Return what slices take of each axis, as one part of a tensor."""
    assert x.shape is not None
    if all(part == slice(None) for part in parts):
        return x
    if not x.is_static:
        return _open_part(x, parts)
    ranges = [range(*part.indices(size)) for part, size in zip(parts, x.sizes, strict=True)]
    if all(each == range(size) for each, size in zip(ranges, x.sizes, strict=True)):
        return x
    if all(each.step == 1 for each in ranges):
        return slice_(x, [each.start for each in ranges], [len(each) for each in ranges])
    ends = [each.start + len(each) * each.step for each in ranges]
    masks = sum(1 << axis for axis, end in enumerate(ends) if end < 0)  # backwards to the first element
    return strided_slice(x, [each.start for each in ranges], ends, [each.step for each in ranges], end_mask=masks)


def _open_part(x: Value, parts: Sequence[slice]) -> Value:
    """Record the same as `_part`, of sizes that are known at run time only."""
    begin_mask = sum(1 << axis for axis, part in enumerate(parts) if part.start is None)
    end_mask = sum(1 << axis for axis, part in enumerate(parts) if part.stop is None)
    begins, ends = (
        [bound or 0 for bound in bounds] for bounds in zip(*((p.start, p.stop) for p in parts), strict=True)
    )
    strides = [part.step or 1 for part in parts]
    return strided_slice(x, begins, ends, strides, begin_mask=begin_mask, end_mask=end_mask)


def pad(x: Operand, paddings: Integers, value: Operand = 0) -> Value:
    """Record PAD with zeros, or PADV2 with another value; ``paddings`` are (rank, 2)."""
    source, amounts = value_of(x), int32(paddings)
    if amounts.is_constant and not amounts.array.any():
        return source
    filler = value_of(value, source.dtype)
    if filler.is_constant and not filler.array.any():
        return one("PAD", source, amounts)
    return one("PADV2", source, amounts, filler)


def tile(x: Operand, multiples: Integers) -> Value:
    """Record TILE."""
    value, counts = value_of(x), int32(multiples)
    if counts.is_constant and (counts.array == 1).all():
        return value
    return one("TILE", value, counts)


def broadcast_to(x: Operand, shape: Integers) -> Value:
    """Record BROADCAST_TO."""
    value, target = value_of(x), int32(shape)
    if target.is_constant and tuple(target.array.tolist()) == value.shape:
        return value
    return one("BROADCAST_TO", value, target)


def fill(shape: Integers, value: Operand) -> Value:
    """Record FILL: one number everywhere; a constant where the shape is known and small."""
    return one("FILL", int32(shape), value_of(value))


def shape_of(x: Value, dtype: DType = DType.INT32) -> Value:
    """Record SHAPE; a constant where it is known now."""
    if x.is_static:
        return Value.constant(np.array(x.sizes, dtype.numpy))
    return one("SHAPE", x, out_type=dtype.value)


def range_(start: Operand, limit: Operand, step: Operand = 1) -> Value:
    """Record RANGE: from ``start`` on, below ``limit``."""
    return one("RANGE", *values_of(start, limit, step))


def reverse(x: Operand, axes: Sequence[int]) -> Value:
    """Record REVERSE_V2, once for each axis: kernels take one."""
    y = value_of(x)
    for axis in axes:
        y = one("REVERSE_V2", y, int32([axis % y.rank]))
    return y


def reverse_sequence(x: Operand, lengths: Value, seq_dim: int, batch_dim: int) -> Value:
    """Record REVERSE_SEQUENCE: the first few elements of each sequence backwards."""
    return one("REVERSE_SEQUENCE", value_of(x), lengths, seq_dim=seq_dim, batch_dim=batch_dim)
