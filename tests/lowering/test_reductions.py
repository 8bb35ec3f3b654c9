"""Sums, means and largest elements over axes, running sums, and the first elements of an order."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import Case, CaseRunner, floats, indices, integers, nchw

X = floats(2, 3, 4)
INF = float("inf")

OVER_AXES = {
    "mean": nchw("y = ReduceMean<axes=[1],keepdims=0>(x)", "MEAN"),
    "mean 18": nchw("y = ReduceMean(x,a)", "MEAN", opset=18, a=indices(-1)),
    "mean all": nchw("y = ReduceMean<keepdims=0>(x)", "MEAN"),
    "mean of a number": Case("y = ReduceMean(x)", {"x": np.array(3, np.float32)}),
    "sum": nchw("y = ReduceSum(x,a)", "SUM", a=indices(1, 2)),
    "sum all": Case("y = ReduceSum(x)", {"x": X}, exactly="SUM"),
    "max 18": nchw("y = ReduceMax(x,a)", "REDUCE_MAX", opset=18, a=indices(1)),
    "max 20": nchw("y = ReduceMax(x,a)", "REDUCE_MAX", opset=20, a=indices(1)),
    "l1": nchw("y = ReduceL1<axes=[1,2]>(x)", "ABS SUM"),
    "l2": nchw("y = ReduceL2<axes=[1,2]>(x)", "SQUARE SUM SQRT"),
    **{
        name: Case(f"y = {name}<keepdims=0>(x, a)", {"x": np.abs(X)}, {"a": [0, -1]})
        for name in ("ReduceMax", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare")
    },
    "no axes": Case("y = ReduceSumSquare<noop_with_empty_axes=1>(x)", {"x": X}, exactly="SQUARE"),
    "integers": Case("y = ReduceSumSquare(x, a)", {"x": integers(-9, 9, 3, 4)}, {"a": [1]}),
    "logarithm of a sum": nchw(
        "y = ReduceLogSumExp<axes=[1],keepdims=0>(x)", "REDUCE_MAX MINIMUM MAXIMUM SUB EXP SUM LOG ADD RESHAPE"
    ),
    "logarithm of a large sum": Case("y = ReduceLogSumExp<keepdims=0>(x, a)", {"x": 100 * X}, {"a": [1]}),
    "logarithm of nothing": Case("y = ReduceLogSumExp(x, a)", {"x": np.full((2, 2), -INF, "f4")}, {"a": [1]}),
    "minimum of none": Case("y = ReduceMin(x, a)", {"x": np.zeros((2, 0, 2), "f4")}, {"a": [1]}, reference=True),
    "product of none": Case("y = ReduceProd<keepdims=0>(x, a)", {"x": np.zeros((2, 0), "i8")}, {"a": [1]}),
}

ORDERED = {
    "argmax": nchw("y = ArgMax<axis=1,keepdims=0>(x)", "ARG_MAX"),
    "argmin keep": nchw("y = ArgMin<axis=-1>(x)", "ARG_MIN RESHAPE"),
    "last of the largest": Case(
        "y = ArgMax<axis=1, select_last_index=1>(x)", {"x": np.array([[1, 3, 3], [2, 1, 2]], "f4")}, operators="ARG_MAX"
    ),
    "least of int64": Case("y = ArgMin<keepdims=0>(x)", {"x": np.array([2**60 + 1, 2**60, 2**60])}),
    "topk": nchw("y, z = TopK<axis=-1>(x,k)", "TOPK_V2 CAST", k=indices(3)),
    "topk smallest": nchw(
        "y, z = TopK<axis=1,largest=0>(x,k)", "TRANSPOSE NEG TOPK_V2 NEG TRANSPOSE CAST TRANSPOSE", k=indices(3)
    ),
}

RUNNING = {
    "sum": nchw("y = CumSum(x,a)", "CUMSUM", a=np.int64(1)),
    "sum backwards": Case("y = CumSum<exclusive=1, reverse=1>(x, a)", {"x": X}, {"a": np.array(1)}, exactly="CUMSUM"),
    "product": Case("y = CumProd(x, a)", {"x": X}, {"a": np.array(1)}, opset=26, reference=True),
}

CASES = {**OVER_AXES, **ORDERED, **{f"running {name}": case for name, case in RUNNING.items()}}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
