"""Einsum by TRANSPOSE, RESHAPE, SUM and BATCH_MATMUL: operand by operand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod

import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.matmul import product
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped, shape_of, type_of

_SPARE = "0123456789"
"""Letters for the axes that an ellipsis stands for: no equation can have them."""


@handles("Einsum")
def einsum(node: Node) -> Operand:
    """The operands are multiplied from left to right; an index is summed over as soon as nobody asks for it again."""
    terms, result = _parsed(node)
    if _is_one_product(terms, result) and type_of(node.x).is_floating:
        left, right = terms
        return tf.einsum(f"{left.indices},{right.indices}->{result}", left.x, right.x)
    while len(terms) > 1:
        left, right, *rest = terms
        asked = set(result).union(*(term.indices for term in rest))
        terms = [_multiplied(left, right, asked), *rest]
    return terms[0].summed(set(result)).in_order(result)


def _is_one_product(terms: list[_Term], result: str) -> bool:
    """What the TFLite converter makes of one matrix product by itself: two operands, with nothing else to sum over."""
    if len(terms) != 2 or not (terms[0].indices + terms[1].indices).isalpha():
        return False
    left, right = (set(term.indices) for term in terms)
    alone = left - right, right - left
    return all(alone) and (left ^ right) <= set(result) and bool((left & right) - set(result))


@dataclass(frozen=True, slots=True)
class _Term:
    """An operand with a letter for each axis, no letter twice."""

    x: Operand
    indices: str

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.indices, shape_of(self.x), strict=True))

    def summed(self, asked: set[str]) -> _Term:
        """Without the indices that nobody asks for."""
        gone = [axis for axis, index in enumerate(self.indices) if index not in asked]
        if not gone:
            return self
        return _Term(tf.reduce_sum(self.x, gone), "".join(index for index in self.indices if index in asked))

    def in_order(self, indices: str) -> Operand:
        perm = tuple(self.indices.index(index) for index in indices)
        return self.x if perm == tuple(range(len(perm))) else permuted(self.x, perm)


def _parsed(node: Node) -> tuple[list[_Term], str]:
    equation = node.text("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    spread = [
        len(operand.shape) - len(term.replace("...", "")) for operand, term in zip(node.given, terms, strict=True)
    ]
    most = max((count for count, term in zip(spread, terms, strict=True) if "..." in term), default=0)
    if not arrow:
        letters = sorted(set(left) - set(",."))
        result = ("..." if "..." in left else "") + "".join(each for each in letters if left.count(each) == 1)
    named = [
        _without_twins(operand, term.replace("...", _SPARE[most - count : most]))
        for operand, term, count in zip(node.given, terms, spread, strict=True)
    ]
    return named, result.replace("...", _SPARE[:most])


def _without_twins(x: Operand, indices: str) -> _Term:
    """The diagonal along axes of the same letter: every (n + 1)-th element of both axes as one."""
    twin = next((index for index in indices if indices.count(index) > 1), None)
    if twin is None:
        return _Term(x, indices)
    first = indices.index(twin)
    second = indices.index(twin, first + 1)
    others = [axis for axis in range(len(indices)) if axis not in (first, second)]
    shape = shape_of(x)
    size = shape[first]
    rows = reshaped(permuted(x, (*others, first, second)), (*(shape[axis] for axis in others), size * size))
    return _without_twins(rows[..., :: size + 1], "".join(indices[axis] for axis in others) + twin)


def _multiplied(left: _Term, right: _Term, asked: set[str]) -> _Term:
    """One matrix product per element of what both have and somebody asks for."""
    left = left.summed(asked | set(right.indices))
    right = right.summed(asked | set(left.indices))
    both = [index for index in left.indices if index in right.indices]
    sizes = {**left.sizes, **right.sizes, **{index: max(left.sizes[index], right.sizes[index]) for index in both}}
    batch = "".join(index for index in both if index in asked)
    inner = "".join(index for index in both if index not in asked)
    rows = "".join(index for index in left.indices if index not in both)
    columns = "".join(index for index in right.indices if index not in both)

    def grouped(term: _Term, *groups: str) -> Operand:
        shape = tuple(sizes[index] for group in groups for index in group)
        x = term.in_order("".join(groups))
        x = x if shape_of(x) == shape else tf.broadcast_to(x, shape)  # an ellipsis broadcasts
        return reshaped(x, tuple(prod(sizes[index] for index in group) for group in groups))

    y = product(grouped(left, batch, rows, inner), grouped(right, batch, inner, columns))
    indices = batch + rows + columns
    return _Term(reshaped(y, tuple(sizes[index] for index in indices)), indices)


@handles("Det")
def determinant(node: Node) -> Operand:
    """By minors, for matrices of up to 4 rows: TFLite has no kernel, and more rows would take too many operators."""
    rows = node.shape[-1]
    if rows > 4:
        raise node.unsupported(f"a determinant of {rows} rows: TFLite has no kernel, and minors are for 4 at most")
    return _by_minors([[node.x[..., i, j] for j in range(rows)] for i in range(rows)])


def _by_minors(matrix: list[list[Operand]]) -> Operand:
    if len(matrix) == 1:
        return matrix[0][0]
    parts = [
        head * _by_minors([row[:column] + row[column + 1 :] for row in matrix[1:]])
        for column, head in enumerate(matrix[0])
    ]
    return reduce(tf.add, parts[::2]) - reduce(tf.add, parts[1::2])
