"""Types and shapes of the results of reductions and products of matrices."""

from __future__ import annotations

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Size, Value
from layoutopt.tfl.shapes import (
    Operands,
    Options,
    Results,
    ShapeError,
    broadcast,
    known_elements,
    operand_at,
    require_one_type,
    unknown,
)


def reduction(operands: Operands, options: Options) -> Results:
    """Return a result without the axes of operand 1, or with size 1 there."""
    x, axes, keep = operand_at(operands, 0), known_elements(operands[1]), options["keep_dims"]
    if x.shape is None:
        return [(x.dtype, None)]
    if axes is None:
        return [(x.dtype, unknown(x.rank) if keep else None)]
    gone = {axis % max(x.rank, 1) for axis in axes}
    return [(x.dtype, tuple(1 if i in gone else s for i, s in enumerate(x.shape) if keep or i not in gone))]


def arg_extreme(operands: Operands, options: Options) -> Results:
    """Return a result without the axis that operand 1 tells."""
    x, axes = operand_at(operands, 0), known_elements(operands[1])
    if x.shape is None or axes is None:
        return [(DType(options["output_type"]), None)]
    axis = axes[0] % x.rank
    return [(DType(options["output_type"]), tuple(s for i, s in enumerate(x.shape) if i != axis))]


def batch_matmul(operands: Operands, options: Options) -> Results:
    """Return the rows of the first operand by the columns of the second; the other axes broadcast."""
    a, b = operand_at(operands, 0), operand_at(operands, 1)
    require_one_type([a, b])
    if a.shape is None or b.shape is None:
        return [(a.dtype, None)]
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    assert batch is not None
    rows, inner = a.shape[-2:][::-1] if options["adj_x"] else a.shape[-2:]
    inner_too, columns = b.shape[-2:][::-1] if options["adj_y"] else b.shape[-2:]
    _require_equal(inner, inner_too, a, b)
    return [(a.dtype, (*batch, rows, columns))]


def _require_equal(one: Size, other: Size, a: Value, b: Value) -> None:
    if None not in (one, other) and one != other:
        raise ShapeError(f"shapes {a.shape} and {b.shape} cannot be multiplied")


def fully_connected(operands: Operands, options: Options) -> Results:
    """Return the shape of the operand, with a last axis as long as the weights (out, in) have rows."""
    x, weights = operand_at(operands, 0), operand_at(operands, 1)
    if x.shape is None or weights.shape is None:
        return [(x.dtype, None)]
    out, inner = weights.shape
    if options["keep_num_dims"] or len(x.shape) == 2:
        _require_equal(x.shape[-1], inner, x, weights)
        return [(x.dtype, (*x.shape[:-1], out))]
    rows = x.count // inner if x.is_static and inner else None
    return [(x.dtype, (rows, out))]
