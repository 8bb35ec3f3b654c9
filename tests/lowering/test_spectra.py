"""Transforms as products with constants, and elements put back where windows were."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Case, CaseRunner, floats


def dft(attributes: str, parts: int, operands: str = "x", **constants: int) -> Case:
    arrays = {name: np.array(value) for name, value in constants.items()}
    opset = 20 if "a" in constants else 17
    return Case(f"y = DFT<{attributes}>({operands})", {"x": floats(2, 8, 7, parts)}, arrays, opset=opset)


TRANSFORMS = {
    "real": dft("axis=1", 1),
    "complex": dft("axis=2", 2),
    "one side": dft("axis=1, onesided=1", 1),
    "shorter": dft("axis=1", 2, "x, n", n=6),
    "longer": dft("axis=1", 1, "x, n", n=12),
    "inverse": dft("axis=1, inverse=1", 2),
    "back from one side": dft("axis=2, inverse=1, onesided=1", 2),
    "axis as an operand": dft("inverse=0", 2, "x, , a", a=-3),
    "frames": Case(
        "y = STFT(x, s, w)",
        {"x": floats(2, 64, 1)},
        {"s": np.array(4), "w": np.hanning(16).astype(np.float32)},
        "CONV_2D",
    ),
    "frames with a window at run time": Case(
        "y = STFT(x, s, w)", {"x": floats(2, 64, 1), "w": np.hanning(16).astype(np.float32)}, {"s": np.array(4)}
    ),
    "frames on both sides": Case(
        "y = STFT<onesided=0>(x, s, , n)", {"x": floats(2, 64, 2)}, {"s": np.array(8), "n": np.array(16)}
    ),
    "mel": Case(
        "m = MelWeightMatrix(a, b, c, d, e) y = MatMul(x, m)",
        {"x": floats(2, 9)},
        {"a": np.array(8), "b": np.array(16), "c": np.array(8192), "d": np.float32(0), "e": np.float32(4096)},
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str, runner: CaseRunner) -> None:
    runner.check(TRANSFORMS[name])


COLUMNS = {
    "rows": Case("y = Col2Im(x, i, b)", {"x": floats(1, 5, 5)}, {"i": [5, 5], "b": [1, 5]}),
    "strides": Case("y = Col2Im<strides=[2,2]>(x, i, b)", {"x": floats(1, 9, 4)}, {"i": [5, 5], "b": [3, 3]}),
    "pads": Case("y = Col2Im<pads=[1,0,1,2]>(x, i, b)", {"x": floats(2, 18, 30)}, {"i": [5, 5], "b": [2, 3]}),
    "dilations": Case("y = Col2Im<dilations=[1,3]>(x, i, b)", {"x": floats(1, 8, 15)}, {"i": [6, 6], "b": [2, 2]}),
    "three axes": Case("y = Col2Im(x, i, b)", {"x": floats(1, 10, 12)}, {"i": [3, 4, 5], "b": [1, 1, 5]}),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_added_up(name: str, runner: CaseRunner) -> None:
    runner.check(COLUMNS[name])


@pytest.mark.parametrize("shape", [None, [1, 1, 4, 4]])
def test_elements_go_back_to_where_their_windows_were(shape: list[int] | None, runner: CaseRunner) -> None:
    inputs = {"x": floats(1, 1, 2, 2), "i": np.array([[[[5, 7], [13, 15]]]])}
    body = "y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(x, i" + (")" if shape is None else ", s)")
    runner.check(Case(body, inputs, {} if shape is None else {"s": shape}))


def test_an_output_shape_that_runtimes_differ_in_is_refused(runner: CaseRunner) -> None:
    inputs = {"x": floats(1, 1, 2, 2), "i": np.array([[[[5, 7], [13, 15]]]])}
    case = Case("y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(x, i, s)", inputs, {"s": [1, 1, 5, 5]})
    with pytest.raises(UnsupportedOperatorError, match=r"node y \(MaxUnpool.*leave it out, and pad"):
        runner.check(case)
