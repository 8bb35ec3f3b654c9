"""Permutations against numpy's transpose."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutopt.ir.perm import (
    Perm,
    channels_last,
    compose,
    factor,
    identity,
    invert,
    is_identity,
    lift,
    permute,
    runs,
)

PERMS = st.integers(1, 6).flatmap(lambda rank: st.permutations(range(rank)).map(tuple))
PAIRS = st.integers(1, 6).flatmap(lambda rank: st.tuples(*[st.permutations(range(rank)).map(tuple)] * 2))


def numbered(rank: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    shape = tuple(range(2, rank + 2))
    return np.arange(np.prod(shape)).reshape(shape)


@given(PAIRS)
def test_compose_is_one_transpose_after_the_other(pair: tuple[Perm, Perm]) -> None:
    first, second = pair
    array = numbered(len(first))
    assert np.array_equal(array.transpose(compose(first, second)), array.transpose(first).transpose(second))


@given(PERMS)
def test_invert_undoes(perm: Perm) -> None:
    array = numbered(len(perm))
    assert np.array_equal(array.transpose(perm).transpose(invert(perm)), array)
    assert is_identity(compose(perm, invert(perm)))


@given(PERMS)
def test_permute_is_what_transpose_does_to_a_shape(perm: Perm) -> None:
    array = numbered(len(perm))
    assert permute(array.shape, perm) == array.transpose(perm).shape


@given(PERMS, st.integers(0, 3))
def test_lift_leaves_the_new_axes_in_front(perm: Perm, extra: int) -> None:
    array = numbered(len(perm))
    raised = array.reshape((1,) * extra + array.shape)
    expected = array.transpose(perm)
    assert np.array_equal(
        raised.transpose(lift(perm, len(perm) + extra)), expected.reshape((1,) * extra + expected.shape)
    )


@pytest.mark.parametrize(
    ("rank", "perm"), [(0, ()), (1, (0,)), (2, (0, 1)), (3, (0, 2, 1)), (4, (0, 2, 3, 1)), (5, (0, 2, 3, 4, 1))]
)
def test_channels_last(rank: int, perm: Perm) -> None:
    assert channels_last(rank) == perm


def test_identity() -> None:
    assert identity(3) == (0, 1, 2)
    assert is_identity(identity(5))
    assert not is_identity((1, 0))


@given(st.integers(7, 12).flatmap(lambda rank: st.permutations(range(rank)).map(tuple)), st.integers(4, 6))
def test_factors_do_the_same_one_after_the_other(perm: Perm, most: int) -> None:
    steps = factor(perm, most)
    array = result = np.arange(2 ** len(perm)).reshape((2,) * len(perm))
    for step in steps:
        assert len(runs(step)) <= most
        result = result.transpose(step)
    assert np.array_equal(result, array.transpose(perm))


@pytest.mark.parametrize(("rank", "most"), [(5, 4), (6, 4), (6, 5)])
def test_factors_are_as_few_as_there_can_be(rank: int, most: int) -> None:
    """Breadth first, through all permutations."""
    steps = [perm for perm in permutations(range(rank)) if len(runs(perm)) <= most]
    least, level = {identity(rank): 1}, [identity(rank)]
    for count in range(1, rank):
        level = [*dict.fromkeys(made for perm in level for step in steps if (made := compose(perm, step)) not in least)]
        least |= dict.fromkeys(level, count)
    assert {perm: len(factor(perm, most)) for perm in permutations(range(rank))} == least
