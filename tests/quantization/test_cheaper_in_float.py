"""Which operators are worth computing with integers, against brute force, and what values need to reach."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest

from layoutopt.quantization import cheaper_in_float
from layoutopt.quantization.saturation import reader_limits
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from tests.quantization.networks import calibrated, model, sinking, swishing, weights


def branching(x: Value) -> Value:
    """Values that several operators read, one that the caller gets as well, and an operator that is float."""
    a = tfl.conv_2d(x, weights(1, 8, 1, 1, 3))
    b = tfl.relu(tfl.conv_2d(a, weights(2, 8, 1, 1, 8)))
    c = tfl.exp(a) + b
    return tfl.concatenation([tfl.conv_2d(c, weights(3, 8, 1, 1, 8)), a, b], 3)


def cost(graph: Graph, whole: Collection[Operation], costs: dict[Operation, float], each: dict[Value, float]) -> float:
    """Return what it costs to have all but these operations on floats, value by value."""
    total = sum(cost for operation, cost in costs.items() if operation not in whole)
    for value, readers in graph.readers().items():
        if value in each:
            kinds = {reader in whole for reader in readers if reader is None or value in reader.operands}
            total += each[value] * (len(kinds - {value.producer in whole}))
    return total


@pytest.mark.parametrize("seed", range(20))
def test_the_cheapest_choice_is_that_of_brute_force(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, rng = model(branching).graph, np.random.default_rng(seed)
    candidates = [operation for operation in graph.operations if operation.code != "EXP"]
    costs = {operation: float(rng.uniform(-2, 4)) for operation in candidates}
    values = [*graph.inputs, *(operation.result for operation in graph.operations)]
    conversions = {value: float(rng.uniform(0, 4)) for value in values}
    monkeypatch.setattr(cheaper_in_float, "saving", costs.__getitem__)
    monkeypatch.setattr(cheaper_in_float, "conversion", conversions.__getitem__)
    floats = cheaper_in_float.cheaper_in_float(graph, graph.readers(), candidates)
    subsets = [set(itertools.compress(candidates, kept)) for kept in itertools.product((0, 1), repeat=len(candidates))]
    least = min(cost(graph, whole, costs, conversions) for whole in subsets)
    assert cost(graph, set(candidates) - floats, costs, conversions) == pytest.approx(least)


def test_a_layer_between_floats_is_worth_it_only_with_enough_products(tmp_path: Path) -> None:
    """Layers of 64 products are, one of 27 is not; where no layer is, all compute with integers all the same."""
    _, small = calibrated(swishing, tmp_path)
    assert {each.code for each in small.floats} == {"HARD_SWISH"}
    real, large = calibrated(sinking, tmp_path, size=40)
    assert [operation.code for operation in real.graph.operations if operation in large.whole] == ["CONV_2D"] * 2


@pytest.mark.parametrize(("kernel", "whole"), [(3, 1), (7, 2)])
def test_a_convolution_of_a_picture_is_worth_it_only_with_a_large_kernel(
    kernel: int, whole: int, tmp_path: Path
) -> None:
    """Integers have their three channels padded; 147 products of each result make up for it, and 27 do not."""

    def stem(x: Value) -> Value:
        a = tfl.relu(tfl.conv_2d(x, weights(1, 64, kernel, kernel, 3), weights(2, 64)))
        return tfl.conv_2d(a, weights(3, 64, 1, 1, 64), weights(4, 64))

    _, made = calibrated(stem, tmp_path, size=40)
    assert [operation.code for operation in made.whole] == ["CONV_2D"] * whole


def test_ranges_end_where_readers_tell_nothing_apart(tmp_path: Path) -> None:
    """A layer before HARD_SWISH has no steps below -3, which makes the outputs more exact."""
    real, made = calibrated(sinking, tmp_path, size=40)
    limited = list(reader_limits(real.graph))
    assert [value.producer.code for value in limited if value.producer] == ["CONV_2D"] * 2
    assert {made.recipe.ranges[value].low for value in limited} == {-3.0}


def test_limits_hold_for_all_readers_and_through_movements() -> None:
    graph = Graph([Value(DType.FLOAT32, (1, 4, 4, 4), name="x")])
    with tfl.recording(graph), tfl.scope("node"):
        one, two, three = (tfl.exp(graph.inputs[0]) for _ in range(3))
        moved = tfl.reshape(one, (1, 16, 4))
        graph.outputs = [tfl.hard_swish(moved), tfl.relu6(one), tfl.relu6(two), three, tfl.relu(three)]
    limits = reader_limits(graph)
    assert {value: limits.get(value) for value in (one, moved, two, three)} == {
        one: (-3.0, float("inf")),
        moved: (-3.0, float("inf")),
        two: (0.0, 6.0),
        three: None,
    }


def test_what_a_swish_does_not_tell_apart_takes_no_steps(tmp_path: Path) -> None:
    """A value that its sigmoid alone multiplies ends at -8; one that something else reads too does not."""

    def gated(x: Value) -> Value:
        a = tfl.conv_2d(x, weights(1, 64, 3, 3, 3), np.linspace(-60, 0, 64, dtype=np.float32))
        return tfl.conv_2d(a * tfl.logistic(a), weights(2, 8, 1, 1, 64))

    real, made = calibrated(gated, tmp_path, size=40)
    assert {limits[0] for limits in reader_limits(real.graph).values()} == {-8.0}
    assert made.recipe.ranges[real.graph.operations[0].result].low == -8.0
    assert made.quality[0].sqnr > 25
    other = model(lambda x: tfl.add(x, 1.0) * tfl.logistic(x))
    assert reader_limits(other.graph) == {}
