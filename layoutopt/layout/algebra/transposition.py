"""The one Transpose between two layouts of a tensor, and the Reshapes around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from operator import mul

from layoutopt.ir.perm import Perm
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.modes import Digit, split_digits
from layoutopt.layout.algebra.physical import CACHE, Layout


@lru_cache(maxsize=CACHE)
def transposition(source: Layout, target: Layout) -> tuple[Shape, Perm] | None:
    """The smallest Transpose that rewrites ``source`` as ``target``, both of the same tensor.

    Returns:
        The shape that it takes, in which no two axes stay neighbours, and its permutation; None where their digits
        do not divide each other, so that no single Transpose does it.
    """
    borders = _digit_borders(source, target)
    before, after = split_digits(source.digits, borders), split_digits(target.digits, borders)
    if before is None or after is None:
        return None
    neighbours = set(pairwise(after))
    runs: list[list[Digit]] = []
    for digit in before:
        if runs and (runs[-1][-1], digit) in neighbours:
            runs[-1].append(digit)
        else:
            runs.append([digit])
    places = {run[0]: place for place, run in enumerate(runs)}
    shape = tuple(prod(digit.size for digit in run) for run in runs)
    return shape, tuple(places[digit] for digit in after if digit in places)


@dataclass(frozen=True, slots=True)
class CopySteps:
    """A copy as Reshape, Transpose, Reshape.

    Attributes:
        sizes: the stored shape that the Transpose takes.
        perm: its permutation.
    """

    sizes: Shape
    perm: Perm

    @property
    def result(self) -> Shape:
        """The stored shape that the Transpose gives."""
        return tuple(self.sizes[axis] for axis in self.perm)


def copy_steps(source: Layout, sizes: Shape, target: Layout, wanted: Shape, most: int) -> CopySteps:
    """How to rewrite ``source``, stored as ``sizes``, as ``target``, to be stored as ``wanted``.

    The Transpose keeps the stored dimensions as they are where it can, so that no Reshape is needed, and is the
    smallest possible where it would have more than ``most`` axes.
    """
    borders = _digit_borders(source, target) | _borders(source, sizes) | _borders(target, wanted)
    before, after = split_digits(source.digits, borders), split_digits(target.digits, borders)
    if before is None or after is None or len(before) > most:
        found = transposition(source, target)
        assert found is not None, "a copy that no Transpose can do"
        return CopySteps(*found)
    given = _places(after, wanted)
    taken = _places(before, sizes)
    if taken is None or len(sizes) > most:  # a Reshape, which may as well put in the axes of size 1 that are wanted
        extra = given.count(None) if given is not None and len(wanted) <= most else 0
        taken = [*[None] * extra, *before]
        sizes = tuple(1 if digit is None else digit.size for digit in taken)
    ones = [place for place, digit in enumerate(taken) if digit is None]
    if given is None or given.count(None) != len(ones):
        return CopySteps(sizes, (*ones, *(taken.index(digit) for digit in after)))
    single = iter(ones)
    return CopySteps(sizes, tuple(next(single) if digit is None else taken.index(digit) for digit in given))


def _digit_borders(source: Layout, target: Layout) -> set[int]:
    """The strides at which a digit of either begins or ends."""
    return {border for digit in (*source.digits, *target.digits) for border in (digit.stride, digit.top)}


def _borders(layout: Layout, sizes: Shape) -> set[int]:
    """The strides at which the stored dimensions ``sizes`` cut the digits of ``layout``."""
    ends = set(accumulate(reversed(sizes), mul))
    found, inner = set(), 1
    for digit in reversed(layout.digits):
        found |= {
            digit.stride * (end // inner) for end in ends if inner < end < inner * digit.size and end % inner == 0
        }
        inner *= digit.size
    return found


def _places(digits: Sequence[Digit], sizes: Shape) -> list[Digit | None] | None:
    """For each stored dimension its one digit, None for those of size 1; None where one has several."""
    if [digit.size for digit in digits] != [size for size in sizes if size != 1]:
        return None
    rest = iter(digits)
    return [None if size == 1 else next(rest) for size in sizes]
