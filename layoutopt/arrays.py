"""Copies of large arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BLOCK = 64
"""Steps along the axis of the farthest elements that are copied at once: their cache lines stay in the cache."""

_CHUNK = 1 << 22
"""Bytes of an array whose elements are not in order which are copied at once to be written."""


def contiguous(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return ``array`` with its elements in order, as `numpy.ascontiguousarray`, which is slower on large ones."""
    farthest = int(np.argmax(np.abs(array.strides))) if array.ndim > 1 else 0
    if farthest == 0 or array.flags.c_contiguous:
        return np.ascontiguousarray(array)
    result = np.empty(array.shape, array.dtype)
    source, target = np.moveaxis(array, farthest, 0), np.moveaxis(result, farthest, 0)
    for start in range(0, len(source), _BLOCK):
        block = source[start : start + _BLOCK]
        if not block.flags.aligned:  # what a file holds may begin anywhere, and is fast to copy only as it is
            block = block.copy(order="K")
        target[start : start + _BLOCK] = np.ascontiguousarray(block)
    return result


def chunks(array: npt.NDArray[np.generic]) -> Iterator[memoryview]:
    """Iterate over the bytes of ``array``, of which no more than a chunk is copied at once."""
    if array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8).data
    elif array.nbytes <= _CHUNK:
        yield contiguous(array).reshape(-1).view(np.uint8).data
    elif array[0].nbytes > _CHUNK:
        for part in array:
            yield from chunks(part)
    else:
        rows = _CHUNK // array[0].nbytes
        for first in range(0, len(array), rows):
            yield contiguous(array[first : first + rows]).reshape(-1).view(np.uint8).data
