"""What targets take, case by case as their makers have published it; how a graph is cut; and Vela as the judge."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt import errors
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.cli import app
from layoutopt.options import Target
from layoutopt.targets.checker import check_graph, partitions
from layoutopt.targets.rules import rule_table
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Operation, Quantization, Value
from layoutopt.tfl.opset import OPSET, definition
from layoutopt.tfl.schema import OPERATOR_CODES, default_options

GRID = Quantization((0.5,), (0,))
CHANNELS = Quantization((0.5, 0.25, 0.5, 0.5), (0, 0, 0, 0))


def f(*shape: int | None, dtype: DType = DType.FLOAT32) -> Value:
    """A run-time value, float32 unless said otherwise."""
    return Value(dtype, shape)


def q(*shape: int, dtype: DType = DType.INT8, grid: Quantization = GRID) -> Value:
    """A run-time value of integers that stand for real numbers."""
    return Value(dtype, shape, quantization=grid)


def c(array: Any, dtype: Any = np.int32, grid: Quantization | None = None) -> Value:
    """A constant."""
    return replace(Value.constant(np.array(array, dtype)), quantization=grid)


def weights(*shape: int, grid: Quantization = GRID) -> Value:
    return c(np.ones(shape), np.int8, grid)


def bias(count: int) -> Value:
    return c(np.zeros(count), np.int32, GRID)


def graph_of(code: str, operands: Sequence[Value | None], results: Sequence[Value], **options: Any) -> Graph:
    operation = Operation(code, list(operands), list(results), {**default_options(definition(code).options), **options})
    for result in results:
        result.producer = operation
    inputs = [each for each in operands if each is not None and not each.is_constant]
    return Graph(inputs, list(results), [operation])


def conv(
    size: int = 8,
    stride: int = 1,
    dilations: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    grid: Quantization = GRID,
    batch: int = 1,
) -> Graph:
    reach = [2 * dilation if padding == "VALID" else 0 for dilation in dilations]
    after = [-(-(size - each) // stride) for each in reach]
    return graph_of(
        "CONV_2D",
        [q(batch, size, size, 3), weights(4, 3, 3, 3, grid=grid), bias(4)],
        [q(batch, *after, 4)],
        padding=padding,
        **strides(stride),
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )


def strides(stride: int) -> dict[str, int]:
    return {"stride_h": stride, "stride_w": stride}


def pool(code: str, window: int, stride: int = 1, padding: str = "SAME") -> Graph:
    after = -(-(16 - (window - 1 if padding == "VALID" else 0)) // stride)
    return graph_of(
        code,
        [q(1, 16, 16, 4)],
        [q(1, after, after, 4)],
        padding=padding,
        **strides(stride),
        filter_height=window,
        filter_width=window,
    )


def depthwise(size: int, stride: int) -> Graph:
    operands, after = [q(1, size, size, 4), weights(1, 3, 3, 4), bias(4)], -(-size // stride)
    return graph_of(
        "DEPTHWISE_CONV_2D",
        operands,
        [q(1, after, after, 4)],
        padding="SAME",
        **strides(stride),
        depth_multiplier=1,
        dilation_h_factor=1,
        dilation_w_factor=1,
    )


def transposed(stride: int) -> Graph:
    after = 4 * stride
    operands = [c([1, after, after, 4]), weights(4, 3, 3, 3), q(1, 4, 4, 3), bias(4)]
    return graph_of("TRANSPOSE_CONV", operands, [q(1, after, after, 4)], padding="SAME", **strides(stride))


def unary(code: str, dtype: DType = DType.INT8) -> Graph:
    return graph_of(code, [q(1, 8, dtype=dtype)], [q(1, 8, dtype=dtype)])


def binary(code: str, dtype: DType = DType.INT8) -> Graph:
    return graph_of(code, [q(1, 8, dtype=dtype), q(1, 8, dtype=dtype)], [q(1, 8, dtype=dtype)])


def resize(code: str, before: int, after: int, **options: bool) -> Graph:
    return graph_of(code, [q(1, before, before, 4), c([after, after])], [q(1, after, after, 4)], **options)


def reduced(code: str, shape: tuple[int, ...], axes: list[int]) -> Graph:
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return graph_of(code, [q(*shape), c(axes)], [q(*kept)], keep_dims=True)


GPU, EDGETPU, ETHOS, NNAPI, MICRO = Target.GPU, Target.EDGETPU, Target.ETHOS_U, Target.NNAPI, Target.MICRO
INT32 = DType.INT32

CASES: list[tuple[Target, Graph, str]] = [
    # The list and the limits of gpu_compatibility.cc.
    (GPU, graph_of("ADD", [f(1, 4, 4, 8), f(1, 4, 4, 8)], [f(1, 4, 4, 8)]), ""),
    (GPU, graph_of("ADD", [f(1, 4, 4, 8, dtype=INT32), c([1])], [f(1, 4, 4, 8, dtype=INT32)]), "of int32"),
    (GPU, graph_of("ADD", [q(1, 4, 4, 8), q(1, 4, 4, 8)], [q(1, 4, 4, 8)]), ""),
    (GPU, graph_of("MUL", [f(1, 256, 1), f(1, 1, 256)], [f(1, 256, 256)]), "broadcasts both operands"),
    (GPU, graph_of("MUL", [f(1, 256, 256), f(1, 1, 256)], [f(1, 256, 256)]), ""),
    (GPU, graph_of("EXPAND_DIMS", [f(4, 4), c(0)], [f(1, 4, 4)]), "not an operator that it has"),
    (GPU, graph_of("ARG_MAX", [f(1, 8), c(1)], [f(1, dtype=DType.INT64)]), "not an operator that it has"),
    (GPU, graph_of("SOFTMAX", [f(1, 8)], [f(1, 8)], beta=1.0), ""),
    (GPU, graph_of("SOFTMAX", [f(1, 8)], [f(1, 8)], beta=2.0), "beta = 2.0"),
    (GPU, graph_of("SLICE", [f(4, 8), c([0, 0]), c([2, 8])], [f(2, 8)]), "takes 2 axes, not 3 or 4"),
    (GPU, graph_of("TRANSPOSE", [f(1, 2, 3, 4, 5), c([0, 2, 1, 3, 4])], [f(1, 3, 2, 4, 5)]), "5 axes, more than 4"),
    (GPU, graph_of("MEAN", [f(1, 4, 4, 8), f(2, dtype=INT32)], [f(1, 8)]), "int32"),
    (GPU, graph_of("RELU", [f(None, 4)], [f(None, 4)]), "known at run time only"),
    (
        GPU,
        graph_of("STRIDED_SLICE", [f(1, 4, 4), c([0] * 3), c([1] * 3), c([1] * 3)], [f(1, 1)], shrink_axis_mask=1),
        "shrink_axis_mask = 1",
    ),
    (GPU, graph_of("DEPTHWISE_CONV_2D", [f(1, 4, 4, 2), f(1, 3, 3, 4), None], [f(1, 4, 4, 4)]), "several filters"),
    (GPU, graph_of("MIRROR_PAD", [f(1, 4, 4, 2), c([[1, 1]] * 4)], [f(3, 6, 6, 4)], mode="SYMMETRIC"), "SYMMETRIC"),
    (GPU, graph_of("GATHER", [f(4, 8), f(2, dtype=DType.INT64)], [f(2, 8)]), "int64"),
    # The table of coral.ai.
    (EDGETPU, conv(), ""),
    (EDGETPU, conv(dilations=(1, 2)), "dilations [1, 2]"),
    (EDGETPU, graph_of("ADD", [f(1, 4, 4, 8), f(1, 4, 4, 8)], [f(1, 4, 4, 8)]), "of float32, not of int8, uint8"),
    (EDGETPU, graph_of("ADD", [q(2, 4, 4, 8), q(2, 4, 4, 8)], [q(2, 4, 4, 8)]), "only the last 3 axes"),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 16000)], [q(1, 16000)]), ""),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 16001)], [q(1, 16001)]), "more than 16,000"),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 4, 8)], [q(1, 4, 8)]), "not of one axis"),
    (EDGETPU, graph_of("SQUEEZE", [q(1, 5, 10)], [q(5, 10)]), ""),
    (EDGETPU, graph_of("SQUEEZE", [q(5, 1, 10)], [q(5, 10)]), "out of the middle"),
    (EDGETPU, graph_of("MAX_POOL_2D", [q(1, 4, 4, 8)], [q(1, 2, 2, 8)], fused_activation_function="RELU"), "RELU"),
    (EDGETPU, graph_of("HARD_SWISH", [q(1, 8)], [q(1, 8)]), "not an operator that it has"),
    (EDGETPU, graph_of("DEQUANTIZE", [q(1, 8)], [f(1, 8)]), "not an operator that it has"),
    (EDGETPU, graph_of("QUANTIZE", [f(1, 8)], [q(1, 8)]), "of float32"),
    (EDGETPU, reduced("MEAN", (1, 4, 4, 6), [1, 2]), ""),
    (EDGETPU, reduced("MEAN", (1, 4, 4, 6), [3]), "not a multiple of 4"),
    (EDGETPU, reduced("SUM", (1, 4), [0]), "over the batch"),
    (EDGETPU, graph_of("PACK", [q(4), q(4)], [q(4, 2)], axis=1), ""),
    (EDGETPU, graph_of("PACK", [q(4), q(4)], [q(2, 4)], axis=0), "over the batch"),
    (EDGETPU, graph_of("FULLY_CONNECTED", [q(4, 8), weights(2, 8), bias(2)], [q(4, 2)]), "only the last 1 axes"),
    (EDGETPU, graph_of("CONCATENATION", [q(1, 2), c([[0, 0]], np.int8, GRID)], [q(1, 4)], axis=1), ""),
    (EDGETPU, graph_of("CONCATENATION", [q(1, 2), c([[3, 0]], np.int8, GRID)], [q(1, 4)], axis=1), "all zeros"),
    (EDGETPU, graph_of("PAD", [q(1, 2, 2, 4), c([[1, 0], *[[0, 0]] * 3])], [q(2, 2, 2, 4)]), "only the last 3 axes"),
    (
        EDGETPU,
        graph_of("STRIDED_SLICE", [q(1, 4, 4), c([0] * 3), c([1, 4, 4]), c([1, 2, 1])], [q(1, 2, 4)]),
        "takes every so many elements",
    ),
    # Vela's own report of what it supports; where it is installed, it is asked below.
    (ETHOS, conv(), ""),
    (ETHOS, conv(grid=CHANNELS), ""),
    (ETHOS, conv(batch=2), ""),
    (ETHOS, conv(stride=2), ""),
    (ETHOS, conv(stride=4), ""),  # SAME, and yet no padding
    (ETHOS, conv(9, stride=4), "stride of 4"),
    (ETHOS, conv(11, stride=4, padding="VALID"), ""),
    (ETHOS, conv(13, stride=4, dilations=(2, 2), padding="VALID"), "stride of 4"),
    (ETHOS, depthwise(9, 3), ""),
    (ETHOS, depthwise(12, 4), "stride_h = 4"),
    (ETHOS, transposed(2), ""),
    (ETHOS, transposed(3), "stride_h = 3"),
    (ETHOS, pool("AVERAGE_POOL_2D", 8), ""),
    (ETHOS, pool("AVERAGE_POOL_2D", 9), "window of 9"),
    (ETHOS, pool("AVERAGE_POOL_2D", 9, padding="VALID"), ""),
    (ETHOS, pool("MAX_POOL_2D", 8, stride=4), "stride of 4"),
    (ETHOS, graph_of("ADD", [f(1, 8), f(1, 8)], [f(1, 8)]), "of float32"),
    (ETHOS, binary("ADD"), ""),
    (ETHOS, binary("ADD", INT32), ""),
    (ETHOS, binary("SQUARED_DIFFERENCE"), ""),
    (ETHOS, binary("DIV"), "not an operator that it has"),
    (ETHOS, graph_of("MINIMUM", [q(1, 8), q(1, 8)], [q(1, 8, grid=Quantization((0.1,), (3,)))]), "different scales"),
    (ETHOS, unary("HARD_SWISH"), ""),
    (ETHOS, unary("GELU"), ""),
    (ETHOS, unary("LOG"), ""),
    (ETHOS, unary("SQRT"), "not an operator that it has"),
    (ETHOS, unary("LOG_SOFTMAX"), "not an operator that it has"),
    (ETHOS, unary("ELU", DType.INT16), "of int16"),
    (ETHOS, unary("RSQRT", DType.UINT8), "of uint8"),
    (ETHOS, graph_of("SOFTMAX", [q(1, 8)], [q(1, 8, grid=Quantization((1 / 256,), (-128,)))], beta=1.0), ""),
    (ETHOS, graph_of("QUANTIZE", [f(1, 8)], [q(1, 8)]), "of float32"),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 8), ""),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 12), "resizes 4 x 4 to 12 x 12"),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 16, half_pixel_centers=True), "not by 2"),
    (ETHOS, resize("RESIZE_NEAREST_NEIGHBOR", 4, 7, align_corners=True), ""),
    (ETHOS, reduced("MEAN", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, reduced("MEAN", (2, 4, 4, 8), [1, 2]), "batch of 2"),
    (ETHOS, reduced("MEAN", (1, 4, 4, 8), [3]), "reduces the channels"),
    (ETHOS, reduced("SUM", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, reduced("REDUCE_MAX", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, graph_of("ARG_MAX", [q(1, 4, 4, 8), c(1)], [f(1, 4, 8, dtype=INT32)]), "not over the last axis"),
    (ETHOS, graph_of("EXPAND_DIMS", [q(4, 8), c(0)], [q(1, 4, 8)]), ""),
    (ETHOS, graph_of("TRANSPOSE", [q(1, 4, 6, 8), c([0, 3, 1, 2])], [q(1, 8, 4, 6)]), ""),
    (ETHOS, graph_of("GATHER", [q(4, 8), c([1, 0])], [q(2, 8)]), "not an operator that it has"),
    (ETHOS, graph_of("DEPTH_TO_SPACE", [q(1, 4, 4, 8)], [q(1, 8, 8, 2)], block_size=2), "not an operator"),
    (ETHOS, graph_of("BATCH_MATMUL", [q(1, 4, 8), q(1, 8, 4)], [q(1, 4, 4)]), ""),
    (ETHOS, graph_of("TILE", [q(1, 8), c([1, 2])], [q(1, 16)]), ""),
    (ETHOS, graph_of("SPLIT", [c(1), q(1, 8)], [q(1, 4), q(1, 4)], num_splits=2), ""),
    (ETHOS, graph_of("PAD", [q(1, 4, 4, 8), c([[0, 0], [1, 1], [1, 1], [0, 0]])], [q(1, 6, 6, 8)]), ""),
    (
        ETHOS,
        graph_of("STRIDED_SLICE", [q(1, 4, 8), c([0, 3, 0]), c([1, -5, 8]), c([1, -1, 1])], [q(1, 4, 8)], end_mask=2),
        "goes backwards",
    ),
    (ETHOS, graph_of("STRIDED_SLICE", [q(1, 4, 8), c([0] * 3), c([1, 4, 8]), c([1, 2, 1])], [q(1, 2, 8)]), ""),
    # Validate of the delegate for NNAPI.
    (NNAPI, graph_of("CONV_2D", [f(1, 4, 4, 3), f(4, 1, 1, 3), f(4)], [f(1, 4, 4, 4)]), ""),
    (NNAPI, graph_of("CONV_2D", [f(1, 4, 4, 3), f(4, 1, 1, 3)], [f(1, 4, 4, 4)]), "no bias"),
    (NNAPI, graph_of("DIV", [q(1, 8), q(1, 8)], [q(1, 8)]), "takes int8"),
    (NNAPI, graph_of("CONCATENATION", [f(1, 1, 1, 1, 2)] * 2, [f(1, 1, 1, 1, 4)], axis=4), "5 axes"),
    (NNAPI, graph_of("ARG_MAX", [f(1, 8), c(1)], [f(1, dtype=DType.INT64)]), "gives int64"),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(2, 4)], axis=0), ""),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(4, 2)], axis=1), "over the last axis"),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(4, 2)], axis=-1), "over the last axis"),
    (NNAPI, graph_of("GELU", [f(4)], [f(4)]), "not an operator that it has"),
    # The list of kernels of TFLite Micro.
    (MICRO, graph_of("HARD_SWISH", [q(1, 8)], [q(1, 8)]), ""),
    (MICRO, graph_of("TOPK_V2", [f(8), c(2)], [f(2), f(2, dtype=INT32)]), "not an operator that it has"),
    (MICRO, graph_of("FlexErf", [f(8)], [f(8)]), "custom operator"),
]


@pytest.mark.parametrize(
    ("target", "graph", "why"), CASES, ids=[f"{t.value}-{g.operations[0].code}-{w or 'ok'}"[:60] for t, g, w in CASES]
)
def test_what_is_published(target: Target, graph: Graph, why: str) -> None:
    report = check_graph(graph, target, Path("m.tflite"))
    assert report.passes == (not why), report
    assert report.taken == report.partitions == report.run == int(not why)
    if why:
        (finding,) = report.findings
        assert why in "; ".join(finding.reasons)
    else:
        assert not [finding for finding in report.findings if finding.certain]


def test_there_are_cases_enough() -> None:
    assert sum(target in (GPU, EDGETPU) for target, _, _ in CASES) >= 30
    for target in Target:
        assert {bool(why) for each, _, why in CASES if each is target} == {True, False}


@pytest.mark.parametrize("target", Target)
def test_tables_are_sound(target: Target) -> None:
    table = rule_table(target)
    assert table.source.startswith("https://")
    assert table.date.year >= 2026
    named = {*table.rules, *table.missing} - {"TFLite_Detection_PostProcess"}
    assert named <= OPERATOR_CODES.keys(), named - OPERATOR_CODES.keys()
    assert not table.missing.keys() & table.rules.keys()
    for code, rule in table.rules.items():
        roles = set(definition(code).operands)
        asked = [*rule.conditions.get("constant", ()), *rule.conditions.get("role_types", ())]
        assert set(asked) <= roles | {"bias"} or code not in OPSET, code


def test_of_wrong_types_nothing_else_is_told() -> None:
    (finding,) = check_graph(
        graph_of("CONV_2D", [f(2, 8, 8, 3), f(4, 3, 3, 3)], [f(2, 8, 8, 4)]), ETHOS, Path()
    ).findings
    assert len(finding.reasons) == 1
    assert "--quantize int8" in finding.mends[0]


def chain(*codes: str) -> Graph:
    value = f(1, 4, 4, 8)
    graph = Graph([value], [], [])
    for code in codes:
        step = graph_of(code, [value, c(0)] if code == "EXPAND_DIMS" else [value], [f(1, 4, 4, 8)])
        graph.operations += step.operations
        value = step.outputs[0]
    graph.outputs = [value]
    return graph


def test_a_gpu_gets_the_largest_part_and_an_edge_tpu_the_first() -> None:
    graph = chain("RELU", "EXPAND_DIMS", "RELU", "TANH", "EXPAND_DIMS", "ABS")
    report = check_graph(graph, GPU, Path())
    assert (report.taken, report.partitions, report.run) == (4, 3, 2)
    for operation in graph.operations:
        for value in (*operation.operands, *operation.results):
            if value is not None and not value.is_constant:
                value.dtype, value.quantization = DType.INT8, GRID
    report = check_graph(chain_of_integers(graph, "RELU", "HARD_SWISH", "TANH", "RELU"), EDGETPU, Path())
    assert (report.taken, report.partitions, report.run) == (3, 2, 1)


def chain_of_integers(graph: Graph, *codes: str) -> Graph:
    kept = graph.operations[: len(codes)]
    for operation, code in zip(kept, codes, strict=True):
        operation.code = code
        operation.operands = operation.operands[:1]
    return Graph(graph.inputs, [kept[-1].results[0]], kept)


def test_parts_are_those_of_litert() -> None:
    """By brute force: the epochs of PartitionGraphIntoIndependentNodeSubsets, on random graphs."""
    rng = random.Random(3)
    for _ in range(200):
        values = [f(4)]
        graph = Graph([values[0]], [], [])
        for _ in range(rng.randint(1, 12)):
            operands = [rng.choice(values) for _ in range(rng.randint(1, 2))]
            step = graph_of("ADD", operands, [f(4)])
            graph.operations += step.operations
            values += step.outputs
        refused = {each for each in graph.operations if rng.random() < 0.4}
        assert [set(part) for part in partitions(graph, refused)] == epochs(graph, refused)


def epochs(graph: Graph, refused: set[Operation]) -> list[set[Operation]]:
    """An epoch for each operation, found one operation at a time and in the order of the file, as LiteRT does it."""
    epoch_of: dict[Operation, int] = {}
    kinds: list[bool] = []
    while len(epoch_of) < len(graph.operations):
        kind: bool | None = None
        progress = True
        while progress:
            progress = False
            for operation in graph.operations:
                ready = all(x is None or x.producer is None or x.producer in epoch_of for x in operation.operands)
                if operation in epoch_of or not ready:
                    continue
                kind = operation not in refused if kind is None else kind
                if kind == (operation not in refused):
                    epoch_of[operation] = len(kinds)
                    progress = True
        kinds.append(bool(kind))
    return [{each for each in epoch_of if epoch_of[each] == number} for number, kind in enumerate(kinds) if kind]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    graph = chain("RELU", "EXPAND_DIMS", "TANH")
    write_tflite(Model(graph, ["x"], ["y"]), path)
    return path


def test_the_command_line(model: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(model), "--target", "gpu"])
    assert result.exit_code == 0, result.output
    assert "It takes 2 of 3 operators, in 2 parts; without further options 1 of them run there." in result.stdout
    assert "EXPAND_DIMS: RESHAPE does the same" in result.stdout
    assert "gpu_compatibility.cc" in result.stdout
    strict = CliRunner().invoke(app, ["check", str(model), "--target", "gpu", "--strict", "--json", "-"])
    assert strict.exit_code == errors.TargetError.exit_code
    assert json.loads(strict.stdout)["findings"][0]["position"] == 1
    assert CliRunner().invoke(app, ["check", str(model), "--target", "micro", "--strict"]).exit_code == 0
    assert layoutopt.check(model, "micro").passes
    with pytest.raises(errors.UsageError, match="gpux"):
        layoutopt.check(model, "gpux")


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"nonsense")
    for name, kind in (("m.tflite", errors.InvalidModelError), ("no.tflite", errors.ModelNotFoundError)):
        result = CliRunner().invoke(app, ["check", str(tmp_path / name), "--target", "gpu"])
        assert result.exit_code == kind.exit_code
        assert result.stderr.count("\n") == 1


@pytest.mark.vela
@pytest.mark.skipif(importlib.util.find_spec("ethosu") is None, reason="needs ethos-u-vela")
def test_vela_says_the_same(tmp_path: Path) -> None:
    """Each case of Ethos-U by itself: Vela puts it on the NPU, or leaves it to the CPU."""
    for number, (target, graph, why) in enumerate(CASES):
        if target is not ETHOS:
            continue
        for at, value in enumerate([*graph.inputs, *graph.outputs]):
            value.name = f"value{at}"
        path = tmp_path / f"case{number}.tflite"
        write_tflite(Model(graph, [x.name for x in graph.inputs], [y.name for y in graph.outputs]), path)
        command = [sys.executable, "-m", "ethosu.vela", str(path), "--output-dir", str(tmp_path)]
        said = subprocess.run([*command, "--show-cpu-operations"], capture_output=True, text=True, check=True).stdout
        on_cpu = re.search(r"CPU operators = (\d+)", said)
        assert on_cpu is not None, said
        assert (int(on_cpu[1]) > 0) == bool(why), (graph.operations[0].code, why, said)
