"""Numbers that depend on sizes, found from two instances of one graph.

Each is a dimension times a factor plus an addend, a product of dimensions of one tensor times a factor, a fraction of a
dimension, rounded down or up, or the difference of two dimensions, or half of it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, zip_longest
from math import gcd, prod
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Tensor = TypeVar("Tensor")
Array = npt.NDArray[np.generic]
Shape = tuple[int, ...]

_OF_A_DIFFERENCE = 2
"""The surprise that a number is the difference of two dimensions: as much as an addend of 2."""

REST = -1
"""In the target of a Reshape: whatever the other entries leave over."""


class Prefer(enum.Enum):
    """The choice of the dimension that a number is taken from where more than one would do.

    The two differ for a map that is resized to the size of another one: is it twice as large as it was, or as large as
    the other? Sizes that are multiples of 32 do not tell.
    """

    NEAR = "near"
    """One of an operand of the same operator, whatever the factor."""
    EQUAL = "equal"
    """One that is the number itself, wherever it is."""


@dataclass(frozen=True, slots=True)
class Source(Generic[Tensor]):
    """A tensor whose shape is there when an operator runs.

    Attributes:
        tensor: which.
        first: its shape in the first instance.
        second: its shape in the second instance.
        distance: 0 for operands of the operator, more for tensors that have less to do with it.
    """

    tensor: Tensor
    first: Shape
    second: Shape
    distance: int


@dataclass(frozen=True, slots=True)
class _Term(Generic[Tensor]):
    """``(factor * prod(source.shape[axis] for axis in axes) + addend - less) // divisor``.

    Attributes:
        less: a dimension, as a source and an axis; None where nothing is subtracted.
    """

    source: Source[Tensor]
    axes: tuple[int, ...]
    factor: int
    addend: int
    divisor: int = 1
    less: tuple[Source[Tensor], int] | None = None

    @property
    def sources(self) -> tuple[Source[Tensor], ...]:
        """Return the tensors that it reads the shapes of."""
        return (self.source,) if self.less is None else (self.source, self.less[0])

    @property
    def surprise(self) -> int:
        """Return how much there is to it besides dimensions and a factor."""
        if self.less is not None:
            return _OF_A_DIFFERENCE + self.divisor - 1 + self.addend
        return abs(self.addend) if self.divisor == 1 else self.divisor - 1 + self.addend

    def cost(self, prefer: Prefer) -> tuple[int, ...]:
        """Return what is smaller the likelier it is that the term was meant."""
        unequal = abs(self.factor) if self.factor != 1 else 0
        likeness = (self.source.distance, unequal) if prefer is Prefer.NEAR else (unequal, self.source.distance)
        return (self.surprise, len(self.axes), *likeness)


@dataclass(frozen=True, slots=True)
class Formula(Generic[Tensor]):
    """A vector of integers.

    It is ``(sizes[indices[0]] * sizes[indices[1]] * ... * factors + addends - sizes[less]) // divisors``, where nothing
    is subtracted from entries whose ``less`` is -1.

    Attributes:
        tensors: whose shapes, laid end to end with a 1 after them, are ``sizes``; none where the vector is constant.
        indices: into the sizes, one per entry; more than one row where entries are products of dimensions.
        factors: one per entry.
        addends: one per entry.
        divisors: one per entry; nothing that is divided is negative.
        less: into the sizes, one per entry, or -1.
    """

    tensors: tuple[Tensor, ...]
    indices: tuple[tuple[int, ...], ...]
    factors: tuple[int, ...]
    addends: tuple[int, ...]
    divisors: tuple[int, ...]
    less: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A constant that depends on a size, and for which an input stands while a model is rewritten at two sizes.

    Exactly one of these is given.

    Attributes:
        table: the elements of a constant of which something is cut to a size.
        steps: the first of the numbers that count up to a size, and what lies between two.
        element: what is repeated, to a shape that depends on a size.
    """

    table: Array | None = None
    steps: tuple[Array, Array] | None = None
    element: Array | None = None


def express(
    first: Sequence[int], second: Sequence[int], sources: Sequence[Source[Tensor]], prefer: Prefer
) -> Formula[Tensor] | None:
    """Return a formula that gives ``first`` in the first instance and ``second`` in the second, or None."""
    terms = [_entry(one, other, sources, prefer) for one, other in zip(first, second, strict=True)]
    found = [term for term in terms if term is not None]
    return _formula(found) if len(found) == len(terms) else None


def reshape_target(
    first: Sequence[int], second: Sequence[int], sources: Sequence[Source[Tensor]], prefer: Prefer
) -> Formula[Tensor] | None:
    """Express the target of a Reshape as `express` does: one entry that differs is what the others leave over."""
    terms = [_entry(one, other, sources, prefer) for one, other in zip(first, second, strict=True)]
    if REST in first and all(term is not None for term in terms):  # which one entry alone may be
        return _formula([term for term in terms if term is not None])
    best: list[_Term[Tensor] | int] | None = None
    for rest in (at for at, (one, other) in enumerate(zip(first, second, strict=True)) if one != other):
        candidate = [REST if at == rest else term for at, term in enumerate(terms)]
        complete = [term for term in candidate if term is not None]
        if len(complete) == len(terms) and (best is None or _cost(complete, prefer) < _cost(best, prefer)):
            best = complete
    return _formula(best) if best is not None else None


def repeated_block(first: Array, second: Array) -> Array | None:
    """Return the block that both arrays repeat along the axes on which their sizes differ; None if there is none.

    It is of size 1 along these axes if that will do, else of the largest size that divides both.
    """
    if first.ndim != second.ndim or first.dtype != second.dtype or first.shape == second.shape:
        return None
    sizes = list(zip(first.shape, second.shape, strict=True))
    for apart in (1, None):
        ends = [one if one == other else apart or gcd(one, other) for one, other in sizes]
        block = first[tuple(map(slice, ends))]
        if all(np.array_equal(np.tile(block, repeats_of(block, array.shape)), array) for array in (first, second)):
            return block
    return None


def repeats_of(block: Array, shape: Shape) -> Shape:
    """Return how often ``block`` is repeated along each axis of an array of ``shape``."""
    return tuple(size // part if part else 0 for size, part in zip(shape, block.shape, strict=True))


def _entry(first: int, second: int, sources: Sequence[Source[Tensor]], prefer: Prefer) -> _Term[Tensor] | int | None:
    if first == second:
        return first
    terms = list(_terms(first, second, sources))
    if not any(term.surprise == 0 for term in terms):
        terms += _differences(first, second, sources)
    return min(terms, key=lambda term: term.cost(prefer), default=None)


def _terms(first: int, second: int, sources: Sequence[Source[Tensor]]) -> Iterator[_Term[Tensor]]:
    for source in sources:
        apart = [axis for axis, (one, two) in enumerate(zip(source.first, source.second, strict=True)) if one != two]
        for axes in chain.from_iterable(combinations(apart, count) for count in range(1, len(apart) + 1)):
            one, other = (prod(shape[axis] for axis in axes) for shape in (source.first, source.second))
            factor, rest = divmod(second - first, other - one) if other != one else (0, 0)
            addend = first - factor * one
            if rest == 0 and factor > 0 and (addend == 0 or len(axes) == 1):
                yield _Term(source, axes, factor, addend)
            elif rest and len(axes) == 1:
                yield from _fractions(first, second, source, axes)


_DIVISORS = (2, 3, 4, 8, 16, 32)
"""Of the fractions that networks take of a size."""


def _fractions(first: int, second: int, source: Source[Tensor], axes: tuple[int, ...]) -> Iterator[_Term[Tensor]]:
    """Yield fractions of one dimension that give both numbers, rounded down or up."""
    one, other = source.first[axes[0]], source.second[axes[0]]
    for divisor in _DIVISORS:
        factor = round(divisor * (second - first) / (other - one))
        for addend in (0, divisor - 1):
            if (
                factor > 0
                and min(first, second) > 0
                and [(factor * size + addend) // divisor for size in (one, other)] == [first, second]
            ):
                yield _Term(source, axes, factor, addend, divisor)


def _differences(first: int, second: int, sources: Sequence[Source[Tensor]]) -> Iterator[_Term[Tensor]]:
    """Yield what a dimension of an operand lacks to one of another tensor, and half of it, rounded down or up."""
    operands = [
        (source, axis)
        for source in sources
        if source.distance == 0
        for axis, (one, two) in enumerate(zip(source.first, source.second, strict=True))
        if one != two
    ]
    for source in sources:
        for axis, size in enumerate(zip(source.first, source.second, strict=True)):
            for operand, at in operands:
                lacks = [
                    whole - part for whole, part in zip(size, (operand.first[at], operand.second[at]), strict=True)
                ]
                for divisor, addend in ((1, 0), (2, 0), (2, 1)):
                    if min(lacks) >= 0 and [(each + addend) // divisor for each in lacks] == [first, second]:
                        yield _Term(source, (axis,), 1, addend, divisor, (operand, at))


def _cost(terms: Sequence[_Term[Tensor] | int], prefer: Prefer) -> list[tuple[int, ...]]:
    """Compare formulas by their costliest term first."""
    return sorted((term.cost(prefer) for term in terms if isinstance(term, _Term)), reverse=True)


def _formula(terms: Sequence[_Term[Tensor] | int]) -> Formula[Tensor]:
    used = {id(source): source for term in terms if isinstance(term, _Term) for source in term.sources}
    starts, end = {}, 0
    for key, source in used.items():
        starts[key] = end
        end += len(source.first)
    places = [() if isinstance(term, int) else [starts[id(term.source)] + axis for axis in term.axes] for term in terms]
    return Formula(
        tuple(source.tensor for source in used.values()),
        tuple(zip_longest(*places, fillvalue=end)) if used else ((0,) * len(terms),),
        tuple(term if isinstance(term, int) else term.factor for term in terms),
        tuple(0 if isinstance(term, int) else term.addend for term in terms),
        tuple(1 if isinstance(term, int) else term.divisor for term in terms),
        tuple(
            -1 if isinstance(term, int) or term.less is None else starts[id(term.less[0])] + term.less[1]
            for term in terms
        ),
    )
