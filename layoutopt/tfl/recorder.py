"""Records operations in a graph, or computes them now where all operands are constants.

What the functions of `layoutopt.tfl.build` are made of: a current graph, `record`, and operands that may be values,
arrays of NumPy (constants) or numbers of Python (which take the type of the other operand).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from layoutopt.options import FOLD_LIMIT
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.folding import fold
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.opset import definition as definition_of
from layoutopt.tfl.schema import default_options
from layoutopt.tfl.shapes import Results

Operand: TypeAlias = "Value | Array | np.generic | bool | int | float"
Integers: TypeAlias = "Value | Array | Sequence[int] | Sequence[Sequence[int]] | int"
"""Sizes, axes and the like: known now, or a value of INT32."""


# --- the current graph --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Recorder:
    graph: Graph
    scope: str = ""


_recorder: ContextVar[_Recorder] = ContextVar("_recorder")
_fold_limit: ContextVar[int] = ContextVar("_fold_limit", default=FOLD_LIMIT)


@contextmanager
def folding_up_to(size: int) -> Iterator[None]:
    """Fold recorded operations that repeat constants, within this context, up to ``size`` bytes."""
    token = _fold_limit.set(size)
    try:
        yield
    finally:
        _fold_limit.reset(token)


@contextmanager
def recording(graph: Graph) -> Iterator[Graph]:
    """Let all operations within go to ``graph``, under the scope that holds around it."""
    outer = _recorder.get(None)
    token = _recorder.set(_Recorder(graph, outer.scope if outer else ""))
    try:
        yield graph
    finally:
        _recorder.reset(token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Let all operations within tell that they come from the ONNX node ``name``."""
    recorder = _recorder.get()
    outer, recorder.scope = recorder.scope, name
    try:
        yield
    finally:
        recorder.scope = outer


def record(
    code: str,
    *operands: Value | None,
    results: Results | None = None,
    bodies: tuple[Graph, ...] = (),
    **options: Any,
) -> list[Value]:
    """Record one operator, or compute it now where all operands are constants.

    Args:
        code: name of the operator in the schema.
        operands: in the schema's order; None for an optional one that is left out.
        results: types and shapes of the results, where the table has no rule for them.
        bodies: the graphs that control flow runs.
        options: fields that differ from the schema's defaults.

    Returns:
        The results.

    Raises:
        ShapeError: the operands do not fit one another.
        TypeError: the operands are of different types.
    """
    definition = definition_of(code)
    full = {**default_options(definition.options), **options}
    if results is None:
        assert definition.rule is not None, f"{code} has no rule for its results"
        results = definition.rule(operands, full)
    given = [operand.data for operand in operands if operand is not None]
    if given and not bodies and all(array is not None for array in given) and not _grows(code, operands, results):
        arrays = fold(code, [array for array in given if array is not None], {**full, "dtype": results[0][0].value})
        if arrays is not None:
            return [Value.constant(array) for array in arrays]
    recorder = _recorder.get()
    operation = Operation(code, list(operands), [], full, bodies, recorder.scope)
    operation.results = [Value(dtype, shape, producer=operation) for dtype, shape in results]
    recorder.graph.operations.append(operation)
    return operation.results


_REPEATING = frozenset(("BROADCAST_TO", "FILL", "TILE"))


def _grows(code: str, operands: Sequence[Value | None], results: Results) -> bool:
    """Return whether to compute an operation now would store many elements where a few are enough."""
    (dtype, shape), *_ = results
    if code not in _REPEATING or shape is None or None in shape:
        return False
    size = Value(dtype, shape).size_in_bytes
    return size > _fold_limit.get() and size > sum(operand.size_in_bytes for operand in operands if operand is not None)


def one(code: str, *operands: Value | None, results: Results | None = None, **options: Any) -> Value:
    """Record an operator that has one result, as `record`."""
    (result,) = record(code, *operands, results=results, **options)
    return result


# --- operands ------------------------------------------------------------------------------------------------------


def value_of(operand: Operand, dtype: DType | None = None) -> Value:
    """Return an operand as a value.

    Args:
        operand: a value, an array, or a number of Python.
        dtype: of a number of Python, float32 or int32 unless it is given.
    """
    if isinstance(operand, Value):
        return operand
    if isinstance(operand, (bool, int, float)):  # np.float64 too, which is a float of Python
        if dtype is None:
            dtype = DType.BOOL if isinstance(operand, bool) else DType.of((type(operand) is int and "i4") or "f4")
        return Value.constant(np.asarray(operand).astype(dtype.numpy))
    return Value.constant(np.asarray(operand))


def values_of(*operands: Operand) -> list[Value]:
    """Return operands as values; numbers of Python take the type of the first of the others."""
    typed = [each for each in operands if not isinstance(each, (bool, int, float))]
    dtype = value_of(typed[0]).dtype if typed else None
    return [value_of(operand, dtype) for operand in operands]


def _infix(code: str, *operands: Operand) -> Value:
    return one(code, *values_of(*operands))


Value.record_infix = _infix


def int32(values: Integers) -> Value:
    """Return sizes, axes or indices as a value of INT32; what comes at run time in another type is cast."""
    if isinstance(values, Value):
        return cast(values, DType.INT32)
    return Value.constant(np.asarray(values).astype(np.int32))


def cast(x: Operand, dtype: DType) -> Value:
    """Record CAST; integers wrap around, and real numbers are cut off."""
    value = value_of(x)
    if value.dtype is dtype:
        return value
    return one("CAST", value, in_data_type=value.dtype.value, out_data_type=dtype.value)


def zeros_like(x: Value, dtype: DType | None = None) -> Value:
    """Return a constant of zeros of the static shape of ``x``."""
    return full(x.sizes, 0, dtype or x.dtype)


def ones_like(x: Value, dtype: DType | None = None) -> Value:
    """Return a constant of ones of the static shape of ``x``."""
    return full(x.sizes, 1, dtype or x.dtype)


def full(shape: Sequence[int], number: float, dtype: DType = DType.FLOAT32) -> Value:
    """Return a constant of one number."""
    return Value.constant(np.full(tuple(shape), number, dtype.numpy))
