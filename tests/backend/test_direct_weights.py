"""Weights in half precision and in 8 bits: what LiteRT computes with them, what is stored, and what stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.backend.conversion import Quantize
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.direct.weights import halve_weights, quantize_weights
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.passes import DEFAULT_PIPELINE
from layoutopt.pipeline.manager import PassManager
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Operation, Value
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.schema import OPERATOR_NAMES, schema

RNG = np.random.default_rng(2)
X = RNG.standard_normal((1, 64, 64, 3)).astype(np.float32)
WEIGHTS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""Operators with weights, and the axis along which each channel has a scale."""


@cache
def network() -> ir.Model:
    return PassManager(DEFAULT_PIPELINE).run(mobilenet_v2(resolution=64, width=0.5)).model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Quantize, Path]:
    """A MobileNetV2 with weights of each kind."""
    folder = tmp_path_factory.mktemp("weights")
    kinds = (Quantize.NONE, Quantize.FLOAT16, Quantize.DYNAMIC, Quantize.WEIGHTS)
    paths = {kind: folder / f"{kind.value}.tflite" for kind in kinds}
    for kind, path in paths.items():
        convert_directly(network(), path, quantize=kind)
    return paths


def output(path: Path, x: Array = X, *, xnnpack: bool = True) -> Array:
    """The one output for the one input."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runner = Interpreter(str(path), experimental_op_resolver_type=kinds[not xnnpack]).get_signature_runner()
    ((name, _),) = runner.get_input_details().items()
    (result,) = runner(**{name: x}).values()
    return np.asarray(result)


def weighted(path: Path) -> Iterator[tuple[Operation, Value]]:
    """The operations that have weights, and these as they are stored."""
    for operation in read_tflite(path).graph.operations:
        if operation.code in WEIGHTS:
            weights = operation[1]
            source = weights.producer
            yield operation, source[0] if source is not None and source.code == "DEQUANTIZE" else weights


# --- half precision -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xnnpack", [True, False])
def test_halves_compute_as_if_weights_had_been_rounded(
    xnnpack: bool, made: Mapping[Quantize, Path], tmp_path: Path
) -> None:
    """The judge is a file of floats that have been through half precision."""
    rounded = network().clone()
    for value in rounded.graph.initializers.values():
        assert value.const_value is not None
        if value.dtype is ir.DataType.FLOAT and value.const_value.size > 1:
            value.const_value = ir.tensor(value.const_value.numpy().astype(np.float16).astype(np.float32))
    convert_directly(rounded, tmp_path / "rounded.tflite")
    expected, found = output(tmp_path / "rounded.tflite"), output(made[Quantize.FLOAT16], xnnpack=xnnpack)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    exact = output(made[Quantize.NONE])
    assert np.abs(found - exact).max() < 2e-2 * np.abs(exact).max()


def test_halves_take_half_the_space(made: Mapping[Quantize, Path]) -> None:
    assert made[Quantize.FLOAT16].stat().st_size < 0.55 * made[Quantize.NONE].stat().st_size
    assert {weights.dtype for _, weights in weighted(made[Quantize.FLOAT16])} == {DType.FLOAT16}
    without = dict(count_tflite(made[Quantize.FLOAT16]).histogram)
    assert without.pop("DEQUANTIZE") == 2 * len(list(weighted(made[Quantize.NONE])))  # weights and biases
    assert without == count_tflite(made[Quantize.NONE]).histogram


def recorded(*constants: Array) -> tuple[Graph, Model]:
    """A graph that adds constants to ``x`` one after the other."""
    graph = Graph([Value(DType.FLOAT32, (4,))])
    with tfl.recording(graph):
        graph.outputs = [graph.inputs[0]]
        for constant in constants:
            graph.outputs = [tfl.add(graph.outputs[0], constant)]
    return graph, Model(graph, ["x"], ["y"])


def test_numbers_that_halves_cannot_hold(tmp_path: Path) -> None:
    graph, model = recorded(np.array([1e6, -1e6, np.inf, 0.1], np.float32))
    halve_weights(graph)
    write_tflite(model, tmp_path / "m.tflite")
    found = output(tmp_path / "m.tflite", np.zeros(4, np.float32))
    np.testing.assert_array_equal(found, np.array([65504, -65504, np.inf, np.float16(0.1)], np.float32))


def test_one_constant_is_stored_once_and_a_number_stays_as_it_is() -> None:
    row = np.arange(4, dtype=np.float32)
    graph, _ = recorded(row, row, np.array(0.1, np.float32), np.array([0.1], np.float32))
    halve_weights(graph)
    assert [operation.code for operation in graph.operations] == ["DEQUANTIZE", "ADD", "ADD", "ADD", "ADD"]


def test_weights_in_bodies_are_halved_too(tmp_path: Path) -> None:
    graph, matrix = Graph([Value(DType.FLOAT32, (2, 64))]), RNG.standard_normal((64, 64)).astype(np.float32) / 8
    with tfl.recording(graph):
        _, y = tfl.while_(
            lambda i, _: tfl.less(i, 3),
            lambda i, x: [tfl.add(i, 1), tfl.fully_connected(x, matrix)],
            [np.int32(0), graph.inputs[0]],
        )
    graph.outputs = [y]
    halve_weights(graph)
    write_tflite(Model(graph, ["x"], ["y"]), tmp_path / "m.tflite")
    assert (tmp_path / "m.tflite").stat().st_size < 0.75 * matrix.nbytes
    x = RNG.standard_normal((2, 64)).astype(np.float32)
    half = matrix.astype(np.float16).astype(np.float32)
    found = output(tmp_path / "m.tflite", x)
    np.testing.assert_allclose(found, x @ half.T @ half.T @ half.T, rtol=0, atol=1e-5)


# --- dynamic range ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xnnpack", [True, False])
def test_weights_of_8_bits_compute_nearly_the_same(xnnpack: bool, made: Mapping[Quantize, Path]) -> None:
    exact, found = output(made[Quantize.NONE]), output(made[Quantize.DYNAMIC], xnnpack=xnnpack)
    assert 1e-4 < np.abs(found - exact).max() / np.abs(exact).max() < 0.15
    assert np.corrcoef(found.reshape(-1), exact.reshape(-1))[0, 1] > 0.99


def test_weights_of_8_bits_take_a_quarter_of_the_space(made: Mapping[Quantize, Path]) -> None:
    assert made[Quantize.DYNAMIC].stat().st_size < 0.32 * made[Quantize.NONE].stat().st_size
    assert count_tflite(made[Quantize.DYNAMIC]).histogram == count_tflite(made[Quantize.NONE]).histogram


def test_each_weight_is_off_by_half_a_step_at_most_and_small_ones_stay(made: Mapping[Quantize, Path]) -> None:
    kinds = set()
    for (operation, weights), (_, floats) in zip(
        weighted(made[Quantize.DYNAMIC]), weighted(made[Quantize.NONE]), strict=True
    ):
        assert operation[2].dtype is DType.FLOAT32, "of the bias"
        large = floats.array.size >= 1024
        kinds.add((operation.code, large))
        assert weights.dtype is (DType.INT8 if large else DType.FLOAT32)
        if large:
            axis = WEIGHTS[operation.code]
            assert weights.quantization is not None
            assert (weights.quantization.axis, set(weights.quantization.zero_points)) == (axis, {0})
            assert weights.array.min() >= -127
            scales = np.array(weights.quantization.scales).reshape(
                [-1 if at == axis else 1 for at in range(floats.rank)]
            )
            assert (np.abs(weights.array * scales - floats.array) <= 0.5001 * scales).all()
            others = tuple(at for at in range(floats.rank) if at != axis)
            assert (np.abs(weights.array).max(others) == 127).all(), "the largest weight of a channel is at the end"
    assert kinds == {(code, large) for code in WEIGHTS for large in (True, False)} - {("FULLY_CONNECTED", False)}


def linear(rows: Array, inputs: int, path: Path, *, dtype: DType) -> DType:
    """Write a file of one linear layer with rounded weights, and return the type that they have in it."""
    graph = Graph([Value(DType.FLOAT32, (3, inputs))])
    with tfl.recording(graph):
        graph.outputs = [tfl.fully_connected(graph.inputs[0], rows)]
    quantize_weights(graph, linear=dtype)
    write_tflite(Model(graph, ["x"], ["y"]), path)
    (weights,) = (weights for _, weights in weighted(path))
    return weights.dtype


@pytest.mark.parametrize("xnnpack", [True, False])
def test_large_linear_layers_of_4_bits(xnnpack: bool, tmp_path: Path) -> None:
    """They compute what their integers say, in an eighth of the space, and lose less than by the largest weight."""
    matrix = RNG.standard_normal((256, 512)).astype(np.float32)
    matrix[7] = 0
    path = tmp_path / "m.tflite"
    assert linear(matrix, 512, path, dtype=DType.INT4) is DType.INT4
    assert path.stat().st_size < 0.16 * matrix.nbytes
    ((_, weights),) = weighted(path)
    assert weights.quantization is not None
    scales = np.array(weights.quantization.scales)[:, None]
    stored = weights.array.astype(np.float32) * scales
    plain = np.abs(matrix).max(1, keepdims=True) / 7
    by_largest = np.rint(matrix / np.where(plain > 0, plain, 1)) * plain
    assert ((stored - matrix) ** 2).sum() < 0.9 * ((by_largest - matrix) ** 2).sum()
    x = RNG.standard_normal((3, 512)).astype(np.float32)
    found, expected = output(path, x, xnnpack=xnnpack), x @ stored.T
    assert not found[:, 7].any()
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.03 * np.abs(expected).max())


@pytest.mark.parametrize("shape", [(64, 512), (512, 301)])
def test_small_layers_and_odd_rows_have_8_bits(shape: tuple[int, int], tmp_path: Path) -> None:
    matrix = RNG.standard_normal(shape).astype(np.float32)
    assert linear(matrix, shape[1], tmp_path / "m.tflite", dtype=DType.INT4) is DType.INT8
    x = RNG.standard_normal((3, shape[1])).astype(np.float32)
    expected = x @ matrix.T
    np.testing.assert_allclose(output(tmp_path / "m.tflite", x), expected, rtol=0, atol=0.03 * np.abs(expected).max())


def test_a_channel_of_zeros_stays_zero(tmp_path: Path) -> None:
    matrix = RNG.standard_normal((32, 64)).astype(np.float32)
    matrix[5] = 0
    graph = Graph([Value(DType.FLOAT32, (3, 64))])
    with tfl.recording(graph):
        graph.outputs = [tfl.fully_connected(graph.inputs[0], matrix)]
    quantize_weights(graph)
    write_tflite(Model(graph, ["x"], ["y"]), tmp_path / "m.tflite")
    x = RNG.standard_normal((3, 64)).astype(np.float32)
    found, expected = output(tmp_path / "m.tflite", x), x @ matrix.T
    assert not found[:, 5].any()
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.03 * np.abs(expected).max())


# --- stored in 8 bits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xnnpack", [True, False])
def test_stored_weights_compute_as_if_they_had_been_rounded(
    xnnpack: bool, made: Mapping[Quantize, Path], tmp_path: Path
) -> None:
    """The judge is a file of floats that are what the bytes stand for."""
    rounded = read_tflite(made[Quantize.NONE])
    for operation in rounded.graph.operations:
        axis = WEIGHTS.get(operation.code)
        if axis is not None and operation[1].array.size >= 1024:
            floats = operation[1].array
            others = tuple(at for at in range(floats.ndim) if at != axis)
            scale = np.abs(floats).max(others, keepdims=True) / 127
            operation.operands[1] = Value.constant((np.rint(floats / scale) * scale).astype(np.float32))
    write_tflite(rounded, tmp_path / "rounded.tflite")
    expected, found = output(tmp_path / "rounded.tflite"), output(made[Quantize.WEIGHTS], xnnpack=xnnpack)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_stored_weights_take_a_quarter_of_the_space(made: Mapping[Quantize, Path]) -> None:
    assert made[Quantize.WEIGHTS].stat().st_size < 0.34 * made[Quantize.NONE].stat().st_size
    large = [weights.dtype for _, weights in weighted(made[Quantize.WEIGHTS]) if weights.array.size >= 1024]
    assert large
    assert set(large) == {DType.INT8}


# --- beside TensorFlow --------------------------------------------------------------------------------------------


def versions(path: Path) -> dict[str, int]:
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    return {
        OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]: code.version for code in model.operatorCodes
    }


@pytest.mark.long
@pytest.mark.onnx_tf
@pytest.mark.parametrize("kind", [Quantize.FLOAT16, Quantize.DYNAMIC])
def test_the_tflite_converter_stores_the_same(kind: Quantize, made: Mapping[Quantize, Path], tmp_path: Path) -> None:
    save(network(), tmp_path / "m.onnx")
    theirs = tmp_path / "theirs.tflite"
    convert_model(tmp_path / "m.onnx", tflite=theirs, quantize=kind)
    assert versions(made[kind]) == versions(theirs)
    assert count_tflite(made[kind]).histogram == count_tflite(theirs).histogram
    for (operation, ours), (_, other) in zip(weighted(made[kind]), weighted(theirs), strict=True):
        assert (ours.dtype, ours.shape) == (other.dtype, other.shape), operation.scope
        if ours.quantization is not None:
            assert other.quantization is not None
            np.testing.assert_allclose(ours.quantization.scales, other.quantization.scales, rtol=1e-6)
            assert np.abs(ours.array.astype(int) - other.array).max() <= 1
