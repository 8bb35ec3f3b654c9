"""Convolutions as data: whether an element type holds their numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.layout.analysis.convolutions import Convolution


@pytest.mark.parametrize(
    ("weights", "bias", "is_finite"),
    [
        (np.ones((2, 1, 1, 1)), np.zeros(2), True),
        (np.ones((0, 3, 1, 1)), np.zeros(0), True),
        (np.ones((2, 0, 1, 1)), np.zeros(2), True),
        (np.ones((2, 0, 1, 1)), np.array([0, 1e39]), False),
        (np.full((2, 1, 1, 1), 1e39), np.zeros(2), False),
        (np.full((2, 1, 1, 1), -1e39), np.zeros(2), False),
        (np.ones((2, 1, 1, 1)), np.array([0, np.inf]), False),
        (np.full((2, 1, 1, 1), np.nan), np.zeros(2), False),
    ],
)
def test_the_element_type_holds_all_numbers(
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    bias: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    *,
    is_finite: bool,
) -> None:
    conv = Convolution(weights, bias, (0, 0), (1, 1), (1, 1), 1)
    assert conv.is_finite(ir.DataType.FLOAT) == is_finite
