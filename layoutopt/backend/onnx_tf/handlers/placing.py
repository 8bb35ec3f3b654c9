"""Operators that put elements back where windows were: MaxUnpool and Col2Im."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.indexing import overwritten, to_int32
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped


@handles("MaxUnpool")
def max_unpool(node: Node) -> Operand:
    """Writes elements."""
    shape, rank, kernel = node.shape, len(node.shape) - 2, node.ints("kernel_shape") or []
    strides, pads = node.ints("strides") or [1] * rank, node.ints("pads") or [0] * 2 * rank
    sizes = [(size - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i] for i, size in enumerate(shape[2:])]
    full, count = (*shape[:2], *sizes), int(np.prod(shape))
    nothing = np.zeros((int(np.prod(full)), 1), np.float32)
    if (node.optional_ints(2) or list(full)) != list(full):
        raise node.unsupported(
            f"ONNX Runtime and ONNX differ in where indices lie in an output_shape other than {list(full)}: "
            "leave it out, and pad the result"
        )
    y = overwritten(nothing, reshaped(to_int32(node[1]), (count,)), reshaped(node.x, (count, 1)))
    return tf.reshape(y, full)


@handles("Col2Im")
def col2im(node: Node) -> Operand:
    """SCATTER_ND, which adds up what falls on one place."""
    image, block = node.optional_ints(1) or [], node.optional_ints(2) or []
    rank = len(image)
    strides, dilations = node.ints("strides") or [1] * rank, node.ints("dilations") or [1] * rank
    pads = node.ints("pads") or [0] * 2 * rank
    padded = [size + pads[i] + pads[rank + i] for i, size in enumerate(image)]
    counts = [(size - (block[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i, size in enumerate(padded)]
    elements = np.indices(block).reshape(rank, -1, 1) * np.reshape(dilations, (rank, 1, 1))
    windows = np.indices(counts).reshape(rank, 1, -1) * np.reshape(strides, (rank, 1, 1))
    places = np.ravel_multi_index(tuple(elements + windows), padded).reshape(-1, 1).astype(np.int32)
    batch, channels = node.shape[0], node.shape[1] // int(np.prod(block))
    columns = reshaped(node.x, (batch * channels, len(places)))
    total = tf.scatter_nd(places, permuted(columns, (1, 0)), [int(np.prod(padded)), batch * channels])
    y = tf.reshape(tf.transpose(total), [batch, channels, *padded])
    inside = tuple(slice(pads[i], pads[i] + size) for i, size in enumerate(image))
    return y[(slice(None), slice(None), *inside)] if any(pads) else y
