"""The Transposes between two layouts of a tensor, and the Reshapes around each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from operator import mul

from layoutopt.ir.perm import MAX_TRANSPOSED, Perm, factor, permute
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.modes import Mode, merge_modes, split_modes
from layoutopt.layout.algebra.physical import CACHE, ModeOrder


@lru_cache(maxsize=CACHE)
def transposition(source: ModeOrder, target: ModeOrder) -> tuple[Shape, Perm] | None:
    """Return the smallest Transpose that rewrites ``source`` as ``target``, both of the same tensor.

    Returns:
        The shape that it takes, in which no two axes stay neighbours, and its permutation; None where their modes
        do not divide each other, so that no single Transpose does it.
    """
    found = _runs(source, target)
    if found is None:
        return None
    runs, perm = found
    return tuple(prod(mode.size for mode in run) for run in runs), perm


@lru_cache(maxsize=CACHE)
def route(source: ModeOrder, target: ModeOrder) -> tuple[ModeOrder, ...]:
    """Return the layouts that a copy goes through from ``source`` to ``target``, which comes last.

    From each to the next it takes one Transpose that the target has. There are several where one would have too many
    axes, or where the modes do not divide each other: then the copy goes through the natural layout, which does.
    """
    if source == target:
        return ()
    found = _runs(source, target)
    if found is None:
        natural = ModeOrder.natural((prod(mode.size for mode in source.modes),))
        return (*route(source, natural), *route(natural, target))
    runs, perm = found
    stops = []
    for step in factor(perm):
        runs = permute(runs, step)
        stops.append(ModeOrder(merge_modes(mode for run in runs for mode in run)))
    return tuple(stops)


def _runs(source: ModeOrder, target: ModeOrder) -> tuple[tuple[tuple[Mode, ...], ...], Perm] | None:
    """Return the modes that stay neighbours from ``source`` to ``target``, and the permutation of these runs."""
    borders = _mode_borders(source, target)
    before, after = split_modes(source.modes, borders), split_modes(target.modes, borders)
    if before is None or after is None:
        return None
    neighbours = set(pairwise(after))
    runs: list[tuple[Mode, ...]] = []
    for mode in before:
        if runs and (runs[-1][-1], mode) in neighbours:
            runs[-1] = (*runs[-1], mode)
        else:
            runs.append((mode,))
    places = {run[0]: place for place, run in enumerate(runs)}
    return tuple(runs), tuple(places[mode] for mode in after if mode in places)


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
        """Return the stored shape that the Transpose gives."""
        return tuple(self.sizes[axis] for axis in self.perm)


def copy_steps(
    source: ModeOrder, sizes: Shape, target: ModeOrder, wanted: Shape, most: int = MAX_TRANSPOSED
) -> CopySteps:
    """Return the steps that rewrite ``source``, stored as ``sizes``, as ``target``, to be stored as ``wanted``.

    The Transpose keeps the stored dimensions as they are where it can, so that no Reshape is needed, and is the
    smallest possible where it would have more than ``most`` axes. One has to be enough, as between the layouts that
    `route` goes through.
    """
    borders = _mode_borders(source, target) | _borders(source, sizes) | _borders(target, wanted)
    before, after = split_modes(source.modes, borders), split_modes(target.modes, borders)
    if before is None or after is None or len(before) > most:
        found = transposition(source, target)
        assert found is not None, "a copy that no Transpose can do"
        return CopySteps(*found)
    given = _places(after, wanted)
    taken = _places(before, sizes)
    if taken is None or len(sizes) > most:  # a Reshape, which may as well put in the axes of size 1 that are wanted
        extra = given.count(None) if given is not None and len(wanted) <= most else 0
        taken = [*[None] * extra, *before]
        sizes = tuple(1 if mode is None else mode.size for mode in taken)
    ones = [place for place, mode in enumerate(taken) if mode is None]
    if given is None or given.count(None) != len(ones):
        return CopySteps(sizes, (*ones, *(taken.index(mode) for mode in after)))
    single = iter(ones)
    return CopySteps(sizes, tuple(next(single) if mode is None else taken.index(mode) for mode in given))


def _mode_borders(source: ModeOrder, target: ModeOrder) -> set[int]:
    """Return the strides at which a mode of either begins or ends."""
    return {border for mode in (*source.modes, *target.modes) for border in (mode.stride, mode.top)}


def _borders(order: ModeOrder, sizes: Shape) -> set[int]:
    """Return the strides at which the stored dimensions ``sizes`` cut the modes of ``layout``."""
    ends = set(accumulate(reversed(sizes), mul))
    found, inner = set(), 1
    for mode in reversed(order.modes):
        found |= {mode.stride * (end // inner) for end in ends if inner < end < inner * mode.size and end % inner == 0}
        inner *= mode.size
    return found


def _places(modes: Sequence[Mode], sizes: Shape) -> list[Mode | None] | None:
    """Return for each stored dimension its one mode, None for those of size 1; None where one has several."""
    if [mode.size for mode in modes] != [size for size in sizes if size != 1]:
        return None
    rest = iter(modes)
    return [None if size == 1 else next(rest) for size in sizes]
