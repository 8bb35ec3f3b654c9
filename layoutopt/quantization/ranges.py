"""From statistics to the range of real numbers that the integers of a value cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from layoutopt.options import RangeMethod
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl.rewrites.grids import QuantizationGrid

_TAIL = 1e-4
"""The share of the numbers that `RangeMethod.PERCENTILE` leaves outside, half of it at either end."""
_SHRINKING = np.linspace(0.2, 1.0, 65)
"""The factors by which `RangeMethod.MSE` multiplies the whole range, to find the one that loses least."""
_LEAST_WIDTH = 1e-6
"""A value that is always 0 has this range, for a scale must be positive."""


@dataclass(frozen=True, slots=True)
class Range:
    """The real numbers from ``low`` to ``high``, of which 0 is one."""

    low: float
    high: float

    @staticmethod
    def around(low: float, high: float) -> Range:
        """Return the least range that holds both numbers and 0."""
        low, high = min(low, 0.0), max(high, 0.0)
        return Range(low, high if high - low > _LEAST_WIDTH else low + _LEAST_WIDTH)

    @property
    def width(self) -> float:
        """Return the distance of its ends."""
        return self.high - self.low

    @property
    def steps(self) -> QuantizationGrid:
        """Return the scale and the zero point of INT8 for it; 0 is one of the steps."""
        scale = float(np.float32(self.width / 255))
        return QuantizationGrid(scale, int(np.clip(round(-128 - self.low / scale), -128, 127)))

    def __or__(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


def range_of(statistics: Statistics, method: RangeMethod) -> Range:
    """Return the range of a value by one method.

    Args:
        statistics: of at least one sample.
        method: any but ``RangeMethod.AUTO``.
    """
    return _METHODS[method](statistics)


def _minmax(found: Statistics) -> Range:
    return Range.around(found.low, found.high)


def _average(found: Statistics) -> Range:
    return Range.around(found.lows / found.samples, found.highs / found.samples)


def _percentile(found: Statistics) -> Range:
    share = np.cumsum(found.counts) / found.counts.sum()
    low, high = np.searchsorted(share, (_TAIL / 2, 1 - _TAIL / 2))
    centers = found.centers
    within = Range.around(float(centers[low]), float(centers[min(high, len(centers) - 1)]))
    return Range.around(max(within.low, found.low), min(within.high, found.high))


def _mse(found: Statistics) -> Range:
    """Shrink the whole range to where the squares of all errors, by rounding and by saturation, add up to the least."""
    whole, used = _minmax(found), found.counts > 0
    centers, counts = found.centers[used], found.counts[used]

    def loss(part: float) -> float:
        steps = Range.around(whole.low * part, whole.high * part).steps
        integers = np.clip(np.rint(centers / steps.scale) + steps.zero, -128, 127)
        return float((counts * ((integers - steps.zero) * steps.scale - centers) ** 2).sum())

    part = float(min(_SHRINKING, key=loss))
    return Range.around(whole.low * part, whole.high * part)


_METHODS: Mapping[RangeMethod, Callable[[Statistics], Range]] = {
    RangeMethod.MINMAX: _minmax,
    RangeMethod.AVERAGE: _average,
    RangeMethod.PERCENTILE: _percentile,
    RangeMethod.MSE: _mse,
}
