"""Rewrites of a graph of LiteRT's operators, one file for each kind; `simplify` runs them all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Graph
from layoutopt.tfl.rewrites.activation import (
    activate_before_moving,
    drop_repeated_activation,
    fuse_activation,
    use_relu,
)
from layoutopt.tfl.rewrites.alternatives import Takes, rules_for
from layoutopt.tfl.rewrites.arithmetic import drop_neutral, multiply_by_reciprocal, use_rsqrt, use_squared_difference
from layoutopt.tfl.rewrites.bias import fuse_bias
from layoutopt.tfl.rewrites.broadcasting import broadcast_by_itself, broadcast_by_product, broadcast_by_rank
from layoutopt.tfl.rewrites.casts import narrow_index, skip_wide_type
from layoutopt.tfl.rewrites.common_subexpressions import eliminate_common_subexpressions
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.engine import RewriteRule, apply_rules, run_to_fixpoint
from layoutopt.tfl.rewrites.interleaving import reorder_blocks_in_filters, use_space_to_depth
from layoutopt.tfl.rewrites.padding import fuse_padding, fuse_unstrided_padding, pad_with_mean
from layoutopt.tfl.rewrites.products import read_transposed, use_fully_connected
from layoutopt.tfl.rewrites.reshapes import (
    drop_reduced_axes,
    flatten_in_product,
    merge_around_function,
    merge_reshapes,
    merge_transposes,
    reshape_before_product,
)
from layoutopt.tfl.rewrites.scale import fuse_scale

__all__ = ["FLOAT_RULES", "INTEGER_RULES", "RESIZABLE_RULES", "RULES", "Takes", "rules_for", "simplify"]

RULES = (
    merge_reshapes,
    merge_around_function,
    merge_transposes,
    drop_reduced_axes,
    reshape_before_product,
    flatten_in_product,
    broadcast_by_rank,
    broadcast_by_itself,
    drop_neutral,
    use_space_to_depth,
    reorder_blocks_in_filters,
    use_fully_connected,
    read_transposed,
    use_relu,
    drop_repeated_activation,
    use_rsqrt,
    use_squared_difference,
    multiply_by_reciprocal,
    skip_wide_type,
    narrow_index,
    fuse_padding,
    fuse_scale,
    fuse_bias,
    fuse_activation,
    activate_before_moving,
)
"""All rules, in the order in which they are tried on an operation."""

RESIZABLE_RULES = tuple(
    fuse_unstrided_padding if each is fuse_padding else each
    for each in RULES
    if each not in (use_space_to_depth, reorder_blocks_in_filters)
)
"""The same for a graph that takes images of any size: none of these depends on the size that it has now."""

INTEGER_RULES = (*RULES, pad_with_mean)
"""The same for a graph of floats of static shapes, which is quantized by samples then."""

FLOAT_RULES = (*INTEGER_RULES, broadcast_by_product)
"""The same for a graph that stays one of floats."""


def simplify(graph: Graph, rules: Sequence[RewriteRule] = RULES) -> None:
    """Rewrite a graph and the bodies in it to fewer and cheaper operators that compute the same."""
    steps = (eliminate_dead_code, eliminate_common_subexpressions, partial(apply_rules, rules=rules))
    run_to_fixpoint(graph, steps)
    for operation in graph.all_operations():
        if operation.code == "WHILE":
            tfl.keep_apart(operation.bodies[1])  # what computed a value may be gone
