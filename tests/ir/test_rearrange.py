"""Rearranged constants are what numpy makes of them, and large ones are no copies until they are read."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from layoutopt.arrays import contiguous
from layoutopt.ir import rearrange, weights
from layoutopt.ir.rearrange import rearranged, transposed


@pytest.mark.parametrize("perm", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("aligned", [True, False])
def test_copies_are_numpys(perm: tuple[int, ...], aligned: bool) -> None:
    whole = np.random.default_rng(0).bytes(4 * 5 * 130 * 70 + 1)
    array = np.frombuffer(whole, np.int32, 5 * 130 * 70, offset=0 if aligned else 1).reshape(5, 130, 70)
    copy = contiguous(array.transpose(perm))
    assert copy.flags.c_contiguous
    np.testing.assert_array_equal(copy, array.transpose(perm))


@pytest.mark.parametrize(
    "array",
    [np.array(3.0), np.arange(5)[::-1], np.arange(12).reshape(3, 4)[:, ::-2], np.zeros((3, 0, 2)).T, np.ones((1, 1)).T],
    ids=["scalar", "backwards", "steps", "nothing", "one"],
)
def test_copies_of_any_array(array: npt.NDArray[np.generic]) -> None:
    copy = contiguous(array)
    assert copy.flags.c_contiguous
    np.testing.assert_array_equal(copy, array)


def test_what_is_in_order_is_not_copied() -> None:
    array = np.ones((300, 300), np.float32)
    assert contiguous(array) is array


@pytest.mark.parametrize("size", [2, 200], ids=["small", "large"])
def test_axes_are_split_permuted_and_merged(size: int) -> None:
    array = np.arange(6 * size * size, dtype=np.float32).reshape(2 * size, 3 * size)
    tensor = rearranged(ir.tensor(array), (2, size, 3 * size), (2, 0, 1), (3 * size, 2 * size))
    expected = array.reshape(2, size, 3 * size).transpose(2, 0, 1).reshape(3 * size, 2 * size)
    assert tuple(tensor.shape.numpy()) == expected.shape
    assert tensor.dtype is ir.DataType.FLOAT
    for _ in range(2):
        np.testing.assert_array_equal(tensor.numpy(), expected)
    assert tensor.tobytes() == expected.tobytes()


def test_a_large_constant_is_copied_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []

    def counted(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        copies.append(array)
        return contiguous(array)

    monkeypatch.setattr(rearrange, "contiguous", counted)
    side = weights.LARGE // 64
    tensor = transposed(ir.tensor(np.zeros((side, 64), np.float32)), (1, 0))
    merged = rearranged(tensor, (8, 8, side), (1, 0, 2), (64, side))
    assert not copies
    assert np.shares_memory(tensor.numpy(), tensor.numpy())
    merged.numpy()
    assert len(copies) == 1
