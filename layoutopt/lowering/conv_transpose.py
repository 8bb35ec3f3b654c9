"""ConvTranspose1D to 3D: one CONV_2D and DEPTH_TO_SPACE, one TRANSPOSE_CONV or one CONV_3D_TRANSPOSE.

With groups, a 2-D one is zeros between the elements and one grouped convolution, a 3-D one an operator per group.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from layoutopt.ir.dialect import DOMAIN
from layoutopt.lowering.conv import convolve
from layoutopt.lowering.node import Node, lowers
from layoutopt.lowering.padding import Axis, pad_for
from layoutopt.lowering.quantization import is_quantized
from layoutopt.lowering.rank_adapters import lift_1d
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Value

_MAX_MULTIPLIED = 2.25
"""The most products, relative to what the kernel needs, of a convolution that is still faster than TRANSPOSE_CONV.

A kernel of 4 and stride 2 is at the border, a kernel of 1 and stride 2 is far beyond; most others are well below.
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """A transposed window over one spatial axis: input i adds to outputs ``i * stride - begin + [0, kernel)``."""

    size: int
    kernel: int
    stride: int
    begin: int
    out: int

    @property
    def full(self) -> int:
        """Return the size of the output before anything is cut off, at least what the kept part reaches to."""
        return max((self.size - 1) * self.stride + self.kernel, self.begin + self.out)

    @property
    def is_same(self) -> bool:
        """Return whether the padding SAME cuts off the same."""
        total = max((self.size - 1) * self.stride + self.kernel - self.out, 0)
        return self.size == -(-self.out // self.stride) and self.begin == total // 2

    @property
    def taps(self) -> list[tuple[int, int]]:
        """For each element of the kernel, which input it reads, counted from input j, and for which output.

        The outputs are ``j * stride + phase``: the element is that of the pair (offset of the input, phase).
        """
        return [(-steps, phase) for steps, phase in (divmod(k - self.begin, self.stride) for k in range(self.kernel))]

    @property
    def low(self) -> Axis:
        """Return the window that gives the outputs of all phases at once, as channels."""
        offsets = [0, *(offset for offset, _ in self.taps)]
        first, last = min(offsets), max(offsets)
        return Axis(self.size, last - first + 1, 1, 1, -first, last, -(-self.out // self.stride))


@lowers("ConvTranspose2D", "ConvTranspose3D", domain=DOMAIN)
def conv_transpose(node: Node) -> Value:
    """Lower ConvTranspose of x (N, spatial..., C) with weights (C, O / group, spatial...), by what is fastest."""
    rank = len(node.shape) - 2
    weights = _dilated(node, node.ints("dilations") or [1] * rank)
    spreads = _spreads(node, weights.sizes[2:])
    group, bias = node.integer("group", 1), node.optional(2)
    # A quantized model has no scale for what is between CONV_2D and DEPTH_TO_SPACE; TRANSPOSE_CONV is int8 by itself.
    if group == 1 and weights.is_constant and _is_sub_pixel(spreads) and not is_quantized(node.x):
        return sub_pixel(node.x, weights.array, bias, spreads)
    if group == 1:
        return transposed_convolution(node.x, weights, bias, spreads)
    if rank == 2 and weights.is_constant:
        return _grouped(node.x, weights.array, bias, group, spreads)
    return _by_group(node.x, weights, bias, group, spreads)


lowers("ConvTranspose1D", domain=DOMAIN)(lift_1d(conv_transpose))


def _dilated(node: Node, dilations: list[int]) -> Value:
    """Return the weights with zeros between the elements of a kernel: TRANSPOSE_CONV knows no dilation."""
    if all(step == 1 for step in dilations):
        return node[1]
    weights = node.constant(1)
    sizes = [(size - 1) * step + 1 for size, step in zip(weights.shape[2:], dilations, strict=True)]
    dilated = np.zeros((*weights.shape[:2], *sizes), weights.dtype)
    taps: tuple[slice, ...] = tuple(slice(None, None, step) for step in dilations)
    dilated[(slice(None), slice(None), *taps)] = weights
    return Value.constant(dilated)


def _spreads(node: Node, kernel: tuple[int, ...]) -> list[Spread]:
    """Return the transposed windows over the spatial axes, by the rules of ONNX's ConvTranspose."""
    rank = len(kernel)
    strides, extra = node.ints("strides") or [1] * rank, node.ints("output_padding") or [0] * rank
    pads, auto = node.ints("pads") or [0] * 2 * rank, node.text("auto_pad", "NOTSET")
    wanted, spreads = node.ints("output_shape"), []
    for i in range(rank):
        size, whole = node.shape[i + 1], strides[i] * (node.shape[i + 1] - 1) + extra[i] + kernel[i]
        out = whole - pads[i] - pads[i + rank] if auto == "NOTSET" else whole
        begin = pads[i] if auto == "NOTSET" else 0
        if wanted is not None or auto in ("SAME_UPPER", "SAME_LOWER"):
            out = wanted[-rank:][i] if wanted is not None else size * strides[i]
            total = max(whole - out, 0)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
        spreads.append(Spread(size, kernel[i], strides[i], begin, out))
    return spreads


def _is_sub_pixel(spreads: list[Spread]) -> bool:
    """Return whether `sub_pixel` is possible, and was measured to be the faster one: few of its weights are zeros."""
    if len(spreads) != 2 or len({spread.stride for spread in spreads}) > 1:
        return False
    multiplied = prod(spread.low.kernel * spread.stride for spread in spreads)
    return multiplied <= _MAX_MULTIPLIED * prod(spread.kernel for spread in spreads)


def sub_pixel(x: Value, weights: Array, bias: Value | None, spreads: list[Spread]) -> Value:
    """Record a convolution of the small picture whose channels are the pixels of each block of the large one.

    The strides must be the same along both axes. Shi et al., "Is the deconvolution layer the same as a convolutional
    layer?", 2016.
    """
    stride, axes = spreads[0].stride, tuple(spread.low for spread in spreads)
    channels, outputs = weights.shape[:2]
    kernels = np.zeros((stride, stride, outputs, channels, *(axis.kernel for axis in axes)), weights.dtype)
    rows, columns = (spread.taps for spread in spreads)
    for i, (down, row) in enumerate(rows):
        for k, (right, column) in enumerate(columns):
            kernels[row, column, :, :, axes[0].begin + down, axes[1].begin + right] = weights[:, :, i, k].T
    x, padding = pad_for(x, axes)
    every = None if bias is None else tfl.tile(bias, [stride**2])
    filters = Value.constant(kernels.reshape(-1, *kernels.shape[3:]))
    y = convolve(x, filters, every, 1, [1, 1], [1, 1], padding)
    return _cut(y if stride == 1 else tfl.depth_to_space(y, stride), [0, 0], spreads)


def transposed_convolution(x: Value, weights: Value, bias: Value | None, spreads: list[Spread]) -> Value:
    """Record TRANSPOSE_CONV or CONV_3D_TRANSPOSE, and a SLICE where more than SAME is cut off."""
    same = all(spread.is_same for spread in spreads)
    sizes = [spread.out if same else spread.full for spread in spreads]
    shape = [x.sizes[0], *sizes, weights.sizes[1]]
    strides, padding = [spread.stride for spread in spreads], "SAME" if same else "VALID"
    if len(spreads) == 2:
        filters = tfl.transpose(weights, (1, 2, 3, 0))
        y = tfl.transpose_conv(x, filters, shape, bias, strides=strides, padding=padding)
    else:
        filters = tfl.transpose(weights, (2, 3, 4, 1, 0))
        y = tfl.conv_3d_transpose(x, filters, shape, bias, strides=strides, padding=padding)
    return y if same else _cut(y, [spread.begin for spread in spreads], spreads)


def _by_group(x: Value, weights: Value, bias: Value | None, group: int, spreads: list[Spread]) -> Value:
    biases = [None] * group if bias is None else tfl.split(bias, group, 0)
    parts = zip(tfl.split(x, group, -1), tfl.split(weights, group, 0), biases, strict=True)
    return tfl.concatenation([transposed_convolution(*operands, spreads) for operands in parts], -1)


def _grouped(x: Value, weights: Array, bias: Value | None, group: int, spreads: list[Spread]) -> Value:
    """Record a convolution over the spread input with the kernel turned round, which is the transposed one."""
    channels, per_group, height, width = weights.shape
    turned = weights[:, :, ::-1, ::-1].reshape(group, channels // group, per_group, height, width)
    turned = turned.swapaxes(1, 2).reshape(group * per_group, channels // group, height, width)
    x = _zeros_between(x, [spread.stride for spread in spreads])
    axes, skips = [], []
    for spread, size in zip(spreads, x.sizes[1:3], strict=True):
        before = spread.kernel - 1 - spread.begin
        after = spread.out + spread.kernel - 1 - before - size
        begin, end = max(before, 0), max(after, 0)
        axes.append(Axis(size, spread.kernel, 1, 1, begin, end, begin + size + end - spread.kernel + 1))
        skips.append(max(-before, 0))
    x, padding = pad_for(x, tuple(axes))
    y = convolve(x, Value.constant(turned), bias, group, [1, 1], [1, 1], padding)
    return _cut(y, skips, spreads)


def _zeros_between(x: Value, strides: list[int]) -> Value:
    """Put ``stride - 1`` zeros after each element of H and W, by one PAD of rank 4."""
    if strides == [1, 1]:
        return x
    batch, height, width, channels = x.sizes
    rows = tfl.reshape(x, (batch * height, 1, width, channels))
    rows = tfl.pad(rows, [[0, 0], [0, strides[0] - 1], [0, 0], [0, (strides[1] - 1) * channels]])
    return tfl.reshape(rows, (batch, height * strides[0], width * strides[1], channels))


def _cut(y: Value, begins: list[int], spreads: list[Spread]) -> Value:
    """Record the SLICE that the model keeps; nothing where that is all."""
    batch, *sizes, channels = y.sizes
    if sizes == [spread.out for spread in spreads]:
        return y
    return tfl.slice_(y, [0, *begins, 0], [batch, *(spread.out for spread in spreads), channels])
