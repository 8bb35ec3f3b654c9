"""Layouts in words: ``NCHW``, ``NHWC``, or ``N H W (C2 C1)`` where an axis does not lie in one piece."""

from __future__ import annotations

from collections.abc import Iterable

from layoutopt.ir.perm import axis_names, join_axis_names
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.physical import Dim, Layout, Storage


def layout_words(layouts: Iterable[Layout], shapes: Iterable[Shape]) -> tuple[str, ...]:
    """What ``layouts`` of one tensor are called in terms of the first of ``shapes`` whose axes tell all of them.

    Where none does, the digits of the flat index are told: size and stride of each, outermost first.
    """
    layouts = tuple(layouts)
    for shape in shapes:
        storages = [Storage.of(shape, layout) for layout in layouts]
        found = [_of_storage(storage) for storage in storages if storage is not None]
        if len(found) == len(layouts):
            return tuple(found)
    return tuple(" ".join(f"{digit.size}:{digit.stride}" for digit in layout.digits) for layout in layouts)


def natural_words(rank: int) -> str:
    """What the natural layout of a tensor of ``rank`` axes is called."""
    return join_axis_names(axis_names(rank))


def _of_storage(storage: Storage) -> str:
    rank = len(storage.shape)
    names = axis_names(rank)
    words = [_of_dim(dim, names[dim.axis], _strides(storage, dim.axis)) for dim in storage.dims]
    if words and len(words) == rank and set(words) == set(names):
        return join_axis_names(words)
    return " ".join(words)


def _of_dim(dim: Dim, name: str, strides: list[int]) -> str:
    """An axis, or the numbers of its digits, the most significant of which is 1."""
    separator = "" if name.isalpha() else "."
    parts = [f"{name}{separator}{strides.index(digit.stride) + 1}" for digit in dim.digits]
    if len(strides) < 2:
        return name
    return parts[0] if len(parts) == 1 else f"({' '.join(parts)})"


def _strides(storage: Storage, axis: int) -> list[int]:
    """The strides of all digits of ``axis``, wherever they lie, the most significant first."""
    return sorted((digit.stride for dim in storage.dims if dim.axis == axis for digit in dim.digits), reverse=True)
