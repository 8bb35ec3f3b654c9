"""ConvTranspose1D to 3D: one TRANSPOSE_CONV or CONV_3D_TRANSPOSE.

With groups, a 2-D one is zeros between the elements and one grouped convolution, a 3-D one an operator per group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.conv import convolve
from layoutopt.backend.onnx_tf.handlers.node import Array, Node, Operand, handles, permuted, reshaped, shape_of
from layoutopt.backend.onnx_tf.handlers.spatial import on_line
from layoutopt.ir.dialect import DOMAIN


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
        """Size of the output before anything is cut off, at least what the kept part reaches to."""
        return max((self.size - 1) * self.stride + self.kernel, self.begin + self.out)

    @property
    def is_same(self) -> bool:
        """TensorFlow's SAME cuts off the same."""
        total = max((self.size - 1) * self.stride + self.kernel - self.out, 0)
        return self.size == -(-self.out // self.stride) and self.begin == total // 2


@handles("ConvTranspose2D", "ConvTranspose3D", domain=DOMAIN)
def conv_transpose(node: Node) -> Operand:
    """Transposed convolution of x (N, spatial..., C) with weights (C, O / group, spatial...)."""
    rank = len(node.shape) - 2
    weights = _dilated(node, node.ints("dilations") or [1] * rank)
    spreads = _spreads(node, shape_of(weights)[2:])
    group = node.integer("group", 1)
    if group == 1:
        y = _dense(node.x, weights, spreads)
    elif rank == 2 and isinstance(weights, np.ndarray):
        y = _grouped(node.x, weights, group, spreads)
    else:
        y = _by_group(node.x, weights, group, spreads)
    bias = node.optional(2)
    return y if bias is None else tf.nn.bias_add(y, bias)


handles("ConvTranspose1D", domain=DOMAIN)(on_line(conv_transpose))


def _dilated(node: Node, dilations: list[int]) -> Operand:
    """The weights with zeros between the elements of a kernel: TRANSPOSE_CONV knows no dilation."""
    if all(step == 1 for step in dilations):
        return node[1]
    weights = node.constant(1)
    sizes = [(size - 1) * step + 1 for size, step in zip(weights.shape[2:], dilations, strict=True)]
    dilated = np.zeros((*weights.shape[:2], *sizes), weights.dtype)
    taps: tuple[slice, ...] = tuple(slice(None, None, step) for step in dilations)
    dilated[(slice(None), slice(None), *taps)] = weights
    return dilated


def _spreads(node: Node, kernel: tuple[int, ...]) -> list[Spread]:
    """The transposed windows over the spatial axes, by the rules of ONNX's ConvTranspose."""
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


def _dense(x: Operand, weights: Operand, spreads: list[Spread]) -> Operand:
    rank = len(spreads)
    filters = permuted(weights, (*range(2, rank + 2), 1, 0))
    same = all(spread.is_same for spread in spreads)
    sizes = [spread.out if same else spread.full for spread in spreads]
    shape = [shape_of(x)[0], *sizes, shape_of(weights)[1]]
    strides = [spread.stride for spread in spreads]
    operator = tf.nn.conv2d_transpose if rank == 2 else tf.nn.conv3d_transpose
    y = operator(x, filters, shape, strides, "SAME" if same else "VALID")
    return y if same else _cut(y, [spread.begin for spread in spreads], spreads)


def _by_group(x: Operand, weights: Operand, group: int, spreads: list[Spread]) -> Operand:
    own = np.split(weights, group) if isinstance(weights, np.ndarray) else tf.split(weights, group)
    parts = zip(tf.split(x, group, -1), own, strict=True)
    return tf.concat([_dense(part, kernel, spreads) for part, kernel in parts], -1)


def _grouped(x: Operand, weights: Array, group: int, spreads: list[Spread]) -> Operand:
    """A transposed convolution is a convolution over the spread input with the kernel turned round."""
    channels, per_group, height, width = weights.shape
    turned = weights[:, :, ::-1, ::-1].reshape(group, channels // group, per_group, height, width)
    turned = turned.swapaxes(1, 2).reshape(group * per_group, channels // group, height, width)
    x = _zeros_between(x, [spread.stride for spread in spreads])
    pads, skips = [], []
    for spread, size in zip(spreads, shape_of(x)[1:3], strict=True):
        before = spread.kernel - 1 - spread.begin
        after = spread.out + spread.kernel - 1 - before - size
        pads.append([max(before, 0), max(after, 0)])
        skips.append(max(-before, 0))
    if any(any(pair) for pair in pads):
        x = tf.pad(x, [[0, 0], *pads, [0, 0]])
    y = convolve(x, turned, None, group, [1, 1], [1, 1], "VALID")
    return _cut(y, skips, spreads)


def _zeros_between(x: Operand, strides: list[int]) -> Operand:
    """``stride - 1`` zeros after each element of H and W, by one PAD of rank 4."""
    if strides == [1, 1]:
        return x
    batch, height, width, channels = shape_of(x)
    rows = reshaped(x, (batch * height, 1, width, channels))
    rows = tf.pad(rows, [[0, 0], [0, strides[0] - 1], [0, 0], [0, (strides[1] - 1) * channels]])
    return reshaped(rows, (batch, height * strides[0], width * strides[1], channels))


def _cut(y: Operand, begins: list[int], spreads: list[Spread]) -> Operand:
    """The part that the model keeps; nothing where that is all."""
    batch, *sizes, channels = shape_of(y)
    if sizes == [spread.out for spread in spreads]:
        return y
    return tf.slice(y, [0, *begins, 0], [batch, *(spread.out for spread in spreads), channels])
