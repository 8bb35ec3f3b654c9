"""Matrix products: FULLY_CONNECTED where one side is a constant matrix, else BATCH_MATMUL."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped, shape_of, type_of
from layoutopt.ir.dialect import DOMAIN, MATMUL_TRANSPOSED


@handles("MatMul")
def matmul(node: Node) -> Operand:
    """Batches broadcast; a vector on either side gets an axis for the time being."""
    a, b = node[0], node[1]
    a_shape, b_shape = shape_of(a), shape_of(b)
    if len(a_shape) > 1 and len(b_shape) > 1:
        return product(a, b)
    wide = reshaped(a, (1, *a_shape)) if len(a_shape) == 1 else a
    tall = reshaped(b, (*b_shape, 1)) if len(b_shape) == 1 else b
    rows = a_shape[:-1] if len(a_shape) > 1 else ()
    shape = (*rows, *b_shape[-1:]) if len(b_shape) > 1 else rows
    if len(a_shape) == 1 and len(b_shape) > 2:
        shape = (*b_shape[:-2], b_shape[-1])
    return tf.reshape(product(wide, tall), shape)


def product(a: Operand, b: Operand) -> Operand:
    """A matrix product; of integers, for which there is no kernel, by MUL and SUM."""
    if type_of(a).is_floating:
        return tf.matmul(a, b)
    return tf.reduce_sum(tf.expand_dims(a, -1) * tf.expand_dims(b, -3), -2)


@handles(*MATMUL_TRANSPOSED.values(), domain=DOMAIN)
def matmul_transposed(node: Node) -> Operand:
    """BATCH_MATMUL that reads its second operand transposed; a matrix is FULLY_CONNECTED's filter as it is."""
    return tf.matmul(node[0], node[1], transpose_b=True)


@handles("Gemm")
def gemm(node: Node) -> Operand:
    """One FULLY_CONNECTED with bias; alpha and beta go into the constants."""
    a = permuted(node[0], (1, 0)) if node.integer("transA", 0) else node[0]
    b = permuted(node[1], (1, 0)) if node.integer("transB", 0) else node[1]
    y = product(a, _scaled(b, node.number("alpha", 1.0)))
    c = node.optional(2)
    if c is None:
        return y
    c = _scaled(c, node.number("beta", 1.0))
    if isinstance(c, np.ndarray) and c.shape in ((), (1,), (1, 1), (1, shape_of(b)[1])):
        c = np.ascontiguousarray(np.broadcast_to(c.reshape(-1), shape_of(b)[1:]))  # a bias, which fuses
    return y + c


def _scaled(operand: Operand, factor: float) -> Operand:
    if factor == 1:
        return operand
    return operand * operand.dtype.type(factor) if isinstance(operand, np.ndarray) else operand * factor
