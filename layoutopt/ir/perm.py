"""Permutations of axes, in ONNX's convention: axis ``i`` of the result is axis ``perm[i]`` of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Perm = tuple[int, ...]
T = TypeVar("T")


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
