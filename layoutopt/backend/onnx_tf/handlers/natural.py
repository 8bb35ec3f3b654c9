"""ONNX's own spatial operators, in N, C, spatial...: the channels-last handler between two transposes.

That is what a graph without a layout pass needs, and what is left for an operator that stays in natural layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handler_of, handles
from layoutopt.backend.onnx_tf.handlers.pool import lp_norm, max_pool_with_indices
from layoutopt.ir.dialect import DOMAIN, OPERATORS

_OWN = ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "MaxPool")
"""Operators that have a handler of their own below."""


@handles("GlobalLpPool")
def global_lp_pool(node: Node) -> Operand:
    """In place: no transpose needed."""
    return lp_norm(node, list(range(2, len(node.shape))))


@handles("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node) -> Operand:
    """MEAN or REDUCE_MAX in place: no transpose needed."""
    reduction = tf.reduce_mean if node.operator == "GlobalAveragePool" else tf.reduce_max
    return reduction(node.x, list(range(2, len(node.shape))), keepdims=True)


@handles(*(operator for operator in OPERATORS if operator not in _OWN))
def sandwich(node: Node) -> Operand:
    """Transposes in, runs channels-last, transposes back."""
    rank = len(node.shape)
    if rank not in OPERATORS[node.operator]:
        raise node.unsupported(f"TFLite has no such operator for values of rank {rank}")
    name = OPERATORS[node.operator][rank].name
    handler = handler_of(DOMAIN, name)
    assert handler is not None, "a test sees to it"
    x = tf.transpose(node.x, [0, *range(2, rank), 1])
    y = handler(replace(node, operator=name, operands=(x, *node.operands[1:])))
    assert not isinstance(y, Sequence), "these have one result"
    return tf.transpose(y, [0, rank - 1, *range(1, rank - 1)])


@handles("MaxPool")
def max_pool(node: Node) -> Operand | list[Operand]:
    """As the others; with indices, in place."""
    return max_pool_with_indices(node) if node.results > 1 else sandwich(node)
