"""Sizes that stay open where two even sizes do not tell what follows them: judged at sizes that took no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import layoutopt
from layoutopt.backend.conversion import Backend
from layoutopt.errors import UsageError
from tests.graphs.text import numbers
from tests.harness import model_of
from tests.test_dynamic import check

Shape = tuple[int, ...]

STEM = numbers("w", 4, 3, 3, 3)
DOWN = numbers("d", 4, 4, 3, 3)
HALVES = "Conv <pads = [1, 1, 1, 1], strides = [2, 2]>"


@dataclass(frozen=True)
class Open:
    """A network of one input.

    Attributes:
        graph: its signature, constants and body.
        names: of the dimensions that stay symbolic.
        default: shape of the input.
        others: shapes to judge it at.
    """

    graph: str
    names: Sequence[str]
    default: Shape
    others: Sequence[Shape]


IMAGES = [(1, 3, 47, 90), (1, 3, 101, 33), (1, 3, 64, 128)]
CASES = {
    "a map resized to another, and by a factor": Open(
        f"(float[1,3,H,W] x) => (float y) <{STEM}, {DOWN}, float[4] twice = {{1, 1, 2, 2}}> {{ a = {HALVES} (x, w) "
        f"b = {HALVES} (a, d) s = Shape (a) "
        'i = Resize <coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"> '
        "(b, , , s) "
        'c = Add (a, i) y = Resize <coordinate_transformation_mode = "half_pixel", mode = "linear"> (c, , twice) }',
        ("H", "W"),
        (1, 3, 32, 32),
        IMAGES,
    ),
    "a length that is not that of the input": Open(
        f"(float[1,1,L] x) => (float y) <{numbers('k', 6, 1, 8)}> {{ f = Conv <strides = [4]> (x, k) t = Tanh (f) "
        "y = ConvTranspose <strides = [4]> (t, k) }",
        ("L",),
        (1, 1, 64),
        [(1, 1, 71), (1, 1, 50), (1, 1, 133)],
    ),
    "a table that is cut to the length": Open(
        f"(float[1,seq,4] x) => (float y) <{numbers('p', 1, 64, 4)}, int64[1] zero = {{0}}, int64[1] one = {{1}}> {{ "
        "s = Shape <start = 1, end = 2> (x) c = Slice (p, zero, s, one) y = Add (x, c) }",
        ("seq",),
        (1, 64, 4),
        [(1, 5, 4), (1, 31, 4), (1, 62, 4)],
    ),
    "numbers that count up to the width": Open(
        "(float[1,2,H,W] x) => (float y) <int64 three = {3}, float zero = {0}, float step = {0.5}> { s = Shape (x) "
        "g = Gather (s, three) f = Cast <to = 1> (g) h = Mul (f, step) r = Range (zero, h, step) "
        "y = Add (x, r) }",
        ("H", "W"),
        (1, 2, 8, 12),
        [(1, 2, 9, 7), (1, 2, 15, 16), (1, 2, 5, 33)],
    ),
    "repetitions that are joined": Open(
        "(float[1,2,W] x) => (float y) { s = Shape <start = 2, end = 3> (x) "
        "a = ConstantOfShape <value = float[1] {8.0}> (s) b = ConstantOfShape <value = float[1] {16.0}> (s) "
        "j = Concat <axis = 0> (a, b) k = Concat <axis = 2> (x, x) y = Mul (k, j) }",
        ("W",),
        (1, 2, 64),
        [(1, 2, 5), (1, 2, 71), (1, 2, 130)],
    ),
    **{
        f"a pool {name}": Open(
            f"(float[1,3,H,W] x) => (float y) <{STEM}> {{ c = Conv (x, w) y = MaxPool <{how}, strides = [2, 2]> (c) }}",
            ("H", "W"),
            (1, 3, 64, 64),
            IMAGES,
        )
        for name, how in {
            "of the same size": 'auto_pad = "SAME_UPPER", kernel_shape = [2, 2]',
            "that rounds up": "ceil_mode = 1, kernel_shape = [2, 2]",
            "of three that rounds up": "ceil_mode = 1, kernel_shape = [3, 3]",
        }.items()
    },
    "a recurrence of any number of steps": Open(
        f"(float[1,T,3] x) => (float y) <{numbers('w', 1, 8, 3)}, {numbers('r', 1, 8, 8)}, int64[1] one = {{1}}> {{ "
        "t = Transpose <perm = [1, 0, 2]> (x) a = RNN <hidden_size = 8> (t, w, r) y = Squeeze (a, one) }",
        ("T",),
        (1, 64, 3),
        [(1, 21, 3), (1, 50, 3), (1, 131, 3)],
    ),
    "axes without a name": Open(
        f"(float[1,3,?,?] x) => (float y) <{STEM}> {{ y = {HALVES} (x, w) }}",
        ("height", "width"),
        (1, 3, 64, 64),
        IMAGES,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_both_files_are_right_at_sizes_that_took_no_part(name: str, tmp_path: Path) -> None:
    case, onnx, tflite = CASES[name], tmp_path / "out.onnx", tmp_path / "out.tflite"
    model = model_of(f"g {case.graph}")
    layoutopt.optimize(
        model,
        output=onnx,
        tflite=tflite,
        shapes={"x": case.default},
        dynamic=case.names,
        baseline=False,
        backend=Backend.DIRECT,
    )
    check(model, onnx, tflite, case.others)


def test_axes_without_a_name_are_listed_with_their_input() -> None:
    model = model_of(f"g (float[1,3,?,?] x) => (float y) <{STEM}> {{ y = Conv (x, w) }}")
    with pytest.raises(UsageError, match="no input has a dimension") as caught:
        layoutopt.optimize(model, dynamic=["depth"], convert=False)
    assert "x:2, x:3" in caught.value.hint
