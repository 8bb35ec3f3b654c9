"""The statistics of the values of a float graph over samples: ranges, histograms and means of channels.

All statistics of a value are gathered in one pass, sample by sample, in memory that does not grow with the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from layoutopt.tfl.dtypes import Array

Floats = npt.NDArray[np.float64]

_BINS = 4096
"""Of a histogram, from minus to plus its limit."""
_MAX_COUNTED = 1 << 14
"""The numbers of one sample that a histogram counts; of larger values it counts evenly spread ones."""


@dataclass(slots=True)
class Statistics:
    """The statistics of one value over the samples.

    Attributes:
        low: the least number.
        high: the largest number.
        lows: the sum of each sample's least number.
        highs: the sum of each sample's largest number.
        samples: how many there were.
        limit: the histogram reaches from ``-limit`` to ``limit``; a power of two, 0 before there is one.
        counts: the histogram.
        sums: of the means of each channel, which is the last axis, over the samples.
        finite: whether no sample had NaN or infinity.
    """

    low: float = np.inf
    high: float = -np.inf
    lows: float = 0.0
    highs: float = 0.0
    samples: int = 0
    limit: float = 0.0
    counts: Floats = field(default_factory=lambda: np.zeros(_BINS))
    sums: Floats | None = None
    finite: bool = True

    def add(self, array: Array) -> None:
        """Take one more sample into account."""
        if not array.size:
            return
        low, high = float(array.min()), float(array.max())
        if not np.isfinite((low, high)).all():
            self.finite = False
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.lows, self.highs, self.samples = self.lows + low, self.highs + high, self.samples + 1
        self._count(array, max(-low, high))
        means = array.reshape(-1, array.shape[-1] if array.ndim else 1).mean(0, dtype=np.float64)
        self.sums = means if self.sums is None else self.sums + means

    @property
    def means(self) -> Floats:
        """Return the mean of each channel."""
        assert self.sums is not None, "there was no sample"
        return np.asarray(self.sums / self.samples, np.float64)

    @property
    def centers(self) -> Floats:
        """Return the middle of each bin of the histogram."""
        return np.asarray((np.arange(_BINS) + 0.5) * (2 * self.limit / _BINS) - self.limit, np.float64)

    def share(self, low: float, high: float) -> float:
        """Return the share of the numbers from ``low`` to ``high``, to the width of a bin of the histogram."""
        total, centers = self.counts.sum(), self.centers
        return float(self.counts[(centers >= low) & (centers < high)].sum() / total) if total else 0.0

    def _count(self, array: Array, largest: float) -> None:
        if largest <= 0:
            largest = self.limit or 1.0
        if not self.limit:
            self.limit = float(2.0 ** np.ceil(np.log2(largest)))
        while largest > self.limit:  # two bins become one, in the middle half
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(_BINS)
            self.counts[_BINS // 4 : 3 * _BINS // 4] = merged
            self.limit *= 2
        flat = array.reshape(-1)
        step = -(-flat.size // _MAX_COUNTED) | 1  # odd, so that all channels of an even number of them take part
        bins = ((flat[::step] + self.limit) * (_BINS / (2 * self.limit))).astype(np.int64)
        self.counts += np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
