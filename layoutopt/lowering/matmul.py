"""Matrix products: FULLY_CONNECTED where the right side is one matrix, else BATCH_MATMUL."""

from __future__ import annotations

from math import prod

import numpy as np

from layoutopt.ir.dialect import DOMAIN, MATMUL_TRANSPOSED, Transposed, transposed_operand
from layoutopt.lowering.kernel_types import NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.shapes import broadcast


@lowers("MatMul", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def matmul(node: Node) -> Value:
    """Lower MatMul to one product; batches broadcast, a vector on either side gets an axis for the time being."""
    a, b = node[0], node[1]
    if a.rank > 1 and b.rank > 1:
        return product(a, b)
    left, right = (tfl.expand_dims(x, 0) if x.rank == 1 else x for x in (a, b))
    gone = [axis for axis, x in ((-2, a), (-1, b)) if x.rank == 1]
    return tfl.squeeze(product(left, right, transposed=b.rank == 1), gone)


@lowers(*MATMUL_TRANSPOSED.values(), domain=DOMAIN)
def matmul_transposed(node: Node) -> Value:
    """Lower MatMulTransposed and MatMulLeftTransposed to a product that reads one operand transposed."""
    if transposed_operand(node.operator) is Transposed.RIGHT:
        return product(node[0], node[1], transposed=True)
    a, b = node[0], node[1]
    if a.is_constant or not a.dtype.is_floating or max(a.rank, b.rank) > (definition("BATCH_MATMUL").max_rank or 0):
        return product(_swapped(a), b)
    return tfl.batch_matmul(a, b, adj_x=True)


@lowers("Gemm", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def gemm(node: Node) -> Value:
    """Lower Gemm to FULLY_CONNECTED with a bias; alpha and beta go into the constants."""
    a = tfl.transpose(node[0], (1, 0)) if node.integer("transA", 0) else node[0]
    b, transposed = _scaled(node[1], node.number("alpha", 1.0)), node.integer("transB", 0) == 1
    c = node.optional(2)
    if c is None:
        return product(a, b, transposed=transposed)
    c, columns = _scaled(c, node.number("beta", 1.0)), b.sizes[0 if transposed else 1]
    if a.dtype.is_floating and c.is_constant and c.sizes in ((), (1,), (1, 1), (columns,), (1, columns)):
        bias = Value.constant(np.broadcast_to(c.array.reshape(-1), (columns,)))
        return product(a, b, bias, transposed=transposed)
    return product(a, b, transposed=transposed) + c


def _scaled(operand: Value, factor: float) -> Value:
    return operand if factor == 1 else operand * factor


def product(a: Value, b: Value, bias: Value | None = None, *, transposed: bool = False) -> Value:
    """Record a matrix product of operands with two axes or more; of integers, which have no kernel, by MUL and SUM.

    Args:
        a: (..., rows, inner).
        b: (..., inner, columns), or (..., columns, inner) where ``transposed``.
        bias: of each column, where ``b`` is one matrix.
        transposed: as said of ``b``.
    """
    if not a.dtype.is_floating:
        right = _swapped(b) if transposed else b
        return tfl.sum_(tfl.expand_dims(a, -1) * tfl.expand_dims(right, -3), -2)
    if (matrix := _only_matrix(a, b)) is not None:
        weights = matrix if transposed else tfl.transpose(matrix, (1, 0))
        return tfl.fully_connected(a, weights, bias)
    if max(a.rank, b.rank) > (definition("BATCH_MATMUL").max_rank or 0):
        return _batched(a, b, transposed)
    return tfl.batch_matmul(a, b, adj_y=transposed)


def _swapped(x: Value) -> Value:
    return tfl.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _only_matrix(a: Value, b: Value) -> Value | None:
    """Return the right side as one matrix that all rows of ``a`` are multiplied by; None where there are several."""
    if b.rank == 2 and (b.is_constant or a.rank == 2):
        return b
    if b.is_constant and b.rank <= a.rank and all(size == 1 for size in b.sizes[:-2]):
        return tfl.reshape(b, b.sizes[-2:])
    return None


def _batched(a: Value, b: Value, transposed: bool) -> Value:
    """Record BATCH_MATMUL with all batches along one axis, for operands of more axes than it takes."""
    batch = broadcast(a.sizes[:-2], b.sizes[:-2])
    assert batch is not None
    sizes = [size for size in batch if size is not None]

    def merged(x: Value) -> Value:
        full = tfl.broadcast_to(x, (*sizes, *x.sizes[-2:]))
        return tfl.reshape(full, (prod(sizes), *x.sizes[-2:]))

    y = tfl.batch_matmul(merged(a), merged(b), adj_y=transposed)
    return tfl.reshape(y, (*sizes, *y.sizes[-2:]))
