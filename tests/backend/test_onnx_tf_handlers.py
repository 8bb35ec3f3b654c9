"""Every handler against ONNX Runtime, and against the TFLite operators that it should become.

Cases are written once, as ONNX in N, C, H, W. All cases of one opset make one model, so that TensorFlow is started
once per opset; a case's operators are found by walking the .tflite back from its outputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from layoutopt.backend.conversion import Conversion
from layoutopt.backend.onnx_tf.convert import convert_model
from layoutopt.errors import LayoutoptError
from layoutopt.ir.dialect import DOMAIN, OPERATORS, define
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.reader import read_tflite

pytestmark = pytest.mark.tflite

Array = npt.NDArray[Any]
_RNG = np.random.default_rng(7)


@dataclass(frozen=True, slots=True)
class Case:
    """A few nodes in ONNX's text syntax, whose result is ``y`` (or ``y, z``).

    Attributes:
        body: the nodes.
        operators: the TFLite operators that they should become.
        inputs: shapes of the float operands by name, in ONNX's order.
        constants: initializers by name.
        opset: of the default domain.
        dialect: hand over anchors as operators of the dialect, channels-last.
        tolerance: relative to the largest element.
    """

    body: str
    operators: str
    inputs: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    opset: int = 13
    dialect: bool = False
    tolerance: float = 1e-5

    @property
    def outputs(self) -> list[str]:
        names = {name for node in self.graph().node for name in node.output}
        return [name for name in ("y", "z") if name in names]

    def graph(self) -> onnx.GraphProto:
        inputs = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in self.inputs.items())
        return onnx.parser.parse_graph(f"g ({inputs}) => () {{ {self.body} }}")


def f(*shape: int) -> Array:
    return _RNG.standard_normal(shape).astype(np.float32)


def i(*values: int) -> Array:
    return np.array(values, np.int64)


def s(*values: float) -> Array:
    return np.array(values, np.float32)


def nhwc(body: str, operators: str, x: tuple[int, ...], *, opset: int = 13, **constants: npt.ArrayLike) -> Case:
    return Case(body, operators, {"x": x}, constants, opset, dialect=True)


def onnx_(
    body: str, operators: str, opset: int = 13, x: tuple[int, ...] = (2, 6, 8), **constants: npt.ArrayLike
) -> Case:
    return Case(body, operators, {"x": x}, constants, opset)


X = (1, 8, 9, 12)
EVEN = (1, 8, 12, 16)

TANH: Mapping[str, Any] = {
    "k": np.float32(0.044715),
    "r": np.float32(np.sqrt(2 / np.pi)),
    "one": np.float32(1),
    "half": np.float32(0.5),
}
"""The constants of a GELU by tanh."""

CONVS = {
    "conv same": nhwc("y = Conv<pads=[1,1,1,1]>(x,w,b)", "CONV_2D", X, w=f(16, 8, 3, 3), b=f(16)),
    "conv valid": nhwc("y = Conv(x,w)", "CONV_2D", X, w=f(16, 8, 3, 2)),
    "conv pointwise": nhwc("y = Conv(x,w,b)", "CONV_2D", X, w=f(5, 8, 1, 1), b=f(5)),
    "conv stride odd": nhwc("y = Conv<strides=[2,2],pads=[1,1,1,1]>(x,w)", "CONV_2D", (1, 8, 9, 13), w=f(4, 8, 3, 3)),
    "conv stride even": nhwc("y = Conv<strides=[2,2],pads=[1,1,1,1]>(x,w)", "PAD CONV_2D", EVEN, w=f(4, 8, 3, 3)),
    "conv unequal": nhwc("y = Conv<strides=[1,2],pads=[0,2,1,0]>(x,w)", "PAD CONV_2D", X, w=f(4, 8, 3, 5)),
    "conv upper": nhwc('y = Conv<strides=[2,2],auto_pad="SAME_UPPER">(x,w)', "CONV_2D", EVEN, w=f(4, 8, 3, 3)),
    "conv lower": nhwc('y = Conv<strides=[2,2],auto_pad="SAME_LOWER">(x,w)', "PAD CONV_2D", EVEN, w=f(4, 8, 3, 3)),
    "conv dilated": nhwc("y = Conv<dilations=[2,3],pads=[2,3,2,3]>(x,w)", "CONV_2D", X, w=f(4, 8, 3, 3)),
    "conv groups": nhwc("y = Conv<group=4,pads=[1,1,1,1]>(x,w,b)", "CONV_2D", X, w=f(12, 2, 3, 3), b=f(12)),
    "depthwise": nhwc("y = Conv<group=8,pads=[1,1,1,1]>(x,w,b)", "DEPTHWISE_CONV_2D", X, w=f(8, 1, 3, 3), b=f(8)),
    "depthwise x3": nhwc("y = Conv<group=8,pads=[1,1,1,1]>(x,w)", "DEPTHWISE_CONV_2D", X, w=f(24, 1, 3, 3)),
    "depthwise dilated": nhwc(
        "y = Conv<group=8,dilations=[2,2],pads=[2,2,2,2]>(x,w)", "DEPTHWISE_CONV_2D", X, w=f(8, 1, 3, 3)
    ),
    "depthwise strides": nhwc("y = Conv<group=8,strides=[2,1]>(x,w)", "DEPTHWISE_CONV_2D", X, w=f(8, 1, 3, 3)),
    "conv relu": nhwc("a = Conv(x,w,b) y = Relu(a)", "CONV_2D", X, w=f(4, 8, 3, 3), b=f(4)),
    "conv relu6": nhwc(
        "a = Conv(x,w) y = Clip(a,lo,hi)", "CONV_2D", X, w=f(4, 8, 3, 3), lo=np.float32(0), hi=np.float32(6)
    ),
    "conv batch norm": nhwc("a = Conv(x,w) b = Mul(a,m) y = Add(b,c)", "CONV_2D", X, w=f(4, 8, 3, 3), m=f(4), c=f(4)),
    "transpose k2s2": nhwc(
        "y = ConvTranspose<strides=[2,2]>(x,w,b)", "CONV_2D DEPTH_TO_SPACE", X, w=f(8, 5, 2, 2), b=f(5)
    ),
    "transpose k4s2p1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1]>(x,w)", "CONV_2D DEPTH_TO_SPACE", X, w=f(8, 5, 4, 4)
    ),
    "transpose k3s2p1o1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]>(x,w,b)",
        "CONV_2D DEPTH_TO_SPACE",
        X,
        w=f(8, 5, 3, 3),
        b=f(5),
    ),
    "transpose k3s2p1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1]>(x,w,b)",
        "CONV_2D DEPTH_TO_SPACE SLICE",
        X,
        w=f(8, 5, 3, 3),
        b=f(5),
    ),
    "transpose k3s2 unequal": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[0,0,1,1]>(x,w)", "PAD CONV_2D DEPTH_TO_SPACE", X, w=f(8, 5, 3, 3)
    ),
    "transpose k3s1p1": nhwc("y = ConvTranspose<pads=[1,1,1,1]>(x,w)", "CONV_2D", X, w=f(8, 5, 3, 3)),
    "transpose k1s2": nhwc("y = ConvTranspose<strides=[2,2]>(x,w)", "TRANSPOSE_CONV", X, w=f(8, 5, 1, 1)),
    "transpose strides": nhwc(
        "y = ConvTranspose<strides=[3,2],pads=[1,2,0,1],output_padding=[2,1]>(x,w,b)",
        "TRANSPOSE_CONV SLICE",
        X,
        w=f(8, 5, 5, 4),
        b=f(5),
    ),
    "transpose dilated": nhwc(
        "y = ConvTranspose<strides=[2,2],dilations=[2,2]>(x,w)",
        "PAD CONV_2D DEPTH_TO_SPACE SLICE",
        X,
        w=f(8, 5, 3, 3),
    ),
    "transpose groups": nhwc(
        "y = ConvTranspose<group=2,strides=[2,2],pads=[1,1,1,1]>(x,w,b)",
        "RESHAPE PAD RESHAPE PAD CONV_2D",
        X,
        w=f(8, 3, 4, 4),
        b=f(6),
    ),
    "transpose depthwise": nhwc(
        "y = ConvTranspose<group=8,strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]>(x,w)",
        "RESHAPE PAD RESHAPE DEPTHWISE_CONV_2D",
        X,
        w=f(8, 1, 3, 3),
    ),
    "transpose shape": nhwc(
        "y = ConvTranspose<strides=[2,2],output_shape=[20,25]>(x,w)",
        "PAD CONV_2D DEPTH_TO_SPACE SLICE",
        (1, 8, 9, 12),
        w=f(8, 5, 4, 4),
    ),
    "transpose upper": nhwc(
        'y = ConvTranspose<strides=[2,2],auto_pad="SAME_UPPER">(x,w)',
        "PAD CONV_2D DEPTH_TO_SPACE",
        X,
        w=f(8, 5, 3, 3),
    ),
}

POOLS = {
    "max k2s2": nhwc("y = MaxPool<kernel_shape=[2,2],strides=[2,2]>(x)", "MAX_POOL_2D", X),
    "max k3s1p1": nhwc("y = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)", "MAX_POOL_2D", X),
    "max k3s2p1": nhwc("y = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(x)", "PADV2 MAX_POOL_2D", EVEN),
    "max relu": nhwc(
        "a = Relu(x) y = MaxPool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(a)", "RELU PAD MAX_POOL_2D", EVEN
    ),
    "max ceil": nhwc(
        "y = MaxPool<kernel_shape=[3,3],strides=[2,2],ceil_mode=1>(x)", "PADV2 MAX_POOL_2D", (1, 8, 11, 12)
    ),
    "max ceil p1": nhwc(
        "y = MaxPool<kernel_shape=[2,2],strides=[2,2],pads=[1,1,1,1],ceil_mode=1>(x)", "PADV2 MAX_POOL_2D", X
    ),
    "max dilated": nhwc(
        "y = MaxPool<kernel_shape=[2,3],dilations=[2,2],strides=[1,2],pads=[1,2,1,2]>(x)",
        "PADV2 STRIDED_SLICE STRIDED_SLICE MAXIMUM STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE MAXIMUM MAXIMUM",
        X,
    ),
    "max indices": onnx_(
        "y, k = MaxPool<kernel_shape=[2,3],strides=[2,1],pads=[1,1,0,1],dilations=[1,2]>(x) z = Cast<to=1>(k)",
        "PADV2 STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE PACK REDUCE_MAX "
        "ARG_MAX GATHER ADD CAST",
        x=X,
    ),
    "max indices down": onnx_(
        "y, k = MaxPool<kernel_shape=[2,2],strides=[2,2],storage_order=1>(x) z = Cast<to=1>(k)",
        "STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE PACK REDUCE_MAX ARG_MAX GATHER ADD CAST",
        x=X,
    ),
    "average k2s2": nhwc("y = AveragePool<kernel_shape=[2,2],strides=[2,2]>(x)", "AVERAGE_POOL_2D", X),
    "average k3p1": nhwc("y = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1]>(x)", "AVERAGE_POOL_2D", X),
    "average include": nhwc(
        "y = AveragePool<kernel_shape=[3,3],pads=[1,1,1,1],count_include_pad=1>(x)", "PAD AVERAGE_POOL_2D", X
    ),
    "average k3s2p1": nhwc(
        "y = AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1]>(x)", "PAD AVERAGE_POOL_2D MUL", EVEN
    ),
    "average ceil": nhwc("y = AveragePool<kernel_shape=[3,3],strides=[2,2],ceil_mode=1>(x)", "AVERAGE_POOL_2D", EVEN),
    "average ceil odd": nhwc(
        "y = AveragePool<kernel_shape=[3,3],strides=[2,2],ceil_mode=1>(x)", "PAD AVERAGE_POOL_2D MUL", (1, 8, 11, 12)
    ),
    "average ceil include": nhwc(
        "y = AveragePool<kernel_shape=[3,3],strides=[2,2],pads=[1,1,1,1],ceil_mode=1,count_include_pad=1>(x)",
        "PAD AVERAGE_POOL_2D MUL",
        EVEN,
    ),
    "average lower": nhwc('y = AveragePool<kernel_shape=[2,2],auto_pad="SAME_LOWER">(x)', "PAD AVERAGE_POOL_2D MUL", X),
    "average dilated": nhwc(
        "y = AveragePool<kernel_shape=[3,2],dilations=[2,2],pads=[1,1,1,1]>(x)",
        "PAD DEPTHWISE_CONV_2D MUL",
        X,
        opset=20,
    ),
    "global average": nhwc("y = GlobalAveragePool(x)", "MEAN", X),
    "global max": nhwc("y = GlobalMaxPool(x)", "REDUCE_MAX", X),
}


def resize(
    attributes: str, operators: str, target: Array, *, opset: int = 13, x: tuple[int, ...] = (1, 3, 8, 10)
) -> Case:
    operands = "x,,t" if target.dtype == np.float32 else "x,,,t"
    return nhwc(f"y = Resize<{attributes}>({operands})", operators, x, opset=opset, t=target)


TWICE, HALF, ODD = s(1, 1, 2, 2), s(1, 1, 0.5, 0.5), i(1, 3, 13, 7)
ASYM, HALF_PIXEL, TORCH, CORNERS = (
    f'coordinate_transformation_mode="{mode}"'
    for mode in ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
)
GATHERED = "GATHER GATHER MUL MUL ADD"
RESIZES = {
    "nearest 2x": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", TWICE),
    "nearest default": resize('mode="nearest"', "RESIZE_NEAREST_NEIGHBOR", TWICE),
    "nearest half": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", HALF),
    "nearest sizes": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", ODD),
    "nearest ceil": resize(f'mode="nearest",{HALF_PIXEL},nearest_mode="ceil"', "GATHER GATHER", ODD),
    "nearest corners": resize(
        f'mode="nearest",{CORNERS},nearest_mode="round_prefer_ceil"', "RESIZE_NEAREST_NEIGHBOR", ODD
    ),
    "linear half pixel": resize(f'mode="linear",{HALF_PIXEL}', "RESIZE_BILINEAR", TWICE),
    "linear torch": resize(f'mode="linear",{TORCH}', "RESIZE_BILINEAR", ODD),
    "linear corners": resize(f'mode="linear",{CORNERS}', "RESIZE_BILINEAR", ODD),
    "linear asymmetric": resize(f'mode="linear",{ASYM}', "RESIZE_BILINEAR", TWICE),
    "linear down": resize(f'mode="linear",{HALF_PIXEL}', "RESIZE_BILINEAR", HALF),
    "linear scale": resize(f'mode="linear",{HALF_PIXEL}', f"{GATHERED} {GATHERED}", s(1, 1, 1.7, 1.3)),
    "cubic": resize(
        f'mode="cubic",{TORCH},cubic_coeff_a=-0.75',
        " ".join(["GATHER"] * 8 + ["MUL"] * 8 + ["ADD"] * 6),
        TWICE,
    ),
    "nothing": resize('mode="linear"', "", s(1, 1, 1, 1)),
    "axes 18": nhwc(
        f'y = Resize<mode="linear",{HALF_PIXEL},axes=[2,3]>(x,,,t)',
        "RESIZE_BILINEAR",
        (1, 3, 8, 10),
        opset=18,
        t=i(16, 15),
    ),
    "aspect 18": nhwc(
        'y = Resize<mode="linear",keep_aspect_ratio_policy="not_larger",axes=[2,3]>(x,,,t)',
        "RESIZE_BILINEAR",
        (1, 3, 8, 10),
        opset=18,
        t=i(16, 40),
    ),
    "opset 10 nearest": nhwc(
        'y = Resize<mode="nearest">(x,t)', "RESIZE_NEAREST_NEIGHBOR", (1, 3, 8, 10), opset=10, t=TWICE
    ),
    "opset 10 linear": nhwc('y = Resize<mode="linear">(x,t)', "RESIZE_BILINEAR", (1, 3, 8, 10), opset=10, t=TWICE),
    "upsample 9": nhwc('y = Upsample<mode="nearest">(x,t)', "RESIZE_NEAREST_NEIGHBOR", (1, 3, 8, 10), opset=9, t=TWICE),
    "dcr": nhwc('y = DepthToSpace<blocksize=2,mode="DCR">(x)', "DEPTH_TO_SPACE", X),
    "crd": nhwc('y = DepthToSpace<blocksize=2,mode="CRD">(x)', "RESHAPE TRANSPOSE RESHAPE", (2, 8, 3, 4)),
    "crd to one": nhwc('y = DepthToSpace<blocksize=2,mode="CRD">(x)', "DEPTH_TO_SPACE", (1, 4, 3, 4)),
    "space to depth": nhwc("y = SpaceToDepth<blocksize=2>(x)", "SPACE_TO_DEPTH", (1, 3, 4, 6)),
}

SOFTPLUS = "RELU ABS NEG EXP LESS MUL SUB MUL SUB MUL ADD LOG SELECT ADD"
MISH = "LOGISTIC SUB MUL SUB DIV MUL"

ACTIVATIONS = {
    "relu6": onnx_("y = Clip(x,lo,hi)", "RELU6", lo=np.float32(0), hi=np.float32(6)),
    "relu n1 to 1": onnx_("y = Clip(x,lo,hi)", "RELU_N1_TO_1", lo=np.float32(-1), hi=np.float32(1)),
    "clip": onnx_("y = Clip(x,lo,hi)", "MAXIMUM MINIMUM", lo=np.float32(-0.5), hi=np.float32(0.7)),
    "clip low": onnx_("y = Clip(x,lo)", "RELU", lo=np.float32(0)),
    "clip high": onnx_("y = Clip(x,,hi)", "MINIMUM", hi=np.float32(0.25)),
    "clip 9": onnx_("y = Clip<min=0.0,max=6.0>(x)", "RELU6", opset=9),
    "leaky": onnx_("y = LeakyRelu<alpha=0.1>(x)", "LEAKY_RELU"),
    "prelu": Case("y = PRelu(x,a)", "PRELU", {"x": (1, 4, 5, 8)}, {"a": f(8)}),
    "prelu 16": Case("y = PRelu(x,a)", "PRELU", {"x": (1, 4, 5, 8)}, {"a": f(1, 1, 8)}, 18),
    "prelu one": Case("y = PRelu(x,a)", "PRELU", {"x": (1, 4, 5, 8)}, {"a": f(1)}),
    "hard swish": onnx_("y = HardSwish(x)", "HARD_SWISH", opset=18),
    "hard swish by hard sigmoid": onnx_("a = HardSigmoid<alpha=0.16666667,beta=0.5>(x) y = Mul(x,a)", "HARD_SWISH"),
    "hard swish by clip": onnx_(
        "a = Add(x,c3) b = Clip(a,c0,c6) c = Div(b,c6) y = Mul(x,c)",
        "HARD_SWISH",
        c0=np.float32(0),
        c3=np.float32(3),
        c6=np.float32(6),
    ),
    "hard swish by product": onnx_(
        "a = Add(x,c3) b = Clip(a,c0,c6) c = Mul(x,b) y = Div(c,c6)",
        "HARD_SWISH",
        c0=np.float32(0),
        c3=np.float32(3),
        c6=np.float32(6),
    ),
    "hard sigmoid": onnx_("y = HardSigmoid<alpha=0.16666667,beta=0.5>(x)", "ADD MUL"),
    "hard sigmoid 0.2": onnx_("y = HardSigmoid(x)", "MUL ADD MINIMUM"),
    "gelu": onnx_("y = Gelu(x)", "GELU", opset=20),
    "gelu tanh": onnx_('y = Gelu<approximate="tanh">(x)', "GELU", opset=20),
    "gelu by erf": onnx_(
        "a = Div(x,r) b = Erf(a) c = Add(b,one) d = Mul(x,c) y = Mul(d,half)",
        "GELU",
        r=np.float32(np.sqrt(2)),
        one=np.float32(1),
        half=np.float32(0.5),
    ),
    "gelu by erf, half first": onnx_(
        "a = Div(x,r) b = Erf(a) c = Add(b,one) h = Mul(x,half) y = Mul(h,c)",
        "GELU",
        r=np.float32(np.sqrt(2)),
        one=np.float32(1),
        half=np.float32(0.5),
    ),
    "gelu by erf, half inside": onnx_(
        "a = Mul(x,r) b = Erf(a) c = Add(one,b) h = Mul(half,c) y = Mul(x,h)",
        "GELU",
        r=np.float32(np.sqrt(0.5)),
        one=np.float32(1),
        half=np.float32(0.5),
    ),
    "gelu by tanh": onnx_(
        "a = Mul(x,x) b = Mul(x,a) c = Mul(b,k) d = Add(x,c) e = Mul(r,d) t = Tanh(e) u = Add(t,one) h = Mul(half,x) "
        "y = Mul(h,u)",
        "GELU",
        opset=17,
        **TANH,
    ),
    "gelu by tanh and power": onnx_(
        "b = Pow(x,three) c = Mul(b,k) d = Add(x,c) e = Mul(d,r) t = Tanh(e) u = Add(t,one) h = Mul(x,half) "
        "y = Mul(h,u)",
        "GELU",
        opset=17,
        three=np.float32(3),
        **TANH,
    ),
    "gelu by tanh, multiplied out": onnx_(
        "b = Mul(x,x) c = Mul(b,x) d = Mul(c,k) e = Mul(x,r) f = Add(e,d) t = Tanh(f) u = Add(one,t) g = Mul(x,u) "
        "y = Mul(g,half)",
        "GELU",
        opset=17,
        k=np.float32(0.044715 * np.sqrt(2 / np.pi)),
        r=np.float32(np.sqrt(2 / np.pi)),
        one=np.float32(1),
        half=np.float32(0.5),
    ),
    "gelu by tanh, x outside": onnx_(
        "a = Mul(x,r) b = Mul(x,k) c = Mul(b,x) d = Add(c,one) e = Mul(a,d) t = Tanh(e) u = Add(t,one) g = Mul(x,u) "
        "y = Mul(g,half)",
        "GELU",
        opset=17,
        **TANH,
    ),
    "no gelu by another tanh": onnx_(
        "b = Mul(x,x) c = Mul(b,x) d = Mul(c,k) e = Add(x,d) t = Tanh(e) u = Add(t,one) h = Mul(x,half) y = Mul(h,u)",
        "MUL MUL MUL ADD TANH ADD MUL MUL",
        opset=17,
        k=np.float32(0.044715),
        one=np.float32(1),
        half=np.float32(0.5),
    ),
    "silu": onnx_("a = Sigmoid(x) y = Mul(x,a)", "LOGISTIC MUL"),
    "elu": onnx_("y = Elu(x)", "ELU"),
    "elu 2": onnx_("y = Elu<alpha=2.0>(x)", "ELU LEAKY_RELU"),
    "elu 0.5": onnx_("y = Elu<alpha=0.5>(x)", "ELU LEAKY_RELU"),
    "selu": onnx_("y = Selu(x)", "ELU LEAKY_RELU MUL"),
    "celu": onnx_("y = Celu(x)", "ELU"),
    "celu 2": onnx_("y = Celu<alpha=2.0>(x)", "MUL ELU MUL"),
    "softplus": onnx_("y = Softplus(x)", SOFTPLUS),
    "softplus far out": onnx_("a = Mul(x,far) y = Softplus(a)", f"MUL {SOFTPLUS}", far=np.float32(300)),
    "softplus with a threshold": onnx_("a = Softplus(x) b = Greater(x,k) y = Where(b,x,a)", SOFTPLUS, k=np.float32(20)),
    "softplus with a low threshold": onnx_(
        "a = Softplus(x) b = Greater(x,k) y = Where(b,x,a)",
        f"{SOFTPLUS} GREATER SELECT",
        k=np.float32(0.5),
    ),
    "mish": onnx_("y = Mish(x)", MISH, opset=18),
    "mish far out": onnx_("a = Mul(x,far) y = Mish(a)", f"MUL {MISH}", opset=18, far=np.float32(300)),
    "mish by softplus": onnx_("a = Softplus(x) b = Tanh(a) y = Mul(x,b)", MISH),
    "mish by softplus with a threshold": onnx_(
        "a = Softplus(x) b = Greater(x,k) c = Where(b,x,a) d = Tanh(c) y = Mul(d,x)", MISH, k=np.float32(20)
    ),
    "softmax": onnx_("y = Softmax(x)", "SOFTMAX"),
    "softmax axis": onnx_("y = Softmax<axis=1>(x)", "TRANSPOSE SOFTMAX TRANSPOSE"),
    "softmax 11": onnx_("y = Softmax<axis=1>(x)", "RESHAPE SOFTMAX RESHAPE", opset=11),
    "log softmax": onnx_("y = LogSoftmax(x)", "LOG_SOFTMAX"),
}

ELEMENTWISE = {
    "arithmetic": onnx_("a = Add(x,c) b = Mul(a,x) d = Sub(b,c) y = Div(d,c)", "ADD MUL SUB MUL", c=s(2)),
    "pow 2": onnx_("y = Pow(x,c)", "SQUARE", c=np.float32(2)),
    "pow 3": onnx_("y = Pow(x,c)", "POW", c=np.float32(3)),
    "reciprocal of a root": onnx_("a = Abs(x) b = Sqrt(a) y = Reciprocal(b)", "ABS RSQRT"),
    "sqrt exp": onnx_("a = Exp(x) b = Sqrt(a) y = Log(b)", "EXP SQRT LOG"),
    "unary": onnx_(
        "a = Abs(x) b = Neg(a) c = Floor(b) d = Ceil(c) e = Sin(d) y = Cos(e)", "ABS NEG FLOOR CEIL SIN COS"
    ),
    "rounding": onnx_("a = Round(x) b = Sign(x) y = Add(a,b)", "ROUND SIGN ADD"),
    "erf": onnx_("y = Erf(x)", "ABS MUL ADD DIV MUL ADD MUL ADD MUL ADD MUL ADD MUL SQUARE NEG EXP MUL SUB SIGN MUL"),
    "where": onnx_("a = Greater(x,c) y = Where(a,x,c)", "GREATER SELECT_V2", c=np.float32(0.1)),
    "cast": onnx_("a = Cast<to=6>(x) y = Cast<to=1>(a)", "CAST CAST"),
    "cast 21": onnx_("a = Cast<to=6>(x) y = Cast<to=1>(a)", "CAST CAST", opset=21),
    "max min": onnx_("a = Max(x,c,d) y = Min(a,d)", "MAXIMUM MAXIMUM MINIMUM", c=s(0.1), d=s(0.2)),
    "identity": onnx_("a = Identity(x) y = Relu(a)", "RELU"),
    "constants": onnx_("a = Add(c,c) b = Mul(a,c) y = Mul(x,b)", "MUL", c=s(1.5)),
}

MATRICES = {
    "gemm": onnx_("y = Gemm<transB=1>(x,w,b)", "FULLY_CONNECTED", x=(3, 8), w=f(5, 8), b=f(5)),
    "gemm scaled": onnx_("y = Gemm<alpha=0.5,beta=2.0>(x,w,b)", "FULLY_CONNECTED", x=(3, 8), w=f(8, 5), b=f(1, 5)),
    "gemm trans a": onnx_("y = Gemm<transA=1>(x,w)", "TRANSPOSE FULLY_CONNECTED", x=(8, 3), w=f(8, 5)),
    "gemm relu": onnx_("a = Gemm<transB=1>(x,w,b) y = Relu(a)", "FULLY_CONNECTED", x=(1, 8), w=f(5, 8), b=f(5)),
    "matmul linear": onnx_("a = MatMul(x,w) y = Add(a,b)", "FULLY_CONNECTED", w=f(8, 5), b=f(5)),
    "matmul batch": Case("y = MatMul(x,v)", "BATCH_MATMUL", {"x": (2, 3, 4, 8), "v": (2, 3, 8, 5)}),
    "matmul transposed": Case(
        "a = Transpose<perm=[0,2,1]>(v) y = MatMul(x,a)", "BATCH_MATMUL", {"x": (2, 4, 8), "v": (2, 5, 8)}
    ),
    **{
        f"matmul swapped {len(a)}d": Case(
            f"y = layoutopt.nhwc.MatMulTransposed{len(a)}D(x,v)", operators, {"x": a, "v": b}, opset=18
        )
        for a, b, operators in (
            ((4, 8), (5, 8), "FULLY_CONNECTED"),
            ((2, 4, 8), (1, 5, 8), "BATCH_MATMUL"),
            ((2, 3, 4, 8), (2, 3, 5, 8), "BATCH_MATMUL"),
            ((2, 3, 1, 4, 8), (2, 1, 7, 5, 8), "BATCH_MATMUL"),
        )
    },
    "matmul swapped constant": onnx_("y = layoutopt.nhwc.MatMulTransposed3D(x,w)", "BATCH_MATMUL", w=f(2, 5, 8)),
    "einsum scores": Case(
        'y = Einsum<equation="bhid,bhjd->bhij">(x,v)', "BATCH_MATMUL", {"x": (2, 3, 4, 8), "v": (2, 3, 5, 8)}, opset=17
    ),
    "einsum values": Case(
        'y = Einsum<equation="bhij,bhjd->bhid">(x,v)', "BATCH_MATMUL", {"x": (2, 3, 4, 5), "v": (2, 3, 5, 8)}, opset=17
    ),
    "einsum linear": onnx_('y = Einsum<equation="bnc,cd->bnd">(x,w)', "FULLY_CONNECTED", opset=17, w=f(8, 5)),
    "matmul vector": onnx_("y = MatMul(x,w)", "FULLY_CONNECTED RESHAPE", w=f(8)),
}

REDUCTIONS = {
    "mean": onnx_("y = ReduceMean<axes=[1],keepdims=0>(x)", "MEAN"),
    "mean 18": onnx_("y = ReduceMean(x,a)", "MEAN", opset=18, a=i(-1)),
    "mean all": onnx_("y = ReduceMean<keepdims=0>(x)", "MEAN"),
    "sum": onnx_("y = ReduceSum(x,a)", "SUM", a=i(1, 2)),
    "max 18": onnx_("y = ReduceMax(x,a)", "REDUCE_MAX", opset=18, a=i(1)),
    "max 20": onnx_("y = ReduceMax(x,a)", "REDUCE_MAX", opset=20, a=i(1)),
    "l1": onnx_("y = ReduceL1<axes=[1,2]>(x)", "ABS SUM"),
    "l2": onnx_("y = ReduceL2<axes=[1,2]>(x)", "SQUARE SUM SQRT"),
    "logsumexp": onnx_(
        "y = ReduceLogSumExp<axes=[1],keepdims=0>(x)", "REDUCE_MAX MINIMUM MAXIMUM SUB EXP SUM LOG ADD RESHAPE"
    ),
    "argmax": onnx_("y = ArgMax<axis=1,keepdims=0>(x)", "ARG_MAX"),
    "argmin keep": onnx_("y = ArgMin<axis=-1>(x)", "ARG_MIN RESHAPE"),
    "topk": onnx_("y, z = TopK<axis=-1>(x,k)", "TOPK_V2 CAST", k=i(3)),
    "topk smallest": onnx_(
        "y, z = TopK<axis=1,largest=0>(x,k)", "TRANSPOSE NEG TOPK_V2 NEG TRANSPOSE CAST TRANSPOSE", k=i(3)
    ),
    "cumsum": onnx_("y = CumSum(x,a)", "CUMSUM", a=np.int64(1)),
    "layer norm": onnx_(
        "y = LayerNormalization(x,w,b)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD",
        opset=18,
        w=f(8),
        b=f(8),
    ),
    "layer norm with moments": onnx_(
        "y, m, z = LayerNormalization(x,w,b)", "MEAN SUB MUL MEAN ADD RSQRT MUL MUL ADD", 17, w=f(8), b=f(8)
    ),
    "layer norm of two axes": onnx_(
        "y = LayerNormalization<axis=1>(x,w)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL MUL",
        opset=17,
        w=f(6, 8),
    ),
    "layer norm by hand": onnx_(
        "m = ReduceMean<axes=[-1]>(x) c = Sub(x,m) q = Pow(c,two) v = ReduceMean<axes=[-1]>(q) e = Add(v,eps) "
        "d = Sqrt(e) n = Div(c,d) s = Mul(n,w) y = Add(s,b)",
        "MEAN SUB SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL ADD",
        opset=17,
        two=np.float32(2),
        eps=np.float32(1e-5),
        w=f(8),
        b=f(8),
    ),
    "layer norm linear": onnx_(
        "n = LayerNormalization(x,w,b) m = MatMul(n,k) y = Add(m,c)",
        "MEAN SUB MUL MEAN ADD RSQRT MUL FULLY_CONNECTED",
        opset=17,
        w=f(8),
        b=f(8),
        k=f(8, 5),
        c=f(5),
    ),
    "instance norm": onnx_(
        "y = InstanceNormalization(x,w,b)",
        "MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL SUB MUL ADD",
        w=f(6),
        b=f(6),
    ),
    "group norm 21": onnx_(
        "y = GroupNormalization<num_groups=3>(x,w,b)",
        "RESHAPE MEAN SQUARED_DIFFERENCE MEAN ADD RSQRT MUL MUL SUB MUL ADD RESHAPE",
        opset=21,
        w=f(6),
        b=f(6),
    ),
    "batch norm": onnx_(
        "y = BatchNormalization(x,a,b,m,v)", "MUL ADD", a=f(6), b=f(6), m=f(6), v=np.abs(f(6)).astype(np.float32)
    ),
    "lp norm": onnx_("y = LpNormalization<axis=-1>(x)", "MUL SUM MAXIMUM RSQRT MUL"),
}

SHAPES = {
    "concat": onnx_("a = Relu(x) y = Concat<axis=-1>(x,a)", "RELU CONCATENATION"),
    "split": onnx_("y, z = Split<axis=-1>(x)", "SPLIT"),
    "split sizes": onnx_("y, z = Split<axis=-1>(x,p)", "SPLIT_V", p=i(3, 5)),
    "split 11": onnx_("y, z = Split<axis=1,split=[2,4]>(x)", "SPLIT_V", opset=11),
    "split 18": onnx_("y, z = Split<axis=2,num_outputs=2>(x)", "SPLIT", opset=18),
    "slice": onnx_("y = Slice(x,b,e,a)", "SLICE", b=i(1, -6), e=i(4, 2**62), a=i(1, 2)),
    "slice steps": onnx_("y = Slice(x,b,e,a,t)", "STRIDED_SLICE", b=i(0), e=i(-1), a=i(2), t=i(2)),
    "slice back": onnx_("y = Slice(x,b,e,a,t)", "REVERSE_V2 STRIDED_SLICE", b=i(-1), e=i(-(2**62)), a=i(2), t=i(-2)),
    "slice halves": onnx_("y = Slice(x,m,e,a) z = Slice(x,b,m,a)", "SPLIT", b=i(0), m=i(4), e=i(2**62), a=i(-1)),
    "slice parts": onnx_("y = Slice(x,b,m,a) z = Slice(x,m,e,a)", "SLICE SLICE", b=i(0), m=i(3), e=i(2**62), a=i(-1)),
    "slice overlap": onnx_(
        "y = Slice(x,b,m,a) z = Slice(x,n,e,a)", "SLICE SLICE", b=i(0), m=i(5), n=i(3), e=i(8), a=i(2)
    ),
    "slice nothing": onnx_("a = Slice(x,b,e) y = Relu(a)", "RELU", b=i(0), e=i(2**62)),
    "pad": onnx_("y = Pad(x,p)", "PAD", p=i(0, 2, 3, 0, 0, 1)),
    "pad value": onnx_("y = Pad(x,p,v)", "PADV2", p=i(0, 2, 3, 0, 0, 1), v=np.float32(1.5)),
    "pad 18": onnx_("y = Pad(x,p,,a)", "PAD", opset=18, p=i(3, 2), a=i(2)),
    "pad cut": onnx_("y = Pad(x,p)", "SLICE PAD", p=i(0, -1, 2, 0, 0, -1)),
    "pad reflect": onnx_(
        'y = Pad<mode="reflect">(x,p)',
        "SLICE REVERSE_V2 CONCATENATION SLICE REVERSE_V2 SLICE CONCATENATION",
        p=i(0, 2, 3, 0, 0, 1),
    ),
    "pad edge": onnx_('y = Pad<mode="edge">(x,p)', "SLICE CONCATENATION SLICE CONCATENATION", p=i(0, 0, 3, 0, 1, 0)),
    "reshape": onnx_("y = Reshape(x,t)", "RESHAPE", t=i(0, -1, 2)),
    "reshape by shape": onnx_(
        "s = Shape(x) n = Gather<axis=0>(s,zero) u = Unsqueeze(n,zero1) t = Concat<axis=0>(u,m) y = Reshape(x,t)",
        "RESHAPE",
        zero=np.int64(0),
        zero1=i(0),
        m=i(-1),
    ),
    "flatten": onnx_("y = Flatten<axis=1>(x)", "RESHAPE"),
    "squeeze": onnx_("y = Squeeze(x,a)", "RESHAPE", x=(1, 6, 1, 8), a=i(0)),
    "squeeze 11": onnx_("y = Squeeze<axes=[0]>(x)", "RESHAPE", opset=11, x=(1, 6, 1, 8)),
    "unsqueeze": onnx_("y = Unsqueeze(x,a)", "RESHAPE", a=i(0, -1)),
    "transpose": onnx_("y = Transpose<perm=[2,0,1]>(x)", "TRANSPOSE"),
    "transpose of ones": onnx_("y = Transpose<perm=[1,0,2]>(x)", "RESHAPE", x=(1, 6, 8)),
    "gather": onnx_("y = Gather<axis=1>(x,n)", "GATHER", n=i(0, -1, 3)),
    "gather one": onnx_("y = Gather<axis=1>(x,n)", "SLICE RESHAPE", n=np.int64(-2)),
    "gather range": onnx_("y = Gather<axis=1>(x,n)", "SLICE RESHAPE", n=np.array([[1, 2], [3, -2]], np.int64)),
    "gather steps": onnx_("y = Gather<axis=1>(x,n)", "STRIDED_SLICE", n=i(1, 3, 5)),
    "gather all": onnx_("y = Gather<axis=1>(x,n)", "RESHAPE", n=np.arange(6).reshape(2, 3)),
    "gather nd": onnx_("y = GatherND(x,n)", "GATHER_ND", n=np.array([[0, 1], [1, -1]], np.int64)),
    "expand": onnx_("y = Expand(x,t)", "BROADCAST_TO", x=(1, 6, 1), t=i(3, 1, 4)),
    "tile": onnx_("y = Tile(x,t)", "TILE", t=i(1, 2, 1)),
    "constant": onnx_("c = Constant<value_float=2.0>() y = Mul(x,c)", "MUL"),
}

NATURAL = {
    "conv 1d": onnx_(
        "y = Conv<pads=[1,1],strides=[2]>(x,w,b)",
        "TRANSPOSE RESHAPE PAD CONV_2D RESHAPE TRANSPOSE",
        w=f(4, 6, 3),
        b=f(4),
    ),
    "conv 22": Case("y = Conv<pads=[1,1,1,1]>(x,w)", "TRANSPOSE CONV_2D TRANSPOSE", {"x": X}, {"w": f(4, 8, 3, 3)}, 22),
    "global": Case("y = GlobalAveragePool(x)", "MEAN", {"x": X}),
    "max pool 3d": Case(
        "y = MaxPool<kernel_shape=[2,2,2]>(x)",
        "TRANSPOSE RESHAPE MAX_POOL_2D RESHAPE MAX_POOL_2D RESHAPE TRANSPOSE",
        {"x": (2, 4, 6, 5, 8)},
    ),
}

LINE, BLOCK = (2, 8, 15), (2, 4, 6, 5, 8)

RANKS = {
    "lp pool": nhwc("y = LpPool<kernel_shape=[2,3],pads=[0,1,1,1]>(x)", "SQUARE PAD AVERAGE_POOL_2D MUL SQRT", X),
    "lp pool 3d": nhwc(
        "y = LpPool<kernel_shape=[2,3,2],p=1>(x)",
        "RESHAPE ABS AVERAGE_POOL_2D MUL RESHAPE ABS AVERAGE_POOL_2D MUL RESHAPE",
        BLOCK,
        opset=18,
    ),
    "lp pool natural": Case("y = GlobalLpPool<p=3>(x)", "ABS POW SUM POW", {"x": X}),
    "global lp pool": nhwc("y = GlobalLpPool(x)", "SQUARE SUM SQRT", X),
    "lrn": nhwc("y = LRN<size=5,alpha=0.5,bias=2.0>(x)", "LOCAL_RESPONSE_NORMALIZATION", X),
    "conv 1d": nhwc("y = Conv<pads=[1,1]>(x,w,b)", "RESHAPE CONV_2D RESHAPE", LINE, w=f(4, 8, 3), b=f(4)),
    "conv 1d lower": nhwc(
        'y = Conv<strides=[2],auto_pad="SAME_LOWER",kernel_shape=[4]>(x,w)',
        "RESHAPE PAD CONV_2D RESHAPE",
        LINE,
        w=f(4, 8, 4),
    ),
    "conv 1d depthwise": nhwc(
        "y = Conv<group=8,dilations=[2]>(x,w)", "RESHAPE DEPTHWISE_CONV_2D RESHAPE", LINE, w=f(8, 1, 3)
    ),
    "conv 3d": nhwc("y = Conv(x,w,b)", "CONV_3D ADD", BLOCK, w=f(5, 4, 3, 2, 3), b=f(5)),
    "conv 3d pads": nhwc("y = Conv<pads=[1,0,1,0,1,1],strides=[2,1,2]>(x,w)", "PAD CONV_3D", BLOCK, w=f(5, 4, 3, 2, 3)),
    "conv 3d same": nhwc("y = Conv<pads=[1,1,1,1,1,1]>(x,w)", "CONV_3D", BLOCK, w=f(5, 4, 3, 3, 3)),
    "conv 3d groups": nhwc("y = Conv<group=2>(x,w)", "SPLIT CONV_3D CONV_3D CONCATENATION", BLOCK, w=f(6, 2, 2, 2, 2)),
    "conv transpose 1d": nhwc(
        "y = ConvTranspose<strides=[2],pads=[1,0]>(x,w,b)",
        "RESHAPE TRANSPOSE_CONV SLICE RESHAPE",
        LINE,
        w=f(8, 5, 3),
        b=f(5),
    ),
    "conv transpose 3d": nhwc(
        "y = ConvTranspose<strides=[2,1,2],pads=[1,0,0,0,1,0]>(x,w,b)",
        "CONV_3D_TRANSPOSE ADD SLICE",
        BLOCK,
        w=f(4, 5, 3, 2, 2),
        b=f(5),
    ),
    "conv transpose 3d groups": nhwc(
        "y = ConvTranspose<group=2>(x,w)",
        "SPLIT CONV_3D_TRANSPOSE CONV_3D_TRANSPOSE CONCATENATION",
        BLOCK,
        w=f(4, 3, 2, 2, 2),
    ),
    "max pool 1d": nhwc("y = MaxPool<kernel_shape=[3],strides=[2],pads=[1,1]>(x)", "RESHAPE MAX_POOL_2D RESHAPE", LINE),
    "max pool 3d": nhwc(
        "y = MaxPool<kernel_shape=[2,3,2],strides=[2,1,2]>(x)",
        "RESHAPE MAX_POOL_2D RESHAPE MAX_POOL_2D RESHAPE",
        BLOCK,
    ),
    "average pool 1d": nhwc("y = AveragePool<kernel_shape=[3],pads=[1,1]>(x)", "RESHAPE AVERAGE_POOL_2D RESHAPE", LINE),
    "average pool 3d": nhwc(
        "y = AveragePool<kernel_shape=[2,2,3],pads=[1,0,1,0,1,1],ceil_mode=1,strides=[2,1,2]>(x)",
        "RESHAPE PAD AVERAGE_POOL_2D MUL RESHAPE PAD AVERAGE_POOL_2D MUL RESHAPE",
        BLOCK,
        opset=19,
    ),
    "global pool 1d": nhwc("y = GlobalAveragePool(x)", "MEAN", LINE),
    "global pool 3d": nhwc("y = GlobalMaxPool(x)", "REDUCE_MAX", BLOCK),
    "resize 1d": nhwc('y = Resize<mode="linear">(x,,s)', "RESHAPE RESIZE_BILINEAR RESHAPE", LINE, s=s(1, 1, 2)),
    "resize 3d": nhwc(
        'y = Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(x,,s)',
        "RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE",
        BLOCK,
        s=s(1, 1, 2, 3, 2),
    ),
    "resize 3d linear": nhwc(
        'y = Resize<mode="linear">(x,,,n)',
        "RESHAPE RESIZE_BILINEAR RESHAPE RESIZE_BILINEAR RESHAPE",
        BLOCK,
        n=i(2, 4, 9, 10, 11),
    ),
}
"""Operators over one and three spatial axes."""

CASES: dict[str, Case] = {
    **CONVS,
    **POOLS,
    **{f"resize {name}": case for name, case in RESIZES.items()},
    **ACTIVATIONS,
    **ELEMENTWISE,
    **MATRICES,
    **{f"reduce {name}": case for name, case in REDUCTIONS.items()},
    **{f"shape {name}": case for name, case in SHAPES.items()},
    **{f"natural {name}": case for name, case in NATURAL.items()},
    **{f"ranks {name}": case for name, case in RANKS.items()},
}

UPSAMPLINGS: dict[str, Case] = {
    f"upsampling k{kernel} s{stride} p{begin},{end} o{extra}": nhwc(
        f"y = ConvTranspose<strides=[{stride},{stride}],pads=[{begin},{end},{end},{begin}],"
        f"output_padding=[{extra},{extra}]>(x,w,b)",
        "",
        (1, 3, 4, 5),
        w=f(3, 2, kernel, kernel),
        b=f(2),
    )
    for kernel, stride in product((1, 2, 3, 4, 5, 7), (1, 2, 3))
    for begin, end, extra in ((0, 0, 0), (1, 0, 0), (1, 1, 1), (2, 1, 0), (0, 2, 2))
    if max(begin, end) < kernel and extra < stride
}
"""Transposed convolutions of every kind: the numbers only."""


# --- one model per opset -----------------------------------------------------------------------------------------


def merged(cases: Mapping[str, Case], opset: int, *, dialect: bool) -> onnx.ModelProto:
    """All cases side by side; with ``dialect``, as they are handed over."""
    nodes, inputs, outputs, constants = [], [], [], []
    for name, case in cases.items():
        graph = case.graph()
        last = dialect and case.dialect
        for node in graph.node:
            node.input[:] = [f"{name}/{operand}" if operand else "" for operand in node.input]
            node.output[:] = [f"{name}/{result}" for result in node.output]
            node.name = node.output[0]
            if last and node.op_type in OPERATORS:
                node.domain, node.op_type = DOMAIN, OPERATORS[node.op_type][len(case.inputs["x"])].name
            nodes.append(node)
        for key, shape in case.inputs.items():
            moved = (shape[0], *shape[2:], shape[1]) if last else shape
            inputs.append(onnx.helper.make_tensor_value_info(f"{name}/{key}", onnx.TensorProto.FLOAT, moved))
        for key, value in case.constants.items():
            array = np.asarray(value)
            if case.dialect and not dialect and array.ndim == 1 and key in "mc":  # per channel
                array = array.reshape(-1, 1, 1)
            constants.append(onnx.numpy_helper.from_array(array, f"{name}/{key}"))
        outputs += [onnx.ValueInfoProto(name=f"{name}/{key}") for key in case.outputs]
    graph = onnx.helper.make_graph(nodes, "cases", inputs, [], constants)
    opsets = [onnx.helper.make_opsetid("", opset)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if dialect:
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
        model.graph.output.extend(_typed(outputs, merged(cases, opset, dialect=False)))
        return model
    model.graph.output.extend(outputs)
    if any(node.domain == DOMAIN for node in nodes):
        defined = ir.from_proto(model)
        define(defined)
        model = ir.to_proto(defined)
    inferred = onnx.shape_inference.infer_shapes(_with_types(model), strict_mode=False)
    return _with_types(inferred)


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime wants a type for every output; those that are not float are indices."""
    for value in model.graph.output:
        if not value.type.tensor_type.elem_type:
            indices = (value.name.endswith("/z") and "topk" in value.name) or "arg" in value.name
            value.type.tensor_type.elem_type = onnx.TensorProto.INT64 if indices else onnx.TensorProto.FLOAT
    return model


def _typed(outputs: list[onnx.ValueInfoProto], reference: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    """The checker wants a rank: any will do, since the hand-off does not look."""
    types = {value.name: value.type.tensor_type for value in reference.graph.output}
    for value in outputs:
        rank = [None] * len(types[value.name].shape.dim)
        yield onnx.helper.make_tensor_value_info(value.name, types[value.name].elem_type, rank)


@dataclass(frozen=True, slots=True)
class Judged:
    """What both sides computed, by output, and the operators of each case."""

    expected: Mapping[str, Array]
    actual: Mapping[str, Array]
    operators: Mapping[str, Counter[str]]
    conversion: Conversion


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Judged]:
    """Judges each opset once, be it that the conversion fails."""
    known: dict[int, Judged | LayoutoptError] = {}

    def ask(opset: int) -> Judged:
        if opset not in known:
            try:
                known[opset] = _judge(opset, tmp_path_factory.mktemp(f"opset{opset}"))
            except LayoutoptError as error:
                known[opset] = error
        result = known[opset]
        if isinstance(result, LayoutoptError):
            pytest.fail(str(result))
        return result

    return ask


def _judge(opset: int, directory: Path) -> Judged:
    from ai_edge_litert.interpreter import Interpreter

    cases = {name: case for name, case in (CASES | UPSAMPLINGS).items() if case.opset == opset}
    reference = merged(cases, opset, dialect=False)
    path = directory / "cases.onnx"
    onnx.save(merged(cases, opset, dialect=True), path)
    conversion = convert_model(path, tflite=directory / "cases.tflite")

    rng = np.random.default_rng(opset)
    shapes = {f"{name}/{key}": shape for name, case in cases.items() for key, shape in case.inputs.items()}
    feeds = {name: 2 * rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    session = onnxruntime.InferenceSession(reference.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    expected = dict(zip(names, session.run(names, feeds), strict=True))

    interpreter = Interpreter(str(directory / "cases.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    last = {name for name in feeds if cases[name.rsplit("/", 1)[0]].dialect}
    moved = {name: np.moveaxis(x, 1, -1) if name in last else x for name, x in feeds.items()}
    actual = runner(**{conversion.input_names[name]: np.ascontiguousarray(x) for name, x in moved.items()})
    actual = {name: actual[conversion.output_names[name]] for name in names}
    actual = {name: np.moveaxis(y, -1, 1) if cases[name.rsplit("/", 1)[0]].dialect else y for name, y in actual.items()}
    return Judged(expected, actual, _operators(directory / "cases.tflite", cases), conversion)


def _operators(path: Path, cases: Mapping[str, Case]) -> Mapping[str, Counter[str]]:
    """The operators that each case's outputs come from."""
    model = read_tflite(path)
    outputs = dict(zip(model.output_names, model.graph.outputs, strict=True))
    found = {}
    for name, case in cases.items():
        pending: list[Value | None] = [outputs[f"{name}/{key}"] for key in case.outputs]
        seen: set[Operation] = set()
        while pending:
            value = pending.pop()
            if value is not None and value.producer is not None and value.producer not in seen:
                seen.add(value.producer)
                pending += value.producer.operands
        found[name] = Counter(operation.code for operation in seen)
    return found


# --- the tests ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES | UPSAMPLINGS)
def test_computes_what_onnx_runtime_computes(name: str, judge: Callable[[int], Judged]) -> None:
    case = (CASES | UPSAMPLINGS)[name]
    result = judge(case.opset)
    for key in case.outputs:
        expected, actual = result.expected[f"{name}/{key}"], result.actual[f"{name}/{key}"]
        assert actual.shape == expected.shape
        assert actual.dtype == expected.dtype
        scale = max(1.0, float(np.abs(expected).max()))
        difference = np.abs(actual.astype(np.float64) - expected)
        assert difference.max() <= case.tolerance * scale
        assert np.mean(difference**2) <= (case.tolerance * scale) ** 2 / 10


@pytest.mark.parametrize("name", CASES)
def test_becomes_few_native_operators(name: str, judge: Callable[[int], Judged]) -> None:
    case = CASES[name]
    assert judge(case.opset).operators[name] == Counter(case.operators.split())


def test_names_survive(judge: Callable[[int], Judged]) -> None:
    result = judge(18)
    inputs = [f"{name}/{key}" for name, case in CASES.items() if case.opset == 18 for key in case.inputs]
    assert list(result.conversion.input_names) == inputs
    assert result.conversion.peak_memory > 100e6
