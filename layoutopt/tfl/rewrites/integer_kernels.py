"""The INT8 kernels of LiteRT, and the operators on real numbers that become one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Operation, Quantization, Value
from layoutopt.tfl.rewrites.grids import ON_GRID, Floats, QuantizationGrid, offset_grid, row_grid, steps_of, whole_rows
from layoutopt.tfl.rewrites.rewrite_state import RewriteState, int8_like

_BIAS_ERROR = 0.02
"""The error, in steps of the result, of a sum whose bias is rounded to an integer."""
_COARSE_ERROR = 0.25
"""The error, in steps of the result, of the worst sum with weights on a coarser grid than their own;
one on real values is off by a hundredth of that."""
_MAX_SUM = 2**31
"""Sums are of INT32."""
_LEAST_RATIO = 2.0**-24
"""Of the scale of sums to that of the result: kernels take far smaller ones for 0, or do not take them."""
_MAX_RATIO = 2**18
"""Of the scale of an operand of ADD or SUB to that of the result: the kernel's multiplier must stay below 1."""
_MAX_SQUARED_RATIO = 2**12
"""Likewise of the square of the larger scale of SQUARED_DIFFERENCE."""


Kernel: TypeAlias = "Callable[[RewriteState, Operation], bool]"
"""Records an operation on integers instead of one on real numbers; False, and nothing done, where it cannot."""


def _integers(values: Array, dtype: DType, scales: Floats, zero: int = 0, axis: int = 0) -> Value:
    """Return a constant of integers."""
    constant = Value.constant(values.astype(dtype.numpy))
    constant.quantization = Quantization(tuple(map(float, scales.astype(np.float32))), (zero,) * scales.size, axis)
    return constant


def _constant(value: Value | None) -> Array | None:
    """Return the elements of a constant of real numbers; None for any other value."""
    return None if value is None or not value.is_constant or value.dtype is not DType.FLOAT32 else value.array


def activates(operation: Operation) -> bool:
    """Return whether an operation has an activation of its own, which is none of the values that it picks from."""
    return bool(operation.options.get("fused_activation_function", "NONE") != "NONE")


# --- weights ---------------------------------------------------------------------------------------------------------


def _weighted(x: int, weights: int, bias: int, axis: int) -> Kernel:
    """Return the kernel with constant weights, given the positions of operands and the axis of results' channels."""

    def lower(state: RewriteState, operation: Operation) -> bool:
        source, result = state.source(operation, x), state.target(operation)
        values = _constant(operation[weights])
        if source is None or result is None or values is None:
            return False
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        given = operation.operand(bias)
        addend = np.zeros(len(rows)) if given is None else _constant(given)
        if addend is None or addend.size != len(rows):
            return False
        found = _whole_weights(rows, addend.reshape(-1).astype(np.float64), steps_of(source), steps_of(result))
        if found is None:
            return False
        whole, scales = found
        filters = np.moveaxis(whole.reshape(np.moveaxis(values, axis, 0).shape), 0, axis)
        sums = steps_of(source).scale * scales
        addends = np.rint(addend.reshape(-1) / sums).reshape(addend.shape)
        if (scales == scales[0]).all():
            scales, sums = scales[:1], sums[:1]
        operands = {x: source, weights: _integers(filters, DType.INT8, scales, axis=axis)}
        if given is not None:
            operands[bias] = _integers(addends, DType.INT32, sums)
        state.emit(operation, operands, result)
        return True

    return lower


def _whole_weights(
    rows: Array, addend: Floats, source: QuantizationGrid, result: QuantizationGrid
) -> tuple[Array, Floats] | None:
    """Return integers and a scale for each channel; None where sums would overflow, or lose more than they may.

    Args:
        rows: the weights of each channel.
        addend: the bias.
        source: of the operand.
        result: of the result.
    """
    scales = row_grid(rows, otherwise=result.scale / source.scale / 256)
    if scales is None:
        return None
    whole = whole_rows(rows, scales)
    extents = np.abs(whole).sum(1, dtype=np.int64) * 255 + np.abs(np.rint(addend / (source.scale * scales)))
    least, smallest = _least_scales(addend, source.scale, result.scale), result.scale * _LEAST_RATIO
    coarse = np.flatnonzero(((extents >= _MAX_SUM) | (source.scale * scales < smallest)) & (least > scales))
    scales[coarse] = least[coarse]
    whole[coarse] = whole_rows(rows[coarse], scales[coarse])
    extents[coarse] = 0
    off = np.abs(addend - np.rint(addend / (source.scale * scales)) * (source.scale * scales))
    lost = _lost(rows[coarse].astype(np.float64), whole[coarse] * scales[coarse, None], addend[coarse], source, result)
    fits = (extents < _MAX_SUM).all() and (off <= _BIAS_ERROR * result.scale).all()
    return (whole, scales) if fits and (lost <= _COARSE_ERROR * result.scale).all() else None


def _lost(rows: Floats, rounded: Floats, addend: Floats, source: QuantizationGrid, result: QuantizationGrid) -> Floats:
    """Return how far the worst sum of each channel is off; 0 where any sum is beyond the range of the result."""
    lost: Floats = np.abs(rows - rounded).sum(1) * 255 * source.scale
    reach = np.abs(rows).sum(1) * 255 * source.scale + lost
    low, high = (-128 - result.zero) * result.scale, (127 - result.zero) * result.scale
    return np.where((addend + reach < low) | (addend - reach > high), 0.0, lost)


def channel_scales(rows: Array, addend: Floats, source: float, result: float) -> Floats:
    """Return a scale for the weights of each channel, to be rounded to whole multiples from -127 to 127 of it.

    Args:
        rows: the weights of each channel.
        addend: the bias.
        source: scale of the operand.
        result: scale of the result.
    """
    largest = np.abs(rows).max(1, initial=0.0).astype(np.float64) / 127
    found = np.maximum(largest, _least_scales(addend, source, result))
    return np.where(found > 0, found, result / source / 256)


def _least_scales(addend: Floats, source: float, result: float) -> Floats:
    """Return the least scale of each channel's weights that leaves its bias, and what kernels scale sums by, in range.

    A channel that training has left without use has tiny weights, and a bias that is no multiple of their sums.
    """
    return np.maximum(np.abs(addend) / (source * _MAX_SUM / 2), result * _LEAST_RATIO / source)


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _arithmetic(state: RewriteState, operation: Operation) -> bool:
    """Record ADD, SUB, MUL or PRELU, of which one operand may be constant."""
    result, sources = state.target(operation), state.sources(operation)
    if result is None or all(source is None for source in sources):
        return False
    operands: dict[int, Value] = {}
    for place, source in enumerate(sources):
        if source is None:
            values = _constant(operation[place])
            grid = None if values is None else offset_grid(values)
            if values is None or grid is None:
                return False
            whole = np.rint(values / grid.scale) + grid.zero
            source = _integers(whole, DType.INT8, np.array([grid.scale]), grid.zero)
        operands[place] = source
    largest = max(steps_of(operand).scale for operand in operands.values())
    if operation.code != "MUL" and not largest < steps_of(result).scale * _MAX_RATIO:
        return False
    state.emit(operation, operands, result)
    return True


def _function(fixed: QuantizationGrid | None = None) -> Kernel:
    """Return the kernel of one operand that takes any scales, but for some that want one for the result."""

    def lower(state: RewriteState, operation: Operation) -> bool:
        source, result = state.source(operation, 0), state.target(operation)
        if source is None or result is None or (fixed is not None and steps_of(result) != fixed):
            return False
        state.emit(operation, {0: source}, result)
        return True

    return lower


def _root(state: RewriteState, operation: Operation) -> bool:
    """Record RSQRT or SQRT, whose kernels stop at numbers below 0: there must be no step for them."""
    source = state.source(operation, 0)
    return source is not None and steps_of(source).zero == -128 and _function()(state, operation)


def _product(state: RewriteState, operation: Operation) -> bool:
    """Record BATCH_MATMUL of two that are computed."""
    result, found = state.target(operation), [each for each in state.sources(operation) if each is not None]
    if result is None or len(found) < len(operation.operands):
        return False
    state.emit(operation, dict(enumerate(found)), result)
    return True


def _squared_difference(state: RewriteState, operation: Operation) -> bool:
    """Record SQUARED_DIFFERENCE of two that are computed."""
    result = state.target(operation)
    scales = [steps_of(each).scale for each in state.sources(operation) if each is not None]
    if result is None or max(scales, default=0.0) ** 2 >= steps_of(result).scale * _MAX_SQUARED_RATIO:
        return False
    return _product(state, operation)


def _square(state: RewriteState, operation: Operation) -> bool:
    """Record SQUARE as MUL, for it has no kernel of its own."""
    x, options = operation[0], {"fused_activation_function": "NONE"}
    return _product(state, Operation("MUL", [x, x], operation.results, options, scope=operation.scope))


def _same_steps(state: RewriteState, operation: Operation) -> bool:
    """Record what rounds by itself, and only within one scale: averages and interpolation."""
    source, result = state.source(operation, 0), state.target(operation)
    if source is None or result is None or steps_of(source) != steps_of(result):
        return False
    state.emit(operation, {0: source}, result)
    return True


# --- movement --------------------------------------------------------------------------------------------------------


def _movement(data: int = 0) -> Kernel:
    """Return the kernel of what picks from operand ``data``: exact, so that DEQUANTIZE may come after it."""

    def lower(state: RewriteState, operation: Operation) -> bool:
        source = state.source(operation, data)
        if source is None or activates(operation):
            return False
        state.emit_before_dequantize(operation, {data: source}, steps_of(source))
        return True

    return lower


def _filling(state: RewriteState, operation: Operation) -> bool:
    """Record PADV2 with a value that is a step, or with one below all of them where only the largest is asked for."""
    source, value = state.source(operation, 0), _constant(operation[2])
    if source is None or value is None:
        return False
    steps, readers = steps_of(source), state.readers[operation.result]
    whole = max(float(value.reshape(())) / steps.scale + steps.zero, -129.0)
    if whole < -128 and all(reader is not None and reader.code == "MAX_POOL_2D" for reader in readers):
        whole = -128.0
    if abs(whole - round(whole)) > ON_GRID or not -128 <= round(whole) <= 127:
        return False
    filler = _integers(np.full(value.shape, round(whole)), DType.INT8, np.array([steps.scale]), steps.zero)
    state.emit_before_dequantize(operation, {0: source, 2: filler}, steps)
    return True


def _framing(state: RewriteState, operation: Operation) -> bool:
    """Record DYNAMIC_UPDATE_SLICE into a constant frame of steps of what is written there."""
    source, frame = state.source(operation, 1), _constant(operation[0])
    if source is None or frame is None:
        return False
    steps = steps_of(source)
    whole = frame / steps.scale + steps.zero
    rounded = np.rint(whole)
    if (np.abs(whole - rounded) > ON_GRID).any() or rounded.min() < -128 or rounded.max() > 127:
        return False
    operands = {0: _integers(rounded, DType.INT8, np.array([steps.scale]), steps.zero), 1: source}
    state.emit_before_dequantize(operation, operands, steps)
    return True


def _of_one_grid(state: RewriteState, operation: Operation) -> bool:
    """Record what compares or stacks operands of the same steps: exact, as `_movement`."""
    found = [source for source in state.sources(operation) if source is not None]
    if len(found) < len(operation.operands) or len({steps_of(source) for source in found}) > 1:
        return False
    state.emit_before_dequantize(operation, dict(enumerate(found)), steps_of(found[0]))
    return True


def _concatenation(state: RewriteState, operation: Operation) -> bool:
    """Record CONCATENATION in the steps of all operands, or else of the result, to which each is rounded once."""
    found = [source for source in state.sources(operation) if source is not None]
    if len(found) < len(operation.operands) or activates(operation):
        return False
    kinds, result = {steps_of(source) for source in found}, state.target(operation)
    if len(kinds) == 1:
        state.emit_before_dequantize(operation, dict(enumerate(found)), kinds.pop())
        return True
    if result is None:
        return False
    operands = dict(enumerate(found))
    for place, source in enumerate(found):
        if steps_of(source) != steps_of(result):
            operands[place] = int8_like(source, steps_of(result))
            state.convert("QUANTIZE", source, operands[place], operation.scope)
    state.emit(operation, operands, result)
    return True


WEIGHTED: Mapping[str, tuple[int, int, int, int]] = {
    "CONV_2D": (0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 2, 3),
    "FULLY_CONNECTED": (0, 1, 2, 0),
    "TRANSPOSE_CONV": (2, 1, 3, 0),
}
"""Operators with weights: positions of what these are multiplied with, of the weights and of the bias; their axis."""

MOVEMENTS: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "BROADCAST_TO", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "GATHER_ND", "MAX_POOL_2D", "MIRROR_PAD", "PAD",
            "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_DEPTH",
            "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
        ),
        0,
    ),
    "SPLIT": 1,
}  # fmt: skip
"""Operators that pick from the operand at this position."""

FIXED_RESULTS: Mapping[str, QuantizationGrid] = {
    **dict.fromkeys(("LOGISTIC", "SOFTMAX"), QuantizationGrid(1 / 256, -128)),
    "TANH": QuantizationGrid(1 / 128, 0),
}
"""Operators whose kernels give but one scale and zero point."""

ARITHMETIC = ("ADD", "MUL", "PRELU", "SUB")
"""Operators of two operands of any scales, of which one may be constant."""
ONE_GRID = ("MAXIMUM", "MINIMUM", "PACK")
"""Operators whose operands have one scale and zero point, which is that of the result."""

KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    **dict.fromkeys(ONE_GRID, _of_one_grid),
    **dict.fromkeys(("AVERAGE_POOL_2D", "RESIZE_BILINEAR"), _same_steps),
    **dict.fromkeys(
        (
            "ABS", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "MEAN", "RELU", "RELU6", "RELU_N1_TO_1",
            "SUM",
        ),
        _function(),
    ),
    **dict.fromkeys(("RSQRT", "SQRT"), _root),
    **{code: _movement(data) for code, data in MOVEMENTS.items()},
    **{code: _weighted(*places) for code, places in WEIGHTED.items()},
    **{code: _function(steps) for code, steps in FIXED_RESULTS.items()},
    "BATCH_MATMUL": _product,
    "CONCATENATION": _concatenation,
    "DYNAMIC_UPDATE_SLICE": _framing,
    "PADV2": _filling,
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
}  # fmt: skip
"""By operator."""
