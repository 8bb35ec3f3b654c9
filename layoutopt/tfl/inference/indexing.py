"""Types and shapes of the results of operators that take or put elements by index."""

from __future__ import annotations

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.shapes import Operands, Options, Results, known_elements, operand_at, unknown, vector_length


def gather(operands: Operands, options: Options) -> Results:
    """Return the shape of the operand, with the axes of the indices in the place of one axis."""
    x, index = operand_at(operands, 0), operand_at(operands, 1)
    if x.shape is None or index.shape is None:
        return [(x.dtype, None)]
    axis, batch = options["axis"] % x.rank, options["batch_dims"]
    return [(x.dtype, (*x.shape[:axis], *index.shape[batch:], *x.shape[axis + 1 :]))]


def gather_nd(operands: Operands, _: Options) -> Results:
    """Return the shape of what is gathered at the places that the last axis of the indices names."""
    x, index = operand_at(operands, 0), operand_at(operands, 1)
    if x.shape is None or index.shape is None or index.shape[-1] is None:
        return [(x.dtype, None)]
    return [(x.dtype, (*index.shape[:-1], *x.shape[index.shape[-1] :]))]


def scatter_nd(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 2 tells."""
    updates, target = operand_at(operands, 1), operand_at(operands, 2)
    sizes = known_elements(target)
    return [(updates.dtype, unknown(vector_length(target)) if sizes is None else tuple(sizes))]


def segments(operands: Operands, _: Options) -> Results:
    """Return the shape of the operand, with as many rows as operand 2 says."""
    x, index, count = operand_at(operands, 0), operand_at(operands, 1), known_elements(operands[2])
    if x.shape is None or index.shape is None:
        return [(x.dtype, None)]
    return [(x.dtype, (None if count is None else count[0], *x.shape[index.rank :]))]


def one_hot(operands: Operands, options: Options) -> Results:
    """Return the shape of the indices with one more axis, as long as operand 1 says."""
    index, depth, on = operand_at(operands, 0), known_elements(operands[1]), operand_at(operands, 2)
    if index.shape is None:
        return [(on.dtype, None)]
    axis = options["axis"] % (index.rank + 1)
    return [(on.dtype, (*index.shape[:axis], None if depth is None else depth[0], *index.shape[axis:]))]


def where(operands: Operands, _: Options) -> Results:
    """Return a row of coordinates for each element that holds."""
    x = operand_at(operands, 0)
    return [(DType.INT64, (None, None if x.shape is None else x.rank))]


def unique(operands: Operands, options: Options) -> Results:
    """Return values of unknown number, and the place of each element among them."""
    x = operand_at(operands, 0)
    return [(x.dtype, (None,)), (DType(options["idx_out_type"]), x.shape)]


def top_k(operands: Operands, _: Options) -> Results:
    """Return the shape of the operand with the last axis as long as operand 1 says, twice."""
    x, count = operand_at(operands, 0), known_elements(operands[1])
    found = None if x.shape is None else (*x.shape[:-1], None if count is None else count[0])
    return [(x.dtype, found), (DType.INT32, found)]


def non_max_suppression(operands: Operands, _: Options) -> Results:
    """Return indices of the selected boxes, and how many they are."""
    count = known_elements(operands[2])
    return [(DType.INT32, (None if count is None else count[0],)), (DType.INT32, ())]
