"""Values of which only LiteRT knows how many elements they have, and operators that go on with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Case, CaseRunner, floats, indices, integers

X = floats(3, 4, 5)
MASK = np.array([True, False, True])


def rows(body: str, outputs: tuple[str, ...] = ("y",), opset: int = 18, **constants: npt.ArrayLike) -> Case:
    """A case that works on some rows of ``x``, called ``v``."""
    return Case(f"v = Compress<axis=0>(x, m) {body}", {"x": X, "m": MASK}, constants, outputs=outputs, opset=opset)


def masked(body: str, threshold: float = 0.0) -> Case:
    """A case that works on the places ``p`` of the elements of ``x`` above a threshold, and on these elements ``v``."""
    start = "c = Greater(x, t) n = NonZero(c) p = Transpose(n) v = GatherND(x, p) "
    return Case(start + body, {"x": X}, {"t": np.array(threshold, np.float32)})


SHAPES = {
    "shape": rows("y = Shape(v)"),
    "part of a shape": rows("y = Shape<start=1>(v)"),
    "size": rows("y = Size(v)"),
    "reshape, first size copied": rows("y = Reshape(v, n)", n=indices(0, 20)),
    "reshape, first size and the rest": rows("y = Reshape(v, n)", n=indices(0, 2, -1)),
    "reshape, last size copied": rows("y = Reshape(v, n)", n=indices(-1, 4, 5, 1)),
    "reshape by its own shape": rows(
        "s = Shape(v) a = Gather(s, first) b = Unsqueeze(a, axis) c = Concat<axis=0>(b, rest) y = Reshape(v, c)",
        first=np.array(0),
        axis=indices(0),
        rest=indices(-1),
    ),
    "flatten": rows("y = Flatten(v)"),
    "flatten later": rows("y = Flatten<axis=2>(v)"),
    "flatten to one row": rows("y = Flatten<axis=0>(v)"),
    "unsqueeze": rows("y = Unsqueeze(v, n)", n=indices(0, -1)),
    "squeeze": rows("a = Unsqueeze(v, n) y = Squeeze(a, n)", n=indices(1)),
    "squeeze all": rows("a = Unsqueeze(v, n) y = Squeeze(a)", n=indices(1)),
    "transpose": rows("y = Transpose<perm=[1, 0, 2]>(v)"),
    "concat": rows("y = Concat<axis=0>(v, x)"),
    "split": rows("y, z = Split<axis=1>(v, n)", ("y", "z"), n=indices(1, 3)),
    "split evenly": rows("y, z = Split<axis=1, num_outputs=2>(v)", ("y", "z")),
    "expand": rows("y = Expand(v, n)", n=indices(2, 1, 1, 1)),
    "expand to its shape": rows("s = Shape(v) y = Expand(k, s)", k=floats(4, 1)),
    "tile": rows("y = Tile(v, n)", n=indices(2, 1, 3)),
    "fill": rows("s = Shape(v) y = ConstantOfShape(s)"),
    "range": rows("s = Size(v) y = Range(a, s, d)", a=np.array(1), d=np.array(7)),
    "trilu": rows("y = Trilu(v)"),
    "trilu of columns": rows("a = Transpose<perm=[1, 2, 0]>(v) y = Trilu(a, k)", k=np.array(-1)),
}

CUTS = {
    "slice": rows("y = Slice(v, s, e)", s=indices(1), e=indices(2**62)),
    "slice from the end": rows("y = Slice(v, s, e, a, d)", s=indices(-9), e=indices(-1), a=indices(0), d=indices(2)),
    "slice another axis": rows("y = Slice(v, s, e, a)", s=indices(1), e=indices(-1), a=indices(2)),
    "slice backwards": rows(
        "y = Slice(v, s, e, a, d)", s=indices(-1), e=indices(-(2**62)), a=indices(0), d=indices(-1)
    ),
    "gather": rows("y = Gather<axis=1>(v, n)", n=indices(-1, 1)),
    "gather one": rows("y = Gather<axis=1>(v, n)", n=np.array(-1)),
    "gather from the end": rows("y = Gather(v, n)", n=indices(-1)),
    "gather at run time": rows("y = Gather(v, n)", n=indices(-1, 0)).with_run_time("n"),
    "pad": rows("y = Pad(v, n)", n=indices(1, 0, 0, 0, 2, 0)),
    "pad and cut": rows("y = Pad(v, n)", n=indices(1, -1, 0, 0, 2, -2)),
    "pad with edges": rows('y = Pad<mode="edge">(v, n)', n=indices(1, 1, 0, 0, 2, 0)),
    "pad by reflection": rows('y = Pad<mode="reflect">(v, n)', n=indices(1, 1, 0, 0, 2, 3)),
    "pad around": rows('y = Pad<mode="wrap">(v, n)', opset=19, n=indices(1, 1, 0, 0, 2, 3)),
    "compress": rows("y = Compress(v, m)"),
    "unique": rows("y, a, b, z = Unique(v)", ("y", "z")),
    "reverse": Case(
        "v = Compress<axis=0>(x, m) a = Transpose<perm=[1, 0, 2]>(v) y = ReverseSequence(a, l)",
        {"x": X, "m": MASK, "l": indices(2, 4)},
    ),
}

INDICES = {
    "gather nd": rows("y = GatherND(v, n)", n=np.array([[0, -1], [1, 2]])),
    "gather nd from the end": rows("y = GatherND(v, n)", n=np.array([[-1], [1]])),
    "gather elements": rows("y = GatherElements<axis=2>(v, n)", n=integers(-5, 5, 2, 4, 3)),
    "gather elements found there": rows("a, n = TopK(v, k) y = GatherElements<axis=2>(v, n)", k=indices(2)),
    "scatter elements": rows(
        "y = ScatterElements<axis=2>(v, n, u)", n=np.argsort(floats(2, 4, 5), 2)[:, :, :3], u=floats(2, 4, 3)
    ),
    "add elements": rows(
        'y = ScatterElements<axis=1, reduction="add">(v, n, u)', n=integers(-4, 4, 2, 4, 3), u=floats(2, 4, 3)
    ),
    "masked elements": masked("y = Neg(v)"),
    "masked elements written": masked("u = Neg(v) y = ScatterND(x, p, u)"),
    "no element written": masked("u = Neg(v) y = ScatterND(x, p, u)", 99),
    "masked elements added": masked('y = ScatterND<reduction="add">(x, p, v)'),
    "largest masked elements": masked('u = Neg(v) y = ScatterND<reduction="max">(x, p, u)'),
}

CASES = {**SHAPES, **CUTS, **INDICES}


@pytest.mark.parametrize("name", CASES)
def test_goes_on_with_sizes_known_at_run_time(name: str, direct: CaseRunner) -> None:
    direct.check(CASES[name])


WITHOUT_ELEMENTS = (
    *("reshape, first size copied", "reshape, last size copied", "flatten", "unsqueeze", "squeeze", "transpose"),
    *(
        "concat",
        "split",
        "split evenly",
        "expand",
        "expand to its shape",
        "tile",
        "fill",
        "range",
        "trilu",
        "slice",
        "gather",
    ),
    *("slice another axis", "slice backwards", "pad", "compress", "gather elements found there"),
)
"""What ONNX Runtime takes without a single element too."""


@pytest.mark.parametrize("name", WITHOUT_ELEMENTS)
def test_goes_on_with_nothing_at_run_time(name: str, direct: CaseRunner) -> None:
    case = CASES[name]
    direct.check(replace(case, inputs={**case.inputs, "m": np.zeros(3, bool)}))


@pytest.mark.parametrize("body", ["y = EyeLike(a)", "y = LayerNormalization<axis=0>(a, a)"])
def test_says_where_a_static_shape_is_needed(body: str, direct: CaseRunner) -> None:
    case = rows(f"a = Gather<axis=2>(v, n) {body}", n=np.array(0))
    with pytest.raises(UnsupportedOperatorError, match=r"node y .*depends on values at run time"):
        direct.check(case)
