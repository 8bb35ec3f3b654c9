"""Layouts in words: ``NCHW``, ``NHWC``, or ``N H W (C2 C1)`` where an axis does not lie in one piece."""

from __future__ import annotations

from collections.abc import Iterable

from layoutopt.ir.perm import axis_names, join_axis_names
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.physical import Dim, ModeOrder, PhysicalLayout


def layout_words(orders: Iterable[ModeOrder], shapes: Iterable[Shape]) -> tuple[str, ...]:
    """Return the names of some layouts of one tensor in terms of the first of ``shapes`` whose axes tell all of them.

    Args:
        orders: the layouts.
        shapes: of the tensor and its views, the most telling first.

    Where none does, the modes of the flat index are told: size and stride of each, outermost first.
    """
    orders = tuple(orders)
    for shape in shapes:
        layouts = [PhysicalLayout.of(shape, order) for order in orders]
        found = [_of_layout(layout) for layout in layouts if layout is not None]
        if len(found) == len(orders):
            return tuple(found)
    return tuple(" ".join(f"{mode.size}:{mode.stride}" for mode in order.modes) for order in orders)


def natural_words(rank: int) -> str:
    """Return the name of the natural layout of a tensor of ``rank`` axes."""
    return join_axis_names(axis_names(rank))


def _of_layout(layout: PhysicalLayout) -> str:
    rank = len(layout.shape)
    names = axis_names(rank)
    words = [_of_dim(dim, names[dim.axis], _strides(layout, dim.axis)) for dim in layout.dims]
    if words and len(words) == rank and set(words) == set(names):
        return join_axis_names(words)
    return " ".join(words)


def _of_dim(dim: Dim, name: str, strides: list[int]) -> str:
    """Return the letter of an axis, or the numbers of its modes, the most significant of which is 1."""
    separator = "" if name.isalpha() else "."
    parts = [f"{name}{separator}{strides.index(mode.stride) + 1}" for mode in dim.modes]
    if len(strides) < 2:
        return name
    return parts[0] if len(parts) == 1 else f"({' '.join(parts)})"


def _strides(layout: PhysicalLayout, axis: int) -> list[int]:
    """Return the strides of all modes of ``axis``, wherever they lie, the most significant first."""
    return sorted((mode.stride for dim in layout.dims if dim.axis == axis for mode in dim.modes), reverse=True)
