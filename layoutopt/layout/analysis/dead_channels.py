"""The channels of a network that hold a constant or are read by nobody, with all that must go together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.attributes import constant_operand, has_operand, integer, integers, reduced_axes
from layoutopt.ir.values import Wide, constant_of, static_shape
from layoutopt.layout.analysis.convolutions import TYPES, channel_vector
from layoutopt.layout.rules.applicability import is_function_of_elements

Array = npt.NDArray[np.generic]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ChannelProduct:
    """A Conv without groups, or a product with a constant matrix, of channels.

    Attributes:
        node: the operator.
        weights: of shape (channels out, channels in, taps).
        bias: one number per channel out.
        padded: whether some results lack what lies beyond the border. A product with a matrix is taken for padded, as
            it has no bias that could hold what a constant adds.
    """

    node: ir.Node
    weights: Array
    bias: Wide
    padded: bool

    def ignored(self, known: Wide) -> Flags:
        """Return the channels in that it can do without, given what is known of each: a constant, or NaN."""
        found: Flags = (known == 0) | (~np.isnan(known) & (not self.padded)) | ~self.weights.any(axis=(0, 2))
        return found

    def contributions(self, known: Wide) -> Wide:
        """Return what channels of a known number other than 0 add to each result; it holds only without padding."""
        there = ~np.isnan(known) & (known != 0)
        sums: Wide = self.weights[:, there].astype(np.float64).sum(axis=2) @ known[there]
        return sums

    def known(self, known: Wide) -> Wide:
        """Return the constant that each channel out holds, or NaN."""
        varies = np.isnan(known) | ((known != 0) & self.padded)
        found: Wide = np.where(self.weights[:, varies].any(axis=(1, 2)), np.nan, self.bias)
        return found if self.padded else found + self.contributions(known)


def product_of_channels(node: ir.Node) -> ChannelProduct | None:
    """Return the product that ``node`` is; None where it is another operator, or its weights are computed."""
    if node.domain != "" or node.outputs[0].dtype not in TYPES or node.op_type not in ("Conv", "MatMul"):
        return None
    value = node.inputs[1]
    tensor = constant_of(value) if value is not None else None
    source, result = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if tensor is None or source is None or result is None:
        return None
    if node.op_type == "MatMul":
        weights = tensor.numpy()
        if weights.ndim != 2 or len(source) != 2:
            return None
        return ChannelProduct(node, weights.T[:, :, None], np.zeros(weights.shape[1]), padded=True)
    bias = constant_operand(node, 2) if has_operand(node, 2) else np.zeros(result[1])
    if bias is None or integer(node, "group", 1) != 1:
        return None
    weights = tensor.numpy()
    return ChannelProduct(node, weights.reshape(*weights.shape[:2], -1), bias, _is_padded(node))


def _is_padded(node: ir.Node) -> bool:
    return any(integers(node, "pads") or ()) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"


def has_zeros(graph: ir.Graph) -> bool:
    """Return whether the weights of some product have a row or column of zeros; mostly one element decides."""
    return any(_has_zeros(product.weights) for node in graph if (product := product_of_channels(node)) is not None)


def _has_zeros(weights: Array) -> bool:
    rows, columns = np.flatnonzero(weights[:, 0, 0] == 0), np.flatnonzero(weights[0, :, 0] == 0)
    return not (weights[rows].any(axis=(1, 2)).all() and weights[:, columns].any(axis=(0, 2)).all())


# --- what goes together ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Channels:
    """The channels of all values of a graph, in classes of those that are kept or removed together.

    Attributes:
        graph: of the values.
        known: by value, the constant that each channel holds, or NaN.
        products: the products of channels.
    """

    graph: ir.Graph
    known: dict[ir.Value, Wide] = field(default_factory=dict)
    products: dict[ir.Node, ChannelProduct] = field(default_factory=dict)
    _first: dict[ir.Value, int] = field(default_factory=dict)
    _parents: list[int] = field(default_factory=list)
    _fixed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Go through the graph once."""
        for node in self.graph:
            values = [value for value in node.inputs if value is not None and constant_of(value) is None]
            tied = self._tied(node, values)
            if not tied:
                for value in (*values, *node.outputs):
                    self._fix(value)
        for value in (*self.graph.inputs, *self.graph.outputs, *self._first):
            if value.is_graph_output() or value.is_graph_input() or self._is_read_inside(value):
                self._fix(value)

    def kept(self) -> dict[ir.Value, list[int]]:
        """Return the channels that are left of each value of which some are not."""
        while True:
            fixed = {self._root(each) for each in self._fixed}
            kept = {
                value: [at for at in range(len(self.known[value])) if self._root(first + at) in fixed]
                for value, first in self._first.items()
            }
            empty = next((value for value, channels in kept.items() if not channels), None)
            if empty is None:
                return {value: found for value, found in kept.items() if len(found) < len(self.known[value])}
            self._fixed.append(self._first[empty])

    def _is_read_inside(self, value: ir.Value) -> bool:
        """Return whether a body reads it."""
        return any(use.node.graph is not self.graph for use in value.uses())

    def _ids(self, value: ir.Value) -> range:
        """Return the numbers of its channels; none where it has no static shape with channels."""
        shape = static_shape(value)
        if shape is None or len(shape) < 2:
            return range(0)
        if value not in self._first:
            self._first[value] = len(self._parents)
            self._parents.extend(range(len(self._parents), len(self._parents) + shape[1]))
            self.known[value] = np.full(shape[1], np.nan)
        return range(self._first[value], self._first[value] + shape[1])

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = number = self._parents[self._parents[number]]
        return number

    def _join(self, one: Sequence[int], other: Sequence[int]) -> None:
        for first, second in zip(one, other, strict=True):
            self._parents[self._root(first)] = self._root(second)

    def _fix(self, value: ir.Value) -> None:
        self._fixed.extend(self._ids(value))

    def _tied(self, node: ir.Node, values: Sequence[ir.Value]) -> bool:
        """Take ``node`` into account, and return whether channels can be removed around it."""
        result = node.outputs[0]
        known_operator = node.domain == "" or is_function_of_elements(node)
        if not known_operator or len(node.outputs) != 1 or result.dtype not in TYPES or not self._ids(result):
            return False
        if not values or any(not self._ids(value) for value in values):
            return False
        if len(values) == 1 and (product := product_of_channels(node)) is not None:
            self.products[node] = product
            known = self.known[values[0]]
            numbers = self._ids(values[0])
            self._fixed.extend(numbers[int(at)] for at in np.flatnonzero(~product.ignored(known)))
            self.known[result] = product.known(known)
            return True
        if node.op_type == "Concat":
            if (integer(node, "axis", 0) or 0) % len(static_shape(result) or ()) != 1 or len(values) < len(node.inputs):
                return False
            self._join([number for value in values for number in self._ids(value)], self._ids(result))
            self.known[result] = np.concatenate([self.known[value] for value in values])
            return True
        apart = _KNOWN[node.op_type](node, [self.known[value] for value in values]) if node.op_type in _KNOWN else None
        if apart is None or any(len(self._ids(value)) != len(self._ids(result)) for value in values):
            return False
        for value in values:
            self._join(self._ids(value), self._ids(result))
        self.known[result] = apart
        return True


Known = Callable[[ir.Node, Sequence[Wide]], "Wide | None"]
"""The contents of each channel of the result, given those of the operands; None where they are not kept apart."""


def _of_elements(function: Callable[[Wide], Wide]) -> Known:
    def known(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
        return function(operands[0]) if len(operands) == 1 and node.inputs[0] is not None else None

    return known


def _zero(x: Wide) -> Wide:
    """Follow channels through a function that leaves 0 as it is."""
    return np.where(x == 0, x, np.nan)


def _clip(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    bounds = [constant_operand(node, at) if has_operand(node, at) else np.array(limit) for at, limit in _BOUNDS]
    if bounds[0] is None or bounds[1] is None or len(operands) != 1:
        return None
    return np.clip(operands[0], bounds[0], bounds[1])


_BOUNDS = ((1, -np.inf), (2, np.inf))


def _arithmetic(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    """Follow channels of two values with the same channels, or of one and numbers per channel."""
    shapes, result = [static_shape(value) for value in node.inputs], static_shape(node.outputs[0])
    if result is None or any(shape is None for shape in shapes):
        return None
    found: list[Wide] = []
    computed = iter(operands)
    for at, shape in enumerate(shapes):
        array = constant_operand(node, at)
        number = next(computed) if array is None else channel_vector(array, result)
        if number is None or (array is None and len(shape or ()) != len(result)):
            return None
        found.append(number)
    with np.errstate(all="ignore"):
        known: Wide = _FUNCTIONS[node.op_type](found[0], found[1])
    if node.op_type == "Mul":
        known = np.where((found[0] == 0) | (found[1] == 0), 0.0, known)
    return np.where(np.isfinite(known), known, np.nan)


_FUNCTIONS: Mapping[str, Callable[[Wide, Wide], Wide]] = {
    "Add": np.add,
    "Div": np.divide,
    "Mul": np.multiply,
    "Sub": np.subtract,
}


def _pool(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    """Follow a constant through a pool: it stays what it is where each window is of the picture alone, zero anyway."""
    return _zero(operands[0]) if _is_padded(node) or integer(node, "ceil_mode", 0) else operands[0]


def _mean(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    axes = reduced_axes(node)
    return operands[0] if axes is not None and min(axes) > 1 and integer(node, "keepdims", 1) else None


def _view(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    """Follow channels through a view in which axes of size 1 after them come or go."""
    source, result = static_shape(node.inputs[0]) or (), static_shape(node.outputs[0]) or ()
    return operands[0] if source[:2] == result[:2] and {*source[2:], *result[2:]} <= {1} else None


def _depthwise(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    source, result, weights = static_shape(node.inputs[0]), static_shape(node.outputs[0]), constant_operand(node, 1)
    bias = constant_operand(node, 2) if has_operand(node, 2) else np.zeros(1)
    groups = integer(node, "group", 1)
    if weights is None or bias is None or source is None or result is None or not source[1] == result[1] == groups:
        return None
    sums = weights.reshape(source[1], -1)
    inner = np.where(operands[0] == 0, 0.0, np.nan if _is_padded(node) else operands[0] * sums.sum(axis=1))
    known: Wide = np.where(sums.any(axis=1), inner, 0.0) + bias
    return known


def _resize(node: ir.Node, operands: Sequence[Wide]) -> Wide | None:
    source, result = static_shape(node.inputs[0]) or (), static_shape(node.outputs[0]) or ()
    return _zero(operands[0]) if source[:2] == result[:2] and not has_operand(node, 3) else None


_KNOWN: Mapping[str, Known] = {
    **dict.fromkeys(("Abs", "Elu", "Gelu", "GeluTanh", "HardSwish", "LeakyRelu", "Mish", "Tanh"), _of_elements(_zero)),
    **dict.fromkeys(("Identity", "Neg", "Softsign"), _of_elements(_zero)),
    **dict.fromkeys(_FUNCTIONS, _arithmetic),
    **dict.fromkeys(("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"), _pool),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _view),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    "Clip": _clip,
    "Conv": _depthwise,
    "ReduceMean": _mean,
    "Relu": _of_elements(lambda x: np.maximum(x, 0.0)),
    "Sigmoid": _of_elements(lambda x: 1 / (1 + np.exp(-x))),
}


def constants_per_channel(node: ir.Node, channels: int) -> Iterator[tuple[int, Array, int]]:
    """Yield the constant operands that have an axis of channels: position, tensor, and that axis."""
    rank = len(static_shape(node.outputs[0]) or ())
    for at, value in enumerate(node.inputs):
        tensor = constant_of(value) if value is not None else None
        if tensor is None:
            continue
        array = tensor.numpy()
        if node.op_type == "Conv" and at > 0:
            yield at, array, 0
        elif node.op_type in _FUNCTIONS and array.ndim >= rank - 1 and array.shape[array.ndim - rank + 1] == channels:
            yield at, array, array.ndim - rank + 1
