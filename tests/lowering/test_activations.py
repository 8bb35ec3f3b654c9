"""Activations: by an operator of their own, by several, and spelled out in ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.conversion_cases import Case, CaseRunner, floats, nchw

FAR = np.array([-85, -80, -20, -9, -4, -3, -1, -0.5, 0, 0.5, 3, 7, 30, 90], np.float32)
"""Where exponentials vanish, and beyond."""

SOFTPLUS = "RELU ABS NEG EXP LESS MUL SUB MUL SUB MUL ADD LOG SELECT_V2 ADD"
MISH = "LOGISTIC SUB MUL SUB DIV MUL"

OF_ONE_OPERAND = {
    "Celu": "ELU",
    "Celu<alpha=2.0>": "MUL ELU MUL",
    "Elu": "ELU",
    "Elu<alpha=0.5>": "ELU LEAKY_RELU",
    "Elu<alpha=2.0>": "ELU LEAKY_RELU",
    "Gelu": "GELU",
    'Gelu<approximate="tanh">': "GELU",
    "HardSigmoid": "MUL ADD MINIMUM",
    "HardSigmoid<alpha=0.16666667,beta=0.5>": "ADD MUL",
    "HardSwish": "HARD_SWISH",
    "LeakyRelu<alpha=0.1>": "LEAKY_RELU",
    "Mish": MISH,
    "Relu": "RELU",
    "Selu": "ELU LEAKY_RELU MUL",
    "Shrink<lambd=1.0,bias=0.5>": "LESS GREATER ADD SUB SELECT_V2 SELECT_V2",
    "Softplus": SOFTPLUS,
    "Softsign": "ABS ADD DIV",
    "ThresholdedRelu": "GREATER SELECT_V2",
}

LIMITED = {
    "relu6": nchw("y = Clip(x,lo,hi)", "RELU6", lo=np.float32(0), hi=np.float32(6)),
    "relu n1 to 1": nchw("y = Clip(x,lo,hi)", "RELU_N1_TO_1", lo=np.float32(-1), hi=np.float32(1)),
    "clip": nchw("y = Clip(x,lo,hi)", "MAXIMUM MINIMUM", lo=np.float32(-0.5), hi=np.float32(0.7)),
    "clip low": nchw("y = Clip(x,lo)", "RELU", lo=np.float32(0)),
    "clip high": nchw("y = Clip(x,,hi)", "MINIMUM", hi=np.float32(0.25)),
    "clip 6": nchw("y = Clip<min=0.0>(x)", "RELU", opset=6),
    "clip 9": nchw("y = Clip<min=0.0,max=6.0>(x)", "RELU6", opset=9),
    "clip of integers": Case("y = Clip(x, a, b)", {"x": np.arange(-9, 9)}, {"a": np.int64(0), "b": np.int64(6)}),
    "clip to what comes": Case(
        "y = Clip(x, a, b)", {"x": floats(2, 3, 4), "a": np.array(-0.5, "f4"), "b": np.array(0.5, "f4")}
    ),
    "relu of integers": Case("y = Relu(x)", {"x": np.array([-3, 4], np.int32)}, exactly="MAXIMUM"),
}

SLOPES = {
    "prelu of channels": nchw("y = PRelu(x,a)", "PRELU", (1, 4, 5, 8), a=floats(8)),
    "prelu 16": nchw("y = PRelu(x,a)", "PRELU", (1, 4, 5, 8), opset=18, a=floats(1, 1, 8)),
    "prelu one": nchw("y = PRelu(x,a)", "PRELU", (1, 4, 5, 8), a=floats(1)),
    "prelu of a picture": nchw("y = PRelu(x,a)", "PRELU", (2, 3, 4, 5), a=floats(3, 1, 1)),
    "prelu of a row": nchw("y = PRelu(x,a)", "PRELU", (2, 3), a=floats(1, 3)),
    "prelu of each row": Case("y = PRelu(x, a)", {"x": floats(2, 3)}, {"a": floats(2, 3)}, "RELU"),
    "prelu of a volume": Case("y = PRelu(x, a)", {"x": floats(2, 3, 2, 2, 2)}, {"a": floats(3, 1, 1, 1)}),
    "prelu of a line": Case("y = PRelu(x, a)", {"x": floats(3)}, {"a": floats(1)}),
    "prelu at run time": Case("y = PRelu(x, a)", {"x": floats(2, 3), "a": floats(3)}),
}

DISTRIBUTIONS = {
    "softmax": nchw("y = Softmax(x)", "SOFTMAX"),
    "softmax axis": nchw("y = Softmax<axis=1>(x)", "TRANSPOSE SOFTMAX TRANSPOSE"),
    "softmax 11": nchw("y = Softmax<axis=1>(x)", "RESHAPE SOFTMAX RESHAPE", opset=11),
    "softmax of a picture": Case("y = Softmax<axis=1>(x)", {"x": floats(2, 3, 1, 1)}, operators="SOFTMAX", opset=11),
    "softmax of what is masked": Case(
        "a = Constant<value_float=-inf>() b = Where(c, x, a) y = Softmax(b)",
        {"c": np.eye(3, dtype=bool), "x": np.array([1, 2, 3], np.float32)},
    ),
    "softmax of nothing": Case(
        "a = Constant<value_float=-inf>() b = Where(c, x, a) d = Softmax(b) y = IsNaN(d)",
        {"c": np.array([[True, False], [False, False]]), "x": np.array([1, 2], np.float32)},
        reference=True,
    ),
    "log softmax": nchw("y = LogSoftmax(x)", "LOG_SOFTMAX"),
    "log softmax of columns": nchw("y = LogSoftmax<axis=0>(x)", "TRANSPOSE LOG_SOFTMAX TRANSPOSE"),
    "hardmax": nchw("y = Hardmax(x)", "ARG_MAX ONE_HOT"),
    "hardmax of rows": Case(
        "y = Hardmax<axis=1>(x)", {"x": np.array([[1, 3], [3, 2]], "f4")}, operators="ARG_MAX ONE_HOT"
    ),
}

FORMULAS: Mapping[str, Any] = {
    "k": np.float32(0.044715),
    "r": np.float32(np.sqrt(2 / np.pi)),
    "root": np.float32(np.sqrt(2)),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "zero": np.float32(0),
    "three": np.float32(3),
    "six": np.float32(6),
    "high": np.float32(20),
}
"""Constants of the activations that are spelled out."""

SPELLED_OUT = {
    "gelu by erf": ("a = Div(x,root) b = Erf(a) c = Add(b,one) d = Mul(x,c) y = Mul(d,half)", "GELU"),
    "gelu by tanh": (
        "b = Pow(x,three) c = Mul(b,k) d = Add(x,c) e = Mul(d,r) t = Tanh(e) u = Add(t,one) h = Mul(x,half) "
        "y = Mul(h,u)",
        "GELU",
    ),
    "no gelu by another tanh": (
        "b = Mul(x,x) c = Mul(b,x) d = Mul(c,k) e = Add(x,d) t = Tanh(e) u = Add(t,one) h = Mul(x,half) y = Mul(h,u)",
        "MUL MUL MUL ADD TANH ADD MUL MUL",
    ),
    "hard swish": ("a = Add(x,three) b = Clip(a,zero,six) c = Div(b,six) y = Mul(x,c)", "HARD_SWISH"),
    "hard swish by hard sigmoid": ("a = HardSigmoid<alpha=0.16666667,beta=0.5>(x) y = Mul(x,a)", "HARD_SWISH"),
    "silu": ("a = Sigmoid(x) y = Mul(x,a)", "LOGISTIC MUL"),
    "softplus with a threshold": ("a = Softplus(x) b = Greater(x,high) y = Where(b,x,a)", SOFTPLUS),
    "softplus with a low threshold": (
        "a = Softplus(x) b = Greater(x,half) y = Where(b,x,a)",
        f"{SOFTPLUS} GREATER SELECT_V2",
    ),
    "mish": ("a = Softplus(x) b = Tanh(a) y = Mul(x,b)", MISH),
    "mish with a threshold": (
        "a = Softplus(x) b = Greater(x,high) c = Where(b,x,a) d = Tanh(c) y = Mul(d,x)",
        MISH,
    ),
}
"""Nodes and what becomes of them; `test_recognition` has all spellings."""


def of_far(operator: str, exactly: str) -> Case:
    name, _, attributes = operator.partition("<")
    body = f"y = {name}{'<' if attributes else ''}{attributes}(x)"
    return Case(body, {"x": FAR}, opset=20, exactly=exactly)


CASES = {
    **{operator: of_far(operator, exactly) for operator, exactly in OF_ONE_OPERAND.items()},
    "softplus far out": Case("y = Softplus(x)", {"x": np.array([30, 90, 1e30], np.float32)}),
    "swish": Case("y = Swish<alpha=1.5>(x)", {"x": floats(2, 3, 4)}, opset=24, reference=True),
    **LIMITED,
    **SLOPES,
    **DISTRIBUTIONS,
    **{
        f"{name}, spelled out": nchw(
            body, exactly, opset=17, **{key: value for key, value in FORMULAS.items() if key in body}
        )
        for name, (body, exactly) in SPELLED_OUT.items()
    },
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])


@pytest.mark.parametrize("operator", ["Softplus", "Mish", "Elu", "Selu"])
def test_every_element_is_precise(operator: str, runner: CaseRunner) -> None:
    """Also those next to 0 among large ones."""
    runner.check(of_far(operator, OF_ONE_OPERAND[operator]), each=True)
