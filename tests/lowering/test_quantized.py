"""Quantized models as ONNX Runtime's own quantizer writes them, through the whole path, against ONNX Runtime.

ONNX Runtime computes each QuantizeLinear and DequantizeLinear by itself, so that what is compared is rounding alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest
from onnxruntime.quantization import QuantFormat, QuantType

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.errors import UnsupportedOperatorError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir import io as modelio
from layoutopt.ir.verify import Arrays, random_inputs, run_onnx
from layoutopt.passes import DEFAULT_PIPELINE, FoldBatchNorm, FoldConstants
from layoutopt.pipeline.manager import PassManager
from layoutopt.workflows.conversion import run_natural
from tests.lowering.quantized import (
    IMAGE,
    KERNELS,
    NETWORKS,
    RNG,
    f32,
    model_of_all,
    operators_of,
    output_scale,
    quantized,
    steps_of,
    text_model,
)

Array = npt.NDArray[Any]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # the quantizer's advice
    yield
    logging.disable(logging.NOTSET)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a quantized model.

    Attributes:
        outputs: of the .tflite.
        expected: of ONNX Runtime on the original.
        tflite: the file.
    """

    outputs: Arrays
    expected: Arrays
    tflite: Path

    def steps(self, scale: float) -> Array:
        """How many steps of the output each result is off."""
        found, expected = self.outputs["y"].astype(np.float64), self.expected["y"].astype(np.float64)
        off: Array = np.round(np.abs(found - expected) / scale).astype(int)
        return off


def converted(model: ir.Model, directory: Path, *, inputs: Arrays | None = None) -> Result:
    inputs = inputs or random_inputs(model, 5)
    optimized = PassManager(DEFAULT_PIPELINE).run(model.clone()).model
    made = convert_directly(optimized, directory / "optimized.tflite")
    assert made.tflite is not None
    outputs = run_natural(made.tflite, made, inputs, modelio.recorded_orders(optimized))
    return Result(outputs, run_onnx(model, inputs), made.tflite)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, QuantFormat.QDQ)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= network.steps
    assert operators_of(result.tflite) == (Counter(network.operators.split()), Counter(network.on_floats.split()))
    assert count_tflite(result.tflite).transposes == 0


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_through_onnx_tf(name: str, tmp_path: Path) -> None:
    """Pairs of QUANTIZE and DEQUANTIZE mean the same to TensorFlow, whose converter makes of them what it likes."""
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, QuantFormat.QDQ)
    optimized = PassManager(DEFAULT_PIPELINE).run(model.clone()).model
    path, inputs = tmp_path / "optimized.onnx", random_inputs(model, 5)
    modelio.save(optimized, path)
    made = convert_model(path, tflite=path.with_suffix(".tflite"))
    assert made.tflite is not None
    outputs = run_natural(made.tflite, made, inputs, modelio.recorded_orders(optimized))
    assert Result(outputs, run_onnx(model, inputs), made.tflite).steps(output_scale(model)).max() <= network.steps


@pytest.mark.parametrize("name", ["residual", "up and down"])
def test_quantized_operators(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, QuantFormat.QOperator)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= network.steps
    whole, real = operators_of(result.tflite)
    # Nothing is quantized between a convolution and its activation, nor between a Flatten and its product.
    assert whole == Counter(network.operators.split()) - Counter(["RELU", "RESHAPE"])
    assert real == Counter(network.on_floats.split())
    assert count_tflite(result.tflite).transposes == 0


def test_signed_activations_and_one_scale_for_all_weights(tmp_path: Path) -> None:
    network = NETWORKS["residual"]
    options = {"activation_type": QuantType.QInt8, "per_channel": False}
    model = quantized(network.model(), tmp_path, QuantFormat.QDQ, **options)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= network.steps
    assert operators_of(result.tflite) == (Counter(network.operators.split()), Counter())


def test_asymmetric_weights_stay_floats(tmp_path: Path) -> None:
    """TFLite's kernels have no zero point for weights."""
    network = NETWORKS["residual"]
    model = quantized(network.model(), tmp_path, QuantFormat.QDQ, weight_type=QuantType.QUInt8, per_channel=False)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= 1
    assert operators_of(result.tflite)[1] >= Counter(["CONV_2D", "DEPTHWISE_CONV_2D"])


def test_channels_without_use(tmp_path: Path) -> None:
    """Training leaves channels with weights near 0: as multiples of those, a bias would not fit 32 bits."""
    conv = "c = Conv<pads=[1,1,1,1]>(b,e,h)"
    text = (
        "(float[1,8,6,6] x) => (float y) { a = QuantizeLinear(x,s,o) b = DequantizeLinear(a,s,o) "
        f"e = DequantizeLinear<axis=0>(w,ws) h = DequantizeLinear<axis=0>(wb,bs) {conv} "
        "d = QuantizeLinear(c,t,p) y = DequantizeLinear(d,t,p) }"
    )
    weights = RNG.integers(-127, 128, (6, 8, 3, 3)).astype(np.int8)
    weights[5] = 0
    scales = f32([0.001, 1e-12, 0.002, 3e-30, 0.001, 0.001])
    constants = {
        "s": np.float32(0.02), "o": np.uint8(120), "t": np.float32(0.05), "p": np.uint8(128), "w": weights,
        "ws": scales, "wb": np.array([9000, 25, 4000, 3, -20000, 17], np.int32),
        "bs": f32([2e-5, 0.1, 4e-5, 1e-3, 2e-5, 0.1]),
    }  # fmt: skip
    result = converted(text_model(text, constants), tmp_path)
    assert result.steps(0.05).max() <= 1
    assert operators_of(result.tflite) == (Counter(["CONV_2D"]), Counter())


def test_scales_and_zero_points_are_those_of_the_model(tmp_path: Path) -> None:
    model = quantized(NETWORKS["residual"].model(), tmp_path, QuantFormat.QDQ)
    given = set()
    for node in model.graph:
        scale, zero = (
            (value.const_value for value in node.inputs[1:3] if value) if len(node.inputs) == 3 else (None,) * 2
        )
        if node.op_type == "QuantizeLinear" and scale is not None and zero is not None:
            given.add((float(scale.numpy()), int(zero.numpy()) - 128))
    result = converted(model, tmp_path)
    assert steps_of(result.tflite) == given


def test_a_whole_network(tmp_path: Path) -> None:
    prepared = PassManager((FoldConstants(), FoldBatchNorm())).run(mobilenet_v2(resolution=32, width=0.25)).model
    model = quantized(ir.to_proto(prepared), tmp_path, QuantFormat.QDQ)
    result = converted(model, tmp_path)
    off = np.abs(result.outputs["logits"].astype(float) - result.expected["logits"].astype(float)) / output_scale(model)
    assert off.max() < 2.5
    expected = {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 11, "PAD": 5, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    assert operators_of(result.tflite) == (Counter(expected), Counter())


# --- each kernel -----------------------------------------------------------------------------------------------------


def test_each_kernel(tmp_path: Path) -> None:
    model = model_of_all(KERNELS)
    inputs = {name: RNG.uniform(-4, 4, IMAGE).astype(np.float32) for name in ("x", "z")}
    result = converted(model, tmp_path, inputs=inputs)
    off = {
        name: np.abs(result.outputs[name].astype(float) - result.expected[name].astype(float)).max() / kernel.scale
        for name, kernel in KERNELS.items()
    }
    assert {name: steps for name, steps in off.items() if steps > 1.01} == {}
    assert not operators_of(result.tflite)[1]


# --- what stands alone -----------------------------------------------------------------------------------------------


def assert_exact(model: ir.Model, directory: Path, inputs: Arrays) -> Result:
    result = converted(model, directory, inputs=inputs)
    for name, expected in result.expected.items():
        assert result.outputs[name].dtype == expected.dtype
        np.testing.assert_array_equal(result.outputs[name], expected, err_msg=name)
    return result


def test_alone_they_compute_as_onnx_says(tmp_path: Path) -> None:
    """Halves go to the even number, and what is out of range to its end."""
    text = (
        "(float[3,8] x, uint8[3,8] u, int8[3,8] i, int16[3,8] w) => "
        "(uint8 a, int8 b, uint16 c, int16 d, float e, float h, float j, int8 k) { "
        "a = QuantizeLinear(x,half,u128) b = QuantizeLinear<axis=0>(x,three,i3) c = QuantizeLinear(x,half,u9) "
        "d = QuantizeLinear(x,fine,i0) e = DequantizeLinear(u,half,u128) h = DequantizeLinear<axis=0>(i,three,i3) "
        "j = DequantizeLinear(w,fine,i0) k = QuantizeLinear<axis=1,block_size=4>(x,blocks,zeros) }"
    )
    constants: dict[str, Any] = {
        "half": np.float32(0.5), "u128": np.uint8(128), "three": f32([0.5, 0.25, 2]),
        "i3": np.array([0, 5, -9], np.int8), "u9": np.uint16(999), "fine": np.float32(0.001), "i0": np.int16(0),
        "blocks": f32([[0.5, 1], [2, 4], [0.25, 8]]), "zeros": np.zeros((3, 2), np.int8),
    }  # fmt: skip
    inputs: dict[str, Array] = {
        "x": f32(RNG.integers(-9, 9, (3, 8)) / 4 * f32([[1], [8], [64]])),
        "u": RNG.integers(0, 256, (3, 8)).astype(np.uint8),
        "i": RNG.integers(-128, 128, (3, 8)).astype(np.int8),
        "w": RNG.integers(-32768, 32768, (3, 8)).astype(np.int16),
    }
    assert_exact(text_model(text, constants), tmp_path, inputs)


def test_quantized_inputs_and_outputs(tmp_path: Path) -> None:
    text = (
        "(uint8[1,8,6,6] x) => (uint8 y) { a = DequantizeLinear(x,s,o) b = DequantizeLinear<axis=0>(w,ws) "
        "c = Conv(a,b) d = Relu(c) y = QuantizeLinear(d,s,o) }"
    )
    weights = RNG.integers(-127, 128, (4, 8, 3, 3)).astype(np.int8)
    constants = {"s": np.float32(0.5), "o": np.uint8(9), "w": weights, "ws": f32([0.125, 0.25, 0.5, 1])}
    inputs = {"x": RNG.integers(0, 20, (1, 8, 6, 6)).astype(np.uint8)}
    result = converted(text_model(text, constants), tmp_path, inputs=inputs)
    assert result.outputs["y"].dtype == np.uint8
    assert result.steps(1).max() <= 1
    # One QUANTIZE makes the input signed, another the output unsigned.
    assert count_tflite(result.tflite).histogram == {"QUANTIZE": 2, "CONV_2D": 1}


def test_signed_inputs_and_outputs(tmp_path: Path) -> None:
    text = (
        "(int8[1,8,6,6] x) => (int8 y, float z) { a = DequantizeLinear(x,s,o) b = DequantizeLinear<axis=0>(w,ws) "
        "c = Conv(a,b) y = QuantizeLinear(c,t,p) d = DequantizeLinear(y,t,p) z = Relu(d) }"
    )
    weights = RNG.integers(-127, 128, (4, 8, 3, 3)).astype(np.int8)
    constants = {
        "s": np.float32(0.3), "o": np.int8(-9), "t": np.float32(0.7), "p": np.int8(-5),
        "w": weights, "ws": f32([0.01, 0.02, 0.03, 0.04]),
    }  # fmt: skip
    inputs = {"x": RNG.integers(-128, 128, (1, 8, 6, 6)).astype(np.int8)}
    result = converted(text_model(text, constants), tmp_path, inputs=inputs)
    assert result.outputs["y"].dtype == np.int8
    assert result.steps(1).max() <= 1
    assert count_tflite(result.tflite).histogram == {"DEQUANTIZE": 1, "RELU": 1, "CONV_2D": 1}


def test_an_input_on_two_grids(tmp_path: Path) -> None:
    """The input of the .tflite can have one scale, so that the other reader computes."""
    text = (
        "(uint8[1,64] x) => (float y, float z) { a = DequantizeLinear(x,s,o) b = DequantizeLinear(x,t,o) y = Relu(a) "
        "z = Relu(b) }"
    )
    constants = {"s": np.float32(0.3), "t": np.float32(0.7), "o": np.uint8(100)}
    inputs = {"x": RNG.integers(0, 256, (1, 64)).astype(np.uint8)}
    result = converted(text_model(text, constants), tmp_path, inputs=inputs)
    for name in ("y", "z"):
        np.testing.assert_array_equal(result.outputs[name], result.expected[name])


@pytest.mark.parametrize("channels", [8, 2000])
def test_integer_products_are_exact(channels: int, tmp_path: Path) -> None:
    """2000 products with bytes are beyond what float32 sums exactly: the weights go in two pieces."""
    text = (
        f"(uint8[1,{channels},3,3] x, uint8[5,{channels}] a) => (int32 y, int32 z) "
        "{ y = ConvInteger(x,w,xo,wo) z = MatMulInteger(a,b,xo,bo) }"
    )
    weights = RNG.integers(0, 256, (4, channels, 1, 1)).astype(np.uint8)
    constants = {
        "w": weights, "wo": np.uint8(7), "xo": np.uint8(3), "b": weights.reshape(4, -1).T.copy(),
        "bo": np.array([0, 7, 100, 255], np.uint8),
    }  # fmt: skip
    inputs = {
        "x": RNG.integers(200, 256, (1, channels, 3, 3)).astype(np.uint8),
        "a": RNG.integers(0, 256, (5, channels)).astype(np.uint8),
    }
    assert_exact(text_model(text, constants), tmp_path, inputs)


def test_integer_products_that_float32_cannot_hold(tmp_path: Path) -> None:
    text = "(uint8[2,2000] a, uint8[2000,3] b) => (int32 y) { y = MatMulInteger(a,b) }"
    with pytest.raises(UnsupportedOperatorError, match=r"MatMulInteger.*could not hold"):
        converted(text_model(text, {}), tmp_path)


def test_scales_at_run_time(tmp_path: Path) -> None:
    body = "y, s, o = DynamicQuantizeLinear(x) z = DequantizeLinear(y,s,o)"
    text = f"(float[4,5] x) => (uint8 y, float s, uint8 o, float z) {{ {body} }}"
    assert_exact(text_model(text, {}), tmp_path, {"x": np.linspace(-3, 5, 20, dtype=np.float32).reshape(4, 5)})
