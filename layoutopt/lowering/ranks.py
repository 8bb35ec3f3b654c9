"""Operations on values of more axes than kernels take, on fewer: neighbouring axes that are treated alike are one.

Which kernels take how many is in the table (`layoutopt.tfl.opset`). What no Reshape helps is refused before anything is
written (`layoutopt.tfl.limits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from layoutopt.ir.perm import MAX_TRANSPOSED, factor, permute, runs
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.limits import most_axes
from layoutopt.tfl.opset import definition
from layoutopt.tfl.rewrites.engine import Uses, apply_rules, record_again, rule


def fit_ranks(graph: Graph) -> None:
    """Rewrite what kernels would refuse for its rank, in bodies too."""
    for each in graph.all_graphs():
        apply_rules(each, (_pad, _reduction, _concatenation, _along_last_axis, _fully_connected, _transpose))


def rank_limit(code: str, x: Value) -> int:
    """Return the most axes that the kernels of an operator take of a value of this type."""
    found = most_axes(x, definition(code))
    return 8 if found is None else found


def _is_beyond(operation: Operation, *values: Value | None) -> bool:
    """Return whether values, all of static shape, are of more axes than the kernels of an operation take."""
    known = [value for value in values if value is not None]
    if not all(value.is_static and value.quantization is None for value in known):
        return False
    return max(value.rank for value in known) > rank_limit(operation.code, known[0])


@rule("PAD", "PADV2")
def _pad(operation: Operation, uses: Uses) -> Value | None:
    """Merge each padded axis with the following axes that are not; a few padded axes at once.

    XNNPACK takes one axis more than LiteRT's own kernel, but TensorFlow's converter does not.
    """
    del uses
    x, amounts, largest = operation[0], operation[1], definition(operation.code).max_rank
    assert largest is not None
    if not amounts.is_constant or not x.is_static or x.quantization is not None or x.rank <= largest:
        return None
    most = largest - 1
    paddings = amounts.array.reshape(-1, 2)
    padded = [axis for axis in range(x.rank) if paddings[axis].any()]
    y = x
    for at in range(0, len(padded), most):
        y = _padded(operation, y, padded[at : at + most], paddings)
    return y


def _padded(operation: Operation, x: Value, axes: Sequence[int], paddings: Array) -> Value:
    sizes = x.sizes
    bounds = [*axes, x.rank]
    inner = [prod(sizes[axis + 1 : end]) for axis, end in pairwise(bounds)]
    merged = [prod(sizes[: axes[0]]), *(sizes[axis] * each for axis, each in zip(axes, inner, strict=True))]
    amounts = [[0, 0], *((paddings[axis] * each).tolist() for axis, each in zip(axes, inner, strict=True))]
    target = [size + (int(paddings[axis].sum()) if axis in axes else 0) for axis, size in enumerate(sizes)]
    y = record_again(operation, tfl.reshape(x, merged), tfl.int32(amounts), *operation.operands[2:])
    return tfl.reshape(y, target)


@rule("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
def _reduction(operation: Operation, uses: Uses) -> Value | None:
    """Merge neighbouring axes that are reduced, and those that stay; if too many are left, reduce the last first."""
    del uses
    x = operation[0]
    if not operation[1].is_constant or not _is_beyond(operation, x):
        return None
    axes = sorted({int(axis) % x.rank for axis in operation[1].array.reshape(-1)})
    runs: list[list[int]] = []
    for axis, size in enumerate(x.sizes):
        if size == 1 and runs:
            continue
        if runs and (runs[-1][0] in axes) == (axis in axes):
            runs[-1].append(axis)
        else:
            runs.append([axis])
    reduced = [run for run in runs if run[0] in axes]
    kept = [1 if axis in axes else size for axis, size in enumerate(x.sizes)]
    shape = kept if operation.options["keep_dims"] else [size for axis, size in enumerate(kept) if axis not in axes]
    if len(runs) > rank_limit(operation.code, x):
        last = reduced[-1][0]
        y = tfl.reshape(x, (prod(x.sizes[:last]), *_around(x.sizes, reduced[-1])))
        y = record_again(operation, y, tfl.int32([1]), keep_dims=True)
        halfway = [1 if axis in reduced[-1] else size for axis, size in enumerate(x.sizes)]
        rest = [axis for axis in axes if axis not in reduced[-1]]
        return tfl.reshape(record_again(operation, tfl.reshape(y, halfway), tfl.int32(rest), keep_dims=True), shape)
    y = tfl.reshape(x, [prod(x.sizes[axis] for axis in run) for run in runs])
    where = [index for index, run in enumerate(runs) if run[0] in axes]
    return tfl.reshape(record_again(operation, y, tfl.int32(where), keep_dims=True), shape)


def _around(sizes: Sequence[int], run: Sequence[int]) -> tuple[int, int]:
    """Return the elements of a run of axes, with what lies between them, and of all axes after it."""
    return prod(sizes[run[0] : run[-1] + 1]), prod(sizes[run[-1] + 1 :])


@rule("CONCATENATION")
def _concatenation(operation: Operation, uses: Uses) -> Value | None:
    """Return all axes from the one that is joined along are one."""
    del uses
    parts = [operation[index] for index in range(len(operation.operands))]
    if not _is_beyond(operation, *parts):
        return None
    axis = operation.options["axis"] % parts[0].rank
    flat = [tfl.reshape(part, (prod(part.sizes[:axis]), prod(part.sizes[axis:]))) for part in parts]
    return tfl.reshape(record_again(operation, *flat, axis=1), operation.result.sizes)


_MAX_BESIDE_OTHERS = 6
"""Of a SOFTMAX: XNNPACK leaves one alone to LiteRT, which takes 8, but fails on more where it takes what is around."""


@rule("SOFTMAX", "LOG_SOFTMAX")
def _along_last_axis(operation: Operation, uses: Uses) -> Value | None:
    """Return the rows: all axes but the last as one."""
    del uses
    x = operation[0]
    wide = x.is_static and x.quantization is None and x.rank > _MAX_BESIDE_OTHERS
    if not wide and not _is_beyond(operation, x):
        return None
    return tfl.reshape(record_again(operation, tfl.reshape(x, (-1, x.sizes[-1]))), x.sizes)


@rule("FULLY_CONNECTED")
def _fully_connected(operation: Operation, uses: Uses) -> Value | None:
    """Return the value with all its rows along one axis."""
    del uses
    x = operation[0]
    if not _is_beyond(operation, x) or not operation.result.is_static:
        return None
    rows = record_again(operation, tfl.reshape(x, (-1, x.sizes[-1])), *operation.operands[1:])
    return tfl.reshape(rows, operation.result.sizes)


@rule("TRANSPOSE")
def _transpose(operation: Operation, uses: Uses) -> Value | None:
    """Merge the axes that stay neighbours; what is still too many goes in several steps, as the layouts' copies do."""
    del uses
    x, perm = operation[0], operation[1]
    if not perm.is_constant or not x.is_static or x.quantization is not None or x.rank <= MAX_TRANSPOSED:
        return None
    axes = [int(axis) for axis in perm.array.reshape(-1)]
    moving = [axis for axis in axes if x.sizes[axis] != 1]
    sizes = tuple(size for size in x.sizes if size != 1)
    y = x
    for step in factor(tuple(sorted(moving).index(axis) for axis in moving)):
        together = runs(step)
        places = {run[0]: place for place, run in enumerate(together)}
        y = tfl.reshape(y, [prod(sizes[axis] for axis in run) for run in together])
        y = tfl.transpose(y, [places[axis] for axis in step if axis in places])
        sizes = permute(sizes, step)
    return tfl.reshape(y, operation.result.sizes)
