"""The choice of ranges, for a whole network and for sections of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.options import Int8, RangeMethod
from layoutopt.quantization.building import QuantizedGraph, Settings
from layoutopt.quantization.calibrator import Calibrator
from layoutopt.quantization.judging import OutputPart, judge, noise_of, total_noise
from layoutopt.quantization.observing import observe
from layoutopt.quantization.operators import positions
from layoutopt.quantization.outcome import OutputQuality
from layoutopt.quantization.ranges import range_of
from layoutopt.quantization.sections import sections
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value
from tests.quantization.networks import Pictures, calibrated, classifier, model, parted, weights

Array = npt.NDArray[Any]
SINGLE = [method for method in RangeMethod if method is not RangeMethod.AUTO]


def watching(x: Value) -> Value:
    """A detector of white pixels. What is far darker hardly matters, for RELU6 cuts it off."""
    a = tfl.relu(tfl.conv_2d(x, np.concatenate([np.eye(3), -np.eye(3)]).reshape(6, 1, 1, 3).astype(np.float32)))
    mixed, bias = weights(1, 8, 1, 1, 6), weights(2, 8)
    mixed[7], bias[7] = np.arange(6) < 3, -7
    b = tfl.relu6(tfl.conv_2d(a, mixed, bias))
    return tfl.conv_2d(b, np.where(np.arange(8) == 7, 100, weights(3, 4, 1, 1, 8)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Scenes:
    """Noise; in the first of ``count`` samples, a channel of a pixel is far darker, and another pixel is white."""

    seed: int
    count: int

    def __call__(self) -> Iterator[list[Array]]:
        rng = np.random.default_rng(self.seed)
        for at in range(self.count):
            scene = rng.standard_normal((1, 48, 48, 3)).astype(np.float32)
            if at == 0:
                scene[0, 10 + self.seed, 20, 0], scene[0, 30, 10 + self.seed] = -1000, 3
            yield [scene]


def watched(scratch: Path, method: RangeMethod) -> QuantizedGraph:
    samples = parted(Scenes(0, 12), Scenes(1, 6), Scenes(2, 6))
    return Calibrator(model(watching, size=48), Settings(Int8.FULL, ranges=method), *samples, scratch).run()


def test_sections_have_ranges_of_their_own_where_no_method_suits_all(tmp_path: Path) -> None:
    """Far better than any one method, also on samples that took no part."""
    chosen = watched(tmp_path, RangeMethod.AUTO)
    single = [watched(tmp_path, method) for method in SINGLE]
    assert chosen.recipe.method is RangeMethod.AUTO
    assert chosen.quality[0].sqnr > max(each.quality[0].sqnr for each in single) + 5


def test_one_method_is_kept_where_outputs_are_exact_enough_with_it(tmp_path: Path) -> None:
    """The others are not tried for sections then: what is so exact differs by chance."""
    said: list[str] = []
    samples = parted(Pictures(0, 12), Pictures(100, 6), Pictures(200, 6))
    chosen = Calibrator(model(classifier), Settings(), *samples, tmp_path, said.append).run()
    assert chosen.quality[0].sqnr > 30
    assert chosen.recipe.method in SINGLE
    assert said
    assert not any("section" in each for each in said)


def test_a_method_that_is_asked_for_is_that_of_all_values(tmp_path: Path) -> None:
    real, made = calibrated(classifier, tmp_path, ranges=RangeMethod.MINMAX)
    assert made.recipe.method is RangeMethod.MINMAX
    statistics = observe(real.graph, Pictures(0, 12), tmp_path)
    assert [made.recipe.ranges[value] for value in made.steps] == [
        range_of(found, RangeMethod.MINMAX) for value, found in statistics.items() if value in made.steps
    ]


def test_recipes_are_compared_on_the_samples_for_that_alone(tmp_path: Path) -> None:
    """Each method, with biases corrected and without, reads these once, and so does the float model."""
    read: Counter[str] = Counter()

    def counted(name: str, samples: Pictures) -> Iterator[list[Array]]:
        for sample in samples():
            read[name] += 1
            yield sample

    parts = (
        partial(counted, "calibration", Pictures(0, 12)),
        partial(counted, "choosing", Pictures(100, 6)),
        partial(counted, "comparing", Pictures(0, 5)),
        Pictures(200, 6),
    )
    Calibrator(model(classifier), Settings(), *parts, tmp_path).run()
    assert read["comparing"] == (1 + 2 * len(SINGLE)) * 5
    assert read["calibration"] <= 2 * 12 + 1  # of the inputs, and of all that is computed
    assert read["choosing"] <= 2 * len(SINGLE) + 3  # the first one, for the shapes of each graph


@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_each_section_has_weights(most: int) -> None:
    """All operators in their order, and as many sections as there may be, or one for each operator with weights."""

    def network(x: Value) -> Value:
        for seed in range(6):
            x = tfl.relu(tfl.conv_2d(x * 2.0, weights(seed, 3, 1, 1, 3))) + 1.0
        return x

    graph = model(network).graph
    found = sections(graph.operations, most)
    assert len(found) == min(most, 6)
    at = {operation: place for place, section in enumerate(found) for operation in section}
    assert [at[operation] for operation in graph.operations] == sorted(at.values())
    assert len(at) == len(graph.operations)
    assert {sum(positions(each) is not None for each in section) for section in found} == {6 // len(found)}


def test_the_least_exact_output_counts_most() -> None:
    exact, coarse = (OutputQuality("y", sqnr, 1.0, None, 0.0, 1.0) for sqnr in (40.0, 10.0))
    assert noise_of(coarse) == pytest.approx(0.1)
    assert total_noise([exact, coarse]) == pytest.approx(np.mean([1e-4, 0.1]))
    even = [OutputQuality("y", sqnr, 1.0, None, 0.0, 1.0) for sqnr in (20.0, 20.0)]
    assert total_noise(even) < total_noise([exact, coarse])


@pytest.mark.parametrize("value", [1e-30, 1.0, 2e4, 1e38])
def test_noise_without_signal_is_a_number(value: float) -> None:
    """It weighs more than all that there is where there is a signal, and does not hide which of that is better."""
    zero, off = np.zeros((1, 4), np.float32), np.full((1, 4), value, np.float32)
    (lost,) = judge([OutputPart("y", 0)], [[zero]], [[off]])
    assert lost.sqnr == -99
    other, better = (OutputQuality("z", sqnr, 1.0, None, 0.0, 1.0) for sqnr in (20.0, 21.0))
    assert np.inf > total_noise([lost, other]) > total_noise([lost, better]) > total_noise([other])
