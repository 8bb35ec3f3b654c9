"""What is computed element by element: formulas at their edges, integers, and numbers next to a kernel's limits."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from layoutopt.lowering.node import Node, lowering_of
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Graph, Value
from tests.conversion_cases import Case, CaseRunner, floats, nchw, numbers

INF, NAN = float("inf"), float("nan")
SMALL = numbers(1e-7, 1e-5, 3e-3, 0.019, 0.021, 0.5, 1)
BOTH = np.concatenate([-SMALL[::-1], numbers(0), SMALL])
X = floats(2, 3, 4)
WIDE = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min, -7, 2**60 + 1], np.int64)

ARITHMETIC = {
    "arithmetic": nchw("a = Add(x,c) b = Mul(a,x) d = Sub(b,c) y = Div(d,c)", "ADD MUL SUB MUL", c=numbers(2)),
    "square": nchw("y = Pow(x,c)", "SQUARE", c=np.float32(2)),
    "cube": nchw("y = Pow(x,c)", "POW", c=np.float32(3)),
    "inverse root": Case("y = Pow(x, e)", {"x": np.abs(X)}, {"e": np.float32(-0.5)}, exactly="RSQRT"),
    "power with more axes": Case("y = Pow(x, e)", {"x": np.abs(X[0, 0])}, {"e": np.full((1, 1), 2, np.float32)}, "POW"),
    "reciprocal": nchw("y = Reciprocal(x)", "DIV"),
    "reciprocal of a root": nchw("a = Abs(x) b = Sqrt(a) y = Reciprocal(b)", "ABS RSQRT"),
    "square root, exponential, logarithm": nchw("a = Exp(x) b = Sqrt(a) y = Log(b)", "EXP SQRT LOG"),
    "operators of one operand": nchw(
        "a = Abs(x) b = Neg(a) c = Floor(b) d = Ceil(c) e = Sin(d) y = Cos(e)", "ABS NEG FLOOR CEIL SIN COS"
    ),
    "round and sign": nchw("a = Round(x) b = Sign(x) y = Add(a,b)", "ROUND SIGN ADD"),
    "round halves": Case("y = Round(x)", {"x": numbers(-2.5, -1.5, 0.5, 1.5, 2.4)}, exactly="ROUND"),
    "error function": Case(
        "y = Erf(x)",
        {"x": numbers(-100, -3, -0.5, 0, 0.5, 3, 7)},
        exactly="ABS MUL ADD DIV MUL ADD MUL ADD MUL ADD MUL ADD MUL SQUARE NEG EXP MUL SUB SIGN MUL",
    ),
    "choice": nchw("a = Greater(x,c) y = Where(a,x,c)", "GREATER SELECT_V2", c=np.float32(0.1)),
    "casts": nchw("a = Cast<to=6>(x) y = Cast<to=1>(a)", "CAST CAST"),
    "casts 21": nchw("a = Cast<to=6>(x) y = Cast<to=1>(a)", "CAST CAST", opset=21),
    "largest and smallest": nchw(
        "a = Max(x,c,d) y = Min(a,d)", "MAXIMUM MAXIMUM MINIMUM", c=numbers(0.1), d=numbers(0.2)
    ),
    "identity": nchw("a = Identity(x) y = Relu(a)", "RELU"),
    "constants": nchw("a = Add(c,c) b = Mul(a,c) y = Mul(x,b)", "MUL", c=numbers(1.5)),
    "a constant": nchw("c = Constant<value_float=2.0>() y = Mul(x,c)", "MUL"),
    "exclusive or": Case("y = Xor(x, v)", {"x": X > 0, "v": X[0] > 0.5}, exactly="NOT_EQUAL"),
    "mean of operands": Case("y = Mean(x, v, x)", {"x": X, "v": floats(4)}, operators="ADD DIV"),
    "sum of one": Case("y = Sum(x)", {"x": X}),
    "dropout": Case("y, z = Dropout(x)", {"x": X}, outputs=("y", "z")),
    "rank 7": Case("y = Add(x, v)", {"x": floats(2, 1, 3, 1, 2, 1, 2), "v": floats(1, 2, 1, 2, 1, 2, 1)}),
}

REMAINDERS = {
    "fmod": Case(
        "y = Mod<fmod=1>(x, v)", {"x": numbers(-4.3, 7.2, 5, 1e9), "v": numbers(2.1, -3.4, 8, 0.7)}, reference=True
    ),
    "fmod of int32": Case("y = Mod<fmod=1>(x, v)", {"x": np.array([-7, 7, -8], "i4"), "v": np.array([3, -3, 4], "i4")}),
    "div of int32": Case("y = Div(x, v)", {"x": np.array([-7, 7, -8], "i4"), "v": np.array([2, -2, 3], "i4")}),
    "div of int64": Case("y = Div(x, v)", {"x": WIDE, "v": np.array([3, 10**9, 2, -(2**31)])}),
    "power of int64": Case(
        "y = Pow(x, v)", {"x": np.array([3, -2, 7, -1]), "v": np.array([39, 63, 0, 5])}, reference=True
    ),
}

EDGES = {
    **{
        name.lower(): Case(f"y = {name}(x)", {"x": BOTH})
        for name in ("Acos", "Asin", "Asinh", "Atan", "Cosh", "Sinh", "Tan")
    },
    "atanh": Case("y = Atanh(x)", {"x": BOTH[1:-1]}),
    "acosh": Case("y = Acosh(x)", {"x": np.concatenate([1 + SMALL[3:], numbers(30, 1e20)])}),
    "asinh of large ones": Case("y = Asinh(x)", {"x": numbers(30, -1e6, 1e10, 1e30)}),
    "is nan": Case("y = IsNaN(x)", {"x": numbers(1, NAN, INF)}, exactly="NOT_EQUAL"),
    "is infinite": Case("y = IsInf<detect_negative=0>(x)", {"x": numbers(INF, -INF, NAN, 3e38)}, opset=20),
    "equal to infinity": Case("y = Equal(x, a)", {"x": numbers(INF, -INF, NAN, 3e38)}, {"a": np.float32(INF)}),
}
"""Judged element by element, since the smallest ones matter."""

CASES = {**ARITHMETIC, **REMAINDERS, **EDGES}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name], each=name in EDGES)


def test_operands_that_broadcast_up_to_opset_6() -> None:
    """Neither ONNX Runtime nor the reference evaluator has these; the axes of the second operand begin at ``axis``."""
    lowering = lowering_of("", "Sub")
    assert lowering is not None
    x, v = Value.constant(X), Value.constant(floats(3))
    with tfl.recording(Graph()):
        y = lowering(Node("Sub", "y", 6, {"axis": 1, "broadcast": 1}, (x, v)))
    assert isinstance(y, Value)
    np.testing.assert_array_equal(y.array, X - v.array[:, None])


def test_what_is_left_out_at_random_is_refused(direct: CaseRunner) -> None:
    case = Case("y = Dropout(x, r, t)", {"x": X}, {"r": np.float32(0.5), "t": np.bool_(True)})
    with pytest.raises(UnsupportedOperatorError, match=r"Dropout.*at random"):
        direct.check(case)
