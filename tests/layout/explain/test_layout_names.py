"""Layouts in words."""

from __future__ import annotations

import pytest

from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.layout.explain.layout_names import layout_words, natural_words


@pytest.mark.parametrize(
    ("shape", "order", "words"),
    [
        ((1, 3, 4, 6), (0, 1, 2, 3), "NCHW"),
        ((1, 3, 4, 6), (0, 2, 3, 1), "NHWC"),
        ((2, 3, 4, 6), (0, 2, 1, 3), "NHCW"),
        ((1, 4, 1, 1), (0, 2, 3, 1), "NCHW"),
        ((1, 3, 8), (0, 2, 1), "NWC"),
        ((1, 3, 2, 4, 5), (0, 2, 3, 4, 1), "NDHWC"),
        ((3, 4), (1, 0), "axes 1 0"),
        ((2, 2, 2, 2, 2, 2), (0, 2, 1, 3, 5, 4), "axes 0 2 1 3 5 4"),
    ],
)
def test_orders_of_axes(shape: tuple[int, ...], order: tuple[int, ...], words: str) -> None:
    assert layout_words([ModeOrder.of(shape, order)], [shape]) == (words,)


@pytest.mark.parametrize(
    ("split", "order", "words"),
    [
        ((1, 3, 8, 5, 7), (0, 1, 3, 4, 2), "N C1 H W C2"),
        ((1, 3, 8, 5, 7), (0, 2, 1, 3, 4), "N (C2 C1) H W"),
        ((1, 3, 8, 5, 7), (0, 3, 4, 2, 1), "N H W (C2 C1)"),
    ],
)
def test_axes_that_are_split(split: tuple[int, ...], order: tuple[int, ...], words: str) -> None:
    assert layout_words([ModeOrder.of(split, order)], [(1, 24, 5, 7)]) == (words,)


def test_a_split_axis_without_a_letter() -> None:
    assert layout_words([ModeOrder.of((2, 3, 4), (0, 2, 1))], [(2, 12)]) == ("0 (1.2 1.1)",)


def test_the_first_shape_that_tells_all_of_them_has_the_words() -> None:
    layouts = [ModeOrder.natural((6, 4)), ModeOrder.of((8, 3), (1, 0))]
    assert layout_words(layouts, [(6, 4), (8, 3)]) == ("axes 0 1", "axes 1 0")
    assert layout_words(layouts[1:], [(5, 5)]) == ("3:1 8:3",)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_the_natural_layout(shape: tuple[int, ...]) -> None:
    assert layout_words([ModeOrder.natural(shape)], [shape]) == (natural_words(len(shape)),)
