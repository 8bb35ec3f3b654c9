"""Operators that put elements back where windows were: MaxUnpool and Col2Im."""

from __future__ import annotations

from math import prod

import numpy as np

from layoutopt.lowering.indexing import overwrite_rows
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value


@lowers("MaxUnpool")
def max_unpool(node: Node) -> Value:
    """Lower MaxUnpool to elements that are written over zeros."""
    shape, rank, kernel = node.shape, len(node.shape) - 2, node.ints("kernel_shape") or []
    strides, pads = node.ints("strides") or [1] * rank, node.ints("pads") or [0] * 2 * rank
    sizes = [(size - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i] for i, size in enumerate(shape[2:])]
    full, count = (*shape[:2], *sizes), prod(shape)
    if (node.optional_ints(2) or list(full)) != list(full):
        raise node.unsupported(
            f"ONNX Runtime and ONNX differ in where indices lie in an output_shape other than {list(full)}: "
            "leave it out, and pad the result"
        )
    places, updates = tfl.reshape(tfl.int32(node[1]), (count,)), tfl.reshape(node.x, (count, 1))
    y = overwrite_rows(tfl.full((prod(full), 1), 0, node.x.dtype), places, updates)
    return tfl.reshape(y, full)


@lowers("Col2Im")
def col2im(node: Node) -> Value:
    """Lower Col2Im to SCATTER_ND, which adds up what falls on one place."""
    image, block = node.optional_ints(1) or [], node.optional_ints(2) or []
    rank = len(image)
    strides, dilations = node.ints("strides") or [1] * rank, node.ints("dilations") or [1] * rank
    pads = node.ints("pads") or [0] * 2 * rank
    padded = [size + pads[i] + pads[rank + i] for i, size in enumerate(image)]
    counts = [(size - (block[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i, size in enumerate(padded)]
    elements = np.indices(block).reshape(rank, -1, 1) * np.reshape(dilations, (rank, 1, 1))
    windows = np.indices(counts).reshape(rank, 1, -1) * np.reshape(strides, (rank, 1, 1))
    places = np.ravel_multi_index(tuple(elements + windows), padded).reshape(-1, 1).astype(np.int32)
    batch, channels = node.shape[0], node.shape[1] // prod(block)
    columns = tfl.transpose(tfl.reshape(node.x, (batch * channels, len(places))), (1, 0))
    total = tfl.scatter_nd(places, columns, [prod(padded), batch * channels])
    y = tfl.reshape(tfl.transpose(total, (1, 0)), [batch, channels, *padded])
    inside = tuple(slice(pads[i], pads[i] + size) for i, size in enumerate(image))
    return y[(slice(None), slice(None), *inside)]
