"""Convolutions with constant weights as data: what a rewrite needs to know of one, and how it writes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_operand, has_operand, integer, integers
from layoutopt.ir.values import Shape, Wide, constant_array, static_shape
from layoutopt.layout.costs.arithmetic import Work, work_of_elementwise, work_of_product

TYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
"""Element types whose sums may run in another order without leaving what verification allows."""

Weights = npt.NDArray[np.float32 | np.float64]
"""Weights as they are stored, which most questions leave alone; what adds or multiplies them makes them double."""


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

    weights: Weights
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
        """Return the number of channels of the result."""
        return int(self.weights.shape[0])

    @property
    def is_dense(self) -> bool:
        """Return whether it reads every pixel at every place, all channels for each one of the result."""
        return self.groups == 1 and {*self.strides, *self.dilations} == {1}

    def offsets(self, axis: int) -> list[int]:
        """Return the offsets of the taps along a spatial axis, from the place in the result times the stride."""
        return [tap * self.dilations[axis] - self.begin[axis] for tap in range(self.kernel[axis])]

    def scaled(self, factor: Wide) -> Convolution:
        """Return the same times a ``factor`` per channel of the result."""
        if (factor == 1).all():
            return self
        return dataclasses.replace(self, weights=scale_outputs(self.weights, factor), bias=self.bias * factor)

    def end(self, source: Shape, result: Shape) -> Shape:
        """Return the padding after each spatial axis that its windows read, for the shapes of operand and result."""
        found = []
        for axis, (size, out) in enumerate(zip(source[2:], result[2:], strict=True)):
            last = (out - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis]
            found.append(max(0, last - self.begin[axis] - (size - 1)))
        return tuple(found)

    def is_padded(self, source: Shape, result: Shape) -> bool:
        """Return whether its windows read padding, for these shapes."""
        return any((*self.begin, *self.end(source, result)))

    def work(self, source: Shape, result: Shape) -> Work:
        """Return its cost for these shapes; padding that TFLite has no name for is an operator of its own."""
        pixels = prod(result) // result[1]
        work = work_of_product(pixels, prod(self.weights.shape[1:]), self.channels, groups=self.groups)
        return work if self._is_same(source, result) else work + work_of_elementwise(source, source)

    def _is_same(self, source: Shape, result: Shape) -> bool:
        """Return whether its padding is none, or TFLite's SAME: half of it on either side, the odd one at the end."""
        if not self.is_padded(source, result):
            return True
        end = self.end(source, result)
        sizes = zip(source[2:], result[2:], self.strides, strict=True)
        return all(out == -(-size // stride) for size, out, stride in sizes) and all(
            front == (front + back) // 2 for front, back in zip(self.begin, end, strict=True)
        )

    def write(self, write: edit.Writer, source: ir.Value, shape: Shape) -> ir.Value:
        """Return the result, of ``shape``, of this convolution of ``source``."""
        given = static_shape(source)
        assert given is not None
        dtype = write.dtype.numpy()
        operands = [source, write.constant(self.weights.astype(dtype, copy=False))]
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
        """Return whether ``dtype`` holds all its numbers."""
        limit = np.finfo(dtype.numpy()).max
        numbers = (self.weights, self.bias)
        return all(bool(-limit <= each.min(initial=0) and each.max(initial=0) <= limit) for each in numbers)


def scale_outputs(weights: Weights, factor: Wide, *, groups: int = 1, transposed: bool = False) -> Wide:
    """Return the weights of a convolution with each channel of its result times its factor.

    Args:
        weights: of a Conv, (channels out, channels in of one group, kernel...), or of a ConvTranspose, (channels in,
            channels out of one group, kernel...).
        factor: one number per channel of the result.
        groups: of channels.
        transposed: whether it is a ConvTranspose.
    """
    ones = [1] * (weights.ndim - 2)
    if not transposed:
        return weights * factor.reshape(-1, 1, *ones)
    apart = weights.reshape(groups, -1, *weights.shape[1:])
    return (apart * factor.reshape(groups, 1, -1, *ones)).reshape(weights.shape)


def scale_inputs(weights: Wide, factor: Wide, *, groups: int = 1) -> Wide:
    """Return the weights of a Conv, as in `scale_outputs`, with each channel of its operand times its factor."""
    apart = weights.reshape(groups, -1, *weights.shape[1:])
    return (apart * factor.reshape(groups, 1, -1, *[1] * (weights.ndim - 2))).reshape(weights.shape)


def convolution_of(node: ir.Node) -> Convolution | None:
    """Return what ``node`` computes; None if it is no Conv, shapes are not static, or weights are computed."""
    if node.domain != "" or node.op_type != "Conv" or node.outputs[0].dtype not in TYPES:
        return None
    source, result = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    weights: Weights | None = constant_array(node.inputs[1])  # type: ignore[assignment]  # of the type of the result
    if source is None or result is None or weights is None:
        return None
    if (bias := np.zeros(weights.shape[0]) if not has_operand(node, 2) else constant_operand(node, 2)) is None:
        return None
    ones = (1,) * (len(source) - 2)
    strides, dilations = integers(node, "strides", ones) or ones, integers(node, "dilations", ones) or ones
    begin = window_begin(node, source, result, weights.shape[2:], strides, dilations)
    return Convolution(weights, bias, begin, strides, dilations, integer(node, "group", 1) or 1)


def identity_convolution(shape: Shape) -> Convolution:
    """Return the Conv that leaves a value of ``shape`` as it is."""
    ones = (1,) * (len(shape) - 2)
    return Convolution(np.ones((shape[1], 1, *ones)), np.zeros(shape[1]), tuple(0 for _ in ones), ones, ones, shape[1])


def pool_of(node: ir.Node) -> Convolution | None:
    """Return the Conv that an AveragePool is whose windows all count their whole size."""
    if node.domain != "" or node.op_type != "AveragePool":
        return None
    source, result = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    kernel = integers(node, "kernel_shape")
    if source is None or result is None or kernel is None:
        return None
    ones = (1,) * len(kernel)
    strides, dilations = integers(node, "strides", ones) or ones, integers(node, "dilations", ones) or ones
    begin = window_begin(node, source, result, kernel, strides, dilations)
    weights = np.full((source[1], 1, *kernel), 1 / prod(kernel))
    conv = Convolution(weights, np.zeros(source[1]), begin, strides, dilations, source[1])
    padded = conv.is_padded(source, result)
    whole = integer(node, "count_include_pad", 0) == 1 and integer(node, "ceil_mode", 0) != 1
    return conv if whole or not padded else None


def sum_convolutions(convs: Sequence[Convolution]) -> Convolution:
    """Return one Conv for the sum of the results of ``convs``, which read the same with the same strides.

    Its kernel has a tap wherever one of them has one; of what is between these, as little as one dilation allows.
    """
    groups, first = gcd(*(conv.groups for conv in convs)), convs[0]
    spans = [_span(offset for conv in convs for offset in conv.offsets(axis)) for axis in range(len(first.kernel))]
    width = first.weights.shape[1] * first.groups // groups
    weights = np.zeros((first.channels, width, *map(len, spans)))
    for conv in convs:
        taps = [_places(span, conv.offsets(axis)) for axis, span in enumerate(spans)]
        _add_in_groups(weights[:, :, *taps], groups, conv)
    bias = np.sum([conv.bias for conv in convs], axis=0)
    begin, steps = tuple(-span[0] for span in spans), tuple(span.step for span in spans)
    return Convolution(weights, bias, begin, first.strides, steps, groups)


def compose_convolutions(first: Convolution, second: Convolution) -> Convolution:
    """Return one Conv for ``second`` of the result of ``first``, of which ``second`` must read no padding but zeros.

    Pixel r of the result reads pixels s2 r + o2 of the value between, and those s1 (s2 r + o2) + o1 of the operand,
    with strides s and offsets o of the taps: strides multiply, and each pair of taps falls on one offset s1 o2 + o1.
    """
    groups, axes = gcd(first.groups, second.groups), range(len(first.kernel))
    offsets = [
        [[first.strides[axis] * after + before for before in first.offsets(axis)] for after in second.offsets(axis)]
        for axis in axes
    ]
    spans = [_span(each for row in rows for each in row) for rows in offsets]
    inner = _in_groups(first, groups).reshape(groups, first.channels // groups, -1, *first.kernel)
    outer = _in_groups(second, groups).reshape(groups, -1, inner.shape[1], *second.kernel)
    inner, outer = (each.reshape(*each.shape[:3], -1) for each in (inner, outer))
    sizes = tuple(map(len, spans))
    weights = np.zeros((groups, outer.shape[1], inner.shape[2], prod(sizes)))
    for late, after in enumerate(np.ndindex(*second.kernel)):
        for early, before in enumerate(np.ndindex(*first.kernel)):
            place = tuple(spans[axis].index(offsets[axis][after[axis]][before[axis]]) for axis in axes)
            weights[..., np.ravel_multi_index(place, sizes)] += outer[..., late] @ inner[..., early]
    bias = second.bias + (outer.sum(axis=3) @ first.bias.reshape(groups, -1, 1)).reshape(-1)
    strides = tuple(one * other for one, other in zip(first.strides, second.strides, strict=True))
    begin, steps = tuple(-span[0] for span in spans), tuple(span.step for span in spans)
    merged = weights.reshape(second.channels, inner.shape[2], *sizes)
    return Convolution(merged, bias, begin, strides, steps, groups)


def _span(offsets: Iterable[int]) -> range:
    """Return the evenly spaced offsets, as few as there can be, among which all these are."""
    taken = sorted({*offsets})
    step = gcd(*(offset - taken[0] for offset in taken)) or 1
    return range(taken[0], taken[-1] + 1, step)


def _places(span: range, offsets: Sequence[int]) -> slice:
    """Return where the evenly spaced ``offsets`` are in ``span``."""
    places = [span.index(offset) for offset in offsets]
    return slice(places[0], places[-1] + 1, places[1] - places[0] if len(places) > 1 else 1)


def _in_groups(conv: Convolution, groups: int) -> Wide:
    """Return the weights of ``conv`` as those of a Conv of fewer ``groups``: zero between what was apart."""
    whole = np.zeros((conv.channels, conv.weights.shape[1] * conv.groups // groups, *conv.kernel))
    _add_in_groups(whole, groups, conv)
    return whole


def _add_in_groups(weights: Wide, groups: int, conv: Convolution) -> None:
    """Add those of ``conv`` to the ``weights`` of a Conv of fewer ``groups``, along a diagonal of blocks."""
    ratio, each, width = conv.groups // groups, conv.channels // conv.groups, conv.weights.shape[1]
    apart = weights.reshape(groups, ratio, each, ratio, width, *conv.kernel)
    blocks = np.einsum("grerw...->grew...", apart)  # a view
    blocks += conv.weights.reshape(blocks.shape)


def window_begin(node: ir.Node, source: Shape, result: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> Shape:
    """Return the padding before each spatial axis, also where ``auto_pad`` says it."""
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


def channel_vector(array: Wide, shape: Shape, axis: int = 1) -> Wide | None:
    """Return the numbers of ``array``, broadcast to ``shape``, along ``axis``; None if they differ along another."""
    if array.ndim > len(shape):
        return None
    raised = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    others = [size for at, size in enumerate(raised.shape) if at != axis]
    if any(size != 1 for size in others) or not np.isfinite(raised).all():
        return None
    return np.broadcast_to(raised.reshape(-1), (shape[axis],)).copy()
