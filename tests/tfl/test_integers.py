"""Operators on integers for what lies between DEQUANTIZE and QUANTIZE, run in LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.rewrites import simplify
from layoutopt.tfl.rewrites.integers import use_integer_kernels

Array = npt.NDArray[Any]
SOURCE, RESULT = Quantization((0.02,), (-128,)), Quantization((6 / 255,), (-128,))


def convolution(filters: Array, bias: Array) -> Model:
    """A convolution by filters on a grid, between quantized values."""
    graph = Graph([Value(DType.FLOAT32, (1, 5, 5, filters.shape[3]))])
    with tfl.recording(graph), tfl.scope("conv"):
        x = tfl.dequantize(tfl.quantize(graph.inputs[0], DType.INT8, SOURCE))
        y = tfl.relu6(tfl.conv_2d(x, filters, bias))
        graph.outputs = [tfl.dequantize(tfl.quantize(y, DType.INT8, RESULT))]
    simplify(graph)
    return Model(graph, ["x"], ["y"])


@pytest.mark.parametrize(("inputs", "bias"), [(16, 0.3), (16, -50.0), (2048, -50.0), (2048, 4.0)])
def test_dead_channels_get_a_coarser_grid(inputs: int, bias: float, tmp_path: Path) -> None:
    """A channel without use has tiny weights, whose scale leaves its bias no INT32, and it must not hold up the rest.

    Sums of many inputs may lose more on the coarser grid than a bias may lose by rounding.
    """
    rng = np.random.default_rng(0)
    whole = rng.integers(-127, 128, (4, 3, 3, inputs))
    whole[:, 0, 0, 0] = 127
    scales = np.array([0.1 / inputs, abs(bias) / 0.02 / 2.0**32.5, 1e-14, 0.07 / inputs]) / 9
    filters = (whole * scales[:, None, None, None]).astype(np.float32)
    model = convolution(filters, np.array([0.1, bias, bias, 0.2], np.float32))
    write_tflite(model, tmp_path / "float.tflite")
    use_integer_kernels(model.graph)
    write_tflite(model, tmp_path / "int8.tflite")
    assert [(each.code, each.result.dtype) for each in model.graph.operations] == [
        ("QUANTIZE", DType.INT8),
        ("CONV_2D", DType.INT8),
        ("DEQUANTIZE", DType.FLOAT32),
    ]
    given = {"x": rng.uniform(0, 5, (1, 5, 5, inputs)).astype(np.float32)}
    expected, found = (
        np.asarray(run_tflite(tmp_path / f"{name}.tflite", given)["y"], np.float64) for name in ("float", "int8")
    )
    assert np.abs(expected - found).max() <= RESULT.scales[0] * 1.001


@pytest.mark.parametrize("reads", ["alone", "twice", "elsewhere"])
def test_what_is_moved_before_it_is_rounded_is_rounded_first(reads: str, tmp_path: Path) -> None:
    """A layer before a TRANSPOSE gives integers then, unless somebody reads the floats."""
    rng = np.random.default_rng(0)
    filters = (rng.integers(-127, 128, (4, 3, 3, 8)) * 0.01).astype(np.float32)
    filters[:, 0, 0, 0] = 1.27
    graph = Graph([Value(DType.FLOAT32, (1, 6, 5, 8))])
    with tfl.recording(graph), tfl.scope("conv"):
        shuffled = tfl.transpose(graph.inputs[0], (0, 2, 1, 3))
        x = tfl.dequantize(tfl.quantize(shuffled, DType.INT8, SOURCE))
        moved = tfl.reshape(tfl.transpose(tfl.conv_2d(x, filters, np.zeros(4, np.float32)), (0, 3, 1, 2)), (1, 4, 12))
        y = tfl.dequantize(tfl.quantize(moved, DType.INT8, Quantization((0.1,), (0,))))
        graph.outputs = [y, moved] if reads == "elsewhere" else [y, tfl.relu(y)] if reads == "twice" else [y]
    model = Model(graph, ["x"], [f"y{at}" for at in range(len(graph.outputs))])
    write_tflite(model, tmp_path / "float.tflite")
    use_integer_kernels(graph)
    write_tflite(model, tmp_path / "int8.tflite")
    types = {each.code: each.result.dtype for each in graph.operations if each.code not in ("QUANTIZE", "DEQUANTIZE")}
    inside = DType.FLOAT32 if reads == "elsewhere" else DType.INT8
    assert [types["CONV_2D"], types["RESHAPE"]] == [inside, inside]
    assert graph.operations[0].code == "QUANTIZE"
    given = {"x": rng.uniform(0, 5, (1, 6, 5, 8)).astype(np.float32)}
    for name in model.output_names:
        expected, found = (
            np.asarray(run_tflite(tmp_path / f"{each}.tflite", given)[name], np.float64) for each in ("float", "int8")
        )
        assert np.abs(expected - found).max() <= 0.1001
