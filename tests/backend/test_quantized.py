"""Quantized models as ONNX Runtime's own quantizer writes them, through the whole path, against ONNX Runtime.

ONNX Runtime computes each QuantizeLinear and DequantizeLinear by itself, so that what is compared is rounding alone.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.errors import UnsupportedOperatorError
from layoutopt.forms import run_natural
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir import io as modelio
from layoutopt.ir.verify import Arrays, random_inputs, run
from layoutopt.passes import DEFAULT_PIPELINE, FoldBatchNorm, FoldConstants
from layoutopt.pipeline.manager import PassManager
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.reader import read_tflite

pytestmark = pytest.mark.tflite

Array = npt.NDArray[Any]
_RNG = np.random.default_rng(11)


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    logging.disable(logging.WARNING)  # the quantizer's advice
    with kept_alive():
        yield
    logging.disable(logging.NOTSET)


def f(*shape: int) -> Array:
    return f32(_RNG.standard_normal(shape) / max(1, math.prod(shape[1:])) ** 0.5)


def f32(values: Any) -> Array:
    return np.array(values, np.float32)


def given(**constants: Any) -> dict[str, Array]:
    """Initializers; floats become float32."""
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return {name: f32(array) if array.dtype.kind == "f" else array for name, array in arrays.items()}


@dataclass(frozen=True, slots=True)
class Network:
    """A float network of one input ``x`` and one output ``y`` that is to be quantized.

    Attributes:
        body: the nodes.
        operators: on integers in the .tflite, QUANTIZE and DEQUANTIZE apart.
        constants: initializers by name.
        shape: of the input.
        steps: how far the results may be off.
        on_floats: those of which TFLite has no kernel that rounds but once.
    """

    body: str
    operators: str
    constants: Mapping[str, Array]
    on_floats: str = ""
    shape: tuple[int, ...] = (1, 8, 12, 16)
    steps: int = 1

    def model(self) -> onnx.ModelProto:
        header = '<ir_version: 8, opset_import: ["" : 17]>'
        sizes = ",".join(map(str, self.shape))
        model = onnx.parser.parse_model(f"{header} g (float[{sizes}] x) => (float y) {{ {self.body} }}")
        arrays = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in self.constants.items()]
        model.graph.initializer.extend(arrays)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        return onnx.shape_inference.infer_shapes(model)


CONV = "Conv<pads=[1,1,1,1]>"
NETWORKS: Mapping[str, Network] = {
    "residual": Network(
        f"a = {CONV}(x,w1,b1) b = Relu(a) c = Conv<group=16,pads=[1,1,1,1]>(b,w2,b2) d = Conv(c,w3) e = Add(b,d) "
        "h = GlobalAveragePool(e) i = Flatten(h) y = Gemm<transB=1>(i,w4,b4)",
        "CONV_2D DEPTHWISE_CONV_2D CONV_2D ADD MEAN RESHAPE FULLY_CONNECTED",
        given(w1=f(16, 8, 3, 3), b1=f(16), w2=f(16, 1, 3, 3), b2=f(16), w3=f(16, 16, 1, 1), w4=f(10, 16), b4=f(10)),
        steps=2,
    ),
    "up and down": Network(
        f"a = {CONV}(x,w1,b1) b = Relu(a) c = MaxPool<kernel_shape=[2,2],strides=[2,2]>(b) d = {CONV}(c,w2) "
        'e = Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(d,,s) '
        f"h = Concat<axis=1>(e,a) i = {CONV}(h,w3,b1) y = Sigmoid(i)",
        "CONV_2D RELU MAX_POOL_2D CONV_2D RESIZE_NEAREST_NEIGHBOR CONCATENATION CONV_2D",
        given(w1=f(8, 8, 3, 3), b1=f(8), w2=f(8, 8, 3, 3), w3=f(8, 16, 3, 3), s=np.array([1, 1, 2, 2], np.float32)),
        on_floats="LOGISTIC",  # the quantizer's scale is 1 / 255, the kernel's 1 / 256
        steps=2,
    ),
    "activations": Network(
        f"a = {CONV}(x,w1,b1) b = LeakyRelu<alpha=0.1>(a) c = Conv(b,w2) d, e = Split<axis=1>(c) h = Mul(d,e) "
        "i = AveragePool<kernel_shape=[2,2],strides=[2,2]>(h) y = Softmax<axis=1>(i)",
        "CONV_2D LEAKY_RELU CONV_2D SPLIT MUL AVERAGE_POOL_2D",
        given(w1=f(16, 8, 3, 3), b1=f(16), w2=f(16, 16, 1, 1)),
        on_floats="SOFTMAX",
        steps=3,
    ),
    "transposed": Network(
        "a = ConvTranspose<strides=[2,2]>(x,w1,b1) b = Clip(a,lo,hi) y = Add(b,c)",
        "TRANSPOSE_CONV ADD",
        given(w1=f(8, 4, 2, 2), b1=f(4), c=f(4, 1, 1), lo=f32(0), hi=f32(6)),
    ),
}


class _Samples(CalibrationDataReader):
    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self._samples = iter([{name: np.random.default_rng(i).standard_normal(shape, np.float32)} for i in range(3)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


def quantized(model: onnx.ModelProto, directory: Path, format_: QuantFormat, **options: Any) -> ir.Model:
    source, target = directory / "float.onnx", directory / "quantized.onnx"
    onnx.save(model, source)
    value = model.graph.input[0]
    shape = tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
    options = {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, **options}
    quantize_static(source, target, _Samples(value.name, shape), quant_format=format_, **options)
    return modelio.load(target)


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
    path = directory / "optimized.onnx"
    modelio.save(optimized, path)
    made = convert_model(path, tflite=path.with_suffix(".tflite"))
    assert made.tflite is not None
    outputs = run_natural(made.tflite, made, inputs, modelio.recorded_orders(optimized))
    return Result(outputs, run(model, inputs), made.tflite)


def output_scale(model: ir.Model) -> float:
    node = model.graph.outputs[0].producer()
    assert node is not None
    assert node.op_type == "DequantizeLinear"
    assert node.inputs[1] is not None
    assert node.inputs[1].const_value is not None
    return float(node.inputs[1].const_value.numpy().reshape(()))


def operators_of(path: Path) -> tuple[Counter[str], Counter[str]]:
    """The operators on integers and those on floats; QUANTIZE and DEQUANTIZE are of neither kind."""
    whole: Counter[str] = Counter()
    real: Counter[str] = Counter()
    for operation in read_tflite(path).graph.operations:
        if operation.code not in ("QUANTIZE", "DEQUANTIZE"):
            (whole if operation.results[0].dtype is DType.INT8 else real)[operation.code] += 1
    return whole, real


def steps_of(path: Path) -> set[tuple[float, int]]:
    """Scale and zero point of all int8 tensors that are computed."""
    graph = read_tflite(path).graph
    computed = [*graph.inputs, *(result for operation in graph.operations for result in operation.results)]
    grids = [value.quantization for value in computed if value.dtype is DType.INT8]
    return {(grid.scales[0], grid.zero_points[0]) for grid in grids if grid is not None}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, QuantFormat.QDQ)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= network.steps
    assert operators_of(result.tflite) == (Counter(network.operators.split()), Counter(network.on_floats.split()))
    assert count_tflite(result.tflite).transposes == 0


@pytest.mark.parametrize("name", ["residual", "up and down"])
def test_quantized_operators(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, QuantFormat.QOperator)
    result = converted(model, tmp_path)
    assert result.steps(output_scale(model)).max() <= network.steps
    whole, real = operators_of(result.tflite)
    assert whole == Counter(network.operators.split()) - Counter(["RELU"])
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

IMAGE = (1, 16, 8, 8)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Nodes from quantized ``{x}`` and ``{z}`` to ``{r}``, which is quantized too.

    Attributes:
        body: the nodes.
        scale: of the result.
        zero: of the result, as uint8.
        constants: initializers by name.
        opset: of the model.
    """

    body: str
    scale: float = 0.05
    zero: int = 110
    constants: Mapping[str, Array] = field(default_factory=dict)


PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
KERNELS: Mapping[str, Kernel] = {
    "add": Kernel("{r} = Add({x},{z})"),
    "add_clip": Kernel("{r}s = Sub({z},{x}) {r} = Clip({r}s,lo,hi)", 0.025, 10, given(lo=f32(0), hi=f32(6))),
    "add_constant": Kernel("{r} = Add({x},c)", constants=given(c=0.02 * np.arange(-3, 13).reshape(16, 1, 1))),
    "average": Kernel("{r} = AveragePool<kernel_shape=[3,3]>({x})", 0.03, 128),
    "bilinear": Kernel('{r} = Resize<mode="linear">({x},,up)', 0.03, 128, given(up=f32([1, 1, 2, 2]))),
    "concat": Kernel("{r} = Concat<axis=1>({x},{z})"),
    "conv": Kernel("{r} = Conv({x},cw)", constants=given(cw=0.01 * _RNG.integers(-127, 128, (4, 16, 1, 1)))),
    "depth": Kernel("{r} = DepthToSpace<blocksize=2>({x})", 0.03, 128),
    "elu": Kernel("{r} = Elu({x})"),
    "gelu": Kernel("{r} = Gelu({x})"),
    "hard_swish": Kernel("{r} = HardSwish({x})", 0.03, 20),
    "leaky": Kernel("{r} = LeakyRelu<alpha=0.1>({x})", 0.013, 40),
    "matmul": Kernel("{r}t = Transpose<perm=[0,1,3,2]>({z}) {r} = MatMul({x},{r}t)", 0.2, 128),
    "max": Kernel("{r} = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1],strides=[2,2]>({x})", 0.03, 128),
    "mean": Kernel("{r} = GlobalAveragePool({x})", 0.004),
    "mul": Kernel("{r} = Mul({x},{z})"),
    "mul_scalar": Kernel("{r} = Mul({x},third)", 0.01, constants=given(third=f32(0.3333))),
    "nearest": Kernel('{r} = Resize<mode="nearest">({x},,up)', constants=given(up=f32([1, 1, 2, 2]))),
    "pad": Kernel("{r} = Pad({x},pads)", constants=given(pads=PADS)),
    "reduce_max": Kernel("rm = Constant<value_ints=[2,3]>() {r} = ReduceMax({x},rm)"),
    "reflect": Kernel('{r} = Pad<mode="reflect">({x},pads)', constants=given(pads=PADS)),
    "relu": Kernel("{r} = Relu({x})", 0.011, 0),
    "reshape": Kernel("flat = Constant<value_ints=[1,-1]>() {r} = Reshape({x},flat)"),
    "sigmoid": Kernel("{r} = Sigmoid({x})", 1 / 256, 0),
    "slice": Kernel(
        "{r} = Slice({x},one,seven,axes)",
        constants={"one": PADS[2:4], "seven": PADS[2:4] * 7, "axes": np.array([2, 3])},
    ),
    "softmax": Kernel("{r} = Softmax<axis=1>({x})", 1 / 256, 0),
    "space": Kernel("{r} = SpaceToDepth<blocksize=2>({x})", 0.03, 128),
    "split": Kernel("{r}, {r}o = Split<axis=1,num_outputs=2>({x})"),
    "sub": Kernel("{r} = Sub({x},{z})"),
    "tanh": Kernel("{r} = Tanh({x})", 1 / 128, 128),
}


def model_of_all(kernels: Mapping[str, Kernel]) -> ir.Model:
    """One model with an output for each kernel."""
    sizes = ",".join(map(str, IMAGE))
    constants: dict[str, Any] = {"s": np.float32(0.03), "o": np.uint8(128)}
    body = ""
    for name in ("x", "z"):
        body += f"{name}_q = QuantizeLinear({name},s,o) {name}_d = DequantizeLinear({name}_q,s,o) "
    for name, kernel in kernels.items():
        body += kernel.body.format(x="x_d", z="z_d", r=f"{name}_r")
        steps = f"{name}_s,{name}_o"
        body += f" {name}_q = QuantizeLinear({name}_r,{steps}) {name} = DequantizeLinear({name}_q,{steps}) "
        constants |= {f"{name}_s": np.float32(kernel.scale), f"{name}_o": np.uint8(kernel.zero)}
        constants |= kernel.constants
    return text_model(
        f"(float[{sizes}] x, float[{sizes}] z) => ({', '.join(f'float {n}' for n in kernels)}) {{ {body} }}", constants
    )


def text_model(text: str, constants: Mapping[str, Any], *, opset: int = 21) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> g {text}')
    arrays = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    proto.graph.initializer.extend(arrays)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def test_each_kernel(tmp_path: Path) -> None:
    model = model_of_all(KERNELS)
    inputs = {name: _RNG.uniform(-4, 4, IMAGE).astype(np.float32) for name in ("x", "z")}
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
        "x": f32(_RNG.integers(-9, 9, (3, 8)) / 4 * f32([[1], [8], [64]])),
        "u": _RNG.integers(0, 256, (3, 8)).astype(np.uint8),
        "i": _RNG.integers(-128, 128, (3, 8)).astype(np.int8),
        "w": _RNG.integers(-32768, 32768, (3, 8)).astype(np.int16),
    }
    assert_exact(text_model(text, constants), tmp_path, inputs)


def test_quantized_inputs_and_outputs(tmp_path: Path) -> None:
    text = (
        "(uint8[1,8,6,6] x) => (uint8 y) { a = DequantizeLinear(x,s,o) b = DequantizeLinear<axis=0>(w,ws) "
        "c = Conv(a,b) d = Relu(c) y = QuantizeLinear(d,s,o) }"
    )
    weights = _RNG.integers(-127, 128, (4, 8, 3, 3)).astype(np.int8)
    constants = {"s": np.float32(0.5), "o": np.uint8(9), "w": weights, "ws": f32([0.125, 0.25, 0.5, 1])}
    inputs = {"x": _RNG.integers(0, 20, (1, 8, 6, 6)).astype(np.uint8)}
    result = converted(text_model(text, constants), tmp_path, inputs=inputs)
    assert result.outputs["y"].dtype == np.uint8
    assert result.steps(1).max() <= 1
    assert operators_of(result.tflite)[0] >= Counter(["CONV_2D"])


@pytest.mark.parametrize("channels", [8, 2000])
def test_integer_products_are_exact(channels: int, tmp_path: Path) -> None:
    """2000 products with bytes are beyond what float32 sums exactly: the weights go in two pieces."""
    text = (
        f"(uint8[1,{channels},3,3] x, uint8[5,{channels}] a) => (int32 y, int32 z) "
        "{ y = ConvInteger(x,w,xo,wo) z = MatMulInteger(a,b,xo,bo) }"
    )
    weights = _RNG.integers(0, 256, (4, channels, 1, 1)).astype(np.uint8)
    constants = {
        "w": weights, "wo": np.uint8(7), "xo": np.uint8(3), "b": weights.reshape(4, -1).T.copy(),
        "bo": np.array([0, 7, 100, 255], np.uint8),
    }  # fmt: skip
    inputs = {
        "x": _RNG.integers(200, 256, (1, channels, 3, 3)).astype(np.uint8),
        "a": _RNG.integers(0, 256, (5, channels)).astype(np.uint8),
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
