"""Lowerings of what is computed element by element, by sums and by products: ONNX Runtime says what to expect."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from layoutopt.lowering.node import Node, lowering_of
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Value
from tests.handoff import Case, HandOff, floats, integers

SMALL = np.array([1e-7, 1e-5, 3e-3, 0.019, 0.021, 0.5, 1], np.float32)
BOTH = np.concatenate([-SMALL[::-1], np.zeros(1, np.float32), SMALL])
FAR = np.array([-100, -20, -9, -3, -0.5, 0, 0.5, 3, 7], np.float32)
X, POSITIVE = floats(2, 3, 4), np.abs(floats(3)) + np.float32(0.1)
WIDE = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min, -7, 2**60 + 1], np.int64)

ELEMENTWISE = {
    **{
        name.lower(): Case(f"y = {name}(x)", {"x": BOTH})
        for name in ("Acos", "Asin", "Asinh", "Atan", "Cosh", "Sinh", "Tan")
    },
    "atanh": Case("y = Atanh(x)", {"x": BOTH[1:-1]}),
    "acosh": Case("y = Acosh(x)", {"x": 1 + np.abs(BOTH)}),
    "erf": Case("y = Erf(x)", {"x": FAR}, operators="EXP SIGN"),
    "reciprocal": Case("y = Reciprocal(x)", {"x": X}, operators="DIV"),
    "round": Case("y = Round(x)", {"x": np.array([-2.5, -1.5, 0.5, 1.5, 2.4], np.float32)}, operators="ROUND"),
    "is nan": Case("y = IsNaN(x)", {"x": np.array([1, np.nan, np.inf], np.float32)}, operators="NOT_EQUAL"),
    "xor": Case("y = Xor(x, v)", {"x": X > 0, "v": X[0] > 0.5}, operators="NOT_EQUAL"),
    "mean": Case("y = Mean(x, v, x)", {"x": X, "v": floats(4)}, operators="ADD DIV"),
    "sum of one": Case("y = Sum(x)", {"x": X}),
    "fmod": Case("y = Mod<fmod=1>(x, v)", {"x": X, "v": floats(4)}, operators="FLOOR_MOD"),
    "mod of int32": Case("y = Mod<fmod=1>(x, v)", {"x": np.array([-7, 7, -8], "i4"), "v": np.array([3, -3, 4], "i4")}),
    "div of int32": Case("y = Div(x, v)", {"x": np.array([-7, 7, -8], "i4"), "v": np.array([2, -2, 3], "i4")}),
    "div of int64": Case("y = Div(x, v)", {"x": WIDE, "v": np.array([3, 10**9, 2, -(2**31)])}),
    "square": Case("y = Pow(x, e)", {"x": X}, {"e": np.float32(2)}, "SQUARE"),
    "inverse root": Case("y = Pow(x, e)", {"x": np.abs(X)}, {"e": np.float32(-0.5)}, "RSQRT"),
    "power of int64": Case("y = Pow(x, v)", {"x": np.array([3, -2, 7, -1]), "v": np.array([39, 63, 0, 5])}),
    "power with more axes": Case("y = Pow(x, e)", {"x": np.abs(X[0, 0])}, {"e": np.full((1, 1), 2, np.float32)}, "POW"),
    "cast to uint64": Case("y = Cast<to=13>(x)", {"x": np.array([2.0**63 + 2.0**41, 3.7, 0], np.float32)}),
    "dropout": Case("y, z = Dropout(x)", {"x": X}, outputs=("y", "z")),
    "rank 7": Case("y = Add(x, v)", {"x": floats(2, 1, 3, 1, 2, 1, 2), "v": floats(1, 2, 1, 2, 1, 2, 1)}),
}  # fmt: skip
ACTIVATIONS = {
    **{
        name.lower(): Case(f"y = {name}(x)", {"x": FAR}, opset=20)
        for name in ("Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu", "Softplus")
    },
    **{name.lower(): Case(f"y = {name}(x)", {"x": X}) for name in ("Hardmax", "Softsign", "ThresholdedRelu", "Shrink")},
    "softplus far out": Case("y = Softplus(x)", {"x": np.array([30, 90, 1e30], np.float32)}),
    "swish": Case("y = Swish<alpha=1.5>(x)", {"x": X}, opset=24, reference=True),
    "relu of integers": Case("y = Relu(x)", {"x": np.array([-3, 4], np.int32)}, operators="MAXIMUM"),
    "relu6": Case("y = Clip(x, a, b)", {"x": FAR}, {"a": np.float32(0), "b": np.float32(6)}, "RELU6"),
    "relu n1 to 1": Case("y = Clip(x, a, b)", {"x": FAR}, {"a": np.float32(-1), "b": np.float32(1)}, "RELU_N1_TO_1"),
    "clip of integers": Case("y = Clip(x, a, b)", {"x": np.arange(-9, 9)}, {"a": np.int64(0), "b": np.int64(6)}),
    "clip to what comes": Case("y = Clip(x, a, b)", {"x": X, "a": np.array(-0.5, "f4"), "b": np.array(0.5, "f4")}),
    "clip 6": Case("y = Clip<min=0.0>(x)", {"x": FAR}, operators="RELU", opset=6),
    "prelu": Case("y = PRelu(x, a)", {"x": floats(2, 3, 4, 5)}, {"a": floats(3, 1, 1)}, "PRELU"),
    "prelu of a row": Case("y = PRelu(x, a)", {"x": floats(2, 3)}, {"a": floats(1, 3)}, "PRELU"),
    "prelu of each row": Case("y = PRelu(x, a)", {"x": floats(2, 3)}, {"a": floats(2, 3)}, "RELU"),
    "prelu of a volume": Case("y = PRelu(x, a)", {"x": floats(2, 3, 2, 2, 2)}, {"a": floats(3, 1, 1, 1)}),
    "prelu of a line": Case("y = PRelu(x, a)", {"x": floats(3)}, {"a": floats(1)}),
    "prelu at run time": Case("y = PRelu(x, a)", {"x": floats(2, 3), "a": floats(3)}),
    "softmax": Case("y = Softmax<axis=1>(x)", {"x": X}, operators="TRANSPOSE SOFTMAX"),
    "softmax 11": Case("y = Softmax<axis=1>(x)", {"x": X}, operators="RESHAPE SOFTMAX", opset=11),
    "softmax of a picture": Case("y = Softmax<axis=1>(x)", {"x": floats(2, 3, 1, 1)}, operators="SOFTMAX", opset=11),
    "log softmax": Case("y = LogSoftmax<axis=0>(x)", {"x": X}, operators="LOG_SOFTMAX"),
    "hardmax of rows": Case(
        "y = Hardmax<axis=1>(x)", {"x": np.array([[1, 3], [3, 2]], "f4")}, operators="ARG_MAX ONE_HOT"
    ),
}
PRODUCTS = {
    "weights": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(4, 5)}, "FULLY_CONNECTED"),
    "weights with ones": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(1, 4, 5)}, "FULLY_CONNECTED"),
    "weights of batches": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(2, 4, 5)}, "BATCH_MATMUL"),
    "two matrices": Case("y = MatMul(x, v)", {"x": floats(3, 4), "v": floats(4, 5)}, operators="FULLY_CONNECTED"),
    "batches broadcast": Case("y = MatMul(x, v)", {"x": floats(2, 1, 3, 4), "v": floats(5, 4, 2)}),
    "six axes": Case("y = MatMul(x, v)", {"x": floats(2, 1, 3, 1, 4, 5), "v": floats(1, 2, 3, 2, 5, 6)}),
    "vector and batches": Case("y = MatMul(x, v)", {"x": floats(4), "v": floats(2, 4, 5)}),
    "batches and vector": Case("y = MatMul(x, v)", {"x": X, "v": floats(4)}),
    "two vectors": Case("y = MatMul(x, v)", {"x": floats(4), "v": floats(4)}),
    "integers": Case("y = MatMul(x, v)", {"x": integers(-9, 9, 2, 3, 4), "v": integers(-9, 9, 4, 5)}, operators="SUM"),
    "half precision": Case("y = MatMul(x, w)", {"x": X.astype(np.float16)}, {"w": floats(4, 5).astype(np.float16)}),
    "gemm": Case("y = Gemm<alpha=0.5, beta=2.0>(x, w, c)", {"x": X[0]}, {"w": floats(4, 5), "c": floats(1, 5)}),
    "gemm with a column": Case("y = Gemm(x, w, c)", {"x": X[0]}, {"w": floats(4, 5), "c": floats(3, 1)}, "ADD"),
    "gemm with a number": Case("y = Gemm(x, w, c)", {"x": X[0]}, {"w": floats(4, 5), "c": np.float32(3)}),
    "gemm at run time": Case(
        "y = Gemm<transA=1, transB=1, alpha=0.5>(x, v, c)", {"x": floats(4, 3), "v": floats(5, 4), "c": floats(3, 5)}
    ),
    "gemm of integers": Case(
        "y = Gemm<transB=1>(x, v, c)",
        {"x": integers(0, 9, 3, 4), "v": integers(0, 9, 5, 4), "c": integers(0, 9, 5)},
        reference=True,
    ),
}


def einsum(equation: str, *operands: tuple[int, ...], weights: tuple[int, ...] = (), operators: str = "") -> Case:
    """A case with operands ``a``, ``b``, ... and, as the last one, a constant ``w``."""
    inputs = {name: floats(*shape) for name, shape in zip("abc", operands, strict=False)}
    constants = {"w": floats(*weights)} if weights else {}
    names = ", ".join([*inputs, *constants])
    return Case(f'y = Einsum<equation="{equation}">({names})', inputs, constants, operators, reference=True)


EINSUMS = {
    "product": einsum("bij,bjk->bik", (2, 3, 4), (2, 4, 5), operators="BATCH_MATMUL"),
    "scores": einsum("bhid,bhjd->bhij", (2, 3, 4, 8), (2, 3, 5, 8), operators="BATCH_MATMUL"),
    "weights": einsum("bnhd,hdo->bno", (2, 3, 4, 5), weights=(4, 5, 6), operators="FULLY_CONNECTED"),
    "weights of batches": einsum("bhwc,hkc->bhwk", (2, 3, 4, 5), weights=(3, 6, 5), operators="BATCH_MATMUL"),
    "elements": einsum("bi,bi->bi", (3, 4), (3, 4), operators="MUL"),
    "outer product": einsum("i,j->ij", (3,), (4,), operators="MUL"),
    "rows": einsum("bi,b->ib", (3, 4), (3,), operators="MUL TRANSPOSE"),
    "ellipsis": einsum("...ij,...jk->...ik", (1, 3, 4, 5), (2, 1, 5, 6), operators="BATCH_MATMUL"),
    "ellipsis that is summed over": einsum("...i,...i->i", (1, 3, 4), (2, 1, 4)),
    "four batches that broadcast": einsum("...ij,...jk->...ik", (2, 1, 2, 2, 3, 4), (2, 2, 1, 2, 4, 5)),
    "three operands": einsum("abc, cd, a -> db", (2, 3, 4), (4, 5), (2,)),
    "diagonal": einsum("...ii->...i", (2, 3, 3)),
    "trace": einsum("ii", (3, 3), operators="SUM"),
    "transposed": einsum("ij->ji", (3, 4), operators="TRANSPOSE"),
}
REDUCTIONS = {
    **{
        name: Case(f"y = {name}<keepdims=0>(x, a)", {"x": np.abs(X)}, {"a": [0, -1]})
        for name in ("ReduceMax", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare")
    },
    "all": Case("y = ReduceSum(x)", {"x": X}, operators="SUM"),
    "none": Case("y = ReduceSumSquare<noop_with_empty_axes=1>(x)", {"x": X}, operators="SQUARE"),
    "of a number": Case("y = ReduceMean(x)", {"x": np.array(3, np.float32)}),
    "integers": Case("y = ReduceSumSquare(x, a)", {"x": integers(-9, 9, 3, 4)}, {"a": [1]}),
    "log of a sum": Case("y = ReduceLogSumExp<keepdims=0>(x, a)", {"x": 100 * X}, {"a": [1]}),
    "last of the largest": Case(
        "y = ArgMax<axis=1, select_last_index=1>(x)", {"x": np.array([[1, 3, 3], [2, 1, 2]], "f4")}, operators="ARG_MAX"
    ),
    "least of int64": Case("y = ArgMin<keepdims=0>(x)", {"x": np.array([2**60 + 1, 2**60, 2**60])}),
    "smallest": Case("y, z = TopK<axis=1, largest=0>(x, k)", {"x": X}, {"k": [2]}, "TOPK_V2", outputs=("y", "z")),
    "running sum": Case("y = CumSum<exclusive=1, reverse=1>(x, a)", {"x": X}, {"a": np.array(1)}, "CUMSUM"),
    "running product": Case("y = CumProd(x, a)", {"x": X}, {"a": np.array(1)}, opset=26, reference=True),
}
NORMALIZATIONS = {
    "batch": Case(
        "y = BatchNormalization(x, a, b, m, v)",
        {"x": X},
        {"a": floats(3), "b": floats(3), "m": floats(3), "v": POSITIVE},
    ),
    "batch at run time": Case(
        "y = BatchNormalization(x, a, b, m, v)",
        {"x": X, "a": floats(3), "b": floats(3), "m": floats(3), "v": POSITIVE},
        operators="RSQRT",
    ),
    "instance": Case("y = InstanceNormalization(x, a, b)", {"x": floats(2, 3, 4, 5)}, {"a": floats(3), "b": floats(3)}),
    "layer": Case(
        "y, m, z = LayerNormalization<axis=1>(x, a)", {"x": X}, {"a": floats(3, 4)}, "RSQRT", ("y", "m", "z")
    ),
    "group": Case(
        "y = GroupNormalization<num_groups=3>(x, a, b)",
        {"x": floats(2, 6, 4)},
        {"a": floats(6), "b": floats(6)},
        opset=21,
    ),
    "root mean square": Case("y = RMSNormalization(x, a)", {"x": X}, {"a": floats(4)}, opset=23, reference=True),
    "mean and variance 9": Case("y = MeanVarianceNormalization(x)", {"x": floats(2, 3, 4, 5)}, opset=9),
    "mean and variance of rows": Case("y = MeanVarianceNormalization<axes=[2]>(x)", {"x": X}),
    "length": Case("y = LpNormalization<axis=1>(x)", {"x": X}, operators="RSQRT"),
    "sum": Case("y = LpNormalization<p=1>(x)", {"x": X}, operators="DIV"),
}  # fmt: skip
CASES = {
    f"{family} {name}": case
    for family, cases in {
        "elementwise": ELEMENTWISE,
        "activation": ACTIVATIONS,
        "product": PRODUCTS,
        "einsum": EINSUMS,
        "reduction": REDUCTIONS,
        "normalization": NORMALIZATIONS,
    }.items()
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_is_expected(name: str, direct: HandOff) -> None:
    direct.check(CASES[name])


def test_operands_that_broadcast_up_to_opset_6() -> None:
    """Neither ONNX Runtime nor the reference evaluator has these; the axes of the second operand begin at ``axis``."""
    lowering = lowering_of("", "Sub")
    assert lowering is not None
    x, v = Value.constant(X), Value.constant(floats(3))
    with tfl.recording(Graph()):
        y = lowering(Node("Sub", "y", 6, {"axis": 1, "broadcast": 1}, (x, v)))
    assert isinstance(y, Value)
    np.testing.assert_array_equal(y.array, X - v.array[:, None])


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        (Case("y = Det(x)", {"x": floats(5, 5)}), "5 rows"),
        (Case("y = Dropout(x, r, t)", {"x": X}, {"r": np.float32(0.5), "t": np.bool_(True)}), "at random"),
        (Case("y, m, v = BatchNormalization<training_mode=1>(x, a, a, a, a)", {"x": X, "a": POSITIVE}), "training"),
    ],
    ids=["size", "random", "training"],
)
def test_says_what_cannot_be_lowered(case: Case, complaint: str, direct: HandOff) -> None:
    with pytest.raises(UnsupportedOperatorError, match=complaint):
        direct.check(case)


def test_a_scale_of_ones_is_left_out() -> None:
    lowering = lowering_of("", "RMSNormalization")
    assert lowering is not None
    x, graph = Value(DType.FLOAT32, (2, 3)), Graph()
    with tfl.recording(graph):
        lowering(Node("RMSNormalization", "y", 23, {}, (x, Value.constant(np.ones(3, np.float32)))))
    assert [operation.code for operation in graph.operations] == ["SQUARE", "MEAN", "ADD", "RSQRT", "MUL"]
