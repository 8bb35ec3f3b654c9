"""Large depthwise kernels: the parts by themselves, and the same numbers in LiteRT before and after."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from layoutopt.backend.conversion import Quantize
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites import simplify
from layoutopt.tfl.rewrites.depthwise import MAX_TAPS, divide_taps, split_depthwise_kernels

_RNG = np.random.default_rng(3)


@pytest.mark.parametrize("kernel", [(5, 5), (5, 6), (7, 7), (8, 8), (9, 3), (1, 31), (13, 13), (2, 50), (31, 31)])
def test_parts_take_each_tap_once(kernel: tuple[int, int]) -> None:
    parts = divide_taps(*map(range, kernel))
    taken = [(row, column) for rows, columns in parts for row in rows for column in columns]
    assert sorted(taken) == list(np.ndindex(*kernel))
    assert max(len(rows) * len(columns) for rows, columns in parts) <= MAX_TAPS
    assert len(parts) <= 1 + 2 * prod(kernel) // MAX_TAPS


def _graph(
    kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int], padding: str, *, channels: int = 3
) -> Graph:
    graph = Graph([Value(DType.FLOAT32, (2, 21, 19, 3))])
    filters = _RNG.standard_normal((1, *kernel, channels)).astype(np.float32)
    bias = _RNG.standard_normal(channels).astype(np.float32)
    with tfl.recording(graph):
        y = tfl.depthwise_conv_2d(graph.inputs[0], filters, bias, strides=strides, dilations=dilations, padding=padding)
        graph.outputs = [tfl.relu(y)]
    simplify(graph)
    return graph


def _codes(graph: Graph) -> Counter[str]:
    return Counter(operation.code for operation in graph.operations)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("kernel", "strides", "dilations"),
    [
        ((7, 7), (1, 1), (1, 1)),
        ((7, 7), (2, 2), (1, 1)),
        ((9, 9), (1, 1), (2, 1)),
        ((8, 6), (1, 1), (1, 1)),
        ((11, 3), (3, 2), (1, 1)),
        ((1, 17), (1, 1), (1, 1)),
        ((2, 13), (1, 2), (1, 1)),
    ],
)
def test_a_large_kernel_computes_the_same(
    kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int], padding: str, tmp_path: Path
) -> None:
    graph = _graph(kernel, strides, dilations, padding)
    inputs = {"x": _RNG.standard_normal(graph.inputs[0].sizes).astype(np.float32)}
    found = []
    for split in (False, True):
        if split:
            split_depthwise_kernels(graph)
        write_tflite(Model(graph, ["x"], ["y"]), tmp_path / "model.tflite")
        found.append(run_tflite(tmp_path / "model.tflite", inputs)["y"])
    before, after = found
    assert after.shape == before.shape
    assert np.allclose(after, before, rtol=1e-5, atol=1e-5)
    sizes = [operation[1].sizes for operation in graph.operations if operation.code == "DEPTHWISE_CONV_2D"]
    assert (len(sizes) > 1) == (prod(kernel) > MAX_TAPS)
    assert max(prod(each[1:3]) for each in sizes) <= MAX_TAPS


def test_parts_around_the_centre_need_no_padding_of_their_own() -> None:
    graph = _graph((7, 7), (1, 1), (1, 1), "SAME")
    split_depthwise_kernels(graph)
    assert _codes(graph) == {"DEPTHWISE_CONV_2D": 3, "ADD": 2}


def test_a_graph_of_any_size_keeps_what_depends_on_the_size() -> None:
    same, strided = _graph((7, 7), (1, 1), (1, 1), "SAME"), _graph((7, 7), (2, 2), (1, 1), "SAME")
    for graph in (same, strided):
        split_depthwise_kernels(graph, resizable=True)
    assert _codes(same) == {"DEPTHWISE_CONV_2D": 3, "ADD": 2}
    assert _codes(strided) == {"DEPTHWISE_CONV_2D": 1}


def test_several_kernels_of_one_channel_and_few_pixels_stay() -> None:
    for graph in (_graph((7, 7), (1, 1), (1, 1), "SAME", channels=6), _graph((19, 19), (1, 1), (1, 1), "VALID")):
        split_depthwise_kernels(graph)
        assert _codes(graph) == {"DEPTHWISE_CONV_2D": 1}


@pytest.mark.parametrize("quantize", [Quantize.NONE, Quantize.FLOAT16, Quantize.DYNAMIC])
def test_a_conversion_splits_float_kernels(quantize: Quantize, tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,16,14,14] x) => (float[1,16,14,14] y) { y = Conv <group = 16, pads = [3,3,3,3]> (x, w) }"""
    proto = onnx.parser.parse_model(text)
    filters = _RNG.standard_normal((16, 1, 7, 7)).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(filters, "w"))
    path = tmp_path / "model.tflite"
    convert_directly(ir.from_proto(proto), path, quantize=quantize)
    codes = Counter(operator.name for operator in operators_of(path))
    assert codes["DEPTHWISE_CONV_2D"] == (1 if quantize is Quantize.DYNAMIC else 3)
