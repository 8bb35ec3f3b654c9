"""Elements of constants as a file holds them, and back: small integers are packed, strings have a table of places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Value

# --- to a file -----------------------------------------------------------------------------------------------------


def stored(value: Value) -> Array:
    """Return the elements of a constant as an array of the bytes that a file has of it, a view wherever it can be."""
    if value.dtype is DType.STRING:
        return _written_strings(value.array)
    return _packed(value.array, value.dtype.bits) if value.dtype.bits < 8 else value.array


def _packed(array: Array, bits: int) -> Array:
    """Return elements of less than a byte, the first of each byte in its lowest bits."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    per_byte = 8 // bits
    parts = np.pad(flat, (0, -len(flat) % per_byte)).reshape(-1, per_byte) & np.uint8((1 << bits) - 1)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(np.bitwise_or.reduce(parts << shifts, axis=1))


def _written_strings(array: Array) -> Array:
    """Return strings as bytes: their number, where each begins and the last one ends, and their text."""
    strings = array.reshape(-1).tolist()
    first = np.dtype(np.int32).itemsize * (len(strings) + 2)
    places = np.cumsum([first, *map(len, strings)])
    return np.frombuffer(np.array([len(strings), *places], np.int32).tobytes() + b"".join(strings), np.uint8)


# --- from a file ---------------------------------------------------------------------------------------------------


def loaded(raw: Array, dtype: DType, shape: Sequence[int]) -> Array:
    """Return the elements that bytes of a file stand for, as a view wherever it can be.

    Args:
        raw: the bytes.
        dtype: of the elements.
        shape: of the array.

    Raises:
        ValueError: there are not as many as the shape says.
    """
    if dtype is DType.STRING:
        return _read_strings(raw).reshape(shape)
    if dtype.bits < 8:
        return _unpacked(raw, dtype.bits)[: prod(shape)].view(dtype.numpy).reshape(shape)
    return raw.view(dtype.numpy).reshape(shape)


def _unpacked(raw: Array, bits: int) -> Array:
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.asarray(raw[:, None] >> shifts & np.uint8((1 << bits) - 1)).reshape(-1)


def _read_strings(raw: Array) -> Array:
    width = np.dtype(np.int32).itemsize
    count = int(raw[:width].view(np.int32)[0])
    places = raw[width : width * (count + 2)].view(np.int32).tolist()
    if len(places) != count + 1 or places[-1] > len(raw):
        raise ValueError("a string ends after the end of its buffer")
    found = np.empty(count, object)
    found[:] = [raw[start:end].tobytes() for start, end in pairwise(places)]
    return found


def densified(raw: Array, dtype: DType, shape: Sequence[int], sparsity: Any) -> Array:
    """Return the elements of a sparse constant with all its zeros.

    Args:
        raw: the bytes of the elements that are stored.
        dtype: of the elements.
        shape: of the array.
        sparsity: the schema's table of how they lie in it, level by level.
    """
    places, count = _places(sparsity)
    index = [np.zeros(count, np.intp) for _ in shape]
    blocks = [1] * len(shape)
    order = np.asarray(sparsity.traversalOrder).tolist()
    for level in sorted(range(len(order)), key=lambda level: -order[level]):  # blocks before the axes that they divide
        axis = order[level]
        if axis >= len(shape):
            axis = int(sparsity.blockMap[axis - len(shape)])
            index[axis] += places[level]
            blocks[axis] *= sparsity.dimMetadata[level].denseSize
        else:
            index[axis] += places[level] * blocks[axis]
    found: Array = np.zeros(shape, dtype.numpy)
    found[tuple(index)] = raw.view(dtype.numpy)[:count]
    return found


def _places(sparsity: Any) -> tuple[list[Array], int]:
    """Return the position of each stored element along each level, and the number of elements."""
    places: list[Array] = []
    count = 1
    for level in sparsity.dimMetadata:
        if level.arrayIndices is None:
            repeats: Array = np.full(count, level.denseSize)
            along = np.tile(np.arange(level.denseSize), count)
        else:
            repeats = np.diff(np.asarray(level.arraySegments.values).astype(np.intp))
            along = np.asarray(level.arrayIndices.values).astype(np.intp)
        places = [np.repeat(each, repeats) for each in places]
        places.append(along)
        count = len(along)
    return places, count
