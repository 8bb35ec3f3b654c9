"""Quantized models as ONNX Runtime's own quantizer writes them, and what their .tflite files are made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from layoutopt.ir import io as modelio
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.reader import read_tflite

Array = npt.NDArray[Any]
RNG = np.random.default_rng(11)


def weights(*shape: int) -> Array:
    return f32(RNG.standard_normal(shape) / max(1, math.prod(shape[1:])) ** 0.5)


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
        given(
            w1=weights(16, 8, 3, 3),
            b1=weights(16),
            w2=weights(16, 1, 3, 3),
            b2=weights(16),
            w3=weights(16, 16, 1, 1),
            w4=weights(10, 16),
            b4=weights(10),
        ),
        steps=2,
    ),
    "up and down": Network(
        f"a = {CONV}(x,w1,b1) b = Relu(a) c = MaxPool<kernel_shape=[2,2],strides=[2,2]>(b) d = {CONV}(c,w2) "
        'e = Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(d,,s) '
        f"h = Concat<axis=1>(e,a) i = {CONV}(h,w3,b1) y = Sigmoid(i)",
        "CONV_2D RELU MAX_POOL_2D CONV_2D RESIZE_NEAREST_NEIGHBOR CONCATENATION CONV_2D",
        given(
            w1=weights(8, 8, 3, 3),
            b1=weights(8),
            w2=weights(8, 8, 3, 3),
            w3=weights(8, 16, 3, 3),
            s=np.array([1, 1, 2, 2], np.float32),
        ),
        on_floats="LOGISTIC",  # the quantizer's scale is 1 / 255, the kernel's 1 / 256
        steps=2,
    ),
    "activations": Network(
        f"a = {CONV}(x,w1,b1) b = LeakyRelu<alpha=0.1>(a) c = Conv(b,w2) d, e = Split<axis=1>(c) h = Mul(d,e) "
        "i = AveragePool<kernel_shape=[2,2],strides=[2,2]>(h) y = Softmax<axis=1>(i)",
        "CONV_2D LEAKY_RELU CONV_2D SPLIT MUL AVERAGE_POOL_2D",
        given(w1=weights(16, 8, 3, 3), b1=weights(16), w2=weights(16, 16, 1, 1)),
        on_floats="SOFTMAX",
        steps=3,
    ),
    "transposed": Network(
        "a = ConvTranspose<strides=[2,2]>(x,w1,b1) b = Clip(a,lo,hi) y = Add(b,c)",
        "TRANSPOSE_CONV ADD",
        given(w1=weights(8, 4, 2, 2), b1=weights(4), c=weights(4, 1, 1), lo=f32(0), hi=f32(6)),
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
    """Scale and zero point of all int8 tensors that are computed or given."""
    graph = read_tflite(path).graph
    values = [*graph.inputs, *(result for operation in graph.operations for result in operation.results)]
    grids = [each.quantization for each in values if each.dtype is DType.INT8 and each.quantization is not None]
    return {(grid.scales[0], grid.zero_points[0]) for grid in grids}


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
    "abs": Kernel("{r} = Abs({x})", 0.03, 128),
    "add": Kernel("{r} = Add({x},{z})"),
    "add_clip": Kernel("{r}s = Sub({z},{x}) {r} = Clip({r}s,lo,hi)", 0.025, 10, given(lo=f32(0), hi=f32(6))),
    "add_constant": Kernel("{r} = Add({x},c)", constants=given(c=0.02 * np.arange(-3, 13).reshape(16, 1, 1))),
    "average": Kernel("{r} = AveragePool<kernel_shape=[3,3]>({x})", 0.03, 128),
    "bilinear": Kernel('{r} = Resize<mode="linear">({x},,up)', 0.03, 128, given(up=f32([1, 1, 2, 2]))),
    "concat": Kernel("{r} = Concat<axis=1>({x},{z})"),
    "conv": Kernel("{r} = Conv({x},cw)", constants=given(cw=0.01 * RNG.integers(-127, 128, (4, 16, 1, 1)))),
    "depth": Kernel("{r} = DepthToSpace<blocksize=2>({x})", 0.03, 128),
    "elu": Kernel("{r} = Elu({x})"),
    "exp": Kernel("{r} = Exp({x})", 0.22, 0),
    "gelu": Kernel("{r} = Gelu({x})"),
    "hard_swish": Kernel("{r} = HardSwish({x})", 0.03, 20),
    "leaky": Kernel("{r} = LeakyRelu<alpha=0.1>({x})", 0.013, 40),
    "matmul": Kernel("{r}t = Transpose<perm=[0,1,3,2]>({z}) {r} = MatMul({x},{r}t)", 0.2, 128),
    "max": Kernel("{r} = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1],strides=[2,2]>({x})", 0.03, 128),
    "maximum": Kernel("{r} = Max({x},{z})", 0.03, 128),
    "minimum": Kernel("{r} = Min({x},{z})", 0.03, 128),
    "mean": Kernel("{r} = GlobalAveragePool({x})", 0.004),
    "mul": Kernel("{r} = Mul({x},{z})"),
    "mul_scalar": Kernel("{r} = Mul({x},third)", 0.01, constants=given(third=f32(0.3333))),
    "nearest": Kernel('{r} = Resize<mode="nearest">({x},,up)', constants=given(up=f32([1, 1, 2, 2]))),
    "pad": Kernel("{r} = Pad({x},pads)", constants=given(pads=PADS)),
    "prelu": Kernel("{r} = PRelu({x},slope)", constants=given(slope=0.01 * np.arange(16).reshape(16, 1, 1))),
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
    "square": Kernel("{r} = Pow({x},two)", 0.07, 0, given(two=f32(2))),
    "squared_difference": Kernel(
        "{r}t = Transpose<perm=[0,1,3,2]>({z}) {r}d = Sub({x},{r}t) {r} = Pow({r}d,second)",
        0.26,
        0,
        given(second=f32(2)),
    ),
    "sub": Kernel("{r} = Sub({x},{z})"),
    "sum": Kernel("sm = Constant<value_ints=[2,3]>() {r} = ReduceSum({x},sm)", 0.3, 128),
    "tile": Kernel("reps = Constant<value_ints=[1,1,2,2]>() {r} = Tile({x},reps)", 0.03, 128),
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
