"""Statistics of models that were timed in turns, and the verdicts that they allow."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from enum import Enum

import numpy as np

CONFIDENCE = 0.95
"""Of the intervals of all ratios."""

WIDEST = 1.05
"""Upper over lower end of an interval; where it is wider, the machine is too noisy for small differences."""

LEAST_FLOOR = 0.01
"""A ratio this close to 1 is never called a difference, however quiet the machine: where in memory a model happens to
lie makes as much."""

_RESAMPLES = 2000


class Verdict(Enum):
    """The outcome of comparing the latencies of two models."""

    FASTER = "faster"
    SLOWER = "slower"
    WITHIN_NOISE = "within noise"
    """No difference that the noise of this run could not have made."""
    TOO_NOISY = "too noisy to tell"
    """There may be a difference of several percent or none: the machine was not quiet enough to say."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The time that one model takes, in milliseconds per inference.

    Attributes:
        samples: one per round, in order; each is the mean over the inferences of that round.
    """

    samples: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Return the median of the samples."""
        return statistics.median(self.samples)

    @property
    def minimum_ms(self) -> float:
        """Return the fastest sample: the one that other processes disturbed least."""
        return min(self.samples)

    @property
    def p90_ms(self) -> float:
        """Return the 90th percentile of the samples."""
        return float(np.quantile(self.samples, 0.9))

    def speedup_over(self, other: Latency, noise: Noise | None = None, *, seed: int = 0) -> Speedup:
        """Return how many times as fast this model is as ``other``, both from one call of ``measure``.

        Args:
            other: what it is compared with.
            noise: what two copies of ``other`` differed in, in the same call; None where there was no second copy.
            seed: of the resamples.

        Raises:
            ValueError: the two have different numbers of samples.
        """
        rounds = [theirs / ours for ours, theirs in zip(self.samples, other.samples, strict=True)]
        low, high = interval(rounds, seed=seed)
        return Speedup(
            of_medians=other.median_ms / self.median_ms,
            of_minima=other.minimum_ms / self.minimum_ms,
            median_of_rounds=statistics.median(rounds),
            low=low,
            high=high,
            verdict=_judge(low, high, noise or Noise(1.0, 1.0)),
        )


@dataclass(frozen=True, slots=True)
class Speedup:
    """A ratio of two latencies, three ways; above 1 is faster. Where the three differ, the machine was not quiet.

    Attributes:
        of_medians: ratio of the medians.
        of_minima: ratio of the minima.
        median_of_rounds: median of the ratios within each round, which slow drifts of the clock leave alone: the one
            that the interval and the verdict are about.
        low: lower end of its 95 % interval.
        high: upper end.
        verdict: what that says.
    """

    of_medians: float
    of_minima: float
    median_of_rounds: float
    low: float
    high: float
    verdict: Verdict

    @property
    def width(self) -> float:
        """Return upper over lower end of its interval."""
        return _width(self.low, self.high)

    @property
    def is_sharp(self) -> bool:
        """Return whether its interval is narrow enough for the ratio to be quoted."""
        return self.width <= WIDEST


@dataclass(frozen=True, slots=True)
class Noise:
    """By how much two copies of the same model seemed to differ: the control of a run.

    Attributes:
        low: lower end of the 95 % interval of their ratio.
        high: upper end.
    """

    low: float
    high: float

    @classmethod
    def between(cls, first: Latency, second: Latency, *, seed: int = 0) -> Noise:
        """Return the speedup between two files from the samples of both copies.

        Raises:
            ValueError: they have different numbers of samples.
        """
        return cls(*interval([a / b for a, b in zip(first.samples, second.samples, strict=True)], seed=seed))

    @property
    def width(self) -> float:
        """Return upper over lower end of the interval."""
        return _width(self.low, self.high)

    @property
    def floor(self) -> float:
        """Return how far from 1 a ratio must be to count as a difference: 0.02 for 2 %."""
        farthest = max(self.high, 1 / self.low) if self.low > 0 else math.inf
        return max(LEAST_FLOOR, farthest - 1)

    @property
    def is_quiet(self) -> bool:
        """Return whether the machine was quiet enough for ratios of a few percent."""
        return self.width <= WIDEST and self.floor <= WIDEST - 1


def interval(ratios: list[float], *, seed: int) -> tuple[float, float]:
    """Return the bootstrap interval of the median of ratios, one per round; everything where there is but one.

    Rounds are drawn whole, so that what disturbs all models of a round cancels.
    """
    if len(ratios) < 2:
        return 0.0, math.inf
    from scipy import stats

    found = stats.bootstrap(
        (np.array(ratios),),
        np.median,
        vectorized=True,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _judge(low: float, high: float, noise: Noise) -> Verdict:
    if low > 1 + noise.floor:
        return Verdict.FASTER
    if high < 1 / (1 + noise.floor):
        return Verdict.SLOWER
    if noise.is_quiet and _width(low, high) <= WIDEST:
        return Verdict.WITHIN_NOISE
    return Verdict.TOO_NOISY


def _width(low: float, high: float) -> float:
    return high / low if low > 0 else math.inf
