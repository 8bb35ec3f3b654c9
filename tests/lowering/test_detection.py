"""Boxes and regions: every selection as ONNX Runtime makes it, ties and borders included."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import Array, Case, CaseRunner, floats, integers

_RNG = np.random.default_rng(5)
SUPPRESSION = "y = NonMaxSuppression(boxes, scores, most, overlap, least)"


def boxes(batch: int, count: int) -> Array:
    """Boxes that overlap, some given by their other two corners."""
    start, size = _RNG.random((batch, count, 2)) * 10, _RNG.random((batch, count, 2)) * 4
    found = np.concatenate([start, start + size], -1).astype(np.float32)
    found[:, ::3, [0, 2]] = found[:, ::3, [2, 0]]
    return found


def scores(batch: int, classes: int, count: int) -> Array:
    """Scores of which many are alike."""
    found: Array = (np.round(_RNG.random((batch, classes, count)) * 8) / 8).astype(np.float32)
    return found


def limits(most: int, overlap: float, least: float) -> dict[str, Array]:
    return {
        "most": np.array([most], np.int64),
        "overlap": np.array([overlap], np.float32),
        "least": np.array([least], np.float32),
    }


@pytest.mark.parametrize("at_run_time", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("batch", "classes", "most", "overlap", "least"),
    [(1, 1, 20, 0.5, 0.3), (2, 3, 7, 0.3, 0.25), (1, 2, 100, 0.0, 0.0), (1, 1, 5, 0.5, 2.0)],
)
def test_selects_the_same_boxes_in_the_same_order(
    batch: int, classes: int, most: int, overlap: float, least: float, at_run_time: bool, runner: CaseRunner
) -> None:
    inputs = {"boxes": boxes(batch, 40), "scores": scores(batch, classes, 40)}
    case = Case(SUPPRESSION, inputs, limits(most, overlap, least), "NON_MAX_SUPPRESSION_V4")
    runner.check(case.with_run_time("most", "overlap", "least") if at_run_time else case)


def test_limits_at_run_time(runner: CaseRunner) -> None:
    case = Case(SUPPRESSION, {"boxes": boxes(2, 40), "scores": scores(2, 2, 40)}, limits(3, 0.0, 0.25))
    runner.check(case.with_run_time("most", "overlap", "least"))


@pytest.mark.parametrize("overlap", [0.5, 1.0])
@pytest.mark.parametrize("at_run_time", [False, True])
def test_boxes_that_overlap_as_much_as_the_threshold_stay(
    overlap: float, at_run_time: bool, runner: CaseRunner
) -> None:
    inputs = {
        "boxes": np.array([[[0, 0, 1, 1], [0, 0, 1, 0.5], [0, 0, 1, 1]]], np.float32),
        "scores": np.full((1, 1, 3), 0.9, np.float32),
    }
    case = Case(SUPPRESSION, inputs, limits(3, overlap, 0))
    runner.check(case.with_run_time("overlap") if at_run_time else case)


def test_boxes_by_their_centres_and_without_limits(runner: CaseRunner) -> None:
    inputs = {"boxes": np.abs(boxes(2, 30)), "scores": scores(2, 2, 30)}
    most = {"most": np.array([20], np.int64)}
    runner.check(Case("y = NonMaxSuppression<center_point_box=1>(boxes, scores, most)", inputs, most))
    runner.check(Case("y = NonMaxSuppression(boxes, scores)", inputs))


@pytest.mark.parametrize("count", [0, 1, 25])
@pytest.mark.parametrize("most", [7, 2**62])
def test_boxes_whose_number_is_known_at_run_time(count: int, most: int, runner: CaseRunner) -> None:
    some = "some = Compress<axis = 1>(boxes, chosen) theirs = Compress<axis = 2>(scores, chosen)"
    inputs = {"boxes": boxes(2, 40), "scores": scores(2, 3, 40), "chosen": np.arange(40) < count}
    case = Case(f"{some} {SUPPRESSION.replace('boxes, scores', 'some, theirs')}", inputs, limits(most, 0.3, 0.25))
    runner.check(case)


def regions(count: int, width: float, height: float) -> Array:
    """Some reach beyond the image, some are upside down."""
    start = _RNG.random((count, 2)) * [width, height]
    found = np.concatenate([start, start + (_RNG.random((count, 2)) * 1.3 - 0.2) * [width, height]], -1)
    return found.astype(np.float32)


@pytest.mark.parametrize(
    ("mode", "coordinates", "ratio"),
    [
        ("avg", "half_pixel", 0),
        ("max", "output_half_pixel", 0),
        *(
            pytest.param(mode, coordinates, 2, marks=pytest.mark.long)
            for mode in ("avg", "max")
            for coordinates in ("half_pixel", "output_half_pixel")
        ),
        pytest.param("avg", "output_half_pixel", 0, marks=pytest.mark.long),
        pytest.param("max", "half_pixel", 0, marks=pytest.mark.long),
    ],
)
def test_regions_are_sampled_as_onnx_runtime_does(mode: str, coordinates: str, ratio: int, runner: CaseRunner) -> None:
    body = (
        f'y = RoiAlign<mode="{mode}", coordinate_transformation_mode="{coordinates}", sampling_ratio={ratio}, '
        "output_height=3, output_width=4, spatial_scale=0.5>(x, r, b)"
    )
    inputs = {"x": floats(2, 5, 10, 12), "r": regions(6, 24, 20), "b": integers(0, 2, 6)}
    runner.check(Case(body, inputs, operators="WHILE" if ratio == 0 else "GATHER"))


def test_regions_before_opset_16(runner: CaseRunner) -> None:
    body = "y = RoiAlign<sampling_ratio=1, output_height=3, output_width=4>(x, r, b)"
    inputs = {"x": floats(2, 5, 10, 12), "r": regions(6, 12, 10), "b": integers(0, 2, 6)}
    runner.check(Case(body, inputs, opset=10))


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize(("mode", "ratio"), [("avg", 2), ("max", 0), ("avg", 0)])
def test_regions_whose_number_is_known_at_run_time(mode: str, ratio: int, count: int, runner: CaseRunner) -> None:
    body = f"""
        kept = Compress<axis = 0>(r, chosen)
        pictures = Compress<axis = 0>(b, chosen)
        y = RoiAlign<mode = "{mode}", sampling_ratio = {ratio}, output_height = 3, output_width = 4>(x, kept, pictures)
    """
    inputs = {
        "x": floats(2, 5, 10, 12),
        "r": regions(6, 12, 10),
        "b": integers(0, 2, 6),
        "chosen": np.arange(6) < count,
    }
    runner.check(Case(body, inputs))
