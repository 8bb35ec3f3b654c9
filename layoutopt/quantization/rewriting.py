"""From a float graph and a plan to a graph on integers.

Values get a QUANTIZE and a DEQUANTIZE, weights are rounded to their grids, and the rewrite that quantized models go
through makes integer kernels of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from layoutopt.quantization.operators import SAME_GRID, Positions, clamped, data_of, is_real_constant, positions
from layoutopt.quantization.plan import QuantizationPlan
from layoutopt.quantization.ranges import Range
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid
from layoutopt.tfl.rewrites.integer_kernels import ARITHMETIC, ONE_GRID, channel_scales
from layoutopt.tfl.rewrites.integers import use_integer_kernels

_UNROUNDED = (SAME_GRID - {"AVERAGE_POOL_2D", "RESIZE_BILINEAR"}) | set(ONE_GRID)
"""Operators whose results are on the grid of what they are picked from."""

Floats = npt.NDArray[np.float64]
Means = Mapping[Value, Floats]


def rewrite_on_integers(graph: Graph, plan: QuantizationPlan, means: Means | None) -> None:
    """Let the operations that a plan names compute with integers, in place.

    Args:
        graph: of float operators; the plan is of its values and operations.
        plan: what to quantize, and how.
        means: of each channel of operands of layers with weights, by which their biases are corrected for the rounding
            of the weights (Nagel et al., 2019, section 4.2); None for not to.
    """
    for operation in plan.whole:
        where = positions(operation)
        if where is not None:
            _round_weights(operation, where, plan.steps, means)
        else:
            _round_constants(operation)
    floats = {operation for operation in graph.operations if operation not in plan.whole}
    _Converter(graph, plan).run()
    use_integer_kernels(graph, floats=floats)


@dataclass(slots=True)
class _Converter:
    """Put QUANTIZE and DEQUANTIZE around the operations of a plan.

    Attributes:
        rounded: of each value, what has gone through both.
        operations: what the graph will have.
    """

    graph: Graph
    plan: QuantizationPlan
    rounded: dict[Value, Value] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def run(self) -> None:
        """Rewrite the graph."""
        for operation in self.graph.operations:
            whole = operation in self.plan.whole
            if whole and (source := clamped(operation)) is not None:
                self.rounded[operation.result] = self.rounded[source]
                continue
            taken = data_of(operation) if whole else []
            for at, operand in enumerate(operation.operands):
                if operand is not None:
                    operation.operands[at] = self._operand(operand, operation.scope, whole=at in taken)
            self.operations.append(operation)
            if whole:
                for result in operation.results:
                    self._result(operation, result)
        self.graph.outputs = [self._shown(output) for output in self.graph.outputs]
        self.graph.operations = self.operations

    def _operand(self, value: Value, scope: str, *, whole: bool) -> Value:
        if not whole:
            return self._shown(value)
        return self.rounded[value] if value in self.rounded else self._round(value, scope)

    def _shown(self, value: Value) -> Value:
        """Return what floats read: the rounded value where an operation on integers computes it."""
        return self.rounded.get(value, value) if value.producer in self.plan.whole else value

    def _result(self, operation: Operation, result: Value) -> None:
        if operation.code in _UNROUNDED:
            self.rounded[result] = result  # it is on the grid of what it was picked from
        else:
            self._round(result, operation.scope)

    def _round(self, value: Value, scope: str) -> Value:
        integers = Value(DType.INT8, value.shape, quantization=self.plan.steps[value].quantization)
        real = Value(DType.FLOAT32, value.shape)
        for code, source, result in (("QUANTIZE", value, integers), ("DEQUANTIZE", integers, real)):
            result.producer = Operation(code, [source], [result], {}, scope=scope)
            self.operations.append(result.producer)
        self.rounded[value] = real
        return real


# --- constants -------------------------------------------------------------------------------------------------------


def _round_weights(
    operation: Operation, where: Positions, steps: Mapping[Value, QuantizationGrid], means: Means | None
) -> None:
    """Round the weights of each channel to multiples of its scale, and the bias, corrected for it, to those of sums."""
    weights, x, bias = operation[where.weights].array, operation[where.x], operation.operand(where.bias)
    rows = np.moveaxis(weights, where.axis, 0).reshape(weights.shape[where.axis], -1)
    addend = np.zeros(len(rows)) if bias is None else bias.array.reshape(-1).astype(np.float64)
    scales = channel_scales(rows, addend, steps[x].scale, steps[operation.result].scale)
    rounded = (np.clip(np.rint(rows / scales[:, None]), -127, 127) * scales[:, None]).astype(np.float32)
    moved = np.moveaxis(weights, where.axis, 0).shape
    back = np.ascontiguousarray(np.moveaxis(rounded.reshape(moved), 0, where.axis))
    operation.operands[where.weights] = Value.constant(back)
    if means is not None and x in means:
        addend = addend - _mean_error(operation, back.astype(np.float64) - weights, means[x])
    if bias is not None or addend.any():
        sums = steps[x].scale * scales
        operation.operands += [None] * (where.bias + 1 - len(operation.operands))
        operation.operands[where.bias] = Value.constant((np.rint(addend / sums) * sums).astype(np.float32))


def _mean_error(operation: Operation, off: Floats, means: Floats) -> Floats:
    """Return the mean of what the rounding of the weights adds to each channel, borders apart.

    Args:
        operation: with the weights.
        off: rounded less real weights.
        means: of each channel of what the weights are multiplied with.
    """
    if operation.code == "DEPTHWISE_CONV_2D":
        channels = off.shape[3]
        return np.asarray(off.sum((0, 1, 2)) * np.repeat(means, channels // len(means)), np.float64)
    if operation.code == "FULLY_CONNECTED":
        count = off.shape[1]
        # An operand of several axes that are flattened repeats its channels along the way.
        spread = np.tile(means, count // len(means)) if count % len(means) == 0 else np.zeros(count)
        return np.asarray(off @ spread, np.float64)
    taps = off.sum((1, 2))
    if operation.code == "TRANSPOSE_CONV":  # each result is reached by so many of the taps
        taps = taps / (operation.options["stride_h"] * operation.options["stride_w"])
    groups = len(means) // taps.shape[1]
    per_group = np.repeat(means.reshape(groups, -1), len(taps) // groups, axis=0)
    found: Floats = (taps * per_group).sum(1)
    return found


def _round_constants(operation: Operation) -> None:
    """Round constant operands of arithmetic to 255 steps that have 0 among them."""
    if operation.code not in ARITHMETIC:
        return
    for at, operand in enumerate(operation.operands):
        if operand is not None and is_real_constant(operand) and operand.array.size > 1:
            operation.operands[at] = Value.constant(_on_grid(operand.array))


def _on_grid(values: Array) -> Array:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if high == low:
        return values
    scale = Range(low, high).width / 255
    zero = np.rint(-low / scale)
    found: Array = ((np.clip(np.rint(values / scale), -zero, 255 - zero)) * scale).astype(np.float32)
    return found
