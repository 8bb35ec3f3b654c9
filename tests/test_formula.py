"""Numbers that follow a size: a formula found from two instances must give what a third one has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutopt.formula import Formula, Prefer, Source, express, repeated_block, reshape_target

Shape = tuple[int, ...]


def value(formula: Formula[str], shapes: dict[str, Shape]) -> list[int]:
    """What the nodes that are made of a formula compute."""
    joined = np.array([*(size for tensor in formula.tensors for size in shapes[tensor]), 1])
    wholes = joined[np.array(formula.indices)].prod(0) * formula.factors + formula.addends
    wholes = wholes - np.where(np.array(formula.less) < 0, 0, joined[np.array(formula.less)])
    return [int(each) for each in wholes // formula.divisors]


@given(st.integers(1, 9), st.integers(-3, 40), st.sampled_from(list(Prefer)))
def test_a_number_that_follows_one_of_three_sizes(factor: int, addend: int, prefer: Prefer) -> None:
    """The sizes are those of `SymbolicModel.instances`, whose differences are no multiples of each other."""
    shapes = [(2, 64, 64, 3), (7, 128, 160, 3), (5, 71, 78, 3)]
    sources = [Source("x", shapes[0], shapes[1], 0)]
    for axis in (1, 2):
        one, two, three = ([shape[0], factor * shape[axis] + addend, 8] for shape in shapes)
        formula = express(one, two, sources, prefer)
        assert formula is not None
        assert value(formula, {"x": shapes[0]}) == one
        assert value(formula, {"x": shapes[1]}) == two
        if abs(addend) < 3:  # kernels of transposed convolutions; more may look like another size
            assert value(formula, {"x": shapes[2]}) == three


def test_twice_as_large_or_as_large_as_another_map() -> None:
    small, large = Source("small", (16,), (32,), 0), Source("large", (32,), (64,), 2)
    near, equal = (express([32], [64], [small, large], prefer) for prefer in (Prefer.NEAR, Prefer.EQUAL))
    assert (near and near.tensors, equal and equal.tensors) == (("small",), ("large",))


def test_one_entry_of_a_reshape_is_left_over_and_the_others_are_sizes() -> None:
    sources = [Source("x", (2, 64, 64, 8), (7, 128, 160, 8), 0)]
    formula = reshape_target([2, 4096, 8], [7, 20480, 8], sources, Prefer.NEAR)
    assert formula is not None
    assert value(formula, {"x": (5, 32, 96, 8)}) == [5, -1, 8]
    alone: Formula[str] | None = reshape_target([16, 8], [56, 8], [], Prefer.NEAR)
    assert alone == Formula((), ((0, 0),), (-1, 8), (0, 0), (1, 1), (-1, -1))


@pytest.mark.parametrize("prefer", Prefer)
def test_products_of_the_dimensions_of_a_tensor(prefer: Prefer) -> None:
    sources = [Source("x", (2, 64, 64, 8), (7, 128, 160, 8), 0)]
    formula = reshape_target([4096, 8, 4096], [20480, 8, 20480], sources, prefer)
    assert formula is not None
    assert value(formula, {"x": (5, 35, 50, 8)}) == [-1, 8, 1750]
    formula = express([2, 8 * 4096, 2 * 4096, 128], [7, 8 * 20480, 7 * 20480, 256], sources, prefer)
    assert formula is not None
    assert value(formula, {"x": (5, 35, 50, 8)}) == [5, 8 * 1750, 5 * 1750, 70]


@pytest.mark.parametrize(("divisor", "addend"), [(1, 0), (2, 0), (2, 1)])
def test_what_an_operand_lacks_to_another_tensor(divisor: int, addend: int) -> None:
    shapes: list[dict[str, Shape]]
    shapes = [{"x": (1, 8, 18), "skip": (1, 21, 21)}, {"x": (1, 18, 8), "skip": (1, 21, 21)}]
    sources = [Source("x", shapes[0]["x"], shapes[1]["x"], 0), Source("skip", shapes[0]["skip"], shapes[1]["skip"], 2)]
    numbers = [[(each["skip"][axis] - each["x"][axis] + addend) // divisor for axis in (1, 2)] for each in shapes]
    formula = express(numbers[0], numbers[1], sources, Prefer.NEAR)
    assert formula is not None
    assert [value(formula, each) for each in shapes] == numbers
    assert value(formula, {"x": (1, 30, 20), "skip": (1, 36, 36)}) == [
        (6 + addend) // divisor,
        (16 + addend) // divisor,
    ]


def test_what_follows_nothing_is_refused() -> None:
    assert express([2], [7], [Source("x", (4,), (4,), 0)], Prefer.NEAR) is None
    assert express([64], [65], [Source("x", (2,), (7,), 0)], Prefer.NEAR) is None
    assert reshape_target([2, 3], [4, 6], [], Prefer.NEAR) is None


@pytest.mark.parametrize(
    ("first", "second", "shape"),
    [
        (np.tile([[1.0, 2.0]], (2, 1)), np.tile([[1.0, 2.0]], (7, 1)), (1, 2)),
        (np.array([[1.0, 2.0], [1.0, 3.0]]), np.tile([[1.0, 2.0]], (7, 1)), None),
        (np.tile([[1.0], [2.0]], (2, 3)), np.tile([[1.0], [2.0]], (5, 3)), (2, 3)),
        (np.tile(np.arange(6.0).reshape(2, 3), (3, 1)), np.tile(np.arange(6.0).reshape(2, 3), (2, 4)), (2, 3)),
        (np.tile([[1.0], [2.0]], (2, 3)), np.tile([[2.0], [1.0]], (5, 3)), None),
        (np.arange(4.0)[:, None], np.arange(6.0)[:, None], None),
        (np.zeros((2, 2)), np.ones((2, 2)), None),
        (np.zeros((2, 2)), np.zeros(4), None),
    ],
)
def test_only_what_is_repeated_is_taken_once(first: np.ndarray, second: np.ndarray, shape: Shape | None) -> None:
    found = repeated_block(first, second)
    assert (found if found is None else found.shape) == shape
