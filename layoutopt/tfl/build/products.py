"""Reductions and matrix products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value
from layoutopt.tfl.recorder import Integers, Operand, int32, one, value_of, values_of


def _reduction(code: str) -> Callable[..., Value]:
    def function(x: Operand, axes: Integers | None = None, keep_dims: bool = False) -> Value:
        value = value_of(x)
        if axes is None:
            axes = list(range(value.rank))
        if not isinstance(axes, Value):
            axes = sorted({int(axis) % max(value.rank, 1) for axis in np.atleast_1d(axes)})
        return one(code, value, int32(axes), keep_dims=keep_dims)

    function.__doc__ = f"Record {code} over some axes, or over all."
    return function


sum_, mean, reduce_max, reduce_min = map(_reduction, ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"))
reduce_prod, reduce_any, reduce_all = map(_reduction, ("REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"))


def arg_max(x: Operand, axis: int, dtype: DType = DType.INT64) -> Value:
    """Record ARG_MAX: where the first of the largest elements is."""
    return _arg_extreme("ARG_MAX", x, axis, dtype)


def arg_min(x: Operand, axis: int, dtype: DType = DType.INT64) -> Value:
    """Record ARG_MIN: where the first of the least elements is."""
    return _arg_extreme("ARG_MIN", x, axis, dtype)


def _arg_extreme(code: str, x: Operand, axis: int, dtype: DType) -> Value:
    value = value_of(x)
    return one(code, value, int32(axis % value.rank), output_type=dtype.value)


def cumsum(x: Operand, axis: Integers, *, exclusive: bool = False, reverse: bool = False) -> Value:
    """Record CUMSUM: running sums, without the element itself if ``exclusive``, from the end if ``reverse``."""
    return one("CUMSUM", value_of(x), int32(axis), exclusive=exclusive, reverse=reverse)


def batch_matmul(a: Operand, b: Operand, *, adj_x: bool = False, adj_y: bool = False) -> Value:
    """Record BATCH_MATMUL, of either operand transposed if asked."""
    return one("BATCH_MATMUL", *values_of(a, b), adj_x=adj_x, adj_y=adj_y)


def fully_connected(x: Operand, weights: Operand, bias: Operand | None = None, *, keep_num_dims: bool = True) -> Value:
    """Record FULLY_CONNECTED of x (..., in) and weights (out, in).

    An operand of two axes keeps them anyway, and runtimes of before version 5 take it if the option is not set.
    """
    value, matrix = values_of(x, weights)
    keep = keep_num_dims and value.shape is not None and len(value.shape) != 2
    return one("FULLY_CONNECTED", value, matrix, None if bias is None else value_of(bias), keep_num_dims=keep)
