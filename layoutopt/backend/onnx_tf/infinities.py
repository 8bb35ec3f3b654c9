"""Infinities among constants: the TFLite converter turns them into the largest finite numbers without a word.

So they go through the converter as the largest numbers but one, which no model has, and are put back in the .tflite.
"""

from __future__ import annotations

import numpy as np

from layoutopt.tfl.dtypes import Array

_STAND_IN = np.nextafter(np.finfo(np.float32).max, np.float32(0))


def mask_infinities(array: Array) -> Array:
    """Return a constant with stand-ins for infinities of float32; any other as it is."""
    if array.dtype != np.float32 or not np.isinf(array).any():
        return array
    return np.where(np.isinf(array), np.copysign(_STAND_IN, array), array)


def restore_infinities(array: Array) -> Array:
    """Return a constant with infinities in the place of their stand-ins; one without any as it is."""
    if array.dtype != np.float32 or not (stand_ins := np.abs(array) == _STAND_IN).any():
        return array
    return np.where(stand_ins, np.copysign(np.float32(np.inf), array), array)
