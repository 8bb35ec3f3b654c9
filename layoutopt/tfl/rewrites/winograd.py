"""Convolutions by Winograd's algorithms: fewer multiplications, more additions, more weights.

Along one axis, m neighbouring results of a filter g of r taps read m + r - 1 inputs d. The direct sum takes m r
products, F(m, r) takes m + r - 1: the results are A^T ((G g) * (B^T d)), where * multiplies element by element. Each of
the m + r - 1 products becomes a convolution over all channels without taps along this axis, and B^T a depthwise
convolution with the stride m. G g is computed now, in double precision. A convolution with taps along the other axis
is one to which the same applies. Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast
Algorithms for Convolutional Neural Networks", 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.recorder import one
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.engine import RewriteRule, Uses, apply_rules, rule

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """F(m, r): m results of a filter of r taps by m + r - 1 products.

    Attributes:
        inputs: B^T, (m + r - 1, m + r - 1).
        filters: G, (m + r - 1, r).
        pairs: of products that are replaced by their sum and their difference.
        results: A^T of what there is then, (m, m + r - 1).
    """

    inputs: Matrix
    filters: Matrix
    pairs: tuple[tuple[int, int], ...]
    results: Matrix

    @property
    def step(self) -> int:
        """The number of results that are computed together, m."""
        return len(self.results)

    @property
    def taps(self) -> int:
        """The number of taps of the filter, r."""
        return len(self.filters[0])

    @property
    def products(self) -> int:
        """The number of products, m + r - 1."""
        return len(self.filters)

    @property
    def sums(self) -> int:
        """The number of additions that results take, a multiplication by a constant counted as one."""
        terms = [factor for row in self.results for factor in row if factor]
        return 2 * len(self.pairs) + len(terms) - self.step + sum(abs(factor) != 1 for factor in terms)


F_2_2 = Algorithm(
    ((1, -1, 0), (0, 1, 0), (0, -1, 1)),
    ((1, 0), (1, 1), (0, 1)),
    (),
    ((1, 1, 0), (0, 1, 1)),
)
F_2_3 = Algorithm(
    ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    ((1, 2),),
    ((1, 1, 0, 0), (0, 0, 1, -1)),
)
F_4_3 = Algorithm(
    (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    ((1, 2), (3, 4)),
    ((1, 1, 0, 1, 0, 0), (0, 0, 1, 0, 2, 0), (0, 1, 0, 4, 0, 0), (0, 0, 1, 0, 8, 1)),
)

_PRODUCTS, _LANES = 63.0, 32
"""Multiplications per nanosecond of a convolution, and the channels of the result that it computes side by side.

With fewer channels nothing is gained: additions take what products save.
"""
_DEPTHWISE = 14.0
"""Multiplications per nanosecond of a depthwise convolution, whose kernels have one of the numbers of `_TAPS`."""
_TAPS = (3, 4, 9, 25)
_BYTES, _FAR_BYTES, _NEAR = 120.0, 27.0, 1 << 20
"""Bytes per nanosecond that an addition reads and writes, the same where there are more bytes than `_NEAR`."""
_WEIGHTS = 10.8
"""Bytes of weights per nanosecond that come from memory."""
_OPERATOR = 150.0
"""Nanoseconds of an operator beside its work."""
_ERROR = 0.15
"""The relative error of this model: a gain below that is none."""

# Fitted to 140 convolutions on one thread of XNNPACK (Intel Xeon, AVX-512): `python -m benchmarks.winograd` compares.


def use_winograd(graph: Graph) -> None:
    """Compute convolutions on floats by Winograd's algorithms where that is faster, in a graph and its bodies.

    Args:
        graph: of static shapes; is changed. What is made of a convolution is not looked at again.
    """
    for each in graph.all_graphs():
        apply_rules(each, (convolve_by_winograd,))
        eliminate_dead_code(each)


@rule("CONV_2D")
def convolve_by_winograd(operation: Operation, _: Uses) -> Value | None:
    """Compute a convolution by its `best_plan`, if there is one."""
    plan = best_plan(operation)
    return PlainConvolution.of(operation).record(operation[0], operation[2], plan) if plan else None


def best_plan(operation: Operation) -> Plan:
    """Return the fastest algorithms for a CONV_2D; none where it stays as it is, since they do not gain enough.

    Args:
        operation: of any sizes; the algorithms are for those without strides, dilations and groups.
    """
    if not _is_plain(operation) or operation[1].sizes[0] < _LANES:
        return ()
    sizes = Sizes.of(operation)
    plan = min(plans(sizes.kernel), key=sizes.nanoseconds)
    return plan if is_gain(sizes.nanoseconds(()), sizes.nanoseconds(plan)) else ()


def is_gain(before: float, after: float) -> bool:
    """Return whether a predicted time is less than another by more than the error of the model of costs."""
    return after * (1 + _ERROR) < before


def computed_by(plan: Plan) -> RewriteRule:
    """Return a rule that computes convolutions by one plan, whatever that takes: to measure it."""

    @rule("CONV_2D")
    def compute(operation: Operation, _: Uses) -> Value | None:
        if not _is_plain(operation):
            return None
        return PlainConvolution.of(operation).record(operation[0], operation[2], plan)

    return compute


def _is_plain(operation: Operation) -> bool:
    """Return whether a convolution is one of floats with constant weights, without strides, dilations and groups."""
    x, weights, bias, options = operation[0], operation[1], operation[2], operation.options
    if x.dtype is not DType.FLOAT32 or weights.dtype is not DType.FLOAT32 or weights.data is None or bias.data is None:
        return False
    if not (x.is_static and operation.result.is_static) or x.sizes[3] != weights.sizes[3]:
        return False
    steps = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
    return all(options[each] == 1 for each in steps)


_IN_ALL = 1
"""The product that every result of each of the algorithms adds once: the one that takes the bias."""

Plan = tuple[tuple[int, Algorithm], ...]
"""Algorithms, each with its axis: 0 for height, 1 for width."""


def plans(kernel: Sequence[int]) -> list[Plan]:
    """Return the ways to compute a convolution with this kernel: along each axis directly or by an algorithm.

    F(4, 3) doubles the rounding errors, twice it has five times as large ones: it is for one axis. F(2, 3) has smaller
    ones than the direct sum, which is longer.
    """
    known = (F_2_2, F_2_3, F_4_3)
    ways = [[(), *(((axis, each),) for each in known if each.taps == size)] for axis, size in enumerate(kernel)]
    found = [(*rows, *columns) for columns in ways[1] for rows in ways[0]]
    return [plan for plan in found if sum(each is F_4_3 for _, each in plan) < 2]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a convolution without groups.

    Attributes:
        batch: number of images.
        inputs: height and width of them.
        results: height and width of the results.
        kernel: height and width of the kernel.
        channels: of the input and of the result.
    """

    batch: int
    inputs: tuple[int, int]
    results: tuple[int, int]
    kernel: tuple[int, int]
    channels: tuple[int, int]

    @classmethod
    def of(cls, operation: Operation) -> Sizes:
        """Return those of a CONV_2D, or of each of its groups."""
        batch, height, width, _ = operation[0].sizes
        _, *results, out = operation.result.sizes
        _, *kernel, depth = operation[1].sizes
        channels = depth, out // groups_of(operation)
        return cls(batch, (height, width), (results[0], results[1]), (kernel[0], kernel[1]), channels)

    def tiles(self, axis: int, algorithm: Algorithm) -> int:
        """Return how many groups of results along an axis are computed together."""
        return -(-self.results[axis] // algorithm.step)

    def inner(self, axis: int, algorithm: Algorithm) -> Sizes:
        """Return the sizes of each of the convolutions that an algorithm makes of one."""
        tiles = self.tiles(axis, algorithm)
        return replace(
            self,
            inputs=_with(self.inputs, axis, tiles),
            results=_with(self.results, axis, tiles),
            kernel=_with(self.kernel, axis, 1),
        )

    def nanoseconds(self, plan: Plan) -> float:
        """Return the predicted time of a convolution that is computed in this way."""
        depth, out = self.channels
        pixels = self.batch * prod(self.results)
        if not plan:
            lanes, taps = -(-out // _LANES) * _LANES, prod(self.kernel)
            return _OPERATOR + pixels * taps * depth * lanes / _PRODUCTS + taps * depth * out * 4 / _WEIGHTS
        (axis, algorithm), *rest = plan
        inner = self.inner(axis, algorithm)
        taps = min(each for each in _TAPS if each >= algorithm.products)
        picking = _OPERATOR + self.batch * prod(inner.inputs) * depth * taps / _DEPTHWISE
        part = self.batch * prod(inner.results) * out
        after = algorithm.sums * _passing(part, 3) + _passing(part * algorithm.step, 2)
        if self.results[axis] % algorithm.step:
            after += _passing(pixels * out, 2)
        return algorithm.products * (picking + inner.nanoseconds(tuple(rest))) + after

    def weight_bytes(self, plan: Plan) -> int:
        """Return the bytes of the float weights of a convolution that is computed in this way."""
        taps = dict(enumerate(self.kernel)) | {axis: algorithm.products for axis, algorithm in plan}
        return 4 * prod(taps.values()) * prod(self.channels)


def groups_of(operation: Operation) -> int:
    """Return the number of groups of a CONV_2D."""
    return operation[0].sizes[3] // operation[1].sizes[3]


def _with(pair: tuple[int, int], axis: int, size: int) -> tuple[int, int]:
    return (size, pair[1]) if axis == 0 else (pair[0], size)


def _passing(count: int, tensors: int) -> float:
    """Return nanoseconds of an operator that reads and writes as many tensors of ``count`` floats."""
    size = 4 * count * tensors
    return _OPERATOR + size / (_BYTES if size <= _NEAR else _FAR_BYTES)


@dataclass(frozen=True, slots=True)
class PlainConvolution:
    """A convolution that is to be recorded.

    Attributes:
        sizes: of its operands and its result.
        weights: (O, H, W, C), in double precision.
        padding: SAME or VALID.
        activation: that comes with it.
    """

    sizes: Sizes
    weights: Array
    padding: str
    activation: str = "NONE"

    @classmethod
    def of(cls, operation: Operation) -> PlainConvolution:
        """Return that of a CONV_2D with constant weights."""
        options = operation.options
        weights = operation[1].array.astype(np.float64)
        return cls(Sizes.of(operation), weights, options["padding"], options["fused_activation_function"])

    def record(self, x: Value, bias: Value | None, plan: Plan) -> Value:
        """Record the operators that compute it.

        Args:
            x: (N, H, W, C).
            bias: (O); None for none.
            plan: the algorithms; where there is none, there is no activation either.
        """
        if not plan:
            return tfl.conv_2d(x, self.weights.astype(np.float32), bias, padding=self.padding)
        (axis, algorithm), *rest = plan
        filters = np.tensordot(np.array(algorithm.filters), self.weights, (1, 1 + axis))
        inner, step = self.sizes.inner(axis, algorithm), _with((1, 1), axis, algorithm.step)
        padded, padding = self._padded(x, axis, algorithm)
        parts = []
        for at, row in enumerate(algorithm.inputs):
            kernel = np.array(row, np.float32).reshape(1, *_with((1, 1), axis, len(row)), 1)
            kernels = np.repeat(kernel, self.sizes.channels[0], 3)
            picked = tfl.depthwise_conv_2d(padded, kernels, strides=step, padding=padding)
            part = PlainConvolution(inner, np.expand_dims(filters[at], 1 + axis), self.padding)
            parts.append(part.record(picked, bias if at == _IN_ALL else None, tuple(rest)))
        return self._joined(list(self._sums(parts, algorithm)), axis)

    def _padded(self, x: Value, axis: int, algorithm: Algorithm) -> tuple[Value, str]:
        """Return the operand with zeros where the tiles reach outside of it, and the padding that is left to do."""
        size, tiles, is_same = self.sizes.inputs[axis], self.sizes.tiles(axis, algorithm), self.padding == "SAME"
        total = tiles * algorithm.step + algorithm.taps - 1 - size
        before = (algorithm.taps - 1) // 2 if is_same else 0
        if is_same and before == total // 2:
            return x, "SAME"
        amounts = np.zeros((4, 2), np.int32)
        amounts[1 + axis] = before, total - before
        return tfl.pad(x, amounts), "VALID"

    def _sums(self, parts: list[Value], algorithm: Algorithm) -> Iterator[Value]:
        """Iterate over the results for each place in the tiles."""
        for at, other in algorithm.pairs:
            parts[at], parts[other] = parts[at] + parts[other], parts[at] - parts[other]
        for row in algorithm.results:
            (first, _), *terms, (last, factor) = ((part, by) for part, by in zip(parts, row, strict=True) if by)
            total = first
            for part, by in terms:
                total = total + _times(part, by)
            code = "SUB" if factor < 0 else "ADD"
            yield one(code, total, _times(last, abs(factor)), fused_activation_function=self.activation)

    def _joined(self, results: list[Value], axis: int) -> Value:
        """Return the results of all tiles in their order along the axis."""
        joined = tfl.concatenation(results, 2 + axis)  # in memory, those of a tile now lie one after the other
        batch, *places, channels = results[0].sizes
        places[axis] *= len(results)
        y = tfl.reshape(joined, (batch, *places, channels))
        shape = (batch, *self.sizes.results, channels)
        return y if y.shape == shape else tfl.slice_(y, (0, 0, 0, 0), shape)


def _times(x: Value, factor: float) -> Value:
    return x if factor == 1 else x * factor
