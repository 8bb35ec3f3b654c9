"""Operators computed now, by NumPy, where all operands are constants. What only moves elements gives views.

Integers wrap around as LiteRT's do. Operators that are not here stay operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from layoutopt.tfl.dtypes import Array, DType

Fold: TypeAlias = "Callable[[Sequence[Array], Mapping[str, Any]], Array | Sequence[Array] | None]"
"""From the elements of the operands and the options to those of the results; None where they should stay unknown."""

_MAX_FILLED_BYTES = 4096
"""The bytes beyond which a result of FILL is no constant: a file need not hold it."""


def fold(code: str, operands: Sequence[Array], options: Mapping[str, Any]) -> list[Array] | None:
    """Compute an operator on constants.

    Args:
        code: of the operator.
        operands: elements of each operand.
        options: of the operator.

    Returns:
        The elements of each result; None where the operator is not computed here.
    """
    if (function := _FOLDS.get(code)) is None:
        return None
    with np.errstate(all="ignore"):  # infinities and overflows are what the model says
        results = function(operands, options)
    if results is None:
        return None
    several = isinstance(results, (list, tuple))
    found = [np.asarray(each) for each in (results if several else [results])]  # NumPy gives scalars for no axes
    if options.get("fused_activation_function", "NONE") != "NONE":
        found = [_ACTIVATIONS[options["fused_activation_function"]](each) for each in found]
    return found


def _unary(function: Callable[[Array], Any]) -> Fold:
    return lambda operands, _: np.asarray(function(operands[0]), operands[0].dtype)


def _binary(function: Callable[[Array, Array], Any]) -> Fold:
    return lambda operands, _: np.asarray(function(operands[0], operands[1]), operands[0].dtype)


def _comparison(function: Callable[[Array, Array], Any]) -> Fold:
    return lambda operands, _: np.asarray(function(operands[0], operands[1]), bool)


def _divide(a: Array, b: Array) -> Array:
    """Divide two arrays; integers are rounded towards zero."""
    if a.dtype.kind not in "iu":
        return np.asarray(a / b)
    if not b.all():
        raise ZeroDivisionError("a constant divided by zero")
    quotient = np.floor_divide(a, b)
    towards_zero = (np.mod(a, b) != 0) & ((a < 0) != (b < 0))
    return np.asarray(quotient + towards_zero.astype(a.dtype))


def _reduction(function: Callable[..., Any]) -> Fold:
    def reduced(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
        x, axes = operands[0], tuple({int(axis) % max(operands[0].ndim, 1) for axis in operands[1].reshape(-1)})
        return np.asarray(function(x, axis=axes, keepdims=options["keep_dims"]), x.dtype)

    return reduced


def _arg(function: Callable[..., Any]) -> Fold:
    def found(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
        return np.asarray(function(operands[0], int(operands[1].item())), DType(options["output_type"]).numpy)

    return found


def _slice(operands: Sequence[Array], _: Mapping[str, Any]) -> Array:
    x, begins, sizes = operands[0], operands[1].tolist(), operands[2].tolist()
    parts = (slice(b, None if s == -1 else b + s) for b, s in zip(begins, sizes, strict=True))
    return x[tuple(parts)]


def _strided_slice(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    x, *bounds = operands
    parts: list[slice | int] = []
    for axis, (begin, end, stride) in enumerate(zip(*(each.tolist() for each in bounds), strict=True)):
        if options["shrink_axis_mask"] >> axis & 1:
            parts.append(begin)
            continue
        first = None if options["begin_mask"] >> axis & 1 else begin
        last = None if options["end_mask"] >> axis & 1 else end
        parts.append(slice(first, last, stride))
    return np.asarray(x[tuple(parts)])


def _split_v(operands: Sequence[Array], _: Mapping[str, Any]) -> Sequence[Array]:
    x, sizes, axis = operands[0], operands[1].tolist(), int(operands[2].item())
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(size for size in sizes if size != -1)
    return np.split(x, np.cumsum(sizes)[:-1], axis)


def _gather(operands: Sequence[Array], options: Mapping[str, Any]) -> Array | Sequence[Array]:
    assert not options["batch_dims"], "lowerings gather constants without batches"
    return np.take(operands[0], operands[1], options["axis"])


def _matmul(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    a, b = operands[0], operands[1]
    left, right = a.swapaxes(-1, -2) if options["adj_x"] else a, b.swapaxes(-1, -2) if options["adj_y"] else b
    return np.asarray(np.matmul(left, right))


def _fully_connected(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    x, weights, *bias = operands
    rows = x if options["keep_num_dims"] else x.reshape(-1, weights.shape[1])
    y = rows @ weights.T
    return np.asarray(y + bias[0] if bias else y)


def _one_hot(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    index, depth, on, off = operands
    axis = options["axis"] % (index.ndim + 1)
    places = np.arange(depth.item()).reshape([-1 if i == axis else 1 for i in range(index.ndim + 1)])
    return np.where(np.expand_dims(index, axis) == places, on, off)


def _bitcast(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    x, target = np.ascontiguousarray(operands[0]).reshape(operands[0].shape), DType(options["dtype"]).numpy
    if target.itemsize < x.dtype.itemsize:
        return x[..., None].view(target)
    found = x.view(target)
    return found.reshape(x.shape[:-1]) if target.itemsize > x.dtype.itemsize else found


def _fill(operands: Sequence[Array], _: Mapping[str, Any]) -> Array | None:
    found = np.broadcast_to(operands[1], operands[0].tolist())
    return found if found.nbytes <= _MAX_FILLED_BYTES else None


def _round(x: Array) -> Array:
    return np.rint(x)  # half to even, as the kernel


def _right_shift(a: Array, b: Array) -> Array:
    return np.asarray(np.right_shift(a, np.minimum(b, a.dtype.itemsize * 8 - 1)))


def _cumsum(operands: Sequence[Array], options: Mapping[str, Any]) -> Array:
    x, axis = operands[0], int(operands[1].item())
    turned = np.flip(x, axis) if options["reverse"] else x
    y = np.cumsum(turned, axis, dtype=x.dtype)
    if options["exclusive"]:
        y = y - turned
    return np.flip(y, axis) if options["reverse"] else y


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
}

_FOLDS: Mapping[str, Fold] = {
    "ABS": _unary(np.abs),
    "ADD": _binary(np.add),
    "ARG_MAX": _arg(np.argmax),
    "ARG_MIN": _arg(np.argmin),
    "ATAN2": _binary(np.arctan2),
    "BATCH_MATMUL": _matmul,
    "BITCAST": _bitcast,
    "BITWISE_XOR": _binary(np.bitwise_xor),
    "BROADCAST_TO": lambda operands, _: np.broadcast_to(operands[0], operands[1].tolist()),
    "CAST": lambda operands, options: operands[0].astype(DType(options["out_data_type"]).numpy),
    "CEIL": _unary(np.ceil),
    "CONCATENATION": lambda operands, options: np.concatenate(operands, options["axis"]),
    "COS": _unary(np.cos),
    "CUMSUM": _cumsum,
    "DIV": _binary(_divide),
    "ELU": _unary(lambda x: np.where(x > 0, x, np.expm1(x))),
    "EQUAL": _comparison(np.equal),
    "EXP": _unary(np.exp),
    "EXPAND_DIMS": lambda operands, _: np.expand_dims(operands[0], int(operands[1].item())),
    "FILL": _fill,
    "FLOOR": _unary(np.floor),
    "FLOOR_DIV": _binary(np.floor_divide),
    "FLOOR_MOD": _binary(np.mod),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GATHER_ND": lambda operands, _: operands[0][tuple(np.moveaxis(operands[1], -1, 0))],
    "GREATER": _comparison(np.greater),
    "GREATER_EQUAL": _comparison(np.greater_equal),
    "LEAKY_RELU": lambda operands, options: np.where(
        operands[0] > 0, operands[0], operands[0] * operands[0].dtype.type(options["alpha"])
    ),
    "LESS": _comparison(np.less),
    "LESS_EQUAL": _comparison(np.less_equal),
    "LOG": _unary(np.log),
    "LOGICAL_AND": _binary(np.logical_and),
    "LOGICAL_NOT": _unary(np.logical_not),
    "LOGICAL_OR": _binary(np.logical_or),
    "LOGISTIC": _unary(lambda x: 1 / (1 + np.exp(-x))),
    "MAXIMUM": _binary(np.maximum),
    "MEAN": _reduction(np.mean),
    "MINIMUM": _binary(np.minimum),
    "MUL": _binary(np.multiply),
    "NEG": _unary(np.negative),
    "NOT_EQUAL": _comparison(np.not_equal),
    "ONE_HOT": _one_hot,
    "PACK": lambda operands, options: np.stack(operands, options["axis"]),
    "PAD": lambda operands, _: np.pad(operands[0], operands[1]),
    "PADV2": lambda operands, _: np.pad(operands[0], operands[1], constant_values=operands[2].item()),
    "POW": _binary(np.power),
    "RANGE": lambda operands, _: np.arange(*(each.item() for each in operands), dtype=operands[0].dtype),
    "REDUCE_ALL": _reduction(np.all),
    "REDUCE_ANY": _reduction(np.any),
    "REDUCE_MAX": _reduction(np.max),
    "REDUCE_MIN": _reduction(np.min),
    "REDUCE_PROD": _reduction(np.prod),
    "RELU": _unary(_ACTIVATIONS["RELU"]),
    "RELU6": _unary(_ACTIVATIONS["RELU6"]),
    "RELU_N1_TO_1": _unary(_ACTIVATIONS["RELU_N1_TO_1"]),
    "RESHAPE": lambda operands, _: operands[0].reshape(operands[1].tolist()),
    "REVERSE_V2": lambda operands, _: np.flip(operands[0], tuple(operands[1].tolist())),
    "RIGHT_SHIFT": _binary(_right_shift),
    "ROUND": _unary(_round),
    "RSQRT": _unary(lambda x: 1 / np.sqrt(x)),
    "SELECT_V2": lambda operands, _: np.where(*operands),
    "SIGN": _unary(np.sign),
    "SIN": _unary(np.sin),
    "SLICE": _slice,
    "SPLIT": lambda operands, options: np.split(operands[1], options["num_splits"], int(operands[0].item())),
    "SPLIT_V": _split_v,
    "SQRT": _unary(np.sqrt),
    "SQUARE": _unary(np.square),
    "SQUARED_DIFFERENCE": _binary(lambda a, b: (a - b) ** 2),
    "SQUEEZE": lambda operands, options: np.squeeze(
        operands[0], None if options["squeeze_dims"] is None else tuple(options["squeeze_dims"])
    ),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _binary(np.subtract),
    "SUM": _reduction(np.sum),
    "TANH": _unary(np.tanh),
    "TILE": lambda operands, _: np.tile(operands[0], operands[1].tolist()),
    "TRANSPOSE": lambda operands, _: operands[0].transpose(operands[1].tolist()),
    "UNPACK": lambda operands, options: list(np.moveaxis(operands[0], options["axis"], 0)),
    "WHERE": lambda operands, _: np.argwhere(operands[0]).astype(np.int64),
}
