"""Winograd's algorithms: their identities in fractions, and convolutions in LiteRT beside the same in float64."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layoutopt
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import UsageError
from layoutopt.outputs import scratch
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites import simplify
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.engine import Uses, apply_rules
from layoutopt.tfl.rewrites.winograd import (
    F_2_2,
    F_2_3,
    F_4_3,
    Algorithm,
    Plan,
    Sizes,
    computed_by,
    plans,
    use_winograd,
)

_RNG = np.random.default_rng(5)
_MAX_ERROR = 4.0
"""The largest error of a result against float64, over that of the direct sum."""


def _exact(number: float) -> Fraction:
    return Fraction(number).limit_denominator(24)


@pytest.mark.parametrize("algorithm", [F_2_2, F_2_3, F_4_3])
def test_an_algorithm_is_an_identity(algorithm: Algorithm) -> None:
    m, r, count = algorithm.step, algorithm.taps, algorithm.products
    assert count == m + r - 1 == len(algorithm.inputs)
    for _ in range(20):
        d = [Fraction(int(each)) for each in _RNG.integers(-9, 10, count)]
        g = [Fraction(int(each)) for each in _RNG.integers(-9, 10, r)]
        parts = [
            sum((_exact(f) * x for f, x in zip(filters, g, strict=True)), Fraction())
            * sum((_exact(f) * x for f, x in zip(inputs, d, strict=True)), Fraction())
            for filters, inputs in zip(algorithm.filters, algorithm.inputs, strict=True)
        ]
        for one, other in algorithm.pairs:
            parts[one], parts[other] = parts[one] + parts[other], parts[one] - parts[other]
        found = [sum((_exact(f) * x for f, x in zip(row, parts, strict=True)), Fraction()) for row in algorithm.results]
        assert found == [sum((g[tap] * d[at + tap] for tap in range(r)), Fraction()) for at in range(m)]


def _graph(
    shape: tuple[int, ...], weights: Array, bias: Array, padding: str, *, strides: tuple[int, int] = (1, 1)
) -> Graph:
    graph = Graph([Value(DType.FLOAT32, shape)])
    with tfl.recording(graph):
        graph.outputs = [tfl.relu6(tfl.conv_2d(graph.inputs[0], weights, bias, padding=padding, strides=strides))]
    simplify(graph)
    return graph


def _by(graph: Graph, plan: Plan) -> Graph:
    """Return the graph with its convolution computed by ``plan``."""
    apply_rules(graph, (computed_by(plan),))
    eliminate_dead_code(graph)
    return graph


def _run(graph: Graph, x: Array) -> Array:
    with scratch() as folder:
        write_tflite(Model(graph, ["x"], ["y"]), folder / "model.tflite")
        found: Array = run_tflite(folder / "model.tflite", {"x": x})["y"]
        return found


def _in_double(x: Array, weights: Array, bias: Array, padding: str) -> Array:
    """Return a convolution without strides, with RELU6 after it, in float64."""
    _, *kernel, _ = weights.shape
    if padding == "SAME":
        x = np.pad(x, [(0, 0), *(((size - 1) // 2, size // 2) for size in kernel), (0, 0)])
    height, width = (x.shape[1 + axis] - size + 1 for axis, size in enumerate(kernel))
    total = np.broadcast_to(bias.astype(np.float64), (x.shape[0], height, width, len(bias)))
    for row, column in np.ndindex(*kernel):
        window = x[:, row : row + height, column : column + width].astype(np.float64)
        total = total + window @ weights[:, row, column].T.astype(np.float64)
    return np.clip(total, 0, 6)


@settings(deadline=None, max_examples=60)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(3, 11), st.integers(3, 11)),
    batch=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(["SAME", "VALID"]),
)
def test_every_plan_computes_the_convolution(
    kernel: tuple[int, int], size: tuple[int, int], batch: int, channels: tuple[int, int], padding: str
) -> None:
    weights = _RNG.standard_normal((channels[1], *kernel, channels[0])).astype(np.float32)
    bias = _RNG.standard_normal(channels[1]).astype(np.float32)
    x = _RNG.standard_normal((batch, *size, channels[0])).astype(np.float32)
    expected = _in_double(x, weights, bias, padding)
    for plan in plans(kernel):
        if plan:
            found = _run(_by(_graph(x.shape, weights, bias, padding), plan), x)
            assert found.shape == expected.shape
            assert np.allclose(found, expected, rtol=1e-5, atol=3e-5), plan


@pytest.mark.parametrize("plan", [plan for plan in plans((3, 3)) if plan])
def test_the_error_stays_near_that_of_the_direct_sum(plan: Plan) -> None:
    weights = (_RNG.standard_normal((64, 3, 3, 64)) / 24).astype(np.float32)
    bias = np.full(64, 3, np.float32)  # most results are between the bounds of RELU6
    x = _RNG.standard_normal((1, 28, 28, 64)).astype(np.float32)
    expected = _in_double(x, weights, bias, "SAME")
    graphs = _graph(x.shape, weights, bias, "SAME"), _by(_graph(x.shape, weights, bias, "SAME"), plan)
    direct, by_plan = (np.sqrt(np.mean((_run(each, x) - expected) ** 2)) for each in graphs)
    assert by_plan <= _MAX_ERROR * direct
    if all(algorithm is F_2_3 for _, algorithm in plan):
        assert by_plan <= 1.2 * direct


def test_a_large_convolution_is_computed_by_the_plan_of_least_predicted_time() -> None:
    weights = (_RNG.standard_normal((128, 3, 3, 128)) / 34).astype(np.float32)
    graph = _graph((1, 28, 28, 128), weights, np.zeros(128, np.float32), "SAME")
    sizes = Sizes.of(graph.operations[0])
    use_winograd(graph)
    codes = Counter(operation.code for operation in graph.operations)
    plan = min(plans((3, 3)), key=sizes.nanoseconds)
    assert codes["CONV_2D"] == np.prod([algorithm.products for _, algorithm in plan]) > 1
    assert sizes.nanoseconds(plan) < sizes.nanoseconds(()) / 1.5


@pytest.mark.parametrize(
    ("shape", "kernel", "out", "strides"),
    [
        ((1, 7, 7, 512), (3, 3), 512, (1, 1)),  # the weights are most of what is read
        ((1, 112, 112, 32), (3, 3), 32, (1, 1)),  # additions take as long as products
        ((1, 28, 28, 64), (3, 3), 3, (1, 1)),
        ((1, 28, 28, 128), (3, 3), 128, (2, 2)),
        ((1, 28, 28, 128), (1, 1), 128, (1, 1)),
        ((1, 28, 28, 128), (5, 5), 128, (1, 1)),
    ],
)
def test_what_gains_nothing_or_is_not_known_stays(
    shape: tuple[int, int, int, int], kernel: tuple[int, int], out: int, strides: tuple[int, int]
) -> None:
    weights = np.ones((out, *kernel, shape[3]), np.float32)
    graph = _graph(shape, weights, np.zeros(out, np.float32), "SAME", strides=strides)
    use_winograd(graph)
    assert [operation.code for operation in graph.operations] == ["CONV_2D"]


def test_groups_and_dilations_stay() -> None:
    graph = Graph([Value(DType.FLOAT32, (1, 28, 28, 128))])
    with tfl.recording(graph):
        grouped = tfl.conv_2d(graph.inputs[0], np.ones((128, 3, 3, 64), np.float32), padding="SAME")
        weights = np.ones((128, 3, 3, 128), np.float32)
        graph.outputs = [grouped, tfl.conv_2d(graph.inputs[0], weights, padding="SAME", dilations=(2, 2))]
    use_winograd(graph)
    assert len(graph.operations) == 2


def _model(path: Path) -> Path:
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,64,28,28] x) => (float[1,64,28,28] y) {
            a = Conv <pads = [1,1,1,1]> (x, w) b = Relu (a) c = Conv <pads = [1,1,1,1]> (b, w) y = Add (c, x)
        }"""
    )
    weights = (_RNG.standard_normal((64, 64, 3, 3)) / 24).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(proto, path)
    return path


def test_a_model_is_converted_with_it_and_compared_with_the_original(tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx")
    counts = {}
    for winograd in (False, True):
        tflite = tmp_path / f"{winograd}.tflite"
        report = layoutopt.optimize(model, tflite=tflite, winograd=winograd, backend="direct")
        assert report.optimized.max_abs_error is not None
        assert report.optimized.max_abs_error < 1e-5
        assert report.baseline is not None
        counts[winograd] = Counter(each.name for each in operators_of(tflite))
        assert report.baseline.histogram["CONV_2D"] == 2
    assert counts[False]["CONV_2D"] == 2
    assert counts[True]["CONV_2D"] > 2 * 3


@pytest.mark.parametrize(
    "others",
    [{"exact": True}, {"convert": False}, {"dynamic": ["batch"]}, {"quantize": "dynamic"}, {"backend": "onnx-tf"}],
)
def test_what_it_does_not_go_together_with_is_refused(others: dict[str, object], tmp_path: Path) -> None:
    model = _model(tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="--winograd and --"):
        layoutopt.optimize(model, winograd=True, **others)  # type: ignore[arg-type]


def test_a_graph_without_a_convolution_stays() -> None:
    graph = Graph([Value(DType.FLOAT32, (1, 4, 4, 3))])
    with tfl.recording(graph):
        graph.outputs = [tfl.relu(graph.inputs[0])]
    before = list(graph.operations)
    use_winograd(graph)
    assert graph.operations == before
    assert Uses(graph).readers(graph.inputs[0]) == before
