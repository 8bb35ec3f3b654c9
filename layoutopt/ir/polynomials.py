"""Values of a graph as polynomials of another value, by which formulas are known however they are multiplied out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from math import isclose
from typing import TypeAlias

import onnx_ir as ir

Polynomial: TypeAlias = "tuple[float, ...]"
"""Coefficients, the constant first; no zeros at the end but for that one."""

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Pow"})
_MAX_DEGREE = 6
"""Of two factors together."""
_MAX_DEPTH = 6
"""Of nodes from a value to what it is a polynomial of."""
_TOLERANCES: Mapping[ir.DataType | None, float] = {ir.DataType.FLOAT16: 2e-3, ir.DataType.BFLOAT16: 2e-2}
"""The errors of coefficients from rounded constants, where they are more than the digits that authors give."""
_TOLERANCE = 1e-5


def evaluate(value: ir.Value, x: ir.Value) -> Polynomial | None:
    """Return the polynomial of ``x`` that ``value`` is; None if it is none, or a long one."""
    return _evaluate(value, x, _MAX_DEPTH, {})


def _evaluate(value: ir.Value, x: ir.Value, depth: int, known: dict[ir.Value, Polynomial | None]) -> Polynomial | None:
    if value is x:
        return (0, 1)
    if (number := scalar_of(value, x)) is not None:
        return (number,)
    node = value.producer()
    if node is None or node.op_type not in _ARITHMETIC or not depth:
        return None
    if value not in known:
        known[value] = None
        first, second = node.inputs
        if first is None or second is None or (left := _evaluate(first, x, depth - 1, known)) is None:
            return None
        if (right := _evaluate(second, x, depth - 1, known)) is not None:
            known[value] = combine(node.op_type, left, right)
    return known[value]


def scalar_of(value: ir.Value, x: ir.Value) -> float | None:
    """Return the number that a constant is to all elements of ``x``, to which it adds no axes; None for others."""
    tensor = constant_tensor(value)
    rank = 0 if x.shape is None else x.shape.rank()
    if tensor is None or tensor.size != 1 or tensor.shape.rank() > rank or tensor.dtype is ir.DataType.STRING:
        return None
    return float(tensor.numpy().item())


def constant_tensor(value: ir.Value) -> ir.TensorProtocol | None:
    """Return the tensor that a value has by default, or from a Constant; None where it is computed."""
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    return ir.convenience.get_const_tensor(value) if node is not None and node.op_type == "Constant" else None


def combine(operator: str, left: Polynomial, right: Polynomial) -> Polynomial | None:
    """Return what an operator of ONNX makes of two polynomials; None where that is none, or of too high a degree."""
    match operator:
        case "Add":
            return _trimmed([a + b for a, b in zip_longest(left, right, fillvalue=0.0)])
        case "Sub":
            return _trimmed([a - b for a, b in zip_longest(left, right, fillvalue=0.0)])
        case "Mul":
            return _product(left, right)
        case "Div" if len(right) == 1 and right[0]:
            return _product(left, (1 / right[0],))
        case "Pow" if right == (2,):
            return _product(left, left)
        case "Pow" if right == (3,) and len(left) <= 2:
            square = _product(left, left)
            return None if square is None else _product(square, left)
    return None


def _product(left: Polynomial, right: Polynomial) -> Polynomial | None:
    if len(left) + len(right) - 2 > _MAX_DEGREE:
        return None
    found = [0.0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            found[i + j] += a * b
    return _trimmed(found)


def _trimmed(coefficients: list[float]) -> Polynomial:
    while len(coefficients) > 1 and not coefficients[-1]:
        coefficients.pop()
    return tuple(coefficients)


def is_close(found: Polynomial | None, wanted: Polynomial, dtype: ir.DataType | None) -> bool:
    """Return whether two polynomials are the same but for rounding to ``dtype``, and the digits that authors give."""
    tolerance = _TOLERANCES.get(dtype, _TOLERANCE)
    return (
        found is not None
        and len(found) == len(wanted)
        and all(isclose(a, b, rel_tol=tolerance) for a, b in zip(found, wanted, strict=True))
    )
