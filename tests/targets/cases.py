"""Operators as graphs of their own, and what a target says to each: as its makers have published it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from layoutopt.options import Target
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Quantization, Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.schema import default_options

GRID = Quantization((0.5,), (0,))
CHANNELS = Quantization((0.5, 0.25, 0.5, 0.5), (0, 0, 0, 0))


def f(*shape: int | None, dtype: DType = DType.FLOAT32) -> Value:
    """A run-time value, float32 unless said otherwise."""
    return Value(dtype, shape)


def q(*shape: int, dtype: DType = DType.INT8, grid: Quantization = GRID) -> Value:
    """A run-time value of integers that stand for real numbers."""
    return Value(dtype, shape, quantization=grid)


def c(array: Any, dtype: Any = np.int32, grid: Quantization | None = None) -> Value:
    """A constant."""
    return replace(Value.constant(np.array(array, dtype)), quantization=grid)


def weights(*shape: int, grid: Quantization = GRID) -> Value:
    return c(np.ones(shape), np.int8, grid)


def bias(count: int) -> Value:
    return c(np.zeros(count), np.int32, GRID)


def graph_of(code: str, operands: Sequence[Value | None], results: Sequence[Value], **options: Any) -> Graph:
    operation = Operation(code, list(operands), list(results), {**default_options(definition(code).options), **options})
    for result in results:
        result.producer = operation
    inputs = [each for each in operands if each is not None and not each.is_constant]
    return Graph(inputs, list(results), [operation])


def conv(
    size: int = 8,
    stride: int = 1,
    dilations: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    grid: Quantization = GRID,
    batch: int = 1,
) -> Graph:
    reach = [2 * dilation if padding == "VALID" else 0 for dilation in dilations]
    after = [-(-(size - each) // stride) for each in reach]
    return graph_of(
        "CONV_2D",
        [q(batch, size, size, 3), weights(4, 3, 3, 3, grid=grid), bias(4)],
        [q(batch, *after, 4)],
        padding=padding,
        **strides(stride),
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )


def strides(stride: int) -> dict[str, int]:
    return {"stride_h": stride, "stride_w": stride}


def pool(code: str, window: int, stride: int = 1, padding: str = "SAME") -> Graph:
    after = -(-(16 - (window - 1 if padding == "VALID" else 0)) // stride)
    return graph_of(
        code,
        [q(1, 16, 16, 4)],
        [q(1, after, after, 4)],
        padding=padding,
        **strides(stride),
        filter_height=window,
        filter_width=window,
    )


def depthwise(size: int, stride: int) -> Graph:
    operands, after = [q(1, size, size, 4), weights(1, 3, 3, 4), bias(4)], -(-size // stride)
    return graph_of(
        "DEPTHWISE_CONV_2D",
        operands,
        [q(1, after, after, 4)],
        padding="SAME",
        **strides(stride),
        depth_multiplier=1,
        dilation_h_factor=1,
        dilation_w_factor=1,
    )


def transposed(stride: int) -> Graph:
    after = 4 * stride
    operands = [c([1, after, after, 4]), weights(4, 3, 3, 3), q(1, 4, 4, 3), bias(4)]
    return graph_of("TRANSPOSE_CONV", operands, [q(1, after, after, 4)], padding="SAME", **strides(stride))


def unary(code: str, dtype: DType = DType.INT8) -> Graph:
    return graph_of(code, [q(1, 8, dtype=dtype)], [q(1, 8, dtype=dtype)])


def binary(code: str, dtype: DType = DType.INT8) -> Graph:
    return graph_of(code, [q(1, 8, dtype=dtype), q(1, 8, dtype=dtype)], [q(1, 8, dtype=dtype)])


def resize(code: str, before: int, after: int, **options: bool) -> Graph:
    return graph_of(code, [q(1, before, before, 4), c([after, after])], [q(1, after, after, 4)], **options)


def reduced(code: str, shape: tuple[int, ...], axes: list[int]) -> Graph:
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return graph_of(code, [q(*shape), c(axes)], [q(*kept)], keep_dims=True)


GPU, EDGETPU, ETHOS, NNAPI, MICRO = Target.GPU, Target.EDGETPU, Target.ETHOS_U, Target.NNAPI, Target.MICRO
INT32 = DType.INT32

CASES: list[tuple[Target, Graph, str]] = [
    # The list and the limits of gpu_compatibility.cc.
    (GPU, graph_of("ADD", [f(1, 4, 4, 8), f(1, 4, 4, 8)], [f(1, 4, 4, 8)]), ""),
    (GPU, graph_of("ADD", [f(1, 4, 4, 8, dtype=INT32), c([1])], [f(1, 4, 4, 8, dtype=INT32)]), "of int32"),
    (GPU, graph_of("ADD", [q(1, 4, 4, 8), q(1, 4, 4, 8)], [q(1, 4, 4, 8)]), ""),
    (GPU, graph_of("MUL", [f(1, 256, 1), f(1, 1, 256)], [f(1, 256, 256)]), ""),
    (GPU, graph_of("MUL", [f(1, 4, 4, 8), f(4, 4, 8)], [f(1, 4, 4, 8)]), ""),
    (GPU, graph_of("MUL", [f(2, 4, 4, 8), f(4, 4, 8)], [f(2, 4, 4, 8)]), "broadcasts [4, 4, 8] to [2, 4, 4, 8]"),
    (GPU, graph_of("ADD", [f(2, 4, 4, 8), f(2, 8)], [f(2, 4, 4, 8)]), ""),
    (GPU, graph_of("ADD", [f(4, 8), f(2, 4, 8)], [f(2, 4, 8)]), "broadcasts [4, 8] to [2, 4, 8]"),
    (GPU, graph_of("ADD", [f(2, 4, 8), c(np.ones(8), np.float32)], [f(2, 4, 8)]), ""),
    (GPU, graph_of("TRANSPOSE", [f(1, 2, 3, 4), c([0, 2, 3, 1])], [f(1, 3, 4, 2)]), ""),
    (GPU, graph_of("UNPACK", [f(2, 4)], [f(4), f(4)], num=2, axis=0), ""),
    (GPU, graph_of("CAST", [f(4, dtype=INT32)], [f(4)]), ""),
    (GPU, graph_of("CAST", [f(4, dtype=DType.BOOL)], [f(4, dtype=INT32)]), "makes int32 of bool"),
    (GPU, graph_of("BATCH_MATMUL", [f(1, 4, 8), c(np.ones((8, 4)), np.float32)], [f(1, 4, 4)]), ""),
    (
        GPU,
        graph_of("BATCH_MATMUL", [f(1, 4, 8), c(np.ones((1, 8, 4)), np.float32)], [f(1, 4, 4)]),
        "constant b of 3 axes",
    ),
    (GPU, graph_of("GATHER", [f(4, 8), f(dtype=INT32)], [f(8)]), "indices of 0 axes"),
    (GPU, graph_of("SELECT_V2", [f(4, 8, dtype=DType.BOOL), f(4, 8), f()], [f(4, 8)]), ""),
    (GPU, graph_of("SELECT_V2", [f(4, 8, dtype=DType.BOOL), f(4, 8), f(8)], [f(4, 8)]), "broadcasts [8] to [4, 8]"),
    (GPU, graph_of("LESS", [f(4, dtype=INT32), f(4, dtype=INT32)], [f(4, dtype=DType.BOOL)]), "int32"),
    (
        GPU,
        graph_of("FULLY_CONNECTED", [f(2, 3, 8), f(4, 8), None], [f(6, 4)], keep_num_dims=True),
        "changes their number",
    ),
    (GPU, graph_of("MUL", [f(1, 256, 256), f(1, 1, 256)], [f(1, 256, 256)]), ""),
    (GPU, graph_of("EXPAND_DIMS", [f(4, 4), c(0)], [f(1, 4, 4)]), "not an operator that it has"),
    (GPU, graph_of("ARG_MAX", [f(1, 8), c(1)], [f(1, dtype=DType.INT64)]), "not an operator that it has"),
    (GPU, graph_of("SOFTMAX", [f(1, 8)], [f(1, 8)], beta=1.0), ""),
    (GPU, graph_of("SOFTMAX", [f(1, 8)], [f(1, 8)], beta=2.0), "beta = 2.0"),
    (GPU, graph_of("SLICE", [f(4, 8), c([0, 0]), c([2, 8])], [f(2, 8)]), "takes 2 axes, not 3 or 4"),
    (GPU, graph_of("TRANSPOSE", [f(1, 2, 3, 4, 5), c([0, 2, 1, 3, 4])], [f(1, 3, 2, 4, 5)]), "5 axes, more than 4"),
    (GPU, graph_of("MEAN", [f(1, 4, 4, 8), f(2, dtype=INT32)], [f(1, 8)]), "int32"),
    (GPU, graph_of("RELU", [f(None, 4)], [f(None, 4)]), "known at run time only"),
    (
        GPU,
        graph_of("STRIDED_SLICE", [f(1, 4, 4), c([0] * 3), c([1] * 3), c([1] * 3)], [f(1, 1)], shrink_axis_mask=1),
        "shrink_axis_mask = 1",
    ),
    (GPU, graph_of("DEPTHWISE_CONV_2D", [f(1, 4, 4, 2), f(1, 3, 3, 4), None], [f(1, 4, 4, 4)]), "several filters"),
    (GPU, graph_of("MIRROR_PAD", [f(1, 4, 4, 2), c([[1, 1]] * 4)], [f(3, 6, 6, 4)], mode="SYMMETRIC"), "SYMMETRIC"),
    (GPU, graph_of("GATHER", [f(4, 8), f(2, dtype=DType.INT64)], [f(2, 8)]), "int64"),
    # The table of coral.ai.
    (EDGETPU, conv(), ""),
    (EDGETPU, conv(dilations=(1, 2)), "dilations [1, 2]"),
    (EDGETPU, graph_of("ADD", [f(1, 4, 4, 8), f(1, 4, 4, 8)], [f(1, 4, 4, 8)]), "of float32, not of int8, uint8"),
    (EDGETPU, graph_of("ADD", [q(2, 4, 4, 8), q(2, 4, 4, 8)], [q(2, 4, 4, 8)]), "only the last 3 axes"),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 16000)], [q(1, 16000)]), ""),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 16001)], [q(1, 16001)]), "more than 16,000"),
    (EDGETPU, graph_of("SOFTMAX", [q(1, 4, 8)], [q(1, 4, 8)]), "not of one axis"),
    (EDGETPU, graph_of("SQUEEZE", [q(1, 5, 10)], [q(5, 10)]), ""),
    (EDGETPU, graph_of("SQUEEZE", [q(5, 1, 10)], [q(5, 10)]), "out of the middle"),
    (EDGETPU, graph_of("MAX_POOL_2D", [q(1, 4, 4, 8)], [q(1, 2, 2, 8)], fused_activation_function="RELU"), "RELU"),
    (EDGETPU, graph_of("TRANSPOSE", [q(1, 4, 4, 8), c([0, 3, 1, 2])], [q(1, 8, 4, 4)]), ""),
    (EDGETPU, graph_of("TRANSPOSE", [q(2, 4, 4, 8), c([0, 3, 1, 2])], [q(2, 8, 4, 4)]), "only the last 3 axes"),
    (EDGETPU, graph_of("RESIZE_BILINEAR", [q(1, 4, 4, 8), c([8, 8])], [q(1, 8, 8, 8)]), ""),
    (EDGETPU, graph_of("GATHER", [q(4, 8), c([1, 0])], [q(2, 8)]), "not an operator that it has"),
    (EDGETPU, graph_of("HARD_SWISH", [q(1, 8)], [q(1, 8)]), "not an operator that it has"),
    (EDGETPU, graph_of("DEQUANTIZE", [q(1, 8)], [f(1, 8)]), "not an operator that it has"),
    (EDGETPU, graph_of("QUANTIZE", [f(1, 8)], [q(1, 8)]), "of float32"),
    (EDGETPU, reduced("MEAN", (1, 4, 4, 6), [1, 2]), ""),
    (EDGETPU, reduced("MEAN", (1, 4, 4, 6), [3]), "not a multiple of 4"),
    (EDGETPU, reduced("SUM", (1, 4), [0]), "over the batch"),
    (EDGETPU, graph_of("PACK", [q(4), q(4)], [q(4, 2)], axis=1), ""),
    (EDGETPU, graph_of("PACK", [q(4), q(4)], [q(2, 4)], axis=0), "over the batch"),
    (EDGETPU, graph_of("FULLY_CONNECTED", [q(4, 8), weights(2, 8), bias(2)], [q(4, 2)]), "only the last 1 axes"),
    (EDGETPU, graph_of("CONCATENATION", [q(1, 2), c([[0, 0]], np.int8, GRID)], [q(1, 4)], axis=1), ""),
    (EDGETPU, graph_of("CONCATENATION", [q(1, 2), c([[3, 0]], np.int8, GRID)], [q(1, 4)], axis=1), "all zeros"),
    (EDGETPU, graph_of("PAD", [q(1, 2, 2, 4), c([[1, 0], *[[0, 0]] * 3])], [q(2, 2, 2, 4)]), "only the last 3 axes"),
    (
        EDGETPU,
        graph_of("STRIDED_SLICE", [q(1, 4, 4), c([0] * 3), c([1, 4, 4]), c([1, 2, 1])], [q(1, 2, 4)]),
        "takes every so many elements",
    ),
    # Vela's own report of what it supports; where it is installed, it is asked below.
    (ETHOS, conv(), ""),
    (ETHOS, conv(grid=CHANNELS), ""),
    (ETHOS, conv(batch=2), ""),
    (ETHOS, conv(stride=2), ""),
    (ETHOS, conv(stride=4), ""),  # SAME, and yet no padding
    (ETHOS, conv(9, stride=4), "stride of 4"),
    (ETHOS, conv(11, stride=4, padding="VALID"), ""),
    (ETHOS, conv(13, stride=4, dilations=(2, 2), padding="VALID"), "stride of 4"),
    (ETHOS, depthwise(9, 3), ""),
    (ETHOS, depthwise(12, 4), "stride_h = 4"),
    (ETHOS, transposed(2), ""),
    (ETHOS, transposed(3), "stride_h = 3"),
    (ETHOS, pool("AVERAGE_POOL_2D", 8), ""),
    (ETHOS, pool("AVERAGE_POOL_2D", 9), "window of 9"),
    (ETHOS, pool("AVERAGE_POOL_2D", 9, padding="VALID"), ""),
    (ETHOS, pool("MAX_POOL_2D", 8, stride=4), "stride of 4"),
    (ETHOS, graph_of("ADD", [f(1, 8), f(1, 8)], [f(1, 8)]), "of float32"),
    (ETHOS, binary("ADD"), ""),
    (ETHOS, binary("ADD", INT32), ""),
    (ETHOS, binary("SQUARED_DIFFERENCE"), ""),
    (ETHOS, binary("DIV"), "not an operator that it has"),
    (ETHOS, graph_of("MINIMUM", [q(1, 8), q(1, 8)], [q(1, 8, grid=Quantization((0.1,), (3,)))]), "different scales"),
    (ETHOS, unary("HARD_SWISH"), ""),
    (ETHOS, unary("GELU"), ""),
    (ETHOS, unary("LOG"), ""),
    (ETHOS, unary("SQRT"), "not an operator that it has"),
    (ETHOS, unary("LOG_SOFTMAX"), "not an operator that it has"),
    (ETHOS, unary("ELU", DType.INT16), "of int16"),
    (ETHOS, unary("RSQRT", DType.UINT8), "of uint8"),
    (ETHOS, graph_of("SOFTMAX", [q(1, 8)], [q(1, 8, grid=Quantization((1 / 256,), (-128,)))], beta=1.0), ""),
    (ETHOS, graph_of("QUANTIZE", [f(1, 8)], [q(1, 8)]), "of float32"),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 8), ""),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 12), "resizes 4 x 4 to 12 x 12"),
    (ETHOS, resize("RESIZE_BILINEAR", 4, 16, half_pixel_centers=True), "not by 2"),
    (ETHOS, resize("RESIZE_NEAREST_NEIGHBOR", 4, 7, align_corners=True), ""),
    (ETHOS, reduced("MEAN", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, reduced("MEAN", (2, 4, 4, 8), [1, 2]), "batch of 2"),
    (ETHOS, reduced("MEAN", (1, 4, 4, 8), [3]), "reduces the channels"),
    (ETHOS, reduced("SUM", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, reduced("REDUCE_MAX", (1, 4, 4, 8), [1, 2]), ""),
    (ETHOS, graph_of("ARG_MAX", [q(1, 4, 4, 8), c(1)], [f(1, 4, 8, dtype=INT32)]), "not over the last axis"),
    (ETHOS, graph_of("EXPAND_DIMS", [q(4, 8), c(0)], [q(1, 4, 8)]), ""),
    (ETHOS, graph_of("TRANSPOSE", [q(1, 4, 6, 8), c([0, 3, 1, 2])], [q(1, 8, 4, 6)]), ""),
    (ETHOS, graph_of("GATHER", [q(4, 8), c([1, 0])], [q(2, 8)]), "not an operator that it has"),
    (ETHOS, graph_of("DEPTH_TO_SPACE", [q(1, 4, 4, 8)], [q(1, 8, 8, 2)], block_size=2), "not an operator"),
    (ETHOS, graph_of("BATCH_MATMUL", [q(1, 4, 8), q(1, 8, 4)], [q(1, 4, 4)]), ""),
    (ETHOS, graph_of("TILE", [q(1, 8), c([1, 2])], [q(1, 16)]), ""),
    (ETHOS, graph_of("SPLIT", [c(1), q(1, 8)], [q(1, 4), q(1, 4)], num_splits=2), ""),
    (ETHOS, graph_of("PAD", [q(1, 4, 4, 8), c([[0, 0], [1, 1], [1, 1], [0, 0]])], [q(1, 6, 6, 8)]), ""),
    (
        ETHOS,
        graph_of("STRIDED_SLICE", [q(1, 4, 8), c([0, 3, 0]), c([1, -5, 8]), c([1, -1, 1])], [q(1, 4, 8)], end_mask=2),
        "goes backwards",
    ),
    (ETHOS, graph_of("STRIDED_SLICE", [q(1, 4, 8), c([0] * 3), c([1, 4, 8]), c([1, 2, 1])], [q(1, 2, 8)]), ""),
    # Validate of the delegate for NNAPI.
    (NNAPI, graph_of("CONV_2D", [f(1, 4, 4, 3), f(4, 1, 1, 3), f(4)], [f(1, 4, 4, 4)]), ""),
    (NNAPI, graph_of("CONV_2D", [f(1, 4, 4, 3), f(4, 1, 1, 3)], [f(1, 4, 4, 4)]), "no bias"),
    (NNAPI, graph_of("DIV", [q(1, 8), q(1, 8)], [q(1, 8)]), "takes int8"),
    (NNAPI, graph_of("CONCATENATION", [f(1, 1, 1, 1, 2)] * 2, [f(1, 1, 1, 1, 4)], axis=4), "5 axes"),
    (NNAPI, graph_of("ARG_MAX", [f(1, 8), c(1)], [f(1, dtype=DType.INT64)]), "gives int64"),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(2, 4)], axis=0), ""),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(4, 2)], axis=1), "over the last axis"),
    (NNAPI, graph_of("PACK", [f(4), f(4)], [f(4, 2)], axis=-1), "over the last axis"),
    (NNAPI, graph_of("GELU", [f(4)], [f(4)]), "not an operator that it has"),
    # The list of kernels of TFLite Micro.
    (MICRO, graph_of("HARD_SWISH", [q(1, 8)], [q(1, 8)]), ""),
    (MICRO, graph_of("TOPK_V2", [f(8), c(2)], [f(2), f(2, dtype=INT32)]), "not an operator that it has"),
    (MICRO, graph_of("FlexErf", [f(8)], [f(8)]), "custom operator"),
]
