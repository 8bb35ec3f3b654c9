"""Curves say what the graph says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from layoutopt.quantization.outcome import ValueRange
from layoutopt.report.html.charts import ROUNDING, bytes_along, errors_along, histogram, linear, ribbon
from layoutopt.results.model_report import Layout, ModelGraph
from tests.reports import network

WRAPPED = network("wrapped", 20, wrapped=True)
FREE = network("free", 20, wrapped=False)


def errors(graph: ModelGraph, relative: float | None, own: float | None) -> ModelGraph:
    tensors = {name: replace(each, relative_error=relative, own_error=own) for name, each in graph.tensors.items()}
    return replace(graph, tensors=tensors)


@pytest.mark.parametrize("most", [1, 3, 7, 99, 100, 101, 12_345, 37_000_000])
def test_ticks_are_round_and_reach_the_largest(most: int) -> None:
    ticks = linear(most)
    assert ticks[0] == 0
    assert ticks[-2] < most <= ticks[-1]
    assert re.fullmatch("[125]0*", str(ticks[1]))
    assert ticks == [ticks[1] * at for at in range(len(ticks))]


def test_the_curve_of_bytes_ends_at_their_sum() -> None:
    chart = bytes_along([("before", WRAPPED), ("after", FREE)])
    moved = sum(node.bytes_moved for node in WRAPPED.nodes)
    top = float(linear(moved)[-1])
    before, after = chart.series
    heights = [float(number) for number in re.findall(r"V([\d.]+)", before.path)]
    assert heights == sorted(heights, reverse=True)
    assert len(heights) == sum(node.is_transpose for node in WRAPPED.nodes)
    assert heights[-1] == pytest.approx(100 - 100 * moved / top, abs=1e-3)
    assert after.path == f"M0 100H{100 * len(FREE.nodes) / len(WRAPPED.nodes):.3f}"
    assert after.name == "free: 0 B"


def test_errors_lie_on_their_decades() -> None:
    chart = errors_along(errors(FREE, 1e-5, 0.0))
    assert chart is not None
    heights = {tick.label: tick.at for tick in chart.y}
    relative, own = (re.findall(r"M[\d.]+ ([\d.]+)h0", series.path) for series in chart.series)
    assert len(relative) == len(own) == len(FREE.nodes)
    assert [float(height) for height in relative] == pytest.approx([100 - heights["1e-5"]] * len(relative), abs=1e-3)
    assert {float(height) for height in own} == {100}
    assert heights["0"] == 0 < heights["1e-5"] < heights["1e-4"]
    assert chart.limit == heights["1e-4"]
    assert ROUNDING == 1e-4


def test_what_was_not_compared_has_no_chart() -> None:
    assert errors_along(errors(FREE, None, None)) is None


def test_a_ribbon_has_a_stripe_per_operator() -> None:
    strip = ribbon(WRAPPED)
    stripes = {layout: [int(at) for at in re.findall(r"M(\d+)", path)] for layout, path in strip.layouts}
    transposes = [int(at) for at in re.findall(r"M(\d+)", strip.transposes)]
    assert sorted([*transposes, *(at for found in stripes.values() for at in found)]) == list(range(strip.operators))
    assert transposes == [at for at, node in enumerate(WRAPPED.nodes) if node.is_transpose]
    for layout in Layout:
        for at in stripes[layout]:
            assert WRAPPED.tensors[WRAPPED.nodes[at].outputs[0]].layout is layout


def test_a_histogram_has_its_bars_and_its_range_in_place() -> None:
    drawn = histogram(ValueRange("conv", "CONV_2D", -1.0, 2.0, -2.0, 2.0, 0.1, (0.25, 0.0, 0.5, 0.25)))
    bars = re.findall(r"M([\d.]+) 20v-([\d.]+)h([\d.]+)V20z", drawn.path)
    expected = [(0, 20 * 0.5**0.5, 25), (50, 20, 25), (75, 20 * 0.5**0.5, 25)]
    assert [tuple(map(float, bar)) for bar in bars] == [pytest.approx(bar, abs=0.01) for bar in expected]
    assert (drawn.start, drawn.width) == (25, 75)
