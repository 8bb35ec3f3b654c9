"""Padding that the windowed operator after it does by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layoutopt.options import FOLD_LIMIT
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Operation, Value
from layoutopt.tfl.rewrites.bias import add_bias, channel_constant
from layoutopt.tfl.rewrites.engine import Uses, record_again, rule


@rule("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D")
def fuse_padding(operation: Operation, uses: Uses) -> Value | None:
    """Make PAD before a VALID window over height and width its SAME where both add as much on each side.

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
    """Fuse as `fuse_padding` does, where SAME adds as much at any size of the input: without strides."""
    unstrided = operation.options["stride_h"] == operation.options["stride_w"] == 1
    return fuse_padding.rewrite(operation, uses) if unstrided else None


_PICTURE = 4
"""Channels of a picture at most."""


@rule("CONV_2D")
def pad_with_mean(operation: Operation, uses: Uses) -> Value | None:
    """Replace ``conv(pad(x + c))`` of an image by ``conv(pad_c(x)) + conv(c)``: a border of ``-c`` and one more bias.

    A constant for all channels takes PADV2. One for each is more than that operator knows: the picture is written into
    a frame of constants, where that is small. A bias of the border would be a constant of the size of the result, and
    an operator more.
    """
    padding = uses.producer(operation[0], "PAD")
    shift = None if padding is None else uses.producer(padding[0], "ADD", "SUB")
    if padding is None or shift is None or operation.options["padding"] != "VALID" or operation[1].data is None:
        return None
    term = channel_constant(shift[1], shift.result)
    amounts, sizes, x = padding[1].data, padding.result.shape, shift[0]
    if (
        term is None
        or amounts is None
        or sizes is None
        or None in sizes
        or len(sizes) != 4
        or x.dtype is not DType.FLOAT32
    ):
        return None
    channels = len(term)
    if channels > _PICTURE or operation[1].sizes[3] != channels or x.shape != shift.result.shape:
        return None
    if shift.options["fused_activation_function"] != "NONE" or amounts[[0, 3]].any():
        return None
    term = term if shift.code == "ADD" else -term
    if (term == term[0]).all():
        padded = tfl.pad(x, amounts, -term[0])
    else:
        frame = np.broadcast_to(-term, padding.result.sizes)
        if frame.nbytes > FOLD_LIMIT:
            return None
        padded = tfl.dynamic_update_slice(frame, x, Value.constant(amounts[:, 0].astype(np.int32)))
    shifted = np.einsum("ohwi,i->o", operation[1].data.astype(np.float64), term.astype(np.float64))
    return add_bias(operation, shifted.astype(np.float32), padded)


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
