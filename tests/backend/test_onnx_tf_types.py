"""Element types that TFLite's kernels do not take, operands that come at run time, and values at the edge.

The judge is ONNX's reference evaluator: ONNX Runtime lacks many of these types too. All cases make one model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnxruntime
import pytest

from layoutopt.backend.litert.inspect import operators_of
from layoutopt.backend.litert.runtime import run
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.errors import UnsupportedOperatorError

pytestmark = pytest.mark.tflite

Array = npt.NDArray[Any]
OPSET = 26
INF, NAN = float("inf"), float("nan")
I8, I64, U64 = (np.iinfo(each) for each in (np.int8, np.int64, np.uint64))
X = np.random.default_rng(3).standard_normal((2, 3, 4))


@dataclass(frozen=True, slots=True)
class Case:
    """Nodes in ONNX's text syntax, from ``inputs`` to ``y`` (and ``z``).

    Attributes:
        body: the nodes.
        inputs: operands by name; all of them come at run time.
        stated: whether the model states the shape of the result.
        runtime: judged by ONNX Runtime, where the reference evaluator fails or does not follow the standard.
    """

    body: str
    inputs: Mapping[str, Array]
    stated: bool = True
    runtime: bool = False

    def model(self) -> onnx.ModelProto:
        graph = onnx.parser.parse_graph(f"g () => () {{ {self.body} }}")
        for name, array in self.inputs.items():
            element = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(onnx.helper.make_tensor_value_info(name, element, array.shape))
        results = [name for name in ("y", "z") if any(name in node.output for node in graph.node)]
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in results)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)
        for value in graph.output:  # ONNX Runtime wants a type
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        for value, array in zip(graph.output, self.expected(model), strict=True):
            shape = array.shape if self.stated else [None] * array.ndim
            element = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, element, shape))
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10)

    def expected(self, model: onnx.ModelProto) -> list[Array]:
        if self.runtime:
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            return [np.asarray(each) for each in session.run(None, dict(self.inputs))]
        with np.errstate(all="ignore"):
            found = onnx.reference.ReferenceEvaluator(model).run(None, dict(self.inputs))
        return [np.asarray(each) for each in found]


def of(dtype: str, *values: object) -> Array:
    return np.array(values, dtype)


def case(body: str, *, stated: bool = True, runtime: bool = False, **inputs: npt.ArrayLike) -> Case:
    return Case(body, {name: np.asarray(array) for name, array in inputs.items()}, stated, runtime)


TYPES = {
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

RUN_TIME = {
    "slice": case(
        "y = Slice(x, s, e, a, t)",
        x=X,
        s=of("i8", -1, 3),
        e=of("i8", -99, I64.max),
        a=of("i8", -2, 2),
        t=of("i8", -1, 1),
    ),
    "slice first axes": case("y = Slice(x, s, e)", x=X.astype("f4"), s=of("i4", 1, 0), e=of("i4", 2, -1), stated=False),
    "pad and cut": case(
        "y = Pad(x, p, v, a)",
        runtime=True,
        x=X.astype("f4"),
        p=of("i8", -1, 2, 1, -2),
        v=np.float32(7),
        a=of("i8", -1, 0),
    ),
    "pad edge": case('y = Pad<mode="edge">(x, p)', x=X.astype("f4"), p=of("i8", 0, 2, 1, 1, 0, 3)),
    "pad reflect": case('y = Pad<mode="reflect">(x, p)', x=X.astype("f4"), p=of("i8", 1, 2, 0, 0, 1, 3), stated=False),
    "pad wrap": case('y = Pad<mode="wrap">(x, p)', x=X.astype("f4"), p=of("i8", 1, 0, 2, 0, 3, 1)),
    "reduce": case("y = ReduceL1<keepdims=0>(x, a)", x=X.astype("f4"), a=of("i8", 0, -1)),
    "reduce kept": case("y = ReduceLogSumExp(x, a)", x=X.astype("f4"), a=of("i8", 1)),
    "reduce no axes": case("y = ReduceSum(x, a)", x=X.astype("f4"), a=np.zeros(0, "i8")),
    "reduce not stated": case("y = ReduceMean(x, a)", x=X.astype("f4"), a=of("i8", 1), stated=False),
    "cumprod": case("y = CumProd<exclusive=1, reverse=1>(x, a)", x=X.astype("f4"), a=np.int64(-2)),
    "cumsum": case("y = CumSum<exclusive=1>(x, a)", x=X.astype("f4"), a=np.int64(-2)),
    "reshape": case("y = Reshape(x, n)", x=X.astype("f4"), n=of("i8", 0, -1)),
    "reshape not stated": case("y = Reshape(x, n)", x=X.astype("f4"), n=of("i8", 0, -1, 2), stated=False),
    "expand": case("y = Expand(x, n)", x=X[:, :1].astype("f4"), n=of("i8", 3, 1), stated=False),
    "expand stated": case("y = Expand(x, n)", x=X[:, :1].astype("f4"), n=of("i8", 5, 1, 3, 1)),
    "tile": case("y = Tile(x, n)", x=X.astype("f4"), n=of("i8", 1, 2, 3)),
    "split": case("y, z = Split<axis=-1>(x, n)", x=X.astype("f4"), n=of("i8", 1, 3)),
    "split not stated": case("y, z = Split<axis=1>(x, n)", x=X.astype("f4"), n=of("i8", 2, 1), stated=False),
    "unsqueeze": case("y = Unsqueeze(x, a)", x=X.astype("f4"), a=of("i8", -1, 0)),
    "squeeze": case("y = Squeeze(x, a)", x=X[:, :1].astype("f4"), a=of("i8", 1)),
    "range": case("y = Range(s, e, d)", s=np.float32(1), e=np.float32(-2), d=np.float32(-0.5)),
    "range not stated": case("y = Range(s, e, d)", s=np.int16(1), e=np.int16(9), d=np.int16(3), stated=False),
    "fill": case("y = ConstantOfShape(n)", n=of("i8", 2, 3), stated=False),
    "one hot": case("y = OneHot<axis=0>(x, d, v)", x=of("i8", 0, -1, 2), d=np.int64(4), v=of("f4", 2, 5)),
    "one hot not stated": case("y = OneHot(x, d, v)", x=of("u1", 0, 2), d=np.int64(4), v=of("i8", 2, 5), stated=False),
    "trilu": case("y = Trilu<upper=0>(x, k)", x=X.astype("i8"), k=np.int64(-1)),
    "topk": case("y, z = TopK<axis=1>(x, k)", x=X.astype("f4"), k=of("i8", 2), stated=False),
    "compress": case("y = Compress<axis=-1>(x, c)", x=X.astype("f4"), c=of("?", 0, 1, 1), stated=False),
    "nonzero": case("y = NonZero(x)", x=of("i8", 0, 2**40, 1, 0), stated=False),
    "unique": case("y, a, z = Unique(x)", x=of("f4", 2, 1, 1, 3, 4, 3), stated=False),
    "then": case(
        "a = NonZero(x) b = Cast<to=1>(a) c = Exp(b) d = Transpose(c) y = Shape(d)", x=of("f4", 0, 2, 1), stated=False
    ),
}
"""Operands that say what shape comes out, with and without a shape for it in the model."""

SMALL = of("f4", 1e-7, 1e-5, 3e-3, 0.019, 0.021, 0.5, 1)
BOTH = np.concatenate([-SMALL[::-1], of("f4", 0), SMALL])
EDGES = {
    **{
        name.lower(): case(f"y = {name}(x)", x=BOTH)
        for name in ("Asin", "Acos", "Atan", "Asinh", "Sinh", "Cosh", "Tan")
    },
    "atanh": case("y = Atanh(x)", x=BOTH[1:-1]),
    "acosh": case("y = Acosh(x)", x=np.concatenate([1 + SMALL[3:], of("f4", 30, 1e20)])),
    "asinh large": case("y = Asinh(x)", x=of("f4", 30, -1e6, 1e10, 1e30)),
    "softplus": case("y = Softplus(x)", x=of("f4", -80, -20, -9, -4, -1, 0, 3, 90)),
    "mish": case("y = Mish(x)", x=of("f4", -80, -20, -9, -4, -1, 0, 3, 90)),
    "is infinite": case("y = IsInf<detect_negative=0>(x)", x=of("f4", INF, -INF, NAN, 3e38)),
    "equal infinite": case("a = Constant<value_float=inf>() y = Equal(x, a)", x=of("f4", INF, -INF, NAN, 3e38)),
    "masked": case(
        "a = Constant<value_float=-inf>() b = Where(c, x, a) y = Softmax(b)",
        c=np.eye(3, dtype=bool),
        x=of("f4", 1, 2, 3),
    ),
    "all masked": case(
        "a = Constant<value_float=-inf>() b = Where(c, x, a) d = Softmax(b) y = IsNaN(d)",
        c=np.array([[True, False], [False, False]]),
        x=of("f4", 1, 2),
    ),
    "log of nothing": case("y = ReduceLogSumExp(x, a)", runtime=True, x=np.full((2, 2), -INF, "f4"), a=of("i8", 1)),
    "minimum of none": case("y = ReduceMin(x, a)", x=np.zeros((2, 0, 2), "f4"), a=of("i8", 1)),
    "product of none": case("y = ReduceProd<keepdims=0>(x, a)", x=np.zeros((2, 0), "i8"), a=of("i8", 1)),
    "nothing left": case("y = Slice(x, s, e)", x=X.astype("f4"), s=of("i8", 1), e=of("i8", 1)),
    "diagonal": case('y = Einsum<equation="...ii->...i">(x)', x=X[:, :, :3].astype("f4")),
    "inner product": case('y = Einsum<equation="i,i">(x, v)', x=of("f4", 1, 2, 3), v=of("f4", 4, 5, 6)),
    "three operands": case(
        'y = Einsum<equation="abc, cd, a -> db">(x, v, u)', x=X.astype("f4"), v=X[0].T.astype("f4"), u=of("f4", 2, 3)
    ),
    "det": case("y = Det(x)", x=X[:, :, :3].astype("f4")),
    "hardmax": case("y = Hardmax<axis=1>(x)", x=of("f4", 1, 3, 3, 2).reshape(2, 2)),
    "shrink": case("y = Shrink<lambd=1.0, bias=0.5>(x)", x=of("f4", -2, -1, 0, 1, 2)),
}
"""Values and shapes where a formula or a kernel may fail."""

CASES = {**TYPES, **{f"run time {name}": each for name, each in RUN_TIME.items()}, **EDGES}


@pytest.fixture(scope="module", autouse=True)
def one_child() -> Iterator[None]:
    with kept_alive():
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Array]:
    """What LiteRT computes, by case and result."""
    path = tmp_path_factory.mktemp("types") / "cases.onnx"
    merged: onnx.ModelProto | None = None
    feeds: dict[str, Array] = {}
    for name, each in CASES.items():
        model = onnx.compose.add_prefix(each.model(), f"{name}/")
        merged = model if merged is None else onnx.compose.merge_models(merged, model, io_map=[])
        feeds |= {f"{name}/{key}": array for key, array in each.inputs.items()}
    assert merged is not None
    onnx.save(merged, path)
    conversion = convert_model(path, tflite=path.with_suffix(".tflite"))
    given = {conversion.input_names[name]: array for name, array in feeds.items()}
    outputs = run(path.with_suffix(".tflite"), given)
    return {name: outputs[theirs] for name, theirs in conversion.output_names.items()}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_reference_computes(name: str, found: Mapping[str, Array]) -> None:
    model = CASES[name].model()
    for value, expected in zip(model.graph.output, CASES[name].expected(model), strict=True):
        actual = found[f"{name}/{value.name}"]
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=0)
        else:
            np.testing.assert_array_equal(actual, expected)


def test_half_precision_is_rounded_at_the_end_only(tmp_path: Path) -> None:
    body = "n = Constant<value_ints=[3, 4]>() a = Exp(x) b = Transpose(a) c = Reshape(b, n) y = Sqrt(c)"
    each = case(body, x=X[0].astype("f2"))
    onnx.save(each.model(), tmp_path / "half.onnx")
    convert_model(tmp_path / "half.onnx", tflite=tmp_path / "half.tflite")
    names = [operator.name for operator in operators_of(tmp_path / "half.tflite")]
    assert sorted(names) == ["CAST", "CAST", "EXP", "RESHAPE", "SQRT", "TRANSPOSE"]


def test_names_all_values_that_no_tflite_can_hold(tmp_path: Path) -> None:
    graph = "g (string[2] x, bfloat16[2] v) => (string[2] y, complex64[2] z) { y = Identity(x) z = Cast<to=14>(v) }"
    model = onnx.helper.make_model(onnx.parser.parse_graph(graph), opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(UnsupportedOperatorError, match=r"(?s)x: string.*v: bfloat16.*y: string.*z: complex64"):
        convert_model(tmp_path / "foreign.onnx", tflite=tmp_path / "foreign.tflite")


@pytest.mark.parametrize(
    ("each", "complaint"),
    [
        (case("y = Pow(x, x)", x=of("u8", 1)), r"Pow.*uint64.*int32.*Cast"),
        (case("a = NonZero(x) y = EyeLike(a)", x=of("f4", 0, 1), stated=False), r"EyeLike.*depends on values at run"),
        (case("y = Det(x)", x=np.eye(5, dtype="f4")), r"Det.*5 rows"),
        (case("y = Dropout(x, r, t)", x=X.astype("f4"), r=np.float32(0), t=np.bool_(True)), r"Dropout.*at random"),
    ],
    ids=["type", "shape", "size", "training"],
)
def test_says_what_cannot_be_done(each: Case, complaint: str, tmp_path: Path) -> None:
    onnx.save(each.model(), tmp_path / "refused.onnx")
    with pytest.raises(UnsupportedOperatorError, match=complaint):
        convert_model(tmp_path / "refused.onnx", tflite=tmp_path / "refused.tflite")
