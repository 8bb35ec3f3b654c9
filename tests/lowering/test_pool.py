"""Pools over one, two and three axes: paddings, odd ends, dilations, and the places of the largest."""

from __future__ import annotations

import pytest

from tests.conversion_cases import CaseRunner, nchw, nhwc

X, EVEN = (1, 8, 9, 12), (1, 8, 12, 16)
LINE, BLOCK = (2, 8, 15), (2, 4, 6, 5, 8)

PLANES = {
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
        "PADV2 SLICE STRIDED_SLICE MAXIMUM SLICE STRIDED_SLICE STRIDED_SLICE MAXIMUM MAXIMUM",
        X,
    ),
    "max indices": nchw(
        "y, k = MaxPool<kernel_shape=[2,3],strides=[2,1],pads=[1,1,0,1],dilations=[1,2]>(x) z = Cast<to=1>(k)",
        "PADV2 STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE STRIDED_SLICE PACK REDUCE_MAX "
        "ARG_MAX GATHER ADD CAST",
        x=X,
    ),
    "max indices down": nchw(
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
    "lp pool": nhwc("y = LpPool<kernel_shape=[2,3],pads=[0,1,1,1]>(x)", "SQUARE PAD AVERAGE_POOL_2D MUL SQRT", X),
    "global lp pool": nhwc("y = GlobalLpPool(x)", "SQUARE SUM SQRT", X),
    "lrn": nhwc("y = LRN<size=5,alpha=0.5,bias=2.0>(x)", "LOCAL_RESPONSE_NORMALIZATION", X),
    "global in place": nchw("y = GlobalAveragePool(x)", "MEAN", X),
    "lp pool in place": nchw("y = GlobalLpPool<p=3>(x)", "ABS POW SUM POW", X),
}
OTHER_RANKS = {
    "lp pool 3d": nhwc(
        "y = LpPool<kernel_shape=[2,3,2],p=1>(x)",
        "RESHAPE ABS AVERAGE_POOL_2D MUL RESHAPE ABS AVERAGE_POOL_2D MUL RESHAPE",
        BLOCK,
        opset=18,
    ),
    "max 1d": nhwc("y = MaxPool<kernel_shape=[3],strides=[2],pads=[1,1]>(x)", "RESHAPE MAX_POOL_2D RESHAPE", LINE),
    "max 3d": nhwc(
        "y = MaxPool<kernel_shape=[2,3,2],strides=[2,1,2]>(x)",
        "RESHAPE MAX_POOL_2D RESHAPE MAX_POOL_2D RESHAPE",
        BLOCK,
    ),
    "average 1d": nhwc("y = AveragePool<kernel_shape=[3],pads=[1,1]>(x)", "RESHAPE AVERAGE_POOL_2D RESHAPE", LINE),
    "average 3d": nhwc(
        "y = AveragePool<kernel_shape=[2,2,3],pads=[1,0,1,0,1,1],ceil_mode=1,strides=[2,1,2]>(x)",
        "RESHAPE PAD AVERAGE_POOL_2D MUL RESHAPE PAD AVERAGE_POOL_2D MUL RESHAPE",
        BLOCK,
        opset=19,
    ),
    "global 1d": nhwc("y = GlobalAveragePool(x)", "MEAN", LINE),
    "global 3d": nhwc("y = GlobalMaxPool(x)", "REDUCE_MAX", BLOCK),
    "max 3d in place": nchw(
        "y = MaxPool<kernel_shape=[2,2,2]>(x)",
        "TRANSPOSE RESHAPE MAX_POOL_2D RESHAPE MAX_POOL_2D RESHAPE TRANSPOSE",
        (2, 4, 6, 5, 8),
    ),
}
CASES = {**PLANES, **OTHER_RANKS}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
