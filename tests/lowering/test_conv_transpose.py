"""ConvTranspose as a convolution and DEPTH_TO_SPACE, or as TRANSPOSE_CONV."""

from __future__ import annotations

from itertools import product

import pytest

from tests.conversion_cases import Case, CaseRunner, floats, nhwc

X, LINE, BLOCK = (1, 8, 9, 12), (2, 8, 15), (2, 4, 6, 5, 8)

CASES = {
    "k2s2": nhwc(
        "y = ConvTranspose<strides=[2,2]>(x,w,b)", "CONV_2D DEPTH_TO_SPACE", X, w=floats(8, 5, 2, 2), b=floats(5)
    ),
    "k4s2p1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1]>(x,w)", "CONV_2D DEPTH_TO_SPACE", X, w=floats(8, 5, 4, 4)
    ),
    "k3s2p1o1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]>(x,w,b)",
        "CONV_2D DEPTH_TO_SPACE",
        X,
        w=floats(8, 5, 3, 3),
        b=floats(5),
    ),
    "k3s2p1": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[1,1,1,1]>(x,w,b)",
        "CONV_2D DEPTH_TO_SPACE SLICE",
        X,
        w=floats(8, 5, 3, 3),
        b=floats(5),
    ),
    "k3s2 unequal": nhwc(
        "y = ConvTranspose<strides=[2,2],pads=[0,0,1,1]>(x,w)", "PAD CONV_2D DEPTH_TO_SPACE", X, w=floats(8, 5, 3, 3)
    ),
    "k3s1p1": nhwc("y = ConvTranspose<pads=[1,1,1,1]>(x,w)", "CONV_2D", X, w=floats(8, 5, 3, 3)),
    "k1s2": nhwc("y = ConvTranspose<strides=[2,2]>(x,w)", "TRANSPOSE_CONV", X, w=floats(8, 5, 1, 1)),
    "strides": nhwc(
        "y = ConvTranspose<strides=[3,2],pads=[1,2,0,1],output_padding=[2,1]>(x,w,b)",
        "TRANSPOSE_CONV SLICE",
        X,
        w=floats(8, 5, 5, 4),
        b=floats(5),
    ),
    "dilated": nhwc(
        "y = ConvTranspose<strides=[2,2],dilations=[2,2]>(x,w)",
        "PAD CONV_2D DEPTH_TO_SPACE SLICE",
        X,
        w=floats(8, 5, 3, 3),
    ),
    "groups": nhwc(
        "y = ConvTranspose<group=2,strides=[2,2],pads=[1,1,1,1]>(x,w,b)",
        "RESHAPE PAD RESHAPE PAD CONV_2D",
        X,
        w=floats(8, 3, 4, 4),
        b=floats(6),
    ),
    "depthwise": nhwc(
        "y = ConvTranspose<group=8,strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]>(x,w)",
        "RESHAPE PAD RESHAPE DEPTHWISE_CONV_2D",
        X,
        w=floats(8, 1, 3, 3),
    ),
    "shape": nhwc(
        "y = ConvTranspose<strides=[2,2],output_shape=[20,25]>(x,w)",
        "PAD CONV_2D DEPTH_TO_SPACE SLICE",
        (1, 8, 9, 12),
        w=floats(8, 5, 4, 4),
    ),
    "upper": nhwc(
        'y = ConvTranspose<strides=[2,2],auto_pad="SAME_UPPER">(x,w)',
        "PAD CONV_2D DEPTH_TO_SPACE",
        X,
        w=floats(8, 5, 3, 3),
    ),
    "1d": nhwc(
        "y = ConvTranspose<strides=[2],pads=[1,0]>(x,w,b)",
        "RESHAPE TRANSPOSE_CONV SLICE RESHAPE",
        LINE,
        w=floats(8, 5, 3),
        b=floats(5),
    ),
    "3d": nhwc(
        "y = ConvTranspose<strides=[2,1,2],pads=[1,0,0,0,1,0]>(x,w,b)",
        "CONV_3D_TRANSPOSE SLICE",
        BLOCK,
        w=floats(4, 5, 3, 2, 2),
        b=floats(5),
    ),
    "3d groups": nhwc(
        "y = ConvTranspose<group=2>(x,w)",
        "SPLIT CONV_3D_TRANSPOSE CONV_3D_TRANSPOSE CONCATENATION",
        BLOCK,
        w=floats(4, 3, 2, 2, 2),
    ),
}
UPSAMPLINGS: dict[str, Case] = {
    f"upsampling k{kernel} s{stride} p{begin},{end} o{extra}": nhwc(
        f"y = ConvTranspose<strides=[{stride},{stride}],pads=[{begin},{end},{end},{begin}],"
        f"output_padding=[{extra},{extra}]>(x,w,b)",
        None,
        (1, 3, 4, 5),
        w=floats(3, 2, kernel, kernel),
        b=floats(2),
    )
    for kernel, stride in product((1, 2, 3, 4, 5, 7), (1, 2, 3))
    for begin, end, extra in ((0, 0, 0), (1, 0, 0), (1, 1, 1), (2, 1, 0), (0, 2, 2))
    if max(begin, end) < kernel and extra < stride
}
"""Transposed convolutions of every kind: the numbers only."""


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])


@pytest.mark.parametrize("name", UPSAMPLINGS)
def test_upsamples_by_every_kernel_stride_and_padding(name: str, direct: CaseRunner) -> None:
    direct.check(UPSAMPLINGS[name])
