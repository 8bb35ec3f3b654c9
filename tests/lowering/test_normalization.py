"""Normalizations, as operators and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UnsupportedOperatorError
from layoutopt.lowering.node import Node, lowering_of
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Value
from tests.conversion_cases import Case, CaseRunner, floats, nchw, nhwc

X, POSITIVE = floats(2, 3, 4), np.abs(floats(3)) + np.float32(0.1)

CASES = {
    "layer": nchw(
        "y = LayerNormalization(x,w,b)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD",
        opset=18,
        w=floats(8),
        b=floats(8),
    ),
    "layer with moments": nchw(
        "y, m, z = LayerNormalization(x,w,b)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD",
        opset=17,
        w=floats(8),
        b=floats(8),
    ),
    "layer of two axes": nchw(
        "y = LayerNormalization<axis=1>(x,w)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL",
        opset=17,
        w=floats(6, 8),
    ),
    "layer by hand": nchw(
        "m = ReduceMean<axes=[-1]>(x) c = Sub(x,m) q = Pow(c,two) v = ReduceMean<axes=[-1]>(q) e = Add(v,eps) "
        "d = Sqrt(e) n = Div(c,d) s = Mul(n,w) y = Add(s,b)",
        "MEAN SUB SQUARE MEAN ADD RSQRT MUL MUL ADD",
        opset=17,
        two=np.float32(2),
        eps=np.float32(1e-5),
        w=floats(8),
        b=floats(8),
    ),
    "layer linear": nchw(
        "n = LayerNormalization(x,w,b) m = MatMul(n,k) y = Add(m,c)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD FULLY_CONNECTED",
        opset=17,
        w=floats(8),
        b=floats(8),
        k=floats(8, 5),
        c=floats(5),
    ),
    "instance": nchw(
        "y = InstanceNormalization(x,w,b)",
        "MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL SUB MUL ADD",
        w=floats(6),
        b=floats(6),
    ),
    "group 21": nchw(
        "y = GroupNormalization<num_groups=3>(x,w,b)",
        "RESHAPE MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL SUB MUL ADD RESHAPE",
        opset=21,
        w=floats(6),
        b=floats(6),
    ),
    "batch": nchw(
        "y = BatchNormalization(x,a,b,m,v)",
        "MUL ADD",
        a=floats(6),
        b=floats(6),
        m=floats(6),
        v=np.abs(floats(6)).astype(np.float32),
    ),
    "batch of channels-last pictures": nhwc(
        "y = BatchNormalization<epsilon=0.1>(x,a,b,m,v)",
        "MUL ADD",
        x=(2, 6, 8, 5),
        a=floats(6),
        b=floats(6),
        m=floats(6),
        v=np.abs(floats(6)).astype(np.float32),
    ),
    "length of rows": nchw("y = LpNormalization<axis=-1>(x)", "MUL SUM MAXIMUM RSQRT MUL"),
    "batch at run time": Case(
        "y = BatchNormalization(x, a, b, m, v)",
        {"x": X, "a": floats(3), "b": floats(3), "m": floats(3), "v": POSITIVE},
        operators="RSQRT",
    ),
    "group of lines": Case(
        "y = GroupNormalization<num_groups=3>(x, a, b)",
        {"x": floats(2, 6, 4)},
        {"a": floats(6), "b": floats(6)},
        opset=21,
    ),
    "instance of a picture": Case(
        "y = InstanceNormalization(x, a, b)", {"x": floats(2, 3, 4, 5)}, {"a": floats(3), "b": floats(3)}
    ),
    "layer with all results": Case(
        "y, m, z = LayerNormalization<axis=1>(x, a)", {"x": X}, {"a": floats(3, 4)}, "RSQRT", ("y", "m", "z")
    ),
    "root mean square": Case("y = RMSNormalization(x, a)", {"x": X}, {"a": floats(4)}, opset=23, reference=True),
    "mean and variance 9": Case("y = MeanVarianceNormalization(x)", {"x": floats(2, 3, 4, 5)}, opset=9),
    "mean and variance of rows": Case("y = MeanVarianceNormalization<axes=[2]>(x)", {"x": X}),
    "length": Case("y = LpNormalization<axis=1>(x)", {"x": X}, operators="RSQRT"),
    "sum": Case("y = LpNormalization<p=1>(x)", {"x": X}, operators="DIV"),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])


def test_training_is_refused(direct: CaseRunner) -> None:
    case = Case("y, m, v = BatchNormalization<training_mode=1>(x, a, a, a, a)", {"x": X, "a": POSITIVE})
    with pytest.raises(UnsupportedOperatorError, match="training"):
        direct.check(case)


def test_a_scale_of_ones_is_left_out() -> None:
    lowering = lowering_of("", "RMSNormalization")
    assert lowering is not None
    x, graph = Value(DType.FLOAT32, (2, 3)), Graph()
    with tfl.recording(graph):
        lowering(Node("RMSNormalization", "y", 23, {}, (x, Value.constant(np.ones(3, np.float32)))))
    assert [operation.code for operation in graph.operations] == ["SQUARE", "MEAN", "ADD", "RSQRT", "MUL"]
