"""The choice of ranges, for a whole network and for sections of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layoutopt.options import RangeMethod
from layoutopt.quantization.building import Settings
from layoutopt.quantization.calibrator import Calibrator
from layoutopt.quantization.judging import noise_of, total_noise
from layoutopt.quantization.operators import positions
from layoutopt.quantization.outcome import OutputQuality
from layoutopt.quantization.sections import sections
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value
from tests.quantization.networks import Pictures, calibrated, classifier, model, peaked, weights

SINGLE = [method for method in RangeMethod if method is not RangeMethod.AUTO]


def test_sections_have_ranges_of_their_own_where_no_method_suits_all(tmp_path: Path) -> None:
    """Far better than any one method, also on samples that took no part."""
    chosen = calibrated(peaked, tmp_path, ranges=RangeMethod.AUTO)[1]
    single = [calibrated(peaked, tmp_path, ranges=method)[1] for method in SINGLE]
    assert chosen.recipe.method is RangeMethod.AUTO
    assert chosen.quality[0].sqnr > max(each.quality[0].sqnr for each in single) + 2


def test_one_method_is_kept_where_outputs_are_exact_enough_with_it(tmp_path: Path) -> None:
    """The others are not tried for sections then: what is so exact differs by chance."""
    said: list[str] = []
    samples = Pictures(0, 12), Pictures(100, 6), Pictures(200, 6)
    chosen = Calibrator(model(classifier), Settings(), *samples, tmp_path, said.append).run()
    assert chosen.quality[0].sqnr > 30
    assert chosen.recipe.method in SINGLE
    assert said
    assert not any("section" in each for each in said)


def test_a_method_that_is_asked_for_is_that_of_all_values(tmp_path: Path) -> None:
    chosen = calibrated(peaked, tmp_path, ranges=RangeMethod.MINMAX)[1]
    assert chosen.recipe.method is RangeMethod.MINMAX


@pytest.mark.parametrize(("calibration", "others"), [(7, 3), (30, 10), (31, 10), (60, 20), (90, 31)])
def test_recipes_are_compared_on_evenly_spread_samples(calibration: int, others: int, tmp_path: Path) -> None:
    given = Pictures(0, calibration), Pictures(1000, others), Pictures(2000, 1)
    every = [sample for samples in given[:2] for (sample,) in samples()]
    taken = [sample for (sample,) in Calibrator(model(classifier), Settings(), *given, tmp_path)._unjudging()]
    assert len(taken) == min(len(every), 40)
    places = [next(at for at, each in enumerate(every) if np.array_equal(each, sample)) for sample in taken]
    gaps = np.diff([*places, len(every)])
    assert gaps.min() >= len(every) // len(taken)
    assert gaps.max() <= -(-len(every) // len(taken))


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
