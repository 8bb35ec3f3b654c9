"""Quantized models as ONNX Runtime's own quantizer writes them, through the whole path, against ONNX Runtime.

ONNX Runtime computes each QuantizeLinear and DequantizeLinear by itself, so that what is compared is rounding alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import tflite
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from layoutopt.backend.litert.child import kept_alive
from layoutopt.backend.litert.converter import convert_model
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.errors import UnsupportedOperatorError
from layoutopt.forms import run_natural
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir import io as modelio
from layoutopt.ir.verify import Arrays, random_inputs, run
from layoutopt.passes import DEFAULT_PIPELINE, FoldBatchNorm, FoldConstants
from layoutopt.pipeline.manager import PassManager

pytestmark = pytest.mark.tflite

Array = npt.NDArray[Any]
_RNG = np.random.default_rng(11)
_TYPES = {code: name for name, code in vars(tflite.TensorType).items() if isinstance(code, int)}


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    logging.disable(logging.WARNING)  # the quantizer's advice
    with kept_alive():
        yield
    logging.disable(logging.NOTSET)


def f(*shape: int) -> Array:
    return (_RNG.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Network:
    """A float network of one input ``x`` and one output ``y`` that is to be quantized.

    Attributes:
        body: the nodes.
        operators: what the .tflite shall have, QUANTIZE at the input and DEQUANTIZE at the output apart.
        constants: initializers by name.
        shape: of the input.
        steps: how far the results may be off.
    """

    body: str
    operators: str
    constants: Mapping[str, Array]
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
        dict(w1=f(16, 8, 3, 3), b1=f(16), w2=f(16, 1, 3, 3), b2=f(16), w3=f(16, 16, 1, 1), w4=f(10, 16), b4=f(10)),
        steps=2,
    ),
    "up and down": Network(
        f"a = {CONV}(x,w1,b1) b = Relu(a) c = MaxPool<kernel_shape=[2,2],strides=[2,2]>(b) d = {CONV}(c,w2) "
        'e = Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(d,,s) '
        f"h = Concat<axis=1>(e,a) i = {CONV}(h,w3,b1) y = Sigmoid(i)",
        "CONV_2D RELU MAX_POOL_2D CONV_2D RESIZE_NEAREST_NEIGHBOR CONCATENATION CONV_2D LOGISTIC QUANTIZE QUANTIZE",
        dict(w1=f(8, 8, 3, 3), b1=f(8), w2=f(8, 8, 3, 3), w3=f(8, 16, 3, 3), s=np.array([1, 1, 2, 2], np.float32)),
        steps=2,
    ),
    "activations": Network(
        f"a = {CONV}(x,w1,b1) b = LeakyRelu<alpha=0.1>(a) c = Conv(b,w2) d, e = Split<axis=1>(c) h = Mul(d,e) "
        "i = AveragePool<kernel_shape=[2,2],strides=[2,2]>(h) y = Softmax<axis=1>(i)",
        "",
        dict(w1=f(16, 8, 3, 3), b1=f(16), w2=f(16, 16, 1, 1)),
        steps=2,
    ),
    "transposed": Network(
        "a = ConvTranspose<strides=[2,2]>(x,w1,b1) b = Clip(a,lo,hi) y = Add(b,c)",
        "",
        dict(w1=f(8, 4, 2, 2), b1=f(4), c=f(4, 1, 1), lo=np.float32(0), hi=np.float32(6)),
    ),
}


class _Samples(CalibrationDataReader):  # type: ignore[misc]
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


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("format_", QuantFormat)
def test_networks(name: str, format_: QuantFormat, tmp_path: Path) -> None:
    network = NETWORKS[name]
    model = quantized(network.model(), tmp_path, format_)
    result = converted(model, tmp_path)
    steps = result.steps(output_scale(model))
    print(name, format_, Counter(steps.reshape(-1).tolist()), count_tflite(result.tflite).histogram)
