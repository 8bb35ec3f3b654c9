"""From statistics to the range of real numbers that the integers of a value cover."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from layoutopt.options import RangeMethod
from layoutopt.quantization.outcome import ValueRange
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl.graph import Graph, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid

_TAIL = 1e-4
"""The share of the numbers that `RangeMethod.PERCENTILE` leaves outside, half of it at either end."""
_SHRINKING = np.linspace(0.2, 1.0, 65)
"""The factors by which `RangeMethod.MSE` multiplies the whole range, to find the one that loses least."""
_SHOWN_BINS = 32
"""Of the histogram of a value that is shown."""
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


def ranges_of(
    graph: Graph, steps: Mapping[Value, QuantizationGrid], statistics: Mapping[Value, Statistics]
) -> Iterator[ValueRange]:
    """Iterate over what is told of the values of a float graph that are stored in int8, in the order of execution."""
    named = [(str(value.name), "", value) for value in graph.inputs]
    named += [(each.scope, each.code, result) for each in graph.operations for result in each.results]
    for name, code, value in named:
        if value not in steps or value not in statistics or not statistics[value].samples:
            continue
        grid, found = steps[value], statistics[value]
        low, high = ((end - grid.zero) * grid.scale for end in (-128, 127))
        edges = np.linspace(found.low, found.high, _SHOWN_BINS + 1)
        edges[[0, -1]] = -np.inf, np.inf  # the bins of the least and the largest number reach beyond these
        shares = tuple(round(found.share(float(start), float(end)), 6) for start, end in pairwise(edges))
        outside = 1 - found.share(low - grid.scale / 2, high + grid.scale / 2)
        yield ValueRange(name, code, low, high, found.low, found.high, max(outside, 0.0), shares)


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
