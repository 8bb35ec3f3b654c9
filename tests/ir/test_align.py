"""How one array lies in another: what was permuted is found to be."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.ir.align import EQUAL, align, align_shuffled, gap_of, least_gaps, sorted_elements
from layoutopt.ir.trace import recompute, trace

RNG = np.random.default_rng(1)
EXPECTED = RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize("perm", list(itertools.permutations(range(4))))
def test_every_permutation_is_found_and_undone(perm: tuple[int, ...]) -> None:
    actual = EXPECTED.transpose(perm)
    found = align(EXPECTED, actual)
    left, right = found.apply(EXPECTED, actual)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(found.restore(actual, EXPECTED.shape), EXPECTED)


def test_reshapes_are_looked_through_both_ways() -> None:
    flat = EXPECTED.transpose(0, 2, 3, 1).reshape(2, 20, 3)
    for expected, actual in ((EXPECTED, flat), (flat, EXPECTED)):
        found = align(expected, actual)
        np.testing.assert_array_equal(*found.apply(expected, actual))
        np.testing.assert_array_equal(found.restore(actual, expected.shape), expected)


def test_shuffled_channels_are_found_and_undone() -> None:
    order = (2, 0, 1)
    actual = EXPECTED[:, list(order)].transpose(0, 2, 3, 1)
    found = align_shuffled(EXPECTED, actual)
    assert found is not None
    assert found.shuffle is not None
    assert found.shuffle.order == order
    np.testing.assert_array_equal(*found.apply(EXPECTED, actual))
    np.testing.assert_array_equal(found.restore(actual, EXPECTED.shape), EXPECTED)


def test_strangers_have_a_gap() -> None:
    stranger = RNG.standard_normal(EXPECTED.shape).astype(np.float32)
    assert align(EXPECTED, stranger).gap > 0.3
    shuffled = align_shuffled(EXPECTED, stranger)
    assert shuffled is not None
    assert shuffled.gap > EQUAL
    infinite = EXPECTED.copy()
    infinite[:] = np.inf
    assert gap_of(EXPECTED, infinite) == 1.0


def test_values_are_computed_from_what_is_given() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]> g (float[3] x) => (float[3] y)
    { a = Neg(x) [abs] b = Abs(a) c = Add(b, x) y = Relu(c) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    x = np.array([1.0, -2.0, 3.0], np.float32)
    values = {value.name: value for value in trace(model, {"x": x})}
    assert list(values) == ["x", "a", "b", "c", "y"]
    assert values["b"].node == "abs"
    assert values["y"].ancestors == 0b11111
    assert values["b"].ancestors == 0b111
    np.testing.assert_array_equal(values["y"].array, [2, 0, 6])
    wrong = np.array([10.0, 10.0, -10.0], np.float32)
    local = recompute(model, {"x": x}, {"b": wrong})
    np.testing.assert_array_equal(local["b"], np.abs(x))
    np.testing.assert_array_equal(local["c"], wrong + x)
    assert [str(value.name) for value in model.graph.outputs] == ["y"]


def test_no_permutation_gets_below_the_least_gap() -> None:
    rng = np.random.default_rng(7)
    for shape in ((2, 3, 4), (1, 4, 6, 5), (7,)):
        one, other = rng.standard_normal((2, *shape)).astype(np.float32)
        for actual in (other, one + 0.1 * other, one.transpose()):
            first, second = sorted_elements(one), sorted_elements(actual)
            assert first is not None
            assert second is not None
            (least,) = least_gaps(first[np.newaxis], second)
            orders = [one.transpose(perm).ravel() for perm in itertools.permutations(range(one.ndim))]
            gaps = [gap_of(order, actual.ravel()) for order in orders]
            gaps += [gap_of(actual.ravel(), order) for order in orders]
            assert least <= min(gaps) + 1e-12
            assert least > 0 or np.array_equal(np.sort(one, axis=None), np.sort(actual, axis=None))
