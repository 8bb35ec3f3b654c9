"""Prices of copies: bytes, and times between those that were measured."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, invert, permute
from layoutopt.layout.costs.calibration import built_in
from layoutopt.layout.costs.movement import Curve, Family, Movement, TimeTable
from layoutopt.layout.costs.objectives import NOTHING, OPERATOR, Costs, FewestBytes, InnerCost, LeastTime
from tests.harness import only_transposes

TABLE = TimeTable(
    overhead=50.0,
    blocks={Family.BYTES: 30.0, Family.WORDS: 10.0, Family.PIECES: 0.0},
    curves=(
        Curve(Family.BYTES, 2, (1000, 100_000), (1000.0, 100_000.0)),
        Curve(Family.WORDS, 2, (1000, 100_000), (400.0, 40_000.0)),
        Curve(Family.WORDS, 32, (1000, 100_000), (100.0, 40_000.0)),
        Curve(Family.PIECES, 8, (1000, 100_000), (800.0, 80_000.0)),
        Curve(Family.PIECES, 128, (1000, 100_000), (50.0, 5_000.0)),
    ),
)
TIME = LeastTime(only_transposes(TABLE))
BYTES = FewestBytes(built_in().times)


@pytest.mark.parametrize(
    ("shape", "perm", "bits", "cost"),
    [((2, 3), (1, 0), 32, 24), ((3, 5), (1, 0), 4, 8), ((6,), (0,), 32, 0), ((0, 3), (1, 0), 32, 0)],
)
def test_bytes_are_those_of_the_tensor(shape: tuple[int, ...], perm: Perm, bits: int, cost: int) -> None:
    assert BYTES.copy(shape, perm, bits) == cost
    assert BYTES.inside((NOTHING, InnerCost(transposed=17))) == (0, 17)


@pytest.mark.parametrize(
    ("shape", "perm", "bits", "movement"),
    [
        ((24, 100), (1, 0), 32, Movement(Family.WORDS, 24)),
        ((100, 24), (1, 0), 32, Movement(Family.WORDS, 24)),
        ((24, 100), (1, 0), 8, Movement(Family.BYTES, 24)),
        ((5, 24, 100), (0, 2, 1), 8, Movement(Family.BYTES, 24, blocks=5)),
        ((5, 24, 100), (2, 1, 0), 32, Movement(Family.WORDS, 5, blocks=24)),
        ((4, 8, 6, 7), (1, 3, 0, 2), 32, Movement(Family.WORDS, 6, blocks=32)),
        ((10, 20, 64), (1, 0, 2), 32, Movement(Family.PIECES, 256)),
        ((10, 20, 64), (1, 0, 2), 8, Movement(Family.PIECES, 64)),
        ((10, 20, 2), (1, 0, 2), 32, Movement(Family.PIECES, 8)),
        ((10, 20, 3), (1, 0, 2), 8, Movement(Family.WORDS, 10)),
        ((4, 10, 20, 2), (0, 2, 1, 3), 8, Movement(Family.WORDS, 10, blocks=4)),
        ((10, 20), (1, 0), 4, Movement(Family.BYTES, 10)),
    ],
)
def test_how_data_move(shape: tuple[int, ...], perm: Perm, bits: int, movement: Movement) -> None:
    assert Movement.of(shape, perm, bits) == movement


def test_measured_points_come_back() -> None:
    assert TIME.copy((2, 500), (1, 0), 8) == OPERATOR + 1000
    assert TIME.copy((2, 125), (1, 0), 32) == OPERATOR + 400


def test_an_operator_takes_at_least_what_it_takes_in_a_network() -> None:
    slow = dataclasses.replace(TABLE, overhead=OPERATOR + 80)
    assert LeastTime(only_transposes(slow)).copy((2, 500), (1, 0), 8) == OPERATOR + 80 + 1000


def test_between_sizes_and_extents_lines_are_straight_in_logarithms() -> None:
    words = Movement(Family.WORDS, 8)
    assert TABLE.at(Movement(Family.WORDS, 2), 10_000) == pytest.approx(4000)
    assert TABLE.at(Movement(Family.WORDS, 32), 10_000) == pytest.approx(2000)
    assert TABLE.at(words, 1000) == pytest.approx(math.sqrt(400 * 100))
    assert TABLE.at(words, 10_000) == pytest.approx(math.sqrt(4000 * 2000))


def test_outside_of_the_grid_time_is_in_proportion_to_size() -> None:
    assert TABLE.at(Movement(Family.PIECES, 8), 100) == pytest.approx(80)
    assert TABLE.at(Movement(Family.WORDS, 32), 300_000) == pytest.approx(120_000)
    assert TABLE.at(Movement(Family.PIECES, 4096), 1000) == pytest.approx(50)


def test_every_further_block_costs() -> None:
    assert TABLE.at(Movement(Family.BYTES, 2, blocks=11), 1000) == pytest.approx(1000 + 10 * 30)
    one, many = TIME.copy((2, 2000), (1, 0), 32), TIME.copy((500, 2, 4), (0, 2, 1), 32)
    assert many == one + 499 * 10


def test_noise_does_not_make_larger_tensors_cheaper() -> None:
    curve = Curve(Family.PIECES, 8, (100, 1000, 10_000), (50.0, 700.0, 600.0))
    assert curve.at(10_000) == pytest.approx(700)
    assert curve.at(1000) <= curve.at(5000) <= curve.at(10_000) < curve.at(11_000)


@given(st.integers(1, 300), st.integers(2, 300), st.integers(2, 300), st.sampled_from([8, 32]), st.booleans())
def test_more_of_the_same_never_costs_less(count: int, rows: int, columns: int, bits: int, tiled: bool) -> None:
    def cost(costs: Costs, count: int) -> int:
        if tiled:
            return costs.copy((count + 1, rows, columns), (0, 2, 1), bits)
        return costs.copy((rows, columns * count, 16), (1, 0, 2), bits)

    for costs in (TIME, BYTES):
        assert 0 < cost(costs, count) <= cost(costs, count + 1)


@given(st.integers(2, 5).flatmap(lambda rank: st.permutations(range(rank))), st.data())
def test_the_way_back_costs_the_same(order: list[int], data: st.DataObject) -> None:
    perm = tuple(order)
    shape = tuple(data.draw(st.lists(st.integers(2, 40), min_size=len(perm), max_size=len(perm))))
    for bits in (8, 32):
        assert TIME.copy(shape, perm, bits) == TIME.copy(permute(shape, perm), invert(perm), bits)


def test_nothing_that_moves_costs_nothing() -> None:
    assert TIME.copy((6,), (0,), 32) == 0
    assert TIME.copy((0, 3), (1, 0), 32) == 0
    assert TIME.inside((NOTHING,)) == (0,)


def test_moves_inside_operators_are_those_of_short_pieces_there_and_back() -> None:
    cost = round(2 * max(TABLE.overhead, OPERATOR) + TABLE.at(Movement(Family.PIECES, 16), 1000))
    assert TIME.inside((InnerCost(transposed=1000), NOTHING)) == (cost, 0)


@pytest.mark.parametrize(
    ("sizes", "times"),
    [((), ()), ((10, 10), (1.0, 1.0)), ((20, 10), (1.0, 1.0)), ((10,), (1.0, 2.0)), ((10,), (0.0,)), ((0,), (1.0,))],
)
def test_a_curve_refuses_what_are_not_times(sizes: tuple[int, ...], times: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="bytes of 2"):
        Curve(Family.BYTES, 2, sizes, times)


def test_a_table_refuses_gaps() -> None:
    with pytest.raises(ValueError, match="families"):
        dataclasses.replace(TABLE, curves=TABLE.curves[1:])
    with pytest.raises(ValueError, match="families"):
        dataclasses.replace(TABLE, blocks={Family.BYTES: 1.0})
    with pytest.raises(ValueError, match="negative"):
        dataclasses.replace(TABLE, overhead=-1.0)
