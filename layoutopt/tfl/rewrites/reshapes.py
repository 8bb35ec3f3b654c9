"""Reshapes that other operators make needless."""

from __future__ import annotations

from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Operation, Shape, Value
from layoutopt.tfl.limits import takes_rank
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule

_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_REDUCTIONS = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM")


@rule("RESHAPE")
def merge_reshapes(operation: Operation, _: Uses) -> Value | None:
    """Merge a RESHAPE of a RESHAPE to one, or to none where the shape is the first one again."""
    source = operation[0].producer
    if source is None or source.code not in _VIEWS or not operation.result.is_static or not source[0].is_static:
        return None
    return tfl.reshape(source[0], operation.result.sizes)


_FUNCTIONS = ("ELU", "GELU", "HARD_SWISH", "LOGISTIC", "RELU", "RELU6", "SQRT", "SQUARE", "TANH")


@rule("RESHAPE")
def merge_around_function(operation: Operation, uses: Uses) -> Value | None:
    """Put a function of each element before the two RESHAPE around it, of which one is enough."""
    function = uses.producer(operation[0], *_FUNCTIONS)
    first = None if function is None else uses.producer(function[0], *_VIEWS)
    if function is None or first is None or not first[0].is_static or not operation.result.is_static:
        return None
    if first[0].quantization is not None or operation.result.quantization is not None:
        return None
    return tfl.reshape(record_again(function, first[0]), operation.result.sizes)


@rule("RESHAPE")
def drop_reduced_axes(operation: Operation, uses: Uses) -> Value | None:
    """Let a reduction drop the axes itself that it keeps with size 1 and a RESHAPE drops."""
    reduction = uses.producer(operation[0], *_REDUCTIONS)
    if (
        reduction is None
        or not reduction.options["keep_dims"]
        or reduction[1].data is None
        or not reduction[0].is_static
    ):
        return None
    gone = {int(axis) % reduction[0].rank for axis in reduction[1].data.reshape(-1)}
    if operation.result.shape != tuple(size for axis, size in enumerate(reduction[0].sizes) if axis not in gone):
        return None
    return record_again(reduction, *reduction.operands, keep_dims=False)


@rule("RESHAPE")
def reshape_before_product(operation: Operation, uses: Uses) -> Value | None:
    """Keep the first RESHAPE alone of RESHAPE, FULLY_CONNECTED, RESHAPE, where the last keeps the channels."""
    product = uses.producer(operation[0], "FULLY_CONNECTED")
    first = None if product is None else uses.producer(product[0], "RESHAPE")
    if product is None or first is None or not operation.result.is_static or not first[0].is_static:
        return None
    if not _keeps_channels(operation) or not takes_rank("FULLY_CONNECTED", first[0], operation.result.rank):
        return None
    x = tfl.reshape(first[0], (*operation.result.sizes[:-1], product[0].sizes[-1]))
    return record_again(product, x, *product.operands[1:], keep_num_dims=True)


def _keeps_channels(operation: Operation) -> bool:
    """Return whether it is a RESHAPE after which the last axis is as before."""
    if operation.code != "RESHAPE" or not operation.result.is_static or not operation[0].is_static:
        return False
    return operation.result.sizes[-1:] == operation[0].sizes[-1:]


@rule("FULLY_CONNECTED")
def flatten_in_product(operation: Operation, uses: Uses) -> Value | None:
    """Drop a RESHAPE to rows of the same length before FULLY_CONNECTED, which makes them of any shape by itself."""
    source, result = operation[0].producer, operation.result
    if source is None or source.code not in _VIEWS or not source[0].is_static or result.rank != 2:
        return None
    if not takes_rank("FULLY_CONNECTED", source[0], source[0].rank):
        return None
    if source[0].rank < 2 or source[0].sizes[-1] != operation[1].sizes[-1]:
        return None
    if any(reader is not None and _keeps_channels(reader) for reader in uses.readers(result)):
        return None  # `reshape_before_product` may leave none of the two
    return record_again(operation, source[0], *operation.operands[1:], keep_num_dims=False)


@rule("TRANSPOSE")
def merge_transposes(operation: Operation, _: Uses) -> Value | None:
    """Merge a TRANSPOSE of a TRANSPOSE to one, or none; make one that only moves axes of size 1 a RESHAPE."""
    perm, x = operation[1].data, operation[0]
    if perm is None:
        return None
    order = [int(axis) for axis in perm]
    if x.is_static and _keeps_order(order, x.sizes):
        return tfl.reshape(x, [x.sizes[axis] for axis in order])
    source = x.producer
    if source is None or source.code != "TRANSPOSE" or source[1].data is None:
        return None
    first = [int(axis) for axis in source[1].data]
    return tfl.transpose(source[0], [first[axis] for axis in order])


def _keeps_order(order: list[int], sizes: Shape) -> bool:
    moving = [axis for axis in order if sizes[axis] != 1]
    return moving == sorted(moving)
