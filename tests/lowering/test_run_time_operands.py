"""Operands that say what shape comes out and are known at run time only, with and without that shape in the model.

ONNX's reference evaluator says what to expect; ONNX Runtime where that does not follow the standard.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Case, CaseRunner, floats

OPSET = 26
I64 = np.iinfo(np.int64)
X = floats(2, 3, 4)


def of(dtype: str, *values: object) -> npt.NDArray[Any]:
    return np.array(values, dtype)


def case(body: str, *, stated: bool = True, runtime: bool = False, **inputs: npt.ArrayLike) -> Case:
    """Nodes on inputs that are known at run time only.

    Args:
        body: the nodes.
        stated: the model states the shapes of the results.
        runtime: ONNX Runtime says what to expect.
        inputs: by name.
    """
    outputs = ("y", "z") if re.search(r"\bz\b", body) else ("y",)
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    return Case(body, arrays, outputs=outputs, opset=OPSET, reference=not runtime, stated=stated)


CASES = {
    "slice": case(
        "y = Slice(x, s, e, a, t)",
        x=X,
        s=of("i8", -1, 3),
        e=of("i8", -99, I64.max),
        a=of("i8", -2, 2),
        t=of("i8", -1, 1),
    ),
    "slice first axes": case("y = Slice(x, s, e)", x=X, s=of("i4", 1, 0), e=of("i4", 2, -1), stated=False),
    "pad and cut": case(
        "y = Pad(x, p, v, a)",
        runtime=True,
        x=X,
        p=of("i8", -1, 2, 1, -2),
        v=np.float32(7),
        a=of("i8", -1, 0),
    ),
    "pad edge": case('y = Pad<mode="edge">(x, p)', x=X, p=of("i8", 0, 2, 1, 1, 0, 3)),
    "pad reflect": case('y = Pad<mode="reflect">(x, p)', x=X, p=of("i8", 1, 2, 0, 0, 1, 3), stated=False),
    "pad wrap": case('y = Pad<mode="wrap">(x, p)', x=X, p=of("i8", 1, 0, 2, 0, 3, 1)),
    "reduce": case("y = ReduceL1<keepdims=0>(x, a)", x=X, a=of("i8", 0, -1)),
    "reduce kept": case("y = ReduceLogSumExp(x, a)", x=X, a=of("i8", 1)),
    "reduce no axes": case("y = ReduceSum(x, a)", x=abs(X), a=np.zeros(0, "i8")),
    "reduce not stated": case("y = ReduceMean(x, a)", x=X, a=of("i8", 1), stated=False),
    "cumprod": case("y = CumProd<exclusive=1, reverse=1>(x, a)", x=X, a=np.int64(-2)),
    "cumsum": case("y = CumSum<exclusive=1>(x, a)", x=X, a=np.int64(-2)),
    "reshape": case("y = Reshape(x, n)", x=X, n=of("i8", 0, -1)),
    "reshape not stated": case("y = Reshape(x, n)", x=X, n=of("i8", 0, -1, 2), stated=False),
    "expand": case("y = Expand(x, n)", x=X[:, :1], n=of("i8", 3, 1), stated=False),
    "expand stated": case("y = Expand(x, n)", x=X[:, :1], n=of("i8", 5, 1, 3, 1)),
    "tile": case("y = Tile(x, n)", x=X, n=of("i8", 1, 2, 3)),
    "split": case("y, z = Split<axis=-1>(x, n)", x=X, n=of("i8", 1, 3)),
    "split not stated": case("y, z = Split<axis=1>(x, n)", x=X, n=of("i8", 2, 1), stated=False),
    "unsqueeze": case("y = Unsqueeze(x, a)", x=X, a=of("i8", -1, 0)),
    "squeeze": case("y = Squeeze(x, a)", x=X[:, :1], a=of("i8", 1)),
    "range": case("y = Range(s, e, d)", s=np.float32(1), e=np.float32(-2), d=np.float32(-0.5)),
    "range not stated": case("y = Range(s, e, d)", s=np.int16(1), e=np.int16(9), d=np.int16(3), stated=False),
    "fill": case("y = ConstantOfShape(n)", n=of("i8", 2, 3), stated=False),
    "one hot": case("y = OneHot<axis=0>(x, d, v)", x=of("i8", 0, -1, 2), d=np.int64(4), v=of("f4", 2, 5)),
    "one hot not stated": case("y = OneHot(x, d, v)", x=of("u1", 0, 2), d=np.int64(4), v=of("i8", 2, 5), stated=False),
    "trilu": case("y = Trilu<upper=0>(x, k)", x=X.astype("i8"), k=np.int64(-1)),
    "topk": case("y, z = TopK<axis=1>(x, k)", x=X, k=of("i8", 2), stated=False),
    "compress": case("y = Compress<axis=-1>(x, c)", x=X, c=of("?", 0, 1, 1), stated=False),
    "nonzero": case("y = NonZero(x)", x=of("i8", 0, 2**40, 1, 0), stated=False),
    "unique": case("y, a, z = Unique(x)", x=of("f4", 2, 1, 1, 3, 4, 3), stated=False),
    "then": case(
        "a = NonZero(x) b = Cast<to=1>(a) c = Exp(b) d = Transpose(c) y = Shape(d)", x=of("f4", 0, 2, 1), stated=False
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_reference_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name], each=True)


def test_an_operator_that_needs_a_static_shape_is_refused(direct: CaseRunner) -> None:
    case_ = case("a = NonZero(x) y = EyeLike(a)", x=of("f4", 0, 1), stated=False)
    with pytest.raises(UnsupportedOperatorError, match=r"EyeLike.*depends on values at run"):
        direct.check(case_)


def test_nothing_may_be_left(runner: CaseRunner) -> None:
    runner.check(case("y = Slice(x, s, e)", x=X, s=of("i8", 1), e=of("i8", 1)))
