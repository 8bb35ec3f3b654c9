"""Statistics and ranges, against NumPy on all numbers at once."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.options import RangeMethod
from layoutopt.quantization.ranges import Range, range_of, ranges_of
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid

RNG = np.random.default_rng(0)
NORMAL = [RNG.standard_normal((1, 9, 9, 4)).astype(np.float32) * scale for scale in (0.01, 1, 3, 1, 2)]
POSITIVE = [np.abs(sample) for sample in NORMAL]


def observed(samples: list[np.ndarray]) -> Statistics:
    found = Statistics()
    for sample in samples:
        found.add(sample)
    return found


@pytest.mark.parametrize("samples", [NORMAL, POSITIVE])
def test_statistics(samples: list[np.ndarray]) -> None:
    found, every = observed(samples), np.stack(samples)
    assert (found.low, found.high) == (every.min(), every.max())
    assert found.means == pytest.approx(every.mean((0, 1, 2, 3)), rel=1e-5)
    assert found.counts.sum() == every.size  # small values are counted in full
    width = 2 * found.limit / len(found.counts)
    expected, _ = np.histogram(every, len(found.counts), (-found.limit, found.limit))
    assert np.abs(np.cumsum(found.counts) - np.cumsum(expected)).max() <= 0.01 * every.size
    assert width <= 4 * max(-every.min(), every.max()) / len(found.counts)


def test_minmax_and_average() -> None:
    found = observed(NORMAL)
    assert range_of(found, RangeMethod.MINMAX) == Range(float(found.low), float(found.high))
    lows, highs = zip(*((sample.min(), sample.max()) for sample in NORMAL), strict=True)
    average = range_of(found, RangeMethod.AVERAGE)
    assert (average.low, average.high) == pytest.approx((np.mean(lows), np.mean(highs)))


def test_percentile_leaves_out_what_is_rare() -> None:
    samples = [RNG.standard_normal((1, 100, 100, 1)).astype(np.float32) for _ in range(5)]
    samples[2][0, 0, 0, 0] = 1000.0
    found = observed(samples)
    assert range_of(found, RangeMethod.MINMAX).high == 1000
    assert range_of(found, RangeMethod.PERCENTILE).high < 10
    assert range_of(observed(POSITIVE), RangeMethod.PERCENTILE).low == 0


def test_mse_is_the_least_error_of_all_scalings() -> None:
    sample = RNG.laplace(size=(1, 50, 50, 4)).astype(np.float32)
    found = observed([sample])

    def error(candidate: Range) -> float:
        steps = candidate.steps
        whole = np.clip(np.rint(sample / steps.scale) + steps.zero, -128, 127)
        return float((((whole - steps.zero) * steps.scale - sample) ** 2).mean())

    best = error(range_of(found, RangeMethod.MSE))
    every = [error(Range.around(found.low * part, found.high * part)) for part in np.linspace(0.2, 1, 33)]
    assert best <= 1.01 * min(every)


def test_steps_have_zero_among_them() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 6.0), (2.0, 5.0), (-4.0, -1.0), (0.0, 0.0)):
        candidate = Range.around(low, high)
        steps = candidate.steps
        assert -128 <= steps.zero <= 127
        assert steps.scale > 0
        assert (-128 - steps.zero) * steps.scale == pytest.approx(candidate.low, abs=steps.scale)
        assert (127 - steps.zero) * steps.scale == pytest.approx(candidate.high, abs=steps.scale)


def test_what_is_not_finite_is_noticed() -> None:
    assert not observed([np.array([[1.0, np.nan]], np.float32)]).finite
    assert observed(NORMAL).finite


def test_what_is_told_of_a_value_is_what_numpy_counts() -> None:
    graph = Graph([Value(DType.FLOAT32, (1, 100, 100, 1), name="x")])
    with tfl.recording(graph), tfl.scope("node"):
        graph.outputs = [tfl.relu(graph.inputs[0])]
    sample = RNG.standard_normal((1, 100, 100, 1)).astype(np.float32)
    value, result = graph.inputs[0], graph.outputs[0]
    (told,) = ranges_of(
        graph, {value: QuantizationGrid(0.01, 0), result: QuantizationGrid(0.02, -128)}, {value: observed([sample])}
    )
    assert (told.name, told.code) == ("x", "")
    assert (told.low, told.high) == pytest.approx((-1.28, 1.27))
    assert (told.least, told.largest) == (sample.min(), sample.max())
    assert told.outside == pytest.approx(((sample < -1.285) | (sample > 1.275)).mean(), abs=0.002)
    expected, _ = np.histogram(sample, len(told.shares))
    assert sum(told.shares) == pytest.approx(1, abs=1e-4)
    assert np.abs(np.cumsum(told.shares) - np.cumsum(expected) / sample.size).max() < 0.01
