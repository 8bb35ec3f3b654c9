"""Element types that LiteRT's kernels do not take, at values that tell how it was got through.

ONNX's reference evaluator says what to expect: ONNX Runtime lacks many of these types too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.errors import UnsupportedOperatorError
from tests.conversion_cases import Case, CaseRunner, floats

OPSET = 26
INF = float("inf")
I64, U64 = np.iinfo(np.int64), np.iinfo(np.uint64)


def of(dtype: str, *values: object) -> npt.NDArray[Any]:
    return np.array(values, dtype)


def case(body: str, **inputs: npt.ArrayLike) -> Case:
    """Nodes on inputs that are known at run time only, whose results have shapes in the model."""
    outputs = ("y", "z") if "y, z" in body else ("y",)
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    return Case(body, arrays, outputs=outputs, opset=OPSET, reference=True, stated=True)


CASES = {
    "add int8": case("y = Add(x, v)", x=of("i1", 100, -100, 7), v=of("i1", 100, -100, 1)),
    "sub uint8": case("y = Sub(x, v)", x=of("u1", 1, 200), v=of("u1", 2, 100)),
    "mul uint32": case("y = Mul(x, v)", x=of("u4", 2**31 + 5, 7), v=of("u4", 3, 2**32 - 1)),
    "sub uint64": case("y = Sub(x, v)", x=of("u8", 1, U64.max), v=of("u8", 2, 5)),
    "less uint64": case("y = Less(x, v)", x=of("u8", 1, U64.max, 3), v=of("u8", U64.max, 2, 3)),
    "max uint64": case("y = Max(x, v)", x=of("u8", 1, U64.max), v=of("u8", 2**63, 5)),
    "equal uint16": case("y = Equal(x, v)", x=of("u2", 1, 2**16 - 1), v=of("u2", 1, 2**16 - 2)),
    "neg int16": case("y = Neg(x)", x=of("i2", -(2**15), 7)),
    "sign int64": case("y = Sign(x)", x=of("i8", I64.min, 0, 5)),
    "abs int64": case("y = Abs(x)", x=of("i8", I64.min + 1, 0, 5)),
    "div int64": case(
        "y = Div(x, v)",
        x=of("i8", I64.max, I64.min, -7, 2**60 + 1, I64.min),
        v=of("i8", 3, 10**9, 2, -(2**31), I64.max),
    ),
    "div uint64": case("y = Div(x, v)", x=of("u8", U64.max, U64.max, 2**63, 9), v=of("u8", 3, 2**63 + 1, 7, 10)),
    "mod uint64": case("y = Mod(x, v)", x=of("u8", U64.max, U64.max, 2**63, 9), v=of("u8", 10, 2**63 + 1, 7, 10)),
    "mod int64": case("y = Mod(x, v)", x=of("i8", -7, 7, -8), v=of("i8", 3, -3, 4)),
    "fmod int8": case("y = Mod<fmod=1>(x, v)", x=of("i1", -7, 7, -8), v=of("i1", 3, -3, 4)),
    "fmod": case("y = Mod<fmod=1>(x, v)", x=of("f4", -4.3, 7.2, 5, 1e9), v=of("f4", 2.1, -3.4, 8, 0.7)),
    "pow int64": case("y = Pow(x, v)", x=of("i8", 3, -2, 7, -1), v=of("i8", 39, 63, 0, 5)),
    "pow int32 float": case("y = Pow(x, v)", x=of("i4", 2, 3), v=of("f4", 3, 4)),
    "and int64": case("y = BitwiseAnd(x, v)", x=of("i8", -1, 2**40 + 5, I64.min), v=of("i8", 2**50 + 3, 7, -1)),
    "or uint8": case("y = BitwiseOr(x, v)", x=of("u1", 0xF0, 1), v=of("u1", 0x1F, 255)),
    "and int32": case("y = BitwiseAnd(x, v)", x=of("i4", -1, -(2**31), 2**31 - 1), v=of("i4", -(2**31), -1, -7)),
    "xor uint64": case("y = BitwiseXor(x, v)", x=of("u8", U64.max, 2**40), v=np.uint64(2**33 + 1)),
    "not uint16": case("y = BitwiseNot(x)", x=of("u2", 0, 5, 2**16 - 1)),
    "left int8": case('y = BitShift<direction="LEFT">(x, v)', x=of("u1", 200, 1, 3), v=of("u1", 1, 7, 2)),
    "right uint64": case(
        'y = BitShift<direction="RIGHT">(x, v)', x=of("u8", U64.max, 2**63, 9, 2**40), v=of("u8", 1, 63, 0, 33)
    ),
    "right uint32": case('y = BitShift<direction="RIGHT">(x, v)', x=of("u4", 2**32 - 1, 2**31), v=of("u4", 31, 4)),
    "transpose int16": case("y = Transpose(x)", x=np.arange(6, dtype=np.int16).reshape(2, 3)),
    "pad double": case("y = Pad(x, p, v)", x=of("f8", 0.1, 1e300), p=of("i8", 1, 2), v=np.float64(1 / 3)),
    "concat uint64": case("y = Concat<axis=0>(x, v)", x=of("u8", U64.max), v=of("u8", 1, 2)),
    "gather uint32": case("y = Gather(x, v)", x=of("u4", 2**32 - 1, 3), v=of("i8", 1, 0, -1)),
    "where uint8": case("y = Where(c, x, v)", c=of("?", 1, 0), x=of("u1", 255, 1), v=of("u1", 7, 200)),
    "topk smallest int64": case("y, z = TopK<largest=0>(x, k)", x=of("i8", I64.min, 3, -1, I64.max), k=of("i8", 3)),
    "topk uint64": case("y, z = TopK(x, k)", x=of("u8", 1, U64.max, 2**63, 2), k=of("i8", 2)),
    "cumsum int8": case("y = CumSum(x, a)", x=of("i1", 100, 100, 100).astype("i4"), a=np.int64(0)),
    "reduce max int8": case("y = ReduceMax<keepdims=0>(x, a)", x=of("i1", -128, 5), a=of("i8", 0)),
    "reduce any": case("y = ReduceMax(x, a)", x=np.array([[True, False], [False, False]]), a=of("i8", 1)),
    "reduce sum uint64": case("y = ReduceSum(x, a)", x=of("u8", U64.max, 7), a=of("i8", 0)),
    "argmax int64 last": case(
        "y = ArgMax<axis=0, select_last_index=1>(x)", x=of("i8", 2**60 + 1, 2**60, 2**60 + 1, 2**60)
    ),
    "matmul int32": case("y = MatMul(x, v)", x=np.arange(6, dtype="i4").reshape(2, 3), v=np.eye(3, dtype="i4") * 2**30),
    "double": case("a = Add(x, v) y = Sqrt(a)", x=of("f8", 1, 2.5), v=of("f8", 3, 4)),
    "uint64 as float": case("y = Cast<to=1>(x)", x=of("u8", U64.max, 2**63, 9)),
    "float as uint64": case("y = Cast<to=13>(x)", x=of("f4", 2.0**63 + 2.0**41, 3.7)),
    "uint64 of int8": case("y = CastLike(x, v)", x=of("i1", -1, 5), v=of("u8", 0)),
    "bits": case("y = BitCast<to=6>(x)", x=of("f4", 1.5, -INF)),
}
"""Each type against a kernel that does not take it, at values that tell how it was got through."""


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_reference_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name], each=True)


def test_half_precision_is_rounded_at_the_end_only(direct: CaseRunner) -> None:
    body = "n = Constant<value_ints=[3, 4]>() a = Exp(x) b = Transpose(a) c = Reshape(b, n) y = Sqrt(c)"
    direct.check(
        replace(case(body, x=floats(3, 4).astype("f2")), exactly="CAST EXP TRANSPOSE RESHAPE SQRT CAST"), tolerance=1e-3
    )


def test_names_all_values_that_no_tflite_can_hold(tmp_path: Path) -> None:
    graph = "g (string[2] x, bfloat16[2] v) => (string[2] y, complex64[2] z) { y = Identity(x) z = Cast<to=14>(v) }"
    model = onnx.helper.make_model(onnx.parser.parse_graph(graph), opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    with pytest.raises(UnsupportedOperatorError, match=r"(?s)x: string.*v: bfloat16.*y: string.*z: complex64"):
        convert_directly(ir.from_proto(model), tmp_path / "foreign.tflite")


def test_a_type_that_no_kernel_computes_with_is_refused(direct: CaseRunner) -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"Pow.*uint64.*int32.*Cast"):
        direct.check(case("y = Pow(x, x)", x=of("u8", 1)))
