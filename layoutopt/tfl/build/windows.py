"""Windows over pictures (N, H, W, C) and volumes (N, D, H, W, C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import UnknownShapeError, Value
from layoutopt.tfl.recorder import Integers, Operand, full, int32, one, value_of, values_of

Pair: TypeAlias = "Sequence[int]"
"""For height and width."""


def conv_2d(
    x: Operand,
    filters: Operand,
    bias: Operand | None = None,
    *,
    strides: Pair = (1, 1),
    padding: str = "VALID",
    dilations: Pair = (1, 1),
) -> Value:
    """Record CONV_2D with filters (out, height, width, in / groups): the groups follow from the shapes."""
    value, weights = values_of(x, filters)
    return one(
        "CONV_2D",
        value,
        weights,
        _bias(bias, weights.sizes[0], value.dtype),
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )


def _bias(bias: Operand | None, channels: int, dtype: DType) -> Value:
    """Return a bias, or zeros: kernels of convolutions need one."""
    return full((channels,), 0, dtype) if bias is None else value_of(bias)


def depthwise_conv_2d(
    x: Operand,
    filters: Operand,
    bias: Operand | None = None,
    *,
    strides: Pair = (1, 1),
    padding: str = "VALID",
    dilations: Pair = (1, 1),
) -> Value:
    """Record DEPTHWISE_CONV_2D with filters (1, height, width, out)."""
    value, weights = values_of(x, filters)
    channels = weights.sizes[3]
    given = None if value.shape is None else value.shape[3]
    if given is None:
        raise UnknownShapeError
    return one(
        "DEPTHWISE_CONV_2D",
        value,
        weights,
        _bias(bias, channels, value.dtype),
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
        depth_multiplier=channels // given,
    )


def transpose_conv(
    x: Operand, filters: Operand, shape: Sequence[int], bias: Operand | None = None, *, strides: Pair, padding: str
) -> Value:
    """Record TRANSPOSE_CONV with filters (out, height, width, in) to a picture of ``shape``."""
    value, weights = values_of(x, filters)
    operands = [int32(shape), weights, value, *([] if bias is None else [value_of(bias)])]
    return one("TRANSPOSE_CONV", *operands, padding=padding, stride_h=strides[0], stride_w=strides[1])


def conv_3d(
    x: Operand,
    filters: Operand,
    bias: Operand | None = None,
    *,
    strides: Sequence[int] = (1, 1, 1),
    padding: str = "VALID",
    dilations: Sequence[int] = (1, 1, 1),
) -> Value:
    """Record CONV_3D of x (N, D, H, W, C) with filters (depth, height, width, in, out)."""
    value, weights = values_of(x, filters)
    bias = _bias(bias, weights.sizes[4], value.dtype)
    return one("CONV_3D", value, weights, bias, **_options_3d(strides, padding, dilations))


def conv_3d_transpose(
    x: Operand,
    filters: Operand,
    shape: Sequence[int],
    bias: Operand | None = None,
    *,
    strides: Sequence[int],
    padding: str,
) -> Value:
    """Record CONV_3D_TRANSPOSE with filters (depth, height, width, out, in) to a volume of ``shape``."""
    value, weights = values_of(x, filters)
    operands = [int32(shape), weights, value, *([] if bias is None else [value_of(bias)])]
    return one("CONV_3D_TRANSPOSE", *operands, **_options_3d(strides, padding, (1, 1, 1)))


def _options_3d(strides: Sequence[int], padding: str, dilations: Sequence[int]) -> dict[str, Any]:
    options: dict[str, Any] = {"padding": padding}
    for axis, stride, dilation in zip("dhw", strides, dilations, strict=True):
        options |= {f"stride_{axis}": stride, f"dilation_{axis}_factor": dilation}
    return options


def max_pool_2d(x: Operand, kernel: Pair, *, strides: Pair, padding: str) -> Value:
    """Record MAX_POOL_2D."""
    return _pool("MAX_POOL_2D", x, kernel, strides, padding)


def average_pool_2d(x: Operand, kernel: Pair, *, strides: Pair, padding: str) -> Value:
    """Record AVERAGE_POOL_2D; padding by SAME is left out of the mean."""
    return _pool("AVERAGE_POOL_2D", x, kernel, strides, padding)


def _pool(code: str, x: Operand, kernel: Pair, strides: Pair, padding: str) -> Value:
    return one(
        code,
        value_of(x),
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        filter_height=kernel[0],
        filter_width=kernel[1],
    )


def resize_bilinear(x: Operand, size: Integers, *, align_corners: bool, half_pixel_centers: bool) -> Value:
    """Record RESIZE_BILINEAR."""
    return _resize("RESIZE_BILINEAR", x, size, align_corners, half_pixel_centers)


def resize_nearest_neighbor(x: Operand, size: Integers, *, align_corners: bool, half_pixel_centers: bool) -> Value:
    """Record RESIZE_NEAREST_NEIGHBOR."""
    return _resize("RESIZE_NEAREST_NEIGHBOR", x, size, align_corners, half_pixel_centers)


def _resize(code: str, x: Operand, size: Integers, align_corners: bool, half_pixel_centers: bool) -> Value:
    return one(code, value_of(x), int32(size), align_corners=align_corners, half_pixel_centers=half_pixel_centers)


def depth_to_space(x: Operand, block: int) -> Value:
    """Record DEPTH_TO_SPACE: blocks of channels become blocks of a picture."""
    return one("DEPTH_TO_SPACE", value_of(x), block_size=block)


def space_to_depth(x: Operand, block: int) -> Value:
    """Record SPACE_TO_DEPTH: blocks of a picture become blocks of channels."""
    return one("SPACE_TO_DEPTH", value_of(x), block_size=block)


def local_response_normalization(x: Operand, *, radius: int, bias: float, alpha: float, beta: float) -> Value:
    """Record LOCAL_RESPONSE_NORMALIZATION."""
    return one("LOCAL_RESPONSE_NORMALIZATION", value_of(x), radius=radius, bias=bias, alpha=alpha, beta=beta)
