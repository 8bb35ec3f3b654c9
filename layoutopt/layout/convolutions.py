"""Convolutions with constant weights as data: what a rewrite needs to know of one, and how it writes one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.layout.layouts import Shape
from layoutopt.layout.remaps import has_operand, integer, integers
from layoutopt.layout.variants import static_shape
from layoutopt.layout.work import Work, passing, product

Wide = npt.NDArray[np.float64]
"""Constants are worked on in double precision, and rounded once."""

TYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
"""Element types whose sums may run in another order without leaving what verification allows."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A Conv whose weights, and bias if there is one, are constant.

    Attributes:
        weights: of shape (channels out, channels in of one group, kernel...).
        bias: one number per channel out; zeros where there is none.
        begin: padding in front, one number per spatial axis.
        strides: one number per spatial axis.
        dilations: likewise.
        groups: of channels.
    """

    weights: Wide
    bias: Wide
    begin: Shape
    strides: Shape
    dilations: Shape
    groups: int

    @property
    def kernel(self) -> Shape:
        """Taps along each spatial axis."""
        return self.weights.shape[2:]

    @property
    def channels(self) -> int:
        """How many the result has."""
        return int(self.weights.shape[0])

    @property
    def is_dense(self) -> bool:
        """Whether it reads every pixel at every place, all channels for each one of the result."""
        return self.groups == 1 and {*self.strides, *self.dilations} == {1}

    def end(self, source: Shape, result: Shape) -> Shape:
        """The padding behind that its windows read, for the shapes of its operand and its result."""
        found = []
        for axis, (size, out) in enumerate(zip(source[2:], result[2:], strict=True)):
            last = (out - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis]
            found.append(max(0, last - self.begin[axis] - (size - 1)))
        return tuple(found)

    def work(self, source: Shape, result: Shape) -> Work:
        """What it costs for these shapes; padding that TFLite has no name for is an operator of its own."""
        pixels = prod(result) // result[1]
        work = product(pixels, prod(self.weights.shape[1:]), self.channels, groups=self.groups)
        return work if self._is_same(source, result) else work + passing(source, source)

    def _is_same(self, source: Shape, result: Shape) -> bool:
        """Whether it has no padding, or what TFLite calls SAME: half of it on either side, the odd one behind."""
        end = self.end(source, result)
        if not any((*self.begin, *end)):
            return True
        sizes = zip(source[2:], result[2:], self.strides, strict=True)
        return all(out == -(-size // stride) for size, out, stride in sizes) and all(
            front == (front + behind) // 2 for front, behind in zip(self.begin, end, strict=True)
        )

    def write(self, write: edit.Writer, source: ir.Value, shape: Shape) -> ir.Value:
        """The result, of ``shape``, of this convolution of ``source``."""
        given = static_shape(source)
        assert given is not None
        dtype = write.dtype.numpy()
        operands = [source, write.constant(self.weights.astype(dtype))]
        if self.bias.any():
            operands.append(write.constant(self.bias.astype(dtype)))
        attributes: dict[str, int | Sequence[int]] = {
            "kernel_shape": self.kernel,
            "pads": (*self.begin, *self.end(given, shape)),
            "strides": self.strides,
            "dilations": self.dilations,
            "group": self.groups,
        }
        return write("Conv", shape, *operands, attributes=attributes)

    def is_finite(self, dtype: ir.DataType) -> bool:
        """Whether ``dtype`` holds all its numbers."""
        limit = np.finfo(dtype.numpy()).max
        return all(bool((np.abs(each) <= limit).all()) for each in (self.weights, self.bias))


def convolution_of(node: ir.Node) -> Convolution | None:
    """What ``node`` computes; None where it is no Conv, where shapes are not static, or where weights are computed."""
    if node.domain != "" or node.op_type != "Conv" or node.outputs[0].dtype not in TYPES:
        return None
    source, result = shape_of(node.inputs[0]), static_shape(node.outputs[0])
    weights = constant(node, 1)
    if source is None or result is None or weights is None:
        return None
    if (bias := np.zeros(weights.shape[0]) if not has_operand(node, 2) else constant(node, 2)) is None:
        return None
    ones = (1,) * (len(source) - 2)
    strides, dilations = integers(node, "strides", ones) or ones, integers(node, "dilations", ones) or ones
    begin = window_begin(node, source, result, weights.shape[2:], strides, dilations)
    return Convolution(weights, bias, begin, strides, dilations, integer(node, "group", 1) or 1)


def window_begin(node: ir.Node, source: Shape, result: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> Shape:
    """The padding in front of each spatial axis, also where ``auto_pad`` says it."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0,) * len(kernel)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return (integers(node, "pads") or (0,) * 2 * len(kernel))[: len(kernel)]
    found = []
    for size, out, taps, stride, dilation in zip(source[2:], result[2:], kernel, strides, dilations, strict=True):
        total = max(0, (out - 1) * stride + (taps - 1) * dilation + 1 - size)
        found.append(total // 2 if auto == "SAME_UPPER" else -(-total // 2))
    return tuple(found)


def constant(node: ir.Node, index: int) -> Wide | None:
    """The constant operand at ``index`` in double precision; None where it is empty or computed."""
    value = node.inputs[index] if has_operand(node, index) else None
    tensor = edit.constant_of(value) if value is not None else None
    return None if tensor is None else np.asarray(tensor.numpy(), np.float64)


def shape_of(value: ir.Value | None) -> Shape | None:
    """The static shape of an operand; None where it is empty or not static."""
    return None if value is None else static_shape(value)


def per_channel(array: Wide, shape: Shape, axis: int = 1) -> Wide | None:
    """The numbers of ``array``, broadcast to ``shape``, along ``axis``; None where they differ along another one."""
    if array.ndim > len(shape):
        return None
    raised = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    others = [size for at, size in enumerate(raised.shape) if at != axis]
    if any(size != 1 for size in others) or not np.isfinite(raised).all():
        return None
    return np.broadcast_to(raised.reshape(-1), (shape[axis],)).copy()


def only_reader(graph: ir.Graph, value: ir.Value) -> ir.Node | None:
    """The node of ``graph`` that reads ``value``, once; None where others read it too."""
    users = [use.node for use in value.uses()]
    return users[0] if len(users) == 1 and users[0].graph is graph and not value.is_graph_output() else None


def is_alone(graph: ir.Graph, value: ir.Value) -> bool:
    """Whether one operand of one node of ``graph`` is ``value``, and nobody else reads it."""
    return only_reader(graph, value) is not None
