"""Grids of real numbers: the scale of which all weights of a channel are whole multiples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Quantization, Value

Floats = npt.NDArray[np.float64]

ON_GRID = 1e-4
"""The distance, in steps, of a number from its grid: the rounding of float32 takes a fifth of it."""
_SAMPLE = 32
"""The numbers that are tried first: of a row, or of all."""
_CHUNK = 1 << 18
"""The numbers that are worked on at once."""


@dataclass(frozen=True, slots=True)
class QuantizationGrid:
    """One scale and one zero point."""

    scale: float
    zero: int

    @property
    def quantization(self) -> Quantization:
        """The same as a value has it."""
        return Quantization((self.scale,), (self.zero,))


def steps_of(value: Value) -> QuantizationGrid:
    """Return the scale and the zero point of integers that have one of each."""
    assert value.quantization is not None, "integers between real numbers have a scale"
    (scale,), (zero,) = value.quantization.scales, value.quantization.zero_points
    return QuantizationGrid(scale, zero)


def row_grid(rows: Array, *, otherwise: float) -> Floats | None:
    """Return a scale for each row of which all its numbers are whole multiples, up to 127; None where a row has none.

    Any such scale gives the numbers exactly, so it need not be that of the model. The finest is taken, one for all rows
    where there is one.

    Args:
        rows: the weights of each channel.
        otherwise: the scale where all is zero.
    """
    if (common := _finest_of_all(rows, 127)) > 0:
        return np.full(len(rows), common)
    scales = _finest(rows, 127)
    empty = ~rows.any(1)
    scales[empty] = scales[~empty].min() if not empty.all() else otherwise
    return scales if (scales > 0).all() else None


def offset_grid(values: Array) -> QuantizationGrid | None:
    """Return at most 255 steps from the least to the largest number, of which 0 is one; None where there are none."""
    if not values.any():
        return QuantizationGrid(1.0, 0)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = _finest_of_all(values.reshape(1, -1), int(255 * max(-low, high) / (high - low) + ON_GRID))
    return QuantizationGrid(float(np.float32(scale)), round(-128 - low / scale)) if scale > 0 else None


def whole_rows(rows: Array, scales: Floats) -> npt.NDArray[np.int8]:
    """Return the numbers of each row as multiples of its scale."""
    whole = np.empty(rows.shape, np.int8)
    for part in _columns(rows):
        np.rint(rows[:, part] / scales[:, None], out=whole[:, part], casting="unsafe")
    return whole


def _finest_of_all(rows: Array, most: int) -> float:
    """Return the least scale of which all numbers are whole multiples, up to ``most``; 0 for none."""
    largest = max(float(rows.max(initial=0.0)), -float(rows.min(initial=0.0)))
    if largest == 0:
        return 0.0
    scales = largest / np.arange(most, 0, -1)
    spread = rows.flat[:: -(-rows.size // _SAMPLE)]  # a few numbers rule out nearly all scales
    for scale in scales[_are_whole(np.broadcast_to(spread, (most, spread.size)), scales)]:
        if _are_whole(rows, np.full(len(rows), scale)).all():
            return float(scale)
    return 0.0


def _finest(rows: Array, most: int) -> Floats:
    """Return the least scale for each row of which its numbers are whole multiples, up to ``most``; 0 for none."""
    largest = np.maximum(rows.max(1, initial=0.0), -rows.min(1, initial=0.0)).astype(np.float64)
    scales = np.zeros(len(rows))
    open_rows = np.flatnonzero(largest)
    for count in range(most, 0, -1):
        fits = open_rows[_are_whole(rows[open_rows, :_SAMPLE], largest[open_rows] / count)]
        fits = fits[_are_whole(rows if len(fits) == len(rows) else rows[fits], largest[fits] / count)]
        scales[fits] = largest[fits] / count
        open_rows = np.setdiff1d(open_rows, fits, assume_unique=True)
        if not open_rows.size:
            break
    return scales


def _are_whole(rows: Array, scales: Floats) -> npt.NDArray[np.bool_]:
    """Return for each row whether its numbers are whole multiples of its scale."""
    whole = np.ones(len(rows), bool)
    for part in _columns(rows):
        steps = rows[:, part] / scales[:, None]
        whole &= (np.abs(steps - np.rint(steps)) <= ON_GRID).all(1)
    return whole


def _columns(rows: Array) -> Iterator[slice]:
    """Cut rows into parts of a size that fits a cache, for weights may take gigabytes."""
    width = max(_CHUNK // max(len(rows), 1), 1)
    for start in range(0, rows.shape[1], width):
        yield slice(start, start + width)
