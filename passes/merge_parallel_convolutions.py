"""Makes one Conv of several that read one value, where their results are added up or joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_operand, integer
from layoutopt.ir.values import Shape, Wide, constant_of, has_only_reader, known_shape, static_shape
from layoutopt.layout.analysis.convolutions import (
    TYPES,
    Convolution,
    channel_vector,
    convolution_of,
    identity_convolution,
    pool_of,
    sum_convolutions,
)
from layoutopt.layout.costs.arithmetic import Work, work_of, work_of_elementwise
from layoutopt.layout.rules.applicability import is_function_of_elements
from layoutopt.passes.base import BROADCASTING, CostDrivenRewrite, NodeRewrite


@dataclass(frozen=True)
class MergeParallelConvolutions(NodeRewrite, CostDrivenRewrite):
    """Merge Convs of one value whose results are added up, or joined by a Concat, where one Conv is cheaper.

    *Sums.* The result of a Conv at r is the sum over d of w[d] x[s r + g d - p], with stride s, dilation g and padding
    p in front. It is linear in w, so several of one stride are one Conv, whose kernel has a tap for each offset g d - p
    of any of them, and the sum of what falls on one tap. Offsets beyond the border read zero in all of them. A value
    itself is a kernel of one pixel with a weight of 1, kept apart by channels; so is an AveragePool whose windows all
    count their whole size, a kernel of equal weights. A factor per channel scales the weights of a branch, a term per
    channel after it adds to the bias, which is no matter of the border. Groups of channels that all branches have
    stay: their number is the greatest common divisor, and the weights of finer groups lie along a diagonal of blocks.

    *Concat.* Convs that differ in nothing but weights are one Conv, whose channels are theirs, one after the other.

    What is between the branches and the sum must have no other reader.
    """

    since = BROADCASTING
    backwards = True

    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Merge what ``node`` adds up or joins, where that can be done and is cheaper."""
        if node.domain != "" or len(node.outputs) != 1:
            return False
        if node.op_type == "Concat":
            return self._joined(graph, node)
        if node.op_type not in ("Add", "Sub") or node.outputs[0].dtype not in TYPES:
            return False
        shape = static_shape(node.outputs[0])
        if shape is None or len(shape) < 3 or any(static_shape(each) != shape for each in node.inputs):
            return False
        total = _Sum(graph, shape)
        total.expand(node.outputs[0], np.ones(shape[1]), root=True)
        merged = total.merged()
        if not merged or not self.is_worth(node, *total.costs(merged)):
            return False
        write = edit.Writer(graph, node, str(node.outputs[0].name), node.outputs[0].dtype)
        edit.replace_uses(graph, node.outputs[0], total.write(write, merged))
        edit.remove_dead(node)
        return True

    def _joined(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Make one Conv of neighbouring parts of a Concat of channels."""
        shape = static_shape(node.outputs[0])
        if shape is None or len(shape) < 3 or (integer(node, "axis", 0) or 0) % len(shape) != 1:
            return False
        for first, second in zip(node.inputs[:-1], node.inputs[1:], strict=True):
            if (
                first is None
                or second is None
                or not has_only_reader(graph, first)
                or not has_only_reader(graph, second)
            ):
                continue
            pair = _siblings(graph, first, second)
            if pair is not None and self.is_worth(node, pair.before, pair.after):
                pair.join(graph, node)
                return True
        return False


# --- sums --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """One operand of a sum.

    Attributes:
        value: what is added.
        factor: by which, per channel.
        source: what the Conv reads that computes it; None where it can be no part of one.
        conv: that, without the factor.
        is_product: whether it is a Conv in the graph, and not the value itself or a pool.
    """

    value: ir.Value
    factor: Wide
    source: ir.Value | None
    conv: Convolution | None
    is_product: bool


_Merged = list[tuple[Convolution, list[_Term]]]
"""The new Convs, each with the terms that it stands for."""


@dataclass(slots=True)
class _Sum:
    """A tree of additions, taken apart.

    Attributes:
        graph: of all nodes.
        shape: of each term.
        terms: what is added up.
        bias: what is added per channel.
        before: the cost of all nodes that are left out.
    """

    graph: ir.Graph
    shape: Shape
    terms: list[_Term] = field(default_factory=list)
    bias: Wide = field(default_factory=lambda: np.zeros(1))
    before: Work = field(default_factory=Work)

    def expand(self, value: ir.Value, factor: Wide, *, root: bool = False) -> None:
        """Add ``value`` times ``factor``: what it is made of, where nobody else reads it."""
        node = value.producer()
        inside = root or has_only_reader(self.graph, value)
        if node is None or node.graph is not self.graph or node.domain != "" or not inside:
            self._add(value, factor)
            return
        left, right = (*node.inputs[:2], None, None)[:2]
        if node.op_type in ("Add", "Sub") and static_shape(left) == static_shape(right) == self.shape:
            assert left is not None
            assert right is not None
            self.before += work_of(node)
            self.expand(left, factor)
            self.expand(right, factor if node.op_type == "Add" else -factor)
            return
        for at, x in ((0, left), (1, right)):
            number = constant_operand(node, 1 - at) if node.op_type in _AFFINE else None
            along = channel_vector(number, self.shape) if number is not None else None
            if x is None or along is None or static_shape(x) != self.shape or constant_of(x) is not None:
                continue
            if self._affine(node.op_type, at, x, along, factor):
                self.before += work_of(node)
                return
        self._add(value, factor)

    def _affine(self, operator: str, at: int, x: ir.Value, number: Wide, factor: Wide) -> bool:
        """Expand a factor or a term per channel."""
        if operator == "Mul":
            self.expand(x, factor * number)
        elif operator == "Div" and at == 0 and number.all():
            self.expand(x, factor / number)
        elif operator == "Add":
            self.bias = self.bias + factor * number
            self.expand(x, factor)
        elif operator == "Sub":
            self.bias = self.bias + (-factor if at == 0 else factor) * number
            self.expand(x, factor if at == 0 else -factor)
        else:
            return False
        return True

    def _add(self, value: ir.Value, factor: Wide) -> None:
        node = value.producer()
        if node is not None and node.graph is self.graph and has_only_reader(self.graph, value):
            conv = convolution_of(node)
            if conv is not None or (conv := pool_of(node)) is not None:
                self.terms.append(_Term(value, factor, node.inputs[0], conv, node.op_type == "Conv"))
                return
        self.terms.append(_Term(value, factor, value, identity_convolution(self.shape), is_product=False))

    def merged(self) -> _Merged:
        """Return the Convs that two or more terms can be, one of which is a Conv already."""
        found: _Merged = []
        for source in dict.fromkeys(term.source for term in self.terms):
            terms = [term for term in self.terms if term.source is source]
            strides = next((term.conv.strides for term in terms if term.is_product and term.conv), None)
            alike = [term for term in terms if term.conv is not None and term.conv.strides == strides]
            if len(alike) > 1:
                found.append((_sum(alike), alike))
        if found:
            first, terms = found[0]
            found[0] = dataclasses.replace(first, bias=first.bias + self.bias), terms
        dtype = self.terms[0].value.dtype
        return found if dtype is not None and all(conv.is_finite(dtype) for conv, _ in found) else []

    def costs(self, merged: _Merged) -> tuple[Work, Work]:
        """Return the cost of the sum before and after; what one of the merged Convs costs like one before cancels."""
        before, after = self.before, Work()
        for conv, terms in merged:
            source = self._source_shape(terms)
            cost = conv.work(source, self.shape)
            own = [term.conv.work(source, self.shape) for term in terms if term.is_product and term.conv is not None]
            kept = max((each.nanoseconds for each in own if each.nanoseconds <= cost.nanoseconds), default=0.0)
            pools = (term.value.producer() for term in terms if not term.is_product and term.value is not term.source)
            before = sum((work_of(node) for node in pools if node is not None), sum(own, before))
            before, after = before + Work(0, -kept), after + cost + Work(0, -kept)
        others = self._others(merged)
        after += sum(
            (work_of_elementwise(self.shape, self.shape) for term in others if not _is_unit(term.factor)), Work()
        )
        additions = len(others) + len(merged) - 1
        return before, sum((work_of_elementwise(self.shape, self.shape, self.shape) for _ in range(additions)), after)

    def _others(self, merged: _Merged) -> list[_Term]:
        return [term for term in self.terms if not any(term in terms for _, terms in merged)]

    def _source_shape(self, terms: Sequence[_Term]) -> Shape:
        source = terms[0].source
        assert source is not None
        return known_shape(source)

    def write(self, write: edit.Writer, merged: _Merged) -> ir.Value:
        """Return the nodes that the sum is computed by from now on."""
        total: ir.Value | None = None
        for conv, terms in merged:
            source = terms[0].source
            assert source is not None
            y = conv.write(write, source, self.shape)
            total = y if total is None else write("Add", self.shape, total, y)
        assert total is not None
        for term in self._others(merged):
            value, factor = term.value, term.factor
            if not _is_unit(factor):
                array = factor.reshape(-1, *[1] * (len(self.shape) - 2)).astype(write.dtype.numpy())
                value, factor = write("Mul", self.shape, value, write.constant(array)), np.ones(1)
            total = write("Add" if factor[0] > 0 else "Sub", self.shape, total, value)
        return total


_AFFINE = frozenset({"Mul", "Div", "Add", "Sub"})


def _is_unit(factor: Wide) -> bool:
    """Return whether it is 1 for each channel, or -1 for each."""
    return bool((factor == factor[0]).all()) and abs(factor[0]) == 1


def _sum(terms: Sequence[_Term]) -> Convolution:
    """Return one Conv for all ``terms``, which read the same with the same strides."""
    return sum_convolutions([term.conv.scaled(term.factor) for term in terms if term.conv is not None])


# --- Concat ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Siblings:
    """Two neighbours in a Concat that one Conv can compute.

    Attributes:
        parts: of the Concat.
        nodes: the Convs.
        convs: what they compute.
        activation: what both go through before they are joined; None for nothing.
    """

    parts: tuple[ir.Value, ir.Value]
    nodes: tuple[ir.Node, ir.Node]
    convs: tuple[Convolution, Convolution]
    activation: ir.Node | None

    @property
    def conv(self) -> Convolution:
        """Return both in one."""
        first, second = self.convs
        weights, bias = np.concatenate([first.weights, second.weights]), np.concatenate([first.bias, second.bias])
        return dataclasses.replace(first, weights=weights, bias=bias)

    @property
    def shape(self) -> Shape:
        """Of the result of both."""
        shape = known_shape(self.parts[0])
        return (shape[0], self.conv.channels, *shape[2:])

    @property
    def before(self) -> Work:
        """Return the cost of two Convs, and of joining their results."""
        source = static_shape(self.nodes[0].inputs[0])
        assert source is not None
        each = (conv.work(source, known_shape(part)) for conv, part in zip(self.convs, self.parts, strict=True))
        return sum(each, work_of_elementwise(self.shape, self.shape))

    @property
    def after(self) -> Work:
        """Return the cost of one Conv; its result still is joined to others."""
        source = static_shape(self.nodes[0].inputs[0])
        assert source is not None
        return self.conv.work(source, self.shape)

    def join(self, graph: ir.Graph, concat: ir.Node) -> None:
        """Let ``concat`` read one Conv instead of two."""
        dtype, source = self.parts[0].dtype, self.nodes[0].inputs[0]
        assert dtype is not None
        assert source is not None
        write = edit.Writer(graph, concat, str(self.parts[0].name), dtype)
        y = self.conv.write(write, source, self.shape)
        if self.activation is not None:
            y = write.again(self.activation, self.shape, y, *self.activation.inputs[1:])
        rest = [y if value is self.parts[0] else value for value in concat.inputs if value is not self.parts[1]]
        whole = write.again(concat, known_shape(concat.outputs[0]), *rest) if len(rest) > 1 else y
        edit.replace_uses(graph, concat.outputs[0], whole)
        edit.remove_dead(concat)


def _siblings(graph: ir.Graph, first: ir.Value, second: ir.Value) -> _Siblings | None:
    """Return two inputs of a Concat that are the same Conv of one value except for weights; None otherwise."""
    nodes, activations = [], []
    for value in (first, second):
        node = value.producer()
        activation = node if node is not None and is_function_of_elements(node) else None
        if activation is not None and (activation.inputs[0] is None or activation.inputs[0].dtype != value.dtype):
            return None
        if activation is not None and (inner := activation.inputs[0]) is not None and has_only_reader(graph, inner):
            node = inner.producer()
        if node is None or node.graph is not graph:
            return None
        nodes.append(node)
        activations.append(activation)
    if nodes[0].inputs[:1] != nodes[1].inputs[:1] or not _same_activation(activations):
        return None
    convs = [convolution_of(node) for node in nodes]
    if convs[0] is None or convs[1] is None or not convs[0].groups == convs[1].groups == 1:
        return None
    alike = [(conv.kernel, conv.begin, conv.strides, conv.dilations) for conv in convs if conv is not None]
    if alike[0] != alike[1] or known_shape(first)[2:] != known_shape(second)[2:]:
        return None
    return _Siblings((first, second), (nodes[0], nodes[1]), (convs[0], convs[1]), activations[0])


def _same_activation(nodes: Sequence[ir.Node | None]) -> bool:
    """Return whether both are nothing, or compute the same."""
    first, second = nodes
    if first is None or second is None:
        return first is second
    attributes = [{name: str(each.value) for name, each in node.attributes.items()} for node in (first, second)]
    numbers = [[constant_operand(node, at) for at in range(1, len(node.inputs))] for node in (first, second)]
    known = [len(each) for each in numbers] == [len(node.inputs) - 1 for node in (first, second)]
    same = len(numbers[0]) == len(numbers[1]) and all(
        one is not None and other is not None and np.array_equal(one, other)
        for one, other in zip(*numbers, strict=True)
    )
    return first.op_type == second.op_type and attributes[0] == attributes[1] and known and same
