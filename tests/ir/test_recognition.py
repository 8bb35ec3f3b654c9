"""Patterns of nodes that become one: ONNX Runtime computes the same before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from layoutopt.ir.recognition import recognize
from tests.conversion_cases import indices

Array = npt.NDArray[Any]
SHAPE = (2, 6, 8)
NUMBERS = {
    "one": 1.0, "half": 0.5, "two": 2.0, "three": 3.0, "zero": 0.0, "six": 6.0, "root": sqrt(2), "inverse": sqrt(0.5),
    "k": 0.044715, "r": sqrt(2 / pi), "rk": 0.044715 * sqrt(2 / pi), "sixth": 1 / 6, "low": 0.5, "high": 20.0,
}  # fmt: skip
BY_ERF = "a = Div(x, root) b = Erf(a) c = Add(b, one)"
BY_TANH = "b = Mul(x, x) c = Mul(b, x) d = Mul(c, k) e = Add(x, d) f = Mul(e, r) t = Tanh(f) u = Add(t, one)"


@dataclass(frozen=True, slots=True)
class Case:
    """Nodes in ONNX's text syntax, from ``x`` to ``y`` (and ``z``).

    Attributes:
        body: the nodes.
        after: operators that are left.
        dtype: of ``x`` and the numbers.
        constants: besides ``NUMBERS``.
        outputs: of the graph.
    """

    body: str
    after: str
    dtype: str = "float32"
    constants: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("y",)

    def model(self) -> onnx.ModelProto:
        element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = onnx.parser.parse_graph(f"g () => () {{ {self.body} }}")
        graph.input.append(onnx.helper.make_tensor_value_info("x", element, SHAPE))
        numbers = {name: np.array(value, self.dtype) for name, value in NUMBERS.items()}
        constants = {**numbers, **{name: np.asarray(value) for name, value in self.constants.items()}}
        graph.initializer.extend(onnx.numpy_helper.from_array(each, name) for name, each in constants.items())
        graph.output.extend(onnx.helper.make_tensor_value_info(name, element, None) for name in self.outputs)
        opsets = [onnx.helper.make_opsetid("", 20)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return onnx.shape_inference.infer_shapes(model)


CASES = {
    "gelu by erf": Case(f"{BY_ERF} d = Mul(x, c) y = Mul(d, half)", "Gelu"),
    "gelu by erf, half first": Case(f"{BY_ERF} h = Mul(half, x) y = Mul(h, c)", "Gelu"),
    "gelu by erf, half inside": Case(f"{BY_ERF} h = Mul(c, half) y = Mul(x, h)", "Gelu"),
    "gelu by erf, halved": Case(f"{BY_ERF} d = Mul(x, c) y = Div(d, two)", "Gelu"),
    "gelu by erf, product": Case(
        "a = Mul(x, inverse) b = Erf(a) c = Add(one, b) d = Mul(x, c) y = Mul(d, half)", "Gelu"
    ),
    "gelu by erf, normal distribution": Case(
        "a = Div(x, root) b = Erf(a) h = Mul(b, half) c = Add(h, half) y = Mul(x, c)", "Gelu"
    ),
    "gelu by erf, a sum": Case("a = Div(x, root) b = Erf(a) h = Mul(x, half) g = Mul(h, b) y = Add(h, g)", "Gelu"),
    "gelu of a product": Case(
        "w = Mul(x, k) a = Div(w, root) b = Erf(a) c = Add(b, one) d = Mul(w, c) y = Mul(d, half)", "Mul Gelu"
    ),
    "gelu by tanh": Case(f"{BY_TANH} h = Mul(x, half) y = Mul(h, u)", "Gelu"),
    "gelu by tanh and power": Case(
        "c = Pow(x, three) d = Mul(c, rk) e = Mul(x, r) f = Add(e, d) t = Tanh(f) u = Add(t, one) h = Mul(x, u) "
        "y = Mul(h, half)",
        "Gelu",
    ),
    "gelu by tanh, x outside": Case(
        "a = Mul(x, r) b = Mul(x, k) c = Mul(b, x) d = Add(c, one) e = Mul(a, d) t = Tanh(e) u = Add(t, one) "
        "g = Mul(x, u) y = Mul(g, half)",
        "Gelu",
    ),
    "gelu by tanh, multiplied out": Case(
        "b = Mul(x, x) c = Mul(b, x) d = Mul(c, rk) e = Mul(x, r) f = Add(e, d) t = Tanh(f) u = Add(one, t) "
        "g = Mul(x, u) y = Mul(g, half)",
        "Gelu",
    ),
    "gelu in half precision": Case(f"{BY_TANH} h = Mul(x, half) y = Mul(h, u)", "Gelu", "float16"),
    "gelu of numbers with an axis": Case(
        "a = Div(x, q) b = Erf(a) c = Add(b, v) d = Mul(x, c) y = Mul(d, half)",
        "Gelu",
        constants={"q": np.full((1, 1), sqrt(2), np.float32), "v": np.ones(1, np.float32)},
    ),
    "a number that adds axes": Case(
        "a = Div(x, q) b = Erf(a) c = Add(b, one) d = Mul(x, c) y = Mul(d, half)",
        "Div Erf Add Mul Mul",
        constants={"q": np.full((1, 1, 1, 1), sqrt(2), np.float32)},
    ),
    "another tanh": Case("t = Tanh(x) u = Add(t, one) h = Mul(x, half) y = Mul(h, u)", "Tanh Add Mul Mul"),
    "another factor": Case(f"{BY_ERF} d = Mul(x, c) y = Mul(d, two)", "Div Erf Add Mul Mul"),
    "another summand": Case(
        "a = Div(x, root) b = Erf(a) c = Add(b, two) d = Mul(x, c) y = Mul(d, half)", "Div Erf Add Mul Mul"
    ),
    "a gate that others read": Case(
        f"{BY_ERF} d = Mul(x, c) y = Mul(d, half) z = Identity(b)", "Div Erf Add Mul Mul Identity", outputs=("y", "z")
    ),
    "a product that is an output": Case(
        f"{BY_ERF} z = Mul(x, c) y = Mul(z, half)", "Div Erf Add Mul Mul", outputs=("y", "z")
    ),
    "hard swish by clip": Case("a = Add(x, three) b = Clip(a, zero, six) c = Div(b, six) y = Mul(x, c)", "HardSwish"),
    "hard swish by product": Case(
        "a = Add(three, x) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)", "HardSwish"
    ),
    "hard swish by hard sigmoid": Case("a = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(a, x)", "HardSwish"),
    "another hard sigmoid": Case("a = HardSigmoid(x) y = Mul(a, x)", "HardSigmoid Mul"),
    "another clip": Case(
        "a = Add(x, three) b = Clip(a, zero, three) c = Mul(x, b) y = Div(c, six)", "Add Clip Mul Div"
    ),
    "integers": Case(
        "a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)", "Add Clip Mul Div", "int32"
    ),
    "mish": Case("a = Softplus(x) b = Tanh(a) y = Mul(x, b)", "Mish"),
    "mish with a threshold": Case(
        "a = Softplus(x) b = Greater(x, high) c = Where(b, x, a) d = Tanh(c) y = Mul(d, x)", "Mish"
    ),
    "softplus with a threshold": Case("a = Softplus(x) b = Greater(x, high) y = Where(b, x, a)", "Softplus"),
    "softplus with a low threshold": Case(
        "a = Softplus(x) b = Greater(x, low) y = Where(b, x, a)", "Softplus Greater Where"
    ),
    "softplus of something else": Case(
        "n = Neg(x) a = Softplus(n) b = Greater(x, high) y = Where(b, x, a)", "Neg Softplus Greater Where"
    ),
    "slices": Case(
        "y = Slice(x, b, m, a) z = Slice(x, m, e, a)",
        "Split",
        constants={"b": indices(0), "m": indices(4), "e": indices(2**62), "a": indices(-1)},
        outputs=("y", "z"),
    ),
    "slices backwards, with steps": Case(
        "z = Slice(x, m, e, a, s) y = Slice(x, b, m, a, s)",
        "Split",
        constants={"b": indices(-6), "m": indices(3), "e": indices(6), "a": indices(1), "s": indices(1)},
        outputs=("y", "z"),
    ),
    "slices and one more": Case(
        "y = Slice(x, b, m, a) z = Slice(x, m, e, a) w = Slice(x, b, n, a)",
        "Slice Split",
        constants={"b": indices(0), "m": indices(4), "n": indices(3), "e": indices(8), "a": indices(2)},
        outputs=("y", "z", "w"),
    ),
    "the same slice twice": Case(
        "y = Slice(x, b, m, a) z = Slice(x, m, e, a) w = Slice(x, b, m, a)",
        "Slice Split",
        constants={"b": indices(0), "m": indices(4), "e": indices(8), "a": indices(2)},
        outputs=("y", "z", "w"),
    ),
    "unequal slices": Case(
        "y = Slice(x, b, m, a) z = Slice(x, m, e, a)",
        "Slice Slice",
        constants={"b": indices(0), "m": indices(3), "e": indices(8), "a": indices(2)},
        outputs=("y", "z"),
    ),
    "slices of a part": Case(
        "y = Slice(x, b, m, a) z = Slice(x, m, e, a)",
        "Slice Slice",
        constants={"b": indices(0), "m": indices(3), "e": indices(6), "a": indices(2)},
        outputs=("y", "z"),
    ),
    "every other element": Case(
        "y = Slice(x, b, m, a, s) z = Slice(x, m, e, a, s)",
        "Slice Slice",
        constants={"b": indices(0), "m": indices(4), "e": indices(8), "a": indices(2), "s": indices(2)},
        outputs=("y", "z"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_the_same_by_fewer_nodes(name: str) -> None:
    case = CASES[name]
    original = case.model()
    model = ir.from_proto(original)
    recognize(model)
    x = (3 * np.random.default_rng(1).standard_normal(SHAPE)).astype(case.dtype)
    expected, found = (_run(each, x) for each in (original, ir.to_proto(model)))
    assert Counter(node.op_type for node in model.graph) == Counter(case.after.split())
    assert list(found) == list(expected)
    for output, wanted in expected.items():
        digits = 1e-5 if case.dtype == "float32" else 3e-3
        np.testing.assert_allclose(found[output], wanted, rtol=digits, atol=digits)


def _run(model: onnx.ModelProto, x: Array) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, {"x": x}), strict=True))


def test_what_stands_for_a_pattern_in_a_body_stays_there() -> None:
    branches = f"then_branch = t () => (float[2,6,8] n) {{ {BY_ERF} d = Mul(x, c) n = Mul(d, half) }}"
    branches += ", else_branch = e () => (float[2,6,8] m) { m = Identity(x) }"
    original = Case(f"y = If<{branches}>(flag)", "", constants={"flag": np.bool_(True)}).model()
    model = ir.from_proto(original)
    recognize(model)
    assert [node.op_type for node in model.graph.all_nodes()] == ["If", "Gelu", "Identity"]
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    np.testing.assert_allclose(_run(ir.to_proto(model), x)["y"], _run(original, x)["y"], rtol=1e-5, atol=1e-6)
