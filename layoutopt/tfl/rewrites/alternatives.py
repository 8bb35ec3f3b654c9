"""Rewrites for a target that takes fewer operators than LiteRT has: to others that compute the same."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.rewrites.engine import RewriteFunction, RewriteRule, Uses, record_again, rule

Takes: TypeAlias = "Callable[[Operation], bool]"
"""Tells whether a target runs an operation."""


def rules_for(takes: Takes, rules: Sequence[RewriteRule]) -> tuple[RewriteRule, ...]:
    """Return rules that bring no operation to a target that it does not take, and those that replace such ones.

    Args:
        takes: tells what the target takes.
        rules: for LiteRT as it is.
    """
    kept = (RewriteRule(each.codes, _guarded(each.rewrite, takes)) for each in rules)
    return (*kept, *(RewriteRule(each.codes, _replacing(each.rewrite, takes)) for each in _ALTERNATIVES))


def _guarded(rewrite: RewriteFunction, takes: Takes) -> RewriteFunction:
    """Return a rewrite that leaves alone what the target takes where it would not take what comes instead."""

    def guarded(operation: Operation, uses: Uses) -> Value | None:
        if takes(operation) and not _all_taken(rewrite, operation, uses, takes):
            return None
        return rewrite(operation, uses)

    return guarded


def _replacing(rewrite: RewriteFunction, takes: Takes) -> RewriteFunction:
    """Return a rewrite of floats that the target does not take, where it takes all that comes instead."""

    def replacing(operation: Operation, uses: Uses) -> Value | None:
        if (
            operation.result.dtype is not DType.FLOAT32
            or takes(operation)
            or not _all_taken(rewrite, operation, uses, takes)
        ):
            return None
        return rewrite(operation, uses)

    return replacing


def _all_taken(rewrite: RewriteFunction, operation: Operation, uses: Uses, takes: Takes) -> bool:
    """Return whether a target takes all that a rewrite would record, apart from RESHAPE: those merge with others."""
    with tfl.recording(Graph()) as trial:
        rewrite(operation, uses)
    return all(each.code == "RESHAPE" or takes(each) for each in trial.operations)


# --- what computes the same -------------------------------------------------------------------------------------------


@rule("ABS")
def _abs(operation: Operation, _: Uses) -> Value:
    x = operation[0]
    return tfl.maximum(x, x * -1.0)


@rule("FULLY_CONNECTED")
def _fully_connected(operation: Operation, _: Uses) -> Value | None:
    """Multiply all rows along one axis."""
    x = operation[0]
    if not x.is_static or not operation.result.is_static:
        return None
    rows = record_again(operation, tfl.reshape(x, (-1, x.sizes[-1])), *operation.operands[1:])
    return tfl.reshape(rows, operation.result.sizes)


@rule("GELU")
def _gelu(operation: Operation, _: Uses) -> Value | None:
    if not operation.options["approximate"]:
        return None  # LiteRT has no error function
    x = operation[0]
    return x * 0.5 * (tfl.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1.0)


@rule("HARD_SWISH")
def _hard_swish(operation: Operation, _: Uses) -> Value:
    x = operation[0]
    return x * (tfl.relu6(x + 3.0) * (1 / 6))


@rule("LEAKY_RELU")
def _leaky_relu(operation: Operation, _: Uses) -> Value | None:
    x, alpha = operation[0], float(operation.options["alpha"])
    return tfl.maximum(x, x * alpha) if 0 <= alpha <= 1 else None


@rule("LOG_SOFTMAX")
def _log_softmax(operation: Operation, _: Uses) -> Value:
    x = operation[0]
    below = x - tfl.reduce_max(x, [-1], keep_dims=True)
    return below - tfl.log(tfl.sum_(tfl.exp(below), [-1], keep_dims=True))


@rule("NEG")
def _neg(operation: Operation, _: Uses) -> Value:
    return operation[0] * -1.0


@rule("SQUARE")
def _square(operation: Operation, _: Uses) -> Value:
    return operation[0] * operation[0]


@rule("TRANSPOSE")
def _transpose(operation: Operation, _: Uses) -> Value | None:
    """Merge axes that stay neighbours, and drop those of one element."""
    x, perm = operation[0], operation[1]
    if not perm.is_constant or not x.is_static:
        return None
    return tfl.reshape(_merged(x, perm.array.reshape(-1).tolist()), operation.result.sizes)


@rule("TRANSPOSE")
def _transpose_twice(operation: Operation, _: Uses) -> Value | None:
    """Write a TRANSPOSE of five or six axes as two, each of which has four at most once neighbours are merged."""
    x, perm = operation[0], operation[1]
    if not perm.is_constant or not x.is_static or not _FEW_AXES < x.rank <= _MOST_AXES:
        return None
    whole = perm.array.reshape(-1).tolist()
    for first in itertools.permutations(range(x.rank)):
        second = [first.index(axis) for axis in whole]
        if _blocks(first) <= _FEW_AXES and _blocks(second) <= _FEW_AXES:
            halfway = tfl.reshape(_merged(x, first), [x.sizes[axis] for axis in first])
            return tfl.reshape(_merged(halfway, second), operation.result.sizes)
    return None


_FEW_AXES, _MOST_AXES = 4, 6


def _blocks(perm: Sequence[int]) -> int:
    """Return the number of blocks of axes that stay neighbours."""
    return 1 + sum(after != before + 1 for before, after in itertools.pairwise(perm))


def _merged(x: Value, perm: Sequence[int]) -> Value:
    """Record a TRANSPOSE between axes that are merged where they stay neighbours, or left out where they are of 1."""
    runs: list[list[int]] = []
    for axis in (each for each in perm if x.sizes[each] != 1):
        between = x.sizes[runs[-1][-1] + 1 : axis] if runs else ()
        if runs and axis > runs[-1][-1] and prod(between) == 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    order = sorted(range(len(runs)), key=lambda at: runs[at][0])
    merged = [prod(x.sizes[axis] for axis in runs[at]) for at in order]
    return tfl.transpose(tfl.reshape(x, merged), [order.index(at) for at in range(len(runs))])


_ALTERNATIVES = (
    _abs,
    _fully_connected,
    _gelu,
    _hard_swish,
    _leaky_relu,
    _log_softmax,
    _neg,
    _square,
    _transpose,
    _transpose_twice,
)
