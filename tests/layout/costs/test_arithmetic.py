"""Multiplications are counted as the shapes say, and the rates by shape order what they must."""

from __future__ import annotations

import pytest

from layoutopt.layout.costs.arithmetic import Work, multiplications, work_of_elementwise, work_of_product
from layoutopt.passes import PropagateLayout
from tests.rewrites import network, normal


@pytest.mark.parametrize(
    ("text", "weights", "expected"),
    [
        ("g (float[2,4,8,8] x) => (y) { y = Conv <pads = [1,1,1,1]> (x, w) }", (6, 4, 3, 3), 2 * 64 * 6 * 4 * 9),
        ("g (float[2,4,8,8] x) => (y) { y = Conv <group = 4, strides = [2,2]> (x, w) }", (8, 1, 2, 2), 2 * 16 * 8 * 4),
        ("g (float[2,4,8,8] x) => (y) { y = ConvTranspose <strides = [2,2]> (x, w) }", (4, 6, 2, 2), 2 * 64 * 24 * 4),
        ("g (float[2,5,7] x) => (y) { y = MatMul (x, w) }", (7, 3), 2 * 5 * 7 * 3),
        ("g (float[5,7] x) => (y) { y = Gemm <transA = 1> (x, w) }", (5, 3), 7 * 5 * 3),
        ("g (float[5,7] x) => (y) { y = MatMul (x, w) }", (7,), 35),
    ],
)
def test_multiplications(text: str, weights: tuple[int, ...], expected: int) -> None:
    model = network(text, w=normal(*weights))
    assert multiplications(model) == expected
    assert multiplications(PropagateLayout()(model).model) == expected  # in the NHWC dialect, too


def test_few_columns_and_short_sums_take_longer() -> None:
    rows = 1 << 30 >> 12
    wide, narrow, short = (
        work_of_product(rows, 64, 64),
        work_of_product(rows * 16, 64, 4),
        work_of_product(rows * 16, 4, 64),
    )
    assert wide.products == narrow.products == short.products
    assert wide.nanoseconds < narrow.nanoseconds
    assert wide.nanoseconds < short.nanoseconds


def test_a_gain_below_the_error_is_none() -> None:
    one = work_of_elementwise((1, 64, 64, 64))
    assert not one.exceeds(one)
    assert not Work(0, one.nanoseconds * 1.1).exceeds(one)
    assert Work(0, one.nanoseconds * 1.3).exceeds(one)
