"""Statistics of samples: what is called a difference, and what is not."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest

from layoutopt.backend.litert.latency import LEAST_FLOOR, Latency, Noise, Verdict, interval

ROUNDS = 60


def samples(
    factors: Sequence[float], *, spread: float, seed: int, drift: float = 0.0, rounds: int = ROUNDS
) -> list[Latency]:
    """Samples of models of 10 ms times a factor each, all on a machine that is ``drift`` slower in the end.

    Args:
        factors: one per model.
        spread: of each sample by itself: standard deviation of its logarithm.
        seed: of the noise.
        drift: what is common to the models of a round.
        rounds: how many.
    """
    rng = np.random.default_rng(seed)
    common = np.linspace(1.0, 1.0 + drift, rounds)
    return [Latency(tuple(10 * factor * common * np.exp(spread * rng.standard_normal(rounds)))) for factor in factors]


def verdict(factor: float, *, spread: float, seed: int, drift: float = 0.0) -> Verdict:
    """The verdict on a model that takes ``factor`` times as long as the first, with a control."""
    first, copy, other = samples((1.0, 1.0, factor), spread=spread, seed=seed, drift=drift)
    return other.speedup_over(first, Noise.between(first, copy)).verdict


def test_latency_of_samples() -> None:
    latency = Latency((3.0, 1.0, 8.0, 2.0))
    assert latency.median_ms == 2.5
    assert latency.minimum_ms == 1.0
    assert latency.p90_ms == pytest.approx(6.5)  # 0.7 of the way from 3 to 8, as numpy interpolates


def test_speedup_three_ways() -> None:
    fast, slow = Latency((1.0, 2.0, 4.0)), Latency((3.0, 2.0, 16.0))
    found = fast.speedup_over(slow)
    assert (found.of_medians, found.of_minima, found.median_of_rounds) == (1.5, 2.0, 3.0)
    itself = slow.speedup_over(slow)
    assert (itself.of_medians, itself.median_of_rounds, itself.low, itself.high) == (1.0, 1.0, 1.0, 1.0)
    assert itself.verdict is Verdict.WITHIN_NOISE


def test_speedup_needs_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Latency((1.0, 2.0)).speedup_over(Latency((1.0,)))


def test_one_round_tells_nothing() -> None:
    found = Latency((1.0,)).speedup_over(Latency((3.0,)))
    assert (found.low, found.high, found.verdict) == (0.0, math.inf, Verdict.TOO_NOISY)
    assert Noise.between(Latency((1.0,)), Latency((1.0,))).floor == math.inf


def test_the_interval_is_that_of_all_resamples() -> None:
    """Of 5 rounds there are but 3125 resamples, so the exact distribution of the median can be written down."""
    ratios = [1.0, 1.1, 1.2, 1.3, 1.4]
    medians = sorted(statistics.median(drawn) for drawn in itertools.product(ratios, repeat=5))
    exact = medians[int(0.025 * len(medians))], medians[int(0.975 * len(medians))]
    assert interval(ratios, seed=0) == pytest.approx(exact)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        first, other = samples((1.0, 1 / 1.2), spread=0.05, seed=seed)
        found = other.speedup_over(first)
        held += found.low <= 1.2 <= found.high
    assert 0.90 <= held / 200 <= 0.99


def test_a_known_ratio_is_found() -> None:
    first, copy, other = samples((1.0, 1.0, 1 / 1.3), spread=0.02, seed=1, drift=0.5)
    found = other.speedup_over(first, Noise.between(first, copy))
    assert found.median_of_rounds == pytest.approx(1.3, rel=0.02)
    assert found.low < 1.3 < found.high
    assert found.is_sharp
    assert found.verdict is Verdict.FASTER
    assert first.speedup_over(other, Noise.between(first, copy)).verdict is Verdict.SLOWER


@pytest.mark.parametrize("spread", [0.002, 0.01, 0.03])
def test_two_copies_are_never_told_apart(spread: float) -> None:
    verdicts = [verdict(1.0, spread=spread, seed=seed, drift=0.3) for seed in range(60)]
    assert set(verdicts) <= {Verdict.WITHIN_NOISE, Verdict.TOO_NOISY}
    assert verdicts.count(Verdict.WITHIN_NOISE) > 50


def test_a_difference_that_noise_swallows_is_not_called() -> None:
    assert verdict(1 / 1.03, spread=0.001, seed=0) is Verdict.FASTER
    assert verdict(1 / 1.03, spread=0.05, seed=0) in (Verdict.WITHIN_NOISE, Verdict.TOO_NOISY)
    assert {verdict(1 / 1.03, spread=0.3, seed=seed) for seed in range(20)} == {Verdict.TOO_NOISY}


def test_a_large_difference_is_called_on_a_noisy_machine_too() -> None:
    assert verdict(1 / 3, spread=0.2, seed=0) is Verdict.FASTER


def test_what_copies_differ_in_is_no_difference() -> None:
    """Both intervals are narrow, but a copy of the first seems 4 % slower: so does the other model."""
    first, copy, other = samples((1.0, 1.04, 1.03), spread=0.001, seed=0)
    assert other.speedup_over(first, Noise.between(first, copy)).verdict is Verdict.WITHIN_NOISE
    assert other.speedup_over(first).verdict is Verdict.SLOWER


def test_a_percent_is_never_a_difference() -> None:
    assert Noise(1.0, 1.0).floor == LEAST_FLOOR == 0.01
    assert verdict(1 / 1.005, spread=0.0, seed=0) is Verdict.WITHIN_NOISE


def test_noise_of_a_control() -> None:
    assert Noise(0.95, 1.01).floor == pytest.approx(1 / 0.95 - 1)
    assert Noise(0.99, 1.03).floor == pytest.approx(0.03)
    assert Noise(0.99, 1.03).is_quiet
    assert not Noise(0.97, 1.03).is_quiet  # wide
    assert not Noise(1.06, 1.07).is_quiet  # narrow, but far from 1


def test_three_runs_of_one_pair_agree() -> None:
    """What has to hold on a quiet machine: ratios within 5 % of each other, or the word that it is too noisy."""
    for spread in (0.005, 0.02, 0.05, 0.2):
        for pair in range(10):
            runs = []
            for run in range(3):
                first, copy, other = samples((1.0, 1.0, 0.8), spread=spread, seed=1000 * pair + run)
                noise = Noise.between(first, copy)
                found = other.speedup_over(first, noise)
                runs.append((found.median_of_rounds, found.is_sharp and noise.is_quiet))
            if all(trusted for _, trusted in runs):
                ratios = [ratio for ratio, _ in runs]
                assert max(ratios) / min(ratios) < 1.05
