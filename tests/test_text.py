"""Texts as messages show them."""

from __future__ import annotations

from layoutopt.text import first_few


def test_the_first_few_of_many() -> None:
    assert first_few(["a", "b", "c"], 3) == "a, b, c"
    assert first_few(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert first_few([], 2) == ""
