"""Einsum by TRANSPOSE, RESHAPE, SUM and matrix products, operand by operand; Det by minors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod

from layoutopt.lowering.kernel_types import FLOATS, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.matmul import product
from layoutopt.lowering.node import Node, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.graph import Value

_SPARE = "0123456789"
"""Letters for the axes that an ellipsis stands for: no equation can have them."""
_MAX_BATCH_AXES = 3
"""That a BATCH_MATMUL takes besides those of its matrices."""
_MAX_DET_ROWS = 4


@lowers("Einsum", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def einsum(node: Node) -> Value:
    """Lower Einsum: operands are multiplied from left to right; what nobody asks for again is summed over at once."""
    terms, result = _parsed(node)
    while len(terms) > 1:
        left, right, *rest = terms
        asked = set(result).union(*(term.indices for term in rest))
        terms = [_multiplied(left, right, asked), *rest]
    return terms[0].summed(set(result)).in_order(result)


@dataclass(frozen=True, slots=True)
class _Term:
    """An operand with a letter for each axis, no letter twice."""

    x: Value
    indices: str

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(self.indices, self.x.sizes, strict=True))

    def summed(self, asked: set[str]) -> _Term:
        """Return the term without the indices that nobody asks for."""
        gone = [axis for axis, index in enumerate(self.indices) if index not in asked]
        if not gone:
            return self
        return _Term(tfl.sum_(self.x, gone), "".join(index for index in self.indices if index in asked))

    def in_order(self, indices: str) -> Value:
        """Return the operand with its axes in the order of ``indices``."""
        return tfl.transpose(self.x, [self.indices.index(index) for index in indices])


def _parsed(node: Node) -> tuple[list[_Term], str]:
    """Return the operands with their letters, and the letters of the result."""
    equation = node.text("equation", "").replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    spread = [operand.rank - len(term.replace("...", "")) for operand, term in zip(node.given, terms, strict=True)]
    most = max((count for count, term in zip(spread, terms, strict=True) if "..." in term), default=0)
    if not arrow:
        letters = sorted(set(left) - set(",."))
        result = ("..." if "..." in left else "") + "".join(each for each in letters if left.count(each) == 1)
    named = [
        _without_twins(operand, term.replace("...", _SPARE[most - count : most]))
        for operand, term, count in zip(node.given, terms, spread, strict=True)
    ]
    return named, result.replace("...", _SPARE[:most])


def _without_twins(x: Value, indices: str) -> _Term:
    """Return the diagonal along axes of the same letter: every (n + 1)-th element of both axes as one."""
    twin = next((index for index in indices if indices.count(index) > 1), None)
    if twin is None:
        return _Term(x, indices)
    first = indices.index(twin)
    second = indices.index(twin, first + 1)
    others = [axis for axis in range(len(indices)) if axis not in (first, second)]
    size = x.sizes[first]
    rows = tfl.reshape(tfl.transpose(x, (*others, first, second)), (*(x.sizes[axis] for axis in others), size * size))
    return _without_twins(rows[..., :: size + 1], "".join(indices[axis] for axis in others) + twin)


@dataclass(frozen=True, slots=True)
class _Roles:
    """The role of each index in a product of two terms.

    Attributes:
        batch: both have it, and somebody asks for it.
        inner: both have it, and nobody asks for it.
        rows: the left one has it alone.
        columns: the right one has it alone.
        sizes: by index; where an ellipsis broadcasts, the larger one.
    """

    batch: str
    inner: str
    rows: str
    columns: str
    sizes: Mapping[str, int]

    @staticmethod
    def of(left: _Term, right: _Term, asked: set[str]) -> _Roles:
        """Sort the indices of two terms."""
        both = [index for index in left.indices if index in right.indices]
        larger = {index: max(left.sizes[index], right.sizes[index]) for index in both}
        return _Roles(
            batch="".join(index for index in both if index in asked),
            inner="".join(index for index in both if index not in asked),
            rows="".join(index for index in left.indices if index not in both),
            columns="".join(index for index in right.indices if index not in both),
            sizes={**left.sizes, **right.sizes, **larger},
        )

    @property
    def batches(self) -> list[str]:
        """Return the axes for batches, as many as BATCH_MATMUL takes besides those of its matrices."""
        return [*self.batch] if len(self.batch) <= _MAX_BATCH_AXES else [self.batch]


def _multiplied(left: _Term, right: _Term, asked: set[str]) -> _Term:
    """Return the product of two terms, summed over what nobody asks for."""
    left = left.summed(asked | set(right.indices))
    right = right.summed(asked | set(left.indices))
    roles = _Roles.of(left, right, asked)
    if left.x.is_constant and not roles.batch:  # constants on the right are weights
        left, right, roles = right, left, replace(roles, rows=roles.columns, columns=roles.rows)
    y = _matrix_product(left, right, roles) if roles.inner else _outer_product(left, right, roles)
    indices = roles.batch + roles.rows + roles.columns
    return _Term(tfl.reshape(y, [roles.sizes[index] for index in indices]), indices)


def _matrix_product(left: _Term, right: _Term, roles: _Roles) -> Value:
    """Record one matrix product per batch."""
    batches, inner, columns = roles.batches, roles.inner, roles.columns
    transposed = right.indices == roles.batch + columns + inner and bool(columns)
    # Without batches the rows may keep their axes where the right side is one matrix.
    rows = [*roles.rows] if not batches and right.x.is_constant else [roles.rows]
    return product(
        _grouped(left, [*batches, *rows, inner], roles),
        _grouped(right, [*batches, *((columns, inner) if transposed else (inner, columns))], roles),
        transposed=transposed,
    )


def _outer_product(left: _Term, right: _Term, roles: _Roles) -> Value:
    """Record MUL of the left term along the rows and the right one along the columns."""
    pairs = [each for each in ((roles.rows, ""), ("", roles.columns)) if any(each)]
    wide = _grouped(left, [*roles.batch, *(row for row, _ in pairs)], roles)
    tall = _grouped(right, [*roles.batch, *(column for _, column in pairs)], roles)
    return wide * tall


def _grouped(term: _Term, groups: Sequence[str], roles: _Roles) -> Value:
    """Return the operand with an axis for each group of indices; what broadcasts within a group is repeated."""
    own = term.sizes
    alone = {group for group in groups if len(group) == 1 and group in roles.batch}  # these broadcast by themselves
    full = [own[index] if index in alone else roles.sizes[index] for group in groups for index in group]
    x = tfl.broadcast_to(term.in_order("".join(groups)), full)
    sizes = iter(full)
    return tfl.reshape(x, [prod(next(sizes) for _ in group) for group in groups])


@lowers("Det", types=FLOATS)
def determinant(node: Node) -> Value:
    """Lower Det, which has no kernel, to minors; more than a few rows would take too many operators."""
    rows = node.shape[-1]
    if rows > _MAX_DET_ROWS:
        raise node.unsupported(
            f"a determinant of {rows} rows: LiteRT has no kernel, and minors are for {_MAX_DET_ROWS} at most"
        )
    return _by_minors([[node.x[..., i, j] for j in range(rows)] for i in range(rows)])


def _by_minors(matrix: list[list[Value]]) -> Value:
    if len(matrix) == 1:
        return matrix[0][0]
    parts = [
        head * _by_minors([row[:column] + row[column + 1 :] for row in matrix[1:]])
        for column, head in enumerate(matrix[0])
    ]
    return reduce(tfl.add, parts[::2]) - reduce(tfl.add, parts[1::2])
