"""Convolves the small picture before an upsampling instead of the large one after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_operand, integer, is_operator
from layoutopt.ir.values import Shape, has_only_reader, known_shape, only_reader, static_shape
from layoutopt.layout.analysis.convolutions import TYPES, Convolution, channel_vector, convolution_of
from layoutopt.layout.analysis.upsampling import Upsampling, same_upsampling, upsampling_of, with_channels
from layoutopt.layout.costs.arithmetic import Work, work_of, work_of_elementwise
from layoutopt.layout.rules.applicability import is_function_of_elements
from layoutopt.passes.base import CostDrivenRewrite, NodeRewrite

_TO_THE_END = 2**63 - 1
"""The end that ONNX gives a Slice that has none."""

Rewrite = Callable[[edit.Writer], ir.Value]
"""Writes the nodes that a result is computed by from now on."""


@dataclass(frozen=True)
class ConvolveBeforeUpsampling(NodeRewrite, CostDrivenRewrite):
    """Compute a Conv after nearest upsampling by a whole factor on the small picture, where that is cheaper.

    *Phases.* With nearest upsampling by s, pixel q of the large picture is pixel q // s of the small one, so the result
    at r is the sum over d of w[d] x[(r + d - p) // s], where p is the padding in front. Let t be -p mod s, and r + t be
    s m + f. As p + t is a multiple of s, the index is m - (p + t) / s + (f + d) // s, a tap of m that depends on f and
    d alone: for each of the s phases f, the rows of the kernel that fall on one tap add up. There are (s + k - 2) // s
    + 1 taps, two for s = 2 and k = 3: 4/9 of the multiplications over two axes. One Conv computes all phases as
    channels, DepthToSpace interleaves them, a Slice drops the first t results and what is after the last. An index
    outside of the large picture is one outside of the small one, and zero is read there in both, so that any padding
    and any bias will do; but no stride, dilation or group.

    *Kernels of one pixel* commute with any resize whose weights sum to 1 for each pixel, nearest, linear and cubic of
    any factor, bias included: sum_j u[j] (W x[j] + b) = W (sum_j u[j] x[j]) + b. It is the same for a factor and a term
    per channel; nearest commutes with every function of single elements.

    *Concat.* A Conv of a Concat of channels is the sum of the Convs of its parts; those that are upsampled go either
    way, the rest stays.
    """

    since = 11  # brought DepthToSpace, Slice and Resize as they are written here

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Compute ``node`` before an upsampling, where that can be done and is cheaper."""
        if len(node.outputs) != 1:
            return False
        found = _convolution(graph, node) if is_operator(node, "Conv") else _elementwise(graph, node)
        if found is None or not self.is_worth(node, found.before, found.after):
            return False
        write = edit.Writer(graph, found.last, str(found.last.outputs[0].name), _type_of(node))
        result = found.rewrite(write)
        edit.replace_uses(graph, found.last.outputs[0], result)
        edit.remove_dead(found.last)
        return True


@dataclass(frozen=True, slots=True)
class _Found:
    """A rewrite that is possible.

    Attributes:
        last: the node whose result is computed in another way.
        before: what all nodes cost that are left out.
        after: what the nodes cost that take their place.
        rewrite: writes these.
    """

    last: ir.Node
    before: Work
    after: Work
    rewrite: Rewrite


def _type_of(node: ir.Node) -> ir.DataType:
    dtype = node.outputs[0].dtype
    assert dtype is not None
    return dtype


# --- single elements ---------------------------------------------------------------------------------------------

_AFFINE = frozenset({"Mul", "Div", "Add", "Sub"})
_FUSED = frozenset({"Relu", "Clip"})
"""The operators that the target computes inside the convolution before it."""


def _elementwise(graph: ir.Graph, node: ir.Node) -> _Found | None:
    """Return an elementwise function, or a factor or term per channel, that alone reads an upsampling."""
    is_affine = is_operator(node, *_AFFINE)
    if not (is_affine or is_function_of_elements(node)) or node.outputs[0].dtype not in TYPES:
        return None
    place = next((at for at, value in enumerate(node.inputs) if upsampling_of(graph, value) is not None), None)
    value = node.inputs[place] if place is not None else None
    if value is None or not has_only_reader(graph, value):
        return None
    up = upsampling_of(graph, value)
    if up is None or static_shape(node.outputs[0]) != up.large or not (up.nearest or is_affine):
        return None
    if value.dtype != node.outputs[0].dtype:
        return None
    rest = [other for other in node.inputs if other is not value and other is not None]
    arrays = [constant_operand(node, at) for at, other in enumerate(node.inputs) if other in rest]
    if any(array is None or channel_vector(array, up.large) is None for array in arrays):
        return None
    if node.op_type == "Div" and place != 0:
        return None  # a number over the picture is no factor

    def rewrite(write: edit.Writer) -> ir.Value:
        operands = [up.source if other is value else other for other in node.inputs]
        return up.write(write, write.again(node, up.small, *operands), up.small[1])

    return _Found(node, work_of_elementwise(up.large, up.large), work_of_elementwise(up.small, up.small), rewrite)


# --- convolutions ------------------------------------------------------------------------------------------------


def _convolution(graph: ir.Graph, node: ir.Node) -> _Found | None:
    """Return a Conv after an upsampling, or after a Concat with upsampled parts."""
    parts, joint = _parts(graph, node.inputs[0])
    ups = [upsampling_of(graph, part) for part in parts]
    first = next((up for up in ups if up is not None), None)
    if first is None or (conv := convolution_of(node)) is None or not conv.is_dense:
        return None
    pointwise = prod(conv.kernel) == 1 and not any(conv.begin) and known_shape(node.outputs[0])[2:] == first.large[2:]
    if not pointwise and not first.factor:
        return None
    alike = [at for at, up in enumerate(ups) if up is not None and same_upsampling(up, first)]
    return _Convolution(graph, node, conv, first, parts, alike, joint, pointwise=pointwise).found()


def _parts(graph: ir.Graph, value: ir.Value | None) -> tuple[list[ir.Value], ir.Node | None]:
    """Return the values whose channels ``value`` consists of, and the Concat that joins them, if there is one."""
    node = value.producer() if value is not None else None
    if value is None or node is None or node.graph is not graph or node.domain != "" or node.op_type != "Concat":
        return [value] if value is not None else [], None
    shape = static_shape(value)
    parts = [part for part in node.inputs if part is not None]
    if shape is None or len(shape) < 3 or (integer(node, "axis", 0) or 0) % len(shape) != 1:
        return [value], None
    return ([value], None) if any(static_shape(part) is None for part in parts) else (parts, node)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A Conv whose operand is upsampled, in part or as a whole.

    Attributes:
        graph: of all nodes.
        node: the Conv.
        conv: what it computes.
        up: the upsampling.
        parts: the values whose channels the operand consists of.
        alike: which of these are upsampled in that way.
        joint: the Concat of the parts; None where there is one part.
        pointwise: whether the kernel is one pixel.
    """

    graph: ir.Graph
    node: ir.Node
    conv: Convolution
    up: Upsampling
    parts: Sequence[ir.Value]
    alike: Sequence[int]
    joint: ir.Node | None
    pointwise: bool

    def found(self) -> _Found | None:
        """Return both forms with what they cost; None where weights are not finite, or their sums would not be."""
        result = known_shape(self.node.outputs[0])
        small, large = self._small(), self._large()
        if not small.is_finite(_type_of(self.node)):
            return None
        activation = self._activation()
        before, after = work_of(self.node) + self._no_longer_read(), Work()
        if self.pointwise:
            after += small.work(self._small_shape(), with_channels(self.up.small, small.channels))
            after += self.up.work(small.channels)
            if activation is None and self._fused() and large is None:
                after += work_of_elementwise(result, result)
        else:
            after += small.work(self._small_shape(), self._phases_shape(small)) + work_of_elementwise(result, result)
            after += work_of_elementwise(result, result) if self._crop() is not None else Work()
        if large is not None:
            after += large.work(self._large_shape(), result) + work_of_elementwise(result, result, result)
        rest = len(self.parts) - len(self.alike)
        after += work_of_elementwise(self._large_shape(), self._large_shape()) if rest > 1 else Work()
        after += work_of_elementwise(self._small_shape(), self._small_shape()) if len(self.alike) > 1 else Work()
        return _Found(activation or self.node, before, after, partial(self._rewrite, small, large))

    def _no_longer_read(self) -> Work:
        """Return the cost of the Concat and the upsampling, divided by the number of Convs that read them."""
        source = self.node.inputs[0]
        if source is None or source.is_graph_output():
            return Work()
        readers = [use.node for use in source.uses()]
        if not all(self._may_be_rewritten(reader) for reader in readers):
            return Work()
        work = work_of(self.joint) if self.joint is not None else Work()
        for at in self.alike:
            part = self.parts[at]
            if part is source or has_only_reader(self.graph, part):
                work += self.up.work(known_shape(part)[1])
        return work.shared_by(len(readers))

    def _may_be_rewritten(self, reader: ir.Node) -> bool:
        """Return whether another reader of the same value is a Conv of the same kind."""
        if reader is self.node:
            return True
        conv = convolution_of(reader) if reader.graph is self.graph else None
        return conv is not None and conv.is_dense and conv.kernel == self.conv.kernel

    def _rewrite(self, small: Convolution, large: Convolution | None, write: edit.Writer) -> ir.Value:
        result = known_shape(self.node.outputs[0])
        sources = [up.source for at in self.alike if (up := upsampling_of(self.graph, self.parts[at])) is not None]
        source = _joined(write, sources, self._small_shape())
        activation = self._activation()
        shape = with_channels(self.up.small, small.channels) if self.pointwise else self._phases_shape(small)
        y = small.write(write, source, shape)
        if activation is not None:
            y = write.again(activation, shape, y, *activation.inputs[1:])
        y = self.up.write(write, y, small.channels) if self.pointwise else self._interleaved(write, y, shape)
        if large is None:
            return y
        rest = [part for at, part in enumerate(self.parts) if at not in self.alike]
        other = large.write(write, _joined(write, rest, self._large_shape()), result)
        return write("Add", result, y, other)

    def _activation(self) -> ir.Node | None:
        """Return the activation after the Conv, if it can be computed before the upsampling."""
        value = self.node.outputs[0]
        reader = only_reader(self.graph, value)
        if reader is None or len(self.alike) < len(self.parts) or not self.up.nearest:
            return None
        is_fused = reader.domain == "" and reader.op_type in _FUSED and value is reader.inputs[0]
        return reader if is_fused and static_shape(reader.outputs[0]) is not None else None

    def _fused(self) -> bool:
        """Return whether the target computes what follows inside the Conv."""
        return any(use.node.op_type in _FUSED for use in self.node.outputs[0].uses())

    def _weights(self, chosen: Sequence[int]) -> Convolution | None:
        """Return the Conv of the ``chosen`` parts alone, without bias; None where there are none."""
        ends = np.cumsum([known_shape(part)[1] for part in self.parts])
        pieces = np.split(self.conv.weights, ends[:-1], axis=1)
        if not chosen:
            return None
        weights = np.concatenate([pieces[at] for at in chosen], axis=1)
        conv = self.conv
        return Convolution(weights, np.zeros(conv.channels), conv.begin, conv.strides, conv.dilations, 1)

    def _large(self) -> Convolution | None:
        """Return the Conv of what is not upsampled in this way; None where all is."""
        return self._weights([at for at in range(len(self.parts)) if at not in self.alike])

    def _small(self) -> Convolution:
        """Return the Conv of the small picture: all phases, one after the other, with the bias."""
        conv = self._weights(self.alike)
        assert conv is not None
        if self.pointwise:
            return Convolution(conv.weights, self.conv.bias, conv.begin, conv.strides, conv.dilations, 1)
        factor = self.up.factor
        taps = [(size + factor - 2) // factor + 1 for size in conv.kernel]
        falls_on = np.zeros((factor, factor, *conv.kernel, *taps))
        for row, column, *tap in np.ndindex(factor, factor, *conv.kernel):
            falls_on[row, column, *tap, (row + tap[0]) // factor, (column + tap[1]) // factor] = 1
        flat = conv.weights.reshape(-1, prod(conv.kernel))
        phases = flat @ falls_on.reshape(factor**2, flat.shape[1], prod(taps))
        merged = phases.reshape(factor**2 * conv.channels, -1, *taps)
        return Convolution(merged, np.tile(self.conv.bias, factor**2), self._begin(), (1, 1), (1, 1), 1)

    def _shifts(self) -> Shape:
        return tuple(-pad % self.up.factor for pad in self.conv.begin)

    def _begin(self) -> Shape:
        return tuple(-(-pad // self.up.factor) for pad in self.conv.begin)

    def _windows(self) -> Shape:
        """Return places of the small picture at which the phases are computed."""
        sizes = known_shape(self.node.outputs[0])[2:]
        return tuple(-(-(size + shift) // self.up.factor) for size, shift in zip(sizes, self._shifts(), strict=True))

    def _phases_shape(self, small: Convolution) -> Shape:
        return (self.up.small[0], small.channels, *self._windows())

    def _crop(self) -> tuple[list[int], list[int]] | None:
        """Return begins and (negative) ends of the results among the interleaved elements; None for all of them."""
        sizes, shifts = known_shape(self.node.outputs[0])[2:], self._shifts()
        whole = [count * self.up.factor for count in self._windows()]
        behind = [all_ - shift - size for all_, shift, size in zip(whole, shifts, sizes, strict=True)]
        if not any((*shifts, *behind)):
            return None
        return list(shifts), [-each or _TO_THE_END for each in behind]

    def _interleaved(self, write: edit.Writer, y: ir.Value, shape: Shape) -> ir.Value:
        factor, result = self.up.factor, known_shape(self.node.outputs[0])
        whole = (shape[0], shape[1] // factor**2, *(count * factor for count in shape[2:]))
        y = write("DepthToSpace", whole, y, attributes={"blocksize": factor})
        if (crop := self._crop()) is None:
            return y
        bounds = [write.constant(np.array(each, np.int64)) for each in (*crop, [2, 3])]
        return write("Slice", result, y, *bounds)

    def _small_shape(self) -> Shape:
        return with_channels(self.up.small, sum(known_shape(self.parts[at])[1] for at in self.alike))

    def _large_shape(self) -> Shape:
        count = sum(known_shape(part)[1] for at, part in enumerate(self.parts) if at not in self.alike)
        return with_channels(self.up.large, count)


def _joined(write: edit.Writer, values: Sequence[ir.Value], shape: Shape) -> ir.Value:
    """Return ``values`` as one, of ``shape``, by their channels."""
    return values[0] if len(values) == 1 else write("Concat", shape, *values, attributes={"axis": 1})
