"""Padding that the windowed operator after it does by itself."""

from __future__ import annotations

from collections.abc import Sequence

from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule


@rule("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D")
def fuse_padding(operation: Operation, uses: Uses) -> Value | None:
    """PAD before a VALID window over height and width is its SAME where both add as much on each side.

    Of MAX_POOL_2D it is PADV2 with the least number, which SAME leaves out.
    """
    is_pool = operation.code == "MAX_POOL_2D"
    padding = uses.producer(operation[0], "PADV2" if is_pool else "PAD")
    if padding is None or operation.options["padding"] != "VALID" or padding[1].data is None:
        return None
    if is_pool and not _is_least(padding[2]):
        return None
    source, amounts = padding[0], padding[1].array
    if not source.is_static or amounts[[0, 3]].any() or not _is_same(source.sizes[1:3], amounts[1:3], operation):
        return None
    return record_again(operation, source, *operation.operands[1:], padding="SAME")


@rule("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D")
def fuse_unstrided_padding(operation: Operation, uses: Uses) -> Value | None:
    """As `fuse_padding`, where SAME adds as much at any size of the input: without strides."""
    unstrided = operation.options["stride_h"] == operation.options["stride_w"] == 1
    return fuse_padding.rewrite(operation, uses) if unstrided else None


def _is_least(value: Value) -> bool:
    return value.data is not None and float(value.data.item()) <= value.dtype.min


def _is_same(sizes: Sequence[int], amounts: Array, operation: Operation) -> bool:
    """Return whether SAME adds these amounts before and after height and width."""
    options = operation.options
    if operation.code == "MAX_POOL_2D":
        kernel: Sequence[int] = (options["filter_height"], options["filter_width"])
    else:
        kernel = operation[1].sizes[1:3]
    for axis, size, (before, after), extent in zip("hw", sizes, amounts.tolist(), kernel, strict=True):
        stride, dilation = options[f"stride_{axis}"], options.get(f"dilation_{axis}_factor", 1)
        total = max((-(-size // stride) - 1) * stride + (extent - 1) * dilation + 1 - size, 0)
        if (before, after) != (total // 2, total - total // 2):
            return False
    return True
