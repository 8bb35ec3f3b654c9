"""Matrix products by the operator that runs them fastest."""

from __future__ import annotations

from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.limits import takes_rank
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule


@rule("BATCH_MATMUL")
def use_fully_connected(operation: Operation, _: Uses) -> Value | None:
    """Write a product with a constant matrix on the right as FULLY_CONNECTED, which packs it once."""
    x, matrix = operation[0], operation[1]
    if matrix.data is None or matrix.rank != 2 or operation.options["adj_x"] or x.shape is None:
        return None
    if not takes_rank("FULLY_CONNECTED", x, x.rank):
        return None
    weights = matrix if operation.options["adj_y"] else tfl.transpose(matrix, (1, 0))
    return tfl.fully_connected(x, weights)


@rule("BATCH_MATMUL")
def read_transposed(operation: Operation, _: Uses) -> Value | None:
    """Let BATCH_MATMUL read its second operand transposed, instead of a TRANSPOSE of its last two axes.

    Not of the first operand, since XNNPACK does not.
    """
    source = operation[1].producer
    if source is None or source.code != "TRANSPOSE" or source[1].data is None:
        return None
    rank = source[0].rank
    if [int(axis) for axis in source[1].data] != [*range(rank - 2), rank - 1, rank - 2]:
        return None
    return record_again(operation, operation[0], source[0], adj_y=not operation.options["adj_y"])
