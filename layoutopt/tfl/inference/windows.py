"""Types and shapes of the results of operators that slide a window over an image, and of resampling."""

from __future__ import annotations

from collections.abc import Sequence

from layoutopt.tfl.graph import Shape, Size, Value
from layoutopt.tfl.shapes import Operands, Options, Results, known_elements, operand_at


def _windows(size: Size, kernel: Size, stride: int, dilation: int, padding: str) -> Size:
    if size is None or kernel is None:
        return None
    if padding == "SAME":
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def conv_2d(operands: Operands, options: Options) -> Results:
    """Return the result for filters of shape (out, height, width, in / groups)."""
    x, filters = operand_at(operands, 0), operand_at(operands, 1)
    (batch, *sizes, _), (out, *kernel, _) = _known(x), _known(filters)
    return [(x.dtype, (batch, *_plane(sizes, kernel, options), out))]


def depthwise_conv_2d(operands: Operands, options: Options) -> Results:
    """Return the result for filters of shape (1, height, width, out)."""
    x, filters = operand_at(operands, 0), operand_at(operands, 1)
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
    """Return the result for the size of the window that the options have."""
    x = operand_at(operands, 0)
    batch, *sizes, channels = _known(x)
    kernel = (options["filter_height"], options["filter_width"])
    return [(x.dtype, (batch, *_plane(sizes, kernel, options), channels))]


def conv_3d(operands: Operands, options: Options) -> Results:
    """Return the result for filters of shape (depth, height, width, in / groups, out)."""
    x, filters = operand_at(operands, 0), operand_at(operands, 1)
    (batch, *sizes, _), (*kernel, _, out) = _known(x), _known(filters)
    found = [
        _windows(size, kernel[i], options[f"stride_{axis}"], options[f"dilation_{axis}_factor"], options["padding"])
        for i, (axis, size) in enumerate(zip("dhw", sizes, strict=True))
    ]
    return [(x.dtype, (batch, *found, out))]


def transpose_conv(operands: Operands, _: Options) -> Results:
    """Return the shape that operand 0 tells."""
    target, x = operand_at(operands, 0), operand_at(operands, 2)
    sizes = known_elements(target)
    return [(x.dtype, (None,) * x.rank if sizes is None else tuple(sizes))]


def resize(operands: Operands, _: Options) -> Results:
    """Return the shape of the operand with the height and width of operand 1."""
    x, sizes = operand_at(operands, 0), known_elements(operands[1])
    batch, *plane, channels = _known(x)
    return [(x.dtype, (batch, *([None] * len(plane) if sizes is None else sizes), channels))]


def depth_to_space(operands: Operands, options: Options) -> Results:
    """Return the shape of a picture whose blocks were channels."""
    x, block = operand_at(operands, 0), options["block_size"]
    batch, height, width, channels = _known(x)
    return [(x.dtype, (batch, _times(height, block), _times(width, block), _over(channels, block * block)))]


def space_to_depth(operands: Operands, options: Options) -> Results:
    """Return the shape of a picture whose channels were blocks."""
    x, block = operand_at(operands, 0), options["block_size"]
    batch, height, width, channels = _known(x)
    return [(x.dtype, (batch, _over(height, block), _over(width, block), _times(channels, block * block)))]


def _times(size: Size, factor: int) -> Size:
    return None if size is None else size * factor


def _over(size: Size, factor: int) -> Size:
    return None if size is None else size // factor
