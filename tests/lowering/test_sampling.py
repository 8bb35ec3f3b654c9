"""What reads between the elements: all modes and borders, far outside too."""

from __future__ import annotations

import pytest

from tests.conversion_cases import Case, CaseRunner, floats

BORDERS = ("zeros", "border", "reflection")


def grid_sample(mode: str, border: str, aligned: int, *, volume: bool = False) -> Case:
    body = f'y = GridSample<mode="{mode}", padding_mode="{border}", align_corners={aligned}>(x, g)'
    x, grid = (floats(2, 3, 4, 5, 6), floats(2, 2, 4, 7, 3)) if volume else (floats(2, 3, 5, 6), floats(2, 4, 7, 2))
    return Case(body, {"x": x, "g": grid * 1.5}, opset=20, operators="GATHER")


@pytest.mark.parametrize(
    ("mode", "border", "aligned"),
    [
        ("linear", "zeros", 0),
        ("linear", "reflection", 1),
        ("nearest", "reflection", 0),
        ("cubic", "border", 0),
    ],
)
def test_samples_an_image(mode: str, border: str, aligned: int, runner: CaseRunner) -> None:
    runner.check(grid_sample(mode, border, aligned))


@pytest.mark.long
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_samples_an_image_in_all_modes(mode: str, border: str, aligned: int, runner: CaseRunner) -> None:
    runner.check(grid_sample(mode, border, aligned))


@pytest.mark.parametrize(("mode", "border", "aligned"), [("linear", "zeros", 0), ("nearest", "reflection", 1)])
def test_samples_a_volume(mode: str, border: str, aligned: int, runner: CaseRunner) -> None:
    runner.check(grid_sample(mode, border, aligned, volume=True))


@pytest.mark.long
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize("aligned", [0, 1])
def test_samples_a_volume_in_all_modes(mode: str, border: str, aligned: int, runner: CaseRunner) -> None:
    runner.check(grid_sample(mode, border, aligned, volume=True))


def test_samples_at_constant_points_before_opset_20(runner: CaseRunner) -> None:
    body = 'y = GridSample<mode="bilinear">(x, g)'
    operators = runner.check(Case(body, {"x": floats(1, 3, 5, 6)}, {"g": floats(1, 4, 7, 2)}, opset=16))
    assert "FLOOR" not in operators, "positions and weights are constants"


@pytest.mark.parametrize(
    "case",
    [
        Case(
            "y = DeformConv<pads=[1,1,1,1], strides=[2,1]>(x, w, o, b, m)",
            {"x": floats(2, 4, 7, 8), "o": floats(2, 18, 4, 8), "m": floats(2, 9, 4, 8)},
            {"w": floats(6, 4, 3, 3), "b": floats(6)},
            "GATHER FULLY_CONNECTED",
            opset=19,
        ),
        Case(
            "y = DeformConv<dilations=[2,1], group=2, offset_group=2>(x, w, o)",
            {"x": floats(1, 4, 7, 8), "o": floats(1, 24, 5, 6) * 2},
            {"w": floats(6, 2, 2, 3)},
            "GATHER BATCH_MATMUL",
            opset=19,
        ),
    ],
    ids=["mask", "groups"],
)
def test_convolves_at_offsets(case: Case, runner: CaseRunner) -> None:
    runner.check(case)
