"""Permutations of axes, in ONNX's convention: axis ``i`` of the result is axis ``perm[i]`` of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import TypeVar

Perm = tuple[int, ...]
T = TypeVar("T")

MAX_TRANSPOSED = 6
"""Axes of the largest Transpose that is made: XNNPACK takes no more, and LiteRT's own kernel for 7 and 8 axes takes
about twice as long as two Transposes of 6."""


def identity(rank: int) -> Perm:
    """Return the permutation that moves nothing."""
    return tuple(range(rank))


def is_identity(perm: Perm) -> bool:
    """Return whether ``perm`` moves nothing."""
    return perm == identity(len(perm))


def compose(first: Perm, second: Perm) -> Perm:
    """Return the one permutation that does ``first``, then ``second``."""
    return tuple(first[axis] for axis in second)


def invert(perm: Perm) -> Perm:
    """Return the permutation that undoes ``perm``."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def permute(items: Sequence[T], perm: Perm) -> tuple[T, ...]:
    """Return ``items`` in the order that a Transpose by ``perm`` leaves the axes."""
    return tuple(items[axis] for axis in perm)


def runs(perm: Perm) -> list[Perm]:
    """Return the runs of axes that stay neighbours under ``perm``, in their order in the source."""
    found: list[Perm] = []
    for axis in perm:
        if found and found[-1][-1] + 1 == axis:
            found[-1] = (*found[-1], axis)
        else:
            found.append((axis,))
    return sorted(found)


def factor(perm: Perm, most: int = MAX_TRANSPOSED) -> list[Perm]:
    """Return permutations that do ``perm`` one after the other, each with at most ``most`` runs of axes.

    One or two are the fewest that there can be: a first one suffices for two if it leaves no more than ``most`` runs,
    and each leaves as few as one can. Beyond two, they are as many as it takes to go on like this.

    Args:
        perm: of axes of more than one element.
        most: 4 or more.
    """
    steps = []
    while len(runs(perm)) > most:
        steps.append(_joining(perm, most))
        perm = compose(invert(steps[-1]), perm)
    return [*steps, perm]


def _joining(perm: Perm, most: int) -> Perm:
    """Return the permutation of ``most`` runs that leaves the fewest runs of ``perm``.

    Runs of axes may come in any order. So all that counts is where they begin and end: whatever follows the end of one
    in the result, and begins another, comes after it now. Of equals, the last run is the longest.
    """
    after = dict(pairwise(perm))
    breaks = [axis for axis in range(1, len(perm)) if after.get(axis - 1) != axis]
    steps = (_joined(perm, (0, *some), after) for some in combinations(breaks, most - 1))
    return min(steps, key=lambda step: len(runs(compose(invert(step), perm))))


def _joined(perm: Perm, starts: Sequence[int], after: Mapping[int, int]) -> Perm:
    """Return the order of axes in which each run, of those that begin at ``starts``, comes after the one it should."""
    blocks = {start: range(start, end) for start, end in pairwise((*starts, len(perm)))}
    followers = {after.get(block[-1]) for block in blocks.values()}
    order: list[int] = []
    for start in sorted(blocks, key=lambda start: (start in followers, perm.index(start))):
        following: int | None = start
        while following in blocks:
            order += blocks.pop(following)
            following = after.get(order[-1])
    return tuple(order)


def channels_last(rank: int) -> Perm:
    """Return the permutation from ``N, C, spatial...`` to ``N, spatial..., C``; the identity below rank 3."""
    return (0, *range(2, rank), 1) if rank >= 3 else identity(rank)


def channels_last_unbatched(rank: int) -> Perm:
    """Return the permutation from ``C, spatial...`` to ``spatial..., C``, of an image or a signal without a batch."""
    return (*range(1, rank), 0)


def lift(perm: Perm, rank: int) -> Perm:
    """Return ``perm`` of a tensor that leading axes of size 1 raise to ``rank``."""
    extra = rank - len(perm)
    return (*range(extra), *(axis + extra for axis in perm))


def axis_names(rank: int) -> list[str]:
    """Return the names of the axes of a tensor: the letters of NCW, NCHW and NCDHW, or numbers for other ranks."""
    return list({3: "NCW", 4: "NCHW", 5: "NCDHW"}.get(rank, "")) or [str(axis) for axis in range(rank)]


def join_axis_names(names: Sequence[str]) -> str:
    """Return one word of letters, or ``axes 1 0`` where the names are numbers."""
    return "".join(names) if all(name.isalpha() for name in names) else f"axes {' '.join(names)}"
