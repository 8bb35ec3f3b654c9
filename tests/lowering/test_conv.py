"""Conv over one, two and three axes: paddings, groups, and what is made part of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import CaseRunner, floats, nchw, nhwc

X, EVEN = (1, 8, 9, 12), (1, 8, 12, 16)
LINE, BLOCK = (2, 8, 15), (2, 4, 6, 5, 8)

PLANES = {
    "same": nhwc("y = Conv<pads=[1,1,1,1]>(x,w,b)", "CONV_2D", X, w=floats(16, 8, 3, 3), b=floats(16)),
    "valid": nhwc("y = Conv(x,w)", "CONV_2D", X, w=floats(16, 8, 3, 2)),
    "pointwise": nhwc("y = Conv(x,w,b)", "CONV_2D", X, w=floats(5, 8, 1, 1), b=floats(5)),
    "stride odd": nhwc("y = Conv<strides=[2,2],pads=[1,1,1,1]>(x,w)", "CONV_2D", (1, 8, 9, 13), w=floats(4, 8, 3, 3)),
    "stride even": nhwc("y = Conv<strides=[2,2],pads=[1,1,1,1]>(x,w)", "PAD CONV_2D", EVEN, w=floats(4, 8, 3, 3)),
    "unequal": nhwc("y = Conv<strides=[1,2],pads=[0,2,1,0]>(x,w)", "PAD CONV_2D", X, w=floats(4, 8, 3, 5)),
    "upper": nhwc('y = Conv<strides=[2,2],auto_pad="SAME_UPPER">(x,w)', "CONV_2D", EVEN, w=floats(4, 8, 3, 3)),
    "lower": nhwc('y = Conv<strides=[2,2],auto_pad="SAME_LOWER">(x,w)', "PAD CONV_2D", EVEN, w=floats(4, 8, 3, 3)),
    "dilated": nhwc("y = Conv<dilations=[2,3],pads=[2,3,2,3]>(x,w)", "CONV_2D", X, w=floats(4, 8, 3, 3)),
    "groups": nhwc("y = Conv<group=4,pads=[1,1,1,1]>(x,w,b)", "CONV_2D", X, w=floats(12, 2, 3, 3), b=floats(12)),
    "depthwise": nhwc(
        "y = Conv<group=8,pads=[1,1,1,1]>(x,w,b)", "DEPTHWISE_CONV_2D", X, w=floats(8, 1, 3, 3), b=floats(8)
    ),
    "depthwise x3": nhwc("y = Conv<group=8,pads=[1,1,1,1]>(x,w)", "DEPTHWISE_CONV_2D", X, w=floats(24, 1, 3, 3)),
    "depthwise dilated": nhwc(
        "y = Conv<group=8,dilations=[2,2],pads=[2,2,2,2]>(x,w)", "DEPTHWISE_CONV_2D", X, w=floats(8, 1, 3, 3)
    ),
    "depthwise strides": nhwc("y = Conv<group=8,strides=[2,1]>(x,w)", "DEPTHWISE_CONV_2D", X, w=floats(8, 1, 3, 3)),
    "relu": nhwc("a = Conv(x,w,b) y = Relu(a)", "CONV_2D", X, w=floats(4, 8, 3, 3), b=floats(4)),
    "relu6": nhwc(
        "a = Conv(x,w) y = Clip(a,lo,hi)", "CONV_2D", X, w=floats(4, 8, 3, 3), lo=np.float32(0), hi=np.float32(6)
    ),
    "batch norm": nhwc(
        "a = Conv(x,w) b = Mul(a,m) y = Add(b,c)",
        "CONV_2D",
        X,
        w=floats(4, 8, 3, 3),
        m=floats(4, 1, 1),
        c=floats(4, 1, 1),
    ),
    "in place, opset 22": nchw(
        "y = Conv<pads=[1,1,1,1]>(x,w)", "TRANSPOSE CONV_2D TRANSPOSE", X, opset=22, w=floats(4, 8, 3, 3)
    ),
}
OTHER_RANKS = {
    "1d": nhwc("y = Conv<pads=[1,1]>(x,w,b)", "RESHAPE CONV_2D RESHAPE", LINE, w=floats(4, 8, 3), b=floats(4)),
    "1d lower": nhwc(
        'y = Conv<strides=[2],auto_pad="SAME_LOWER",kernel_shape=[4]>(x,w)',
        "RESHAPE PAD CONV_2D RESHAPE",
        LINE,
        w=floats(4, 8, 4),
    ),
    "1d depthwise": nhwc(
        "y = Conv<group=8,dilations=[2]>(x,w)", "RESHAPE DEPTHWISE_CONV_2D RESHAPE", LINE, w=floats(8, 1, 3)
    ),
    "3d": nhwc("y = Conv(x,w,b)", "CONV_3D", BLOCK, w=floats(5, 4, 3, 2, 3), b=floats(5)),
    "3d pads": nhwc("y = Conv<pads=[1,0,1,0,1,1],strides=[2,1,2]>(x,w)", "PAD CONV_3D", BLOCK, w=floats(5, 4, 3, 2, 3)),
    "3d same": nhwc("y = Conv<pads=[1,1,1,1,1,1]>(x,w)", "CONV_3D", BLOCK, w=floats(5, 4, 3, 3, 3)),
    "3d groups": nhwc("y = Conv<group=2>(x,w)", "SPLIT CONV_3D CONV_3D CONCATENATION", BLOCK, w=floats(6, 2, 2, 2, 2)),
    "1d in place": nchw(
        "y = Conv<pads=[1,1],strides=[2]>(x,w,b)",
        "TRANSPOSE RESHAPE PAD CONV_2D RESHAPE TRANSPOSE",
        w=floats(4, 6, 3),
        b=floats(4),
    ),
}
CASES = {**PLANES, **OTHER_RANKS}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
