"""Types and shapes of the results of operators that compute element by element."""

from __future__ import annotations

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.shapes import Operands, Options, Results, broadcast, operand_at, require_one_type


def same(operands: Operands, _: Options) -> Results:
    """Return the first operand's type and shape."""
    x = operand_at(operands, 0)
    return [(x.dtype, x.shape)]


def elementwise(operands: Operands, _: Options) -> Results:
    """Return all operands broadcast; they are of one type."""
    given = [operand for operand in operands if operand is not None]
    require_one_type(given)
    return [(given[0].dtype, broadcast(*(operand.shape for operand in given)))]


def comparison(operands: Operands, options: Options) -> Results:
    """Return the result of `elementwise` with the type BOOL."""
    ((_, shape),) = elementwise(operands, options)
    return [(DType.BOOL, shape)]


def select(operands: Operands, _: Options) -> Results:
    """Return a condition and two values of one type, which broadcast."""
    condition, one, other = (operand_at(operands, i) for i in range(3))
    require_one_type([one, other])
    return [(one.dtype, broadcast(condition.shape, one.shape, other.shape))]


def cast(operands: Operands, options: Options) -> Results:
    """Return the type that the options say."""
    return [(DType(options["out_data_type"]), operand_at(operands, 0).shape)]
