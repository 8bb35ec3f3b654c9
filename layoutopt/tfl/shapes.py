"""Types and shapes of the operators' results: what `layoutopt.tfl.opset` enters for each operator.

A rule gets the operands and the options, and returns the type and the shape of each result. Sizes that are known at
run time only are None; where a size follows from the elements of an operand that is no constant, it is None too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Shape, Size, Value

Operands: TypeAlias = "Sequence[Value | None]"
Options: TypeAlias = "Mapping[str, Any]"
Results: TypeAlias = "list[tuple[DType, Shape | None]]"
Rule: TypeAlias = "Callable[[Operands, Options], Results]"


class ShapeError(ValueError):
    """The operands do not fit one another."""


def _operand(operands: Operands, index: int) -> Value:
    operand = operands[index]
    assert operand is not None, f"operand {index} is missing"
    return operand


def integers(value: Value | None) -> list[int] | None:
    """Return the elements of a constant; None where they are known at run time only."""
    return None if value is None or value.data is None else [int(each) for each in value.data.reshape(-1)]


def broadcast(*shapes: Shape | None) -> Shape | None:
    """Return the shape that shapes broadcast to.

    Raises:
        ShapeError: they do not.
    """
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max((len(shape) for shape in known), default=0)
    columns = zip(*((1,) * (rank - len(shape)) + tuple(shape) for shape in known), strict=True)
    return tuple(_common(column, known) for column in columns)


def _common(sizes: Sequence[Size], shapes: Sequence[Shape]) -> Size:
    known = {size for size in sizes if size is not None and size != 1}
    if len(known) > 1:
        raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
    return known.pop() if known else None if None in sizes else 1


def _vector_length(value: Value) -> Size:
    """Return sizes that a vector of so many elements tells."""
    return None if value.shape is None else value.shape[0] if value.shape else 1


def _unknown(rank: Size) -> Shape | None:
    return None if rank is None else (None,) * rank


# --- elements ------------------------------------------------------------------------------------------------------


def same(operands: Operands, _: Options) -> Results:
    """Return the first operand's type and shape."""
    x = _operand(operands, 0)
    return [(x.dtype, x.shape)]


def elementwise(operands: Operands, _: Options) -> Results:
    """Return the shape to which all operands broadcast, and their one type."""
    given = [operand for operand in operands if operand is not None]
    _require_one_type(given)
    return [(given[0].dtype, broadcast(*(operand.shape for operand in given)))]


def _require_one_type(given: Sequence[Value]) -> None:
    if len({operand.dtype for operand in given}) > 1:
        raise TypeError(f"operands of different types: {', '.join(str(each.dtype) for each in given)}")


def comparison(operands: Operands, options: Options) -> Results:
    """As `elementwise`, and the result is BOOL."""
    ((_, shape),) = elementwise(operands, options)
    return [(DType.BOOL, shape)]


def select(operands: Operands, _: Options) -> Results:
    """Return a condition and two values of one type, which broadcast."""
    condition, one, other = (_operand(operands, i) for i in range(3))
    _require_one_type([one, other])
    return [(one.dtype, broadcast(condition.shape, one.shape, other.shape))]


def cast(operands: Operands, options: Options) -> Results:
    """Return the type that the options say."""
    return [(DType(options["out_data_type"]), _operand(operands, 0).shape)]


# --- shapes --------------------------------------------------------------------------------------------------------


def reshape(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 1 tells; a size of -1 follows from the rest."""
    x, target = _operand(operands, 0), _operand(operands, 1)
    sizes = integers(target)
    if sizes is None:
        return [(x.dtype, _unknown(_vector_length(target)))]
    if -1 in sizes:
        rest: Size = None
        if x.is_static:
            rest = x.count // max(prod(size for size in sizes if size != -1), 1)
        return [(x.dtype, tuple(rest if size == -1 else size for size in sizes))]
    return [(x.dtype, tuple(sizes))]


def squeeze(operands: Operands, options: Options) -> Results:
    """Without some axes of size 1."""
    x = _operand(operands, 0)
    if x.shape is None:
        return [(x.dtype, None)]
    dims = options["squeeze_dims"]
    gone = {int(axis) % x.rank for axis in dims} if dims is not None and len(dims) else None
    kept = [s for i, s in enumerate(x.shape) if (i not in gone if gone is not None else s != 1)]
    return [(x.dtype, tuple(kept))]


def expand_dims(operands: Operands, _: Options) -> Results:
    """Return one more axis of size 1."""
    x, axes = _operand(operands, 0), integers(operands[1])
    if x.shape is None or axes is None:
        return [(x.dtype, None)]
    sizes, axis = list(x.shape), axes[0] % (len(x.shape) + 1)
    return [(x.dtype, (*sizes[:axis], 1, *sizes[axis:]))]


def transpose(operands: Operands, _: Options) -> Results:
    """Return the sizes in the order of operand 1."""
    x, perm = _operand(operands, 0), integers(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    return [(x.dtype, _unknown(x.rank) if perm is None else tuple(x.shape[axis] for axis in perm))]


def concatenation(operands: Operands, options: Options) -> Results:
    """Return the sizes along one axis added up."""
    values = [_operand(operands, i) for i in range(len(operands))]
    _require_one_type(values)
    if any(value.shape is None for value in values):
        return [(values[0].dtype, None)]
    axis = options["axis"] % values[0].rank
    columns = list(zip(*(value.shape or () for value in values), strict=True))
    sizes: list[Size] = [next((size for size in column if size is not None), None) for column in columns]
    along = columns[axis]
    sizes[axis] = None if None in along else sum(size for size in along if size is not None)
    return [(values[0].dtype, tuple(sizes))]


def pack(operands: Operands, options: Options) -> Results:
    """Return one more axis."""
    values = [_operand(operands, i) for i in range(len(operands))]
    _require_one_type(values)
    if any(value.shape is None for value in values):
        return [(values[0].dtype, None)]
    columns = zip(*(value.shape or () for value in values), strict=True)
    sizes: list[Size] = [next((size for size in column if size is not None), None) for column in columns]
    axis = options["axis"] % (len(sizes) + 1)
    return [(values[0].dtype, (*sizes[:axis], len(values), *sizes[axis:]))]


def unpack(operands: Operands, options: Options) -> Results:
    """Return one result for each index of an axis, without that axis."""
    x = _operand(operands, 0)
    axis = options["axis"] % x.rank
    return [(x.dtype, tuple(s for i, s in enumerate(x.shape or ()) if i != axis))] * options["num"]


def split(operands: Operands, options: Options) -> Results:
    """Equal parts along the axis that operand 0 tells."""
    x, axes, parts = _operand(operands, 1), integers(operands[0]), options["num_splits"]
    if axes is None or x.shape is None:
        return [(x.dtype, None if x.shape is None else _unknown(x.rank))] * parts
    axis = axes[0] % x.rank
    sizes = [None if s is None else s // parts if i == axis else s for i, s in enumerate(x.shape)]
    return [(x.dtype, tuple(sizes))] * parts


def split_v(operands: Operands, options: Options) -> Results:
    """Return parts of the sizes in operand 1 along the axis that operand 2 tells."""
    x, sizes, axes = _operand(operands, 0), integers(operands[1]), integers(operands[2])
    if axes is None or x.shape is None:
        return [(x.dtype, None if x.shape is None else _unknown(x.rank))] * options["num_splits"]
    axis = axes[0] % x.rank
    parts: Sequence[Size] = [None] * options["num_splits"] if sizes is None else _without_rest(sizes, x.shape[axis])
    return [(x.dtype, tuple(part if i == axis else s for i, s in enumerate(x.shape))) for part in parts]


def _without_rest(sizes: Sequence[int], total: Size) -> list[Size]:
    rest = None if total is None else total - sum(size for size in sizes if size != -1)
    return [rest if size == -1 else size for size in sizes]


def slice_(operands: Operands, _: Options) -> Results:
    """Return the sizes of operand 2; -1 reaches to the end."""
    x, begins, sizes = _operand(operands, 0), integers(operands[1]), integers(operands[2])
    if x.shape is None or sizes is None:
        return [(x.dtype, None if x.shape is None else _unknown(x.rank))]
    found = [
        size if size != -1 else None if full is None or begins is None else full - begins[i]
        for i, (size, full) in enumerate(zip(sizes, x.shape, strict=True))
    ]
    return [(x.dtype, tuple(found))]


def strided_slice(operands: Operands, options: Options) -> Results:
    """Return the shape that Python's slices would leave, without the axes of the shrink mask."""
    x = _operand(operands, 0)
    begins, ends, strides = (integers(operands[i]) for i in (1, 2, 3))
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
    """Return sizes with what operand 1 adds before and after."""
    x, amounts = _operand(operands, 0), integers(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    if amounts is None:
        return [(x.dtype, _unknown(x.rank))]
    sizes = [None if s is None else s + amounts[2 * i] + amounts[2 * i + 1] for i, s in enumerate(x.shape)]
    return [(x.dtype, tuple(sizes))]


def tile(operands: Operands, _: Options) -> Results:
    """Return sizes times what operand 1 says."""
    x, counts = _operand(operands, 0), integers(operands[1])
    if x.shape is None:
        return [(x.dtype, None)]
    if counts is None:
        return [(x.dtype, _unknown(x.rank))]
    return [(x.dtype, tuple(None if s is None else s * n for s, n in zip(x.shape, counts, strict=True)))]


def broadcast_to(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 1 tells."""
    x, target = _operand(operands, 0), _operand(operands, 1)
    sizes = integers(target)
    return [(x.dtype, _unknown(_vector_length(target)) if sizes is None else tuple(sizes))]


def fill(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 0 tells."""
    target, value = _operand(operands, 0), _operand(operands, 1)
    sizes = integers(target)
    return [(value.dtype, _unknown(_vector_length(target)) if sizes is None else tuple(sizes))]


def shape(operands: Operands, options: Options) -> Results:
    """As many elements as the operand has axes."""
    x = _operand(operands, 0)
    return [(DType(options["out_type"]), (None if x.shape is None else x.rank,))]


def range_(operands: Operands, _: Options) -> Results:
    """Return a vector of unknown length."""
    return [(_operand(operands, 0).dtype, (None,))]


# --- indices -------------------------------------------------------------------------------------------------------


def gather(operands: Operands, options: Options) -> Results:
    """Return the indices' axes instead of one axis."""
    x, index = _operand(operands, 0), _operand(operands, 1)
    if x.shape is None or index.shape is None:
        return [(x.dtype, None)]
    axis, batch = options["axis"] % x.rank, options["batch_dims"]
    return [(x.dtype, (*x.shape[:axis], *index.shape[batch:], *x.shape[axis + 1 :]))]


def gather_nd(operands: Operands, _: Options) -> Results:
    """Return the last axis of the indices tells places."""
    x, index = _operand(operands, 0), _operand(operands, 1)
    if x.shape is None or index.shape is None or index.shape[-1] is None:
        return [(x.dtype, None)]
    return [(x.dtype, (*index.shape[:-1], *x.shape[index.shape[-1] :]))]


def scatter_nd(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 2 tells."""
    updates, target = _operand(operands, 1), _operand(operands, 2)
    sizes = integers(target)
    return [(updates.dtype, _unknown(_vector_length(target)) if sizes is None else tuple(sizes))]


def segments(operands: Operands, _: Options) -> Results:
    """As many rows as operand 2 says."""
    x, index, count = _operand(operands, 0), _operand(operands, 1), integers(operands[2])
    if x.shape is None or index.shape is None:
        return [(x.dtype, None)]
    return [(x.dtype, (None if count is None else count[0], *x.shape[index.rank :]))]


def one_hot(operands: Operands, options: Options) -> Results:
    """Return one more axis, as long as operand 1 says."""
    index, depth, on = _operand(operands, 0), integers(operands[1]), _operand(operands, 2)
    if index.shape is None:
        return [(on.dtype, None)]
    axis = options["axis"] % (index.rank + 1)
    return [(on.dtype, (*index.shape[:axis], None if depth is None else depth[0], *index.shape[axis:]))]


def where(operands: Operands, _: Options) -> Results:
    """Return a row of coordinates for each element that holds."""
    x = _operand(operands, 0)
    return [(DType.INT64, (None, None if x.shape is None else x.rank))]


def unique(operands: Operands, options: Options) -> Results:
    """Return values of unknown number, and the place of each element among them."""
    x = _operand(operands, 0)
    return [(x.dtype, (None,)), (DType(options["idx_out_type"]), x.shape)]


def top_k(operands: Operands, _: Options) -> Results:
    """Return the last axis as long as operand 1 says."""
    x, count = _operand(operands, 0), integers(operands[1])
    found = None if x.shape is None else (*x.shape[:-1], None if count is None else count[0])
    return [(x.dtype, found), (DType.INT32, found)]


def non_max_suppression(operands: Operands, _: Options) -> Results:
    """Return indices of the selected boxes, and how many they are."""
    count = integers(operands[2])
    return [(DType.INT32, (None if count is None else count[0],)), (DType.INT32, ())]


# --- reductions and products ---------------------------------------------------------------------------------------


def reduction(operands: Operands, options: Options) -> Results:
    """Without the axes of operand 1, or with size 1 there."""
    x, axes, keep = _operand(operands, 0), integers(operands[1]), options["keep_dims"]
    if x.shape is None:
        return [(x.dtype, None)]
    if axes is None:
        return [(x.dtype, _unknown(x.rank) if keep else None)]
    gone = {axis % max(x.rank, 1) for axis in axes}
    return [(x.dtype, tuple(1 if i in gone else s for i, s in enumerate(x.shape) if keep or i not in gone))]


def arg_extreme(operands: Operands, options: Options) -> Results:
    """Without the axis that operand 1 tells."""
    x, axes = _operand(operands, 0), integers(operands[1])
    if x.shape is None or axes is None:
        return [(DType(options["output_type"]), None)]
    axis = axes[0] % x.rank
    return [(DType(options["output_type"]), tuple(s for i, s in enumerate(x.shape) if i != axis))]


def batch_matmul(operands: Operands, options: Options) -> Results:
    """Return rows of the first, columns of the second; other axes broadcast."""
    a, b = _operand(operands, 0), _operand(operands, 1)
    _require_one_type([a, b])
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
    """Return the operand's shape with the last axis as long as the weights (out, in) have rows."""
    x, weights = _operand(operands, 0), _operand(operands, 1)
    if x.shape is None or weights.shape is None:
        return [(x.dtype, None)]
    out, inner = weights.shape
    if options["keep_num_dims"] or len(x.shape) == 2:
        _require_equal(x.shape[-1], inner, x, weights)
        return [(x.dtype, (*x.shape[:-1], out))]
    rows = x.count // inner if x.is_static and inner else None
    return [(x.dtype, (rows, out))]


# --- windows -------------------------------------------------------------------------------------------------------


def _windows(size: Size, kernel: Size, stride: int, dilation: int, padding: str) -> Size:
    if size is None or kernel is None:
        return None
    if padding == "SAME":
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def conv_2d(operands: Operands, options: Options) -> Results:
    """Filters are (out, height, width, in / groups)."""
    x, filters = _operand(operands, 0), _operand(operands, 1)
    (batch, *sizes, _), (out, *kernel, _) = _known(x), _known(filters)
    return [(x.dtype, (batch, *_plane(sizes, kernel, options), out))]


def depthwise_conv_2d(operands: Operands, options: Options) -> Results:
    """Filters are (1, height, width, out)."""
    x, filters = _operand(operands, 0), _operand(operands, 1)
    (batch, *sizes, _), (_, *kernel, out) = _known(x), _known(filters)
    return [(x.dtype, (batch, *_plane(sizes, kernel, options), out))]


def _plane(sizes: Sequence[Size], kernel: Sequence[Size], options: Options) -> list[Size]:
    return [
        _windows(
            size, kernel[i], options[f"stride_{axis}"], options.get(f"dilation_{axis}_factor", 1), options["padding"]
        )
        for i, (axis, size) in enumerate(zip("hw", sizes, strict=True))
    ]


def _known(value: Value) -> Shape:
    assert value.shape is not None, "the rank of a picture is known"
    return value.shape


def pool_2d(operands: Operands, options: Options) -> Results:
    """Return the shape after a window whose size is in the options."""
    x = _operand(operands, 0)
    batch, *sizes, channels = _known(x)
    kernel = (options["filter_height"], options["filter_width"])
    return [(x.dtype, (batch, *_plane(sizes, kernel, options), channels))]


def conv_3d(operands: Operands, options: Options) -> Results:
    """Filters are (depth, height, width, in / groups, out)."""
    x, filters = _operand(operands, 0), _operand(operands, 1)
    (batch, *sizes, _), (*kernel, _, out) = _known(x), _known(filters)
    found = [
        _windows(size, kernel[i], options[f"stride_{axis}"], options[f"dilation_{axis}_factor"], options["padding"])
        for i, (axis, size) in enumerate(zip("dhw", sizes, strict=True))
    ]
    return [(x.dtype, (batch, *found, out))]


def transpose_conv(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 0 tells."""
    target, x = _operand(operands, 0), _operand(operands, 2)
    sizes = integers(target)
    return [(x.dtype, (None,) * x.rank if sizes is None else tuple(sizes))]


def resize(operands: Operands, _: Options) -> Results:
    """Return height and width as operand 1 says."""
    x, sizes = _operand(operands, 0), integers(operands[1])
    batch, *plane, channels = _known(x)
    return [(x.dtype, (batch, *([None] * len(plane) if sizes is None else sizes), channels))]


def depth_to_space(operands: Operands, options: Options) -> Results:
    """Return blocks of channels become blocks of a picture."""
    x, block = _operand(operands, 0), options["block_size"]
    batch, height, width, channels = _known(x)
    return [(x.dtype, (batch, _times(height, block), _times(width, block), _over(channels, block * block)))]


def space_to_depth(operands: Operands, options: Options) -> Results:
    """Return blocks of a picture become blocks of channels."""
    x, block = _operand(operands, 0), options["block_size"]
    batch, height, width, channels = _known(x)
    return [(x.dtype, (batch, _over(height, block), _over(width, block), _times(channels, block * block)))]


def _times(size: Size, factor: int) -> Size:
    return None if size is None else size * factor


def _over(size: Size, factor: int) -> Size:
    return None if size is None else size // factor
