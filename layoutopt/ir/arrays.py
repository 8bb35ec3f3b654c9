"""Copies of large arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_BLOCK = 64
"""How many steps along the axis of the farthest elements are copied at once: their cache lines stay in the cache."""


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
