"""Types and shapes of the results of operators that move, join, split and repeat elements."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Size
from layoutopt.tfl.shapes import (
    Operands,
    Options,
    Results,
    known_elements,
    operand_at,
    require_one_type,
    unknown,
    vector_length,
)


def reshape(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 1 tells; a size of -1 follows from the rest."""
    x, target = operand_at(operands, 0), operand_at(operands, 1)
    sizes = known_elements(target)
    if sizes is None:
        return [(x.dtype, unknown(vector_length(target)))]
    if -1 in sizes:
        rest: Size = None
        if x.is_static:
            rest = x.count // max(prod(size for size in sizes if size != -1), 1)
        return [(x.dtype, tuple(rest if size == -1 else size for size in sizes))]
    return [(x.dtype, tuple(sizes))]


def squeeze(operands: Operands, options: Options) -> Results:
    """Return a result without some axes of size 1."""
    x = operand_at(operands, 0)
    if x.shape is None:
        return [(x.dtype, None)]
    dims = options["squeeze_dims"]
    gone = {int(axis) % x.rank for axis in dims} if dims is not None and len(dims) else None
    kept = [s for i, s in enumerate(x.shape) if (i not in gone if gone is not None else s != 1)]
    return [(x.dtype, tuple(kept))]


def expand_dims(operands: Operands, _: Options) -> Results:
    """Return the shape of the operand with one more axis of size 1."""
    x, axes = operand_at(operands, 0), known_elements(operands[1])
    if x.shape is None or axes is None:
        return [(x.dtype, None)]
    sizes, axis = list(x.shape), axes[0] % (len(x.shape) + 1)
    return [(x.dtype, (*sizes[:axis], 1, *sizes[axis:]))]


def transpose(operands: Operands, _: Options) -> Results:
    """Return the sizes in the order of operand 1."""
    x, perm = operand_at(operands, 0), known_elements(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    return [(x.dtype, unknown(x.rank) if perm is None else tuple(x.shape[axis] for axis in perm))]


def concatenation(operands: Operands, options: Options) -> Results:
    """Return the shape of the operands, with their sizes along one axis added up."""
    values = [operand_at(operands, i) for i in range(len(operands))]
    require_one_type(values)
    if any(value.shape is None for value in values):
        return [(values[0].dtype, None)]
    axis = options["axis"] % values[0].rank
    columns = list(zip(*(value.shape or () for value in values), strict=True))
    sizes: list[Size] = [next((size for size in column if size is not None), None) for column in columns]
    along = columns[axis]
    sizes[axis] = None if None in along else sum(size for size in along if size is not None)
    return [(values[0].dtype, tuple(sizes))]


def pack(operands: Operands, options: Options) -> Results:
    """Return the shape of the operands with one more axis."""
    values = [operand_at(operands, i) for i in range(len(operands))]
    require_one_type(values)
    if any(value.shape is None for value in values):
        return [(values[0].dtype, None)]
    columns = zip(*(value.shape or () for value in values), strict=True)
    sizes: list[Size] = [next((size for size in column if size is not None), None) for column in columns]
    axis = options["axis"] % (len(sizes) + 1)
    return [(values[0].dtype, (*sizes[:axis], len(values), *sizes[axis:]))]


def unpack(operands: Operands, options: Options) -> Results:
    """Return one result for each index of an axis, without that axis."""
    x = operand_at(operands, 0)
    axis = options["axis"] % x.rank
    return [(x.dtype, tuple(s for i, s in enumerate(x.shape or ()) if i != axis))] * options["num"]


def split(operands: Operands, options: Options) -> Results:
    """Return equal parts along the axis that operand 0 tells."""
    x, axes, parts = operand_at(operands, 1), known_elements(operands[0]), options["num_splits"]
    if axes is None or x.shape is None:
        return [(x.dtype, None if x.shape is None else unknown(x.rank))] * parts
    axis = axes[0] % x.rank
    sizes = [None if s is None else s // parts if i == axis else s for i, s in enumerate(x.shape)]
    return [(x.dtype, tuple(sizes))] * parts


def split_v(operands: Operands, options: Options) -> Results:
    """Return parts of the sizes in operand 1 along the axis that operand 2 tells."""
    x, sizes, axes = operand_at(operands, 0), known_elements(operands[1]), known_elements(operands[2])
    if axes is None or x.shape is None:
        return [(x.dtype, None if x.shape is None else unknown(x.rank))] * options["num_splits"]
    axis = axes[0] % x.rank
    parts: Sequence[Size] = [None] * options["num_splits"] if sizes is None else _without_rest(sizes, x.shape[axis])
    return [(x.dtype, tuple(part if i == axis else s for i, s in enumerate(x.shape))) for part in parts]


def _without_rest(sizes: Sequence[int], total: Size) -> list[Size]:
    rest = None if total is None else total - sum(size for size in sizes if size != -1)
    return [rest if size == -1 else size for size in sizes]


def slice_(operands: Operands, _: Options) -> Results:
    """Return the sizes of operand 2; -1 reaches to the end."""
    x, begins, sizes = operand_at(operands, 0), known_elements(operands[1]), known_elements(operands[2])
    if x.shape is None or sizes is None:
        return [(x.dtype, None if x.shape is None else unknown(x.rank))]
    found = [
        size if size != -1 else None if full is None or begins is None else full - begins[i]
        for i, (size, full) in enumerate(zip(sizes, x.shape, strict=True))
    ]
    return [(x.dtype, tuple(found))]


def strided_slice(operands: Operands, options: Options) -> Results:
    """Return the shape that Python's slices would leave, without the axes of the shrink mask."""
    x = operand_at(operands, 0)
    begins, ends, strides = (known_elements(operands[i]) for i in (1, 2, 3))
    if x.shape is None:
        return [(x.dtype, None)]
    shrunk = options["shrink_axis_mask"]
    sizes: list[Size] = []
    for axis, full in enumerate(x.shape):
        if shrunk >> axis & 1:
            continue
        if full is None or strides is None or begins is None or ends is None:
            sizes.append(None)
            continue
        begin = None if options["begin_mask"] >> axis & 1 else begins[axis]
        end = None if options["end_mask"] >> axis & 1 else ends[axis]
        sizes.append(len(range(*slice(begin, end, strides[axis]).indices(full))))
    return [(x.dtype, tuple(sizes))]


def pad(operands: Operands, _: Options) -> Results:
    """Return the sizes of the operand with what operand 1 adds before and after."""
    x, amounts = operand_at(operands, 0), known_elements(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    if amounts is None:
        return [(x.dtype, unknown(x.rank))]
    sizes = [None if s is None else s + amounts[2 * i] + amounts[2 * i + 1] for i, s in enumerate(x.shape)]
    return [(x.dtype, tuple(sizes))]


def tile(operands: Operands, _: Options) -> Results:
    """Return the sizes of the operand times those of operand 1."""
    x, counts = operand_at(operands, 0), known_elements(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    if counts is None:
        return [(x.dtype, unknown(x.rank))]
    return [(x.dtype, tuple(None if s is None else s * n for s, n in zip(x.shape, counts, strict=True)))]


def broadcast_to(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 1 tells."""
    x, target = operand_at(operands, 0), operand_at(operands, 1)
    sizes = known_elements(target)
    return [(x.dtype, unknown(vector_length(target)) if sizes is None else tuple(sizes))]


def fill(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 0 tells."""
    target, value = operand_at(operands, 0), operand_at(operands, 1)
    sizes = known_elements(target)
    return [(value.dtype, unknown(vector_length(target)) if sizes is None else tuple(sizes))]


def shape(operands: Operands, options: Options) -> Results:
    """Return a result of as many elements as the operand has axes."""
    x = operand_at(operands, 0)
    return [(DType(options["out_type"]), (None if x.shape is None else x.rank,))]


def range_(operands: Operands, _: Options) -> Results:
    """Return a vector of unknown length."""
    return [(operand_at(operands, 0).dtype, (None,))]
