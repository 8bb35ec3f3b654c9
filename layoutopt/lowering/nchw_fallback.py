"""ONNX's own spatial operators, in N, C, spatial...: the lowering for channels-last between two TRANSPOSEs.

That is what a graph without a layout pass needs, and what is left for an operator that stays in NCHW.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layoutopt.ir.dialect import DOMAIN, OPERATORS
from layoutopt.lowering.kernel_types import FLOATS
from layoutopt.lowering.node import Node, Result, lowering_of, lowers
from layoutopt.lowering.pool import lp_norm, max_pool_with_indices, reduce_spatial
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import UnknownShapeError, Value

_OWN = ("BatchNormalization", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "MaxPool")
"""Operators that have a lowering of their own, without TRANSPOSEs."""


@lowers("GlobalLpPool")
def global_lp_pool(node: Node) -> Value:
    """Lower GlobalLpPool in place: no TRANSPOSE is needed."""
    return lp_norm(node, list(range(2, len(node.shape))))


@lowers("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> Value:
    """Lower GlobalAveragePool and GlobalMaxPool to MEAN and REDUCE_MAX in place: no TRANSPOSE is needed."""
    reduction = tfl.mean if node.operator == "GlobalAveragePool" else tfl.reduce_max
    return reduce_spatial(reduction, node.x, list(range(2, len(node.shape))))


@lowers(*(operator for operator in OPERATORS if operator not in _OWN))
def transposed_in_and_out(node: Node) -> Value:
    """Lower an operator in NCHW to that of channels-last between two TRANSPOSEs."""
    rank = node.x.rank
    if rank not in OPERATORS[node.operator]:
        raise node.unsupported(f"LiteRT has no such operator for values of rank {rank}")
    name = OPERATORS[node.operator][rank].name
    lowering = lowering_of(DOMAIN, name)
    assert lowering is not None, "a test sees to it"
    x, is_open = node.x, node.x.shape is not None and node.x.shape[0] is None
    if is_open:  # kernels of windows fail on a batch of nothing, so there is always one more
        x = tfl.concatenation([x, np.zeros((1, *_without_batch(x)), x.dtype.numpy)], 0)
    x = tfl.transpose(x, [0, *range(2, rank), 1])
    declared = tuple(shape and (shape[0], *shape[2:], shape[1]) for shape in node.declared)
    y = lowering(replace(node, operator=name, operands=(x, *node.operands[1:]), declared=declared))
    assert isinstance(y, Value), "these have one result"
    y = tfl.transpose(y, [0, rank - 1, *range(1, rank - 1)])
    return y[:-1] if is_open else y


def _without_batch(x: Value) -> tuple[int, ...]:
    """Return all sizes but that of the batch.

    Raises:
        UnknownShapeError: they depend on values at run time.
    """
    sizes = (x.shape or (None, None))[1:]
    if None in sizes:
        raise UnknownShapeError
    return sizes  # type: ignore[return-value]


@lowers("MaxPool", types=FLOATS)
def max_pool(node: Node) -> Result:
    """Lower MaxPool as the others; with indices, in place."""
    return max_pool_with_indices(node) if node.results > 1 else transposed_in_and_out(node)
