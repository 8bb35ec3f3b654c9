"""The layout types: in which order a tensor stores the modes of its row-major flat index."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from layoutopt.ir.perm import Perm, channels_last, identity
from layoutopt.ir.values import Shape
from layoutopt.layout.algebra.modes import Mode, merge_modes, split_modes

CACHE = 65536
"""The number of answers that each of these pure functions remembers: graphs repeat few shapes and layouts often."""


@dataclass(frozen=True, slots=True)
class ModeOrder:
    """A stored order of modes, outermost first, merged where two neighbours are one mode.

    The modes are those of the *logical* tensor's flat index. So two layouts are equal exactly if the bytes lie alike:
    axes of size 1 do not exist here, and Reshape, Flatten, Squeeze and Unsqueeze leave a layout as it is.
    """

    modes: tuple[Mode, ...]

    @classmethod
    def of(cls, shape: Sequence[int], order: Perm) -> ModeOrder:
        """Return the layout of a tensor of logical ``shape`` whose axes are stored in ``order``."""
        strides = _strides(shape)
        return cls(merge_modes(Mode(strides[axis], shape[axis]) for axis in order if shape[axis] != 1))

    @classmethod
    def natural(cls, shape: Sequence[int]) -> ModeOrder:
        """Return the layout of a tensor that is stored as ONNX says."""
        size = prod(shape)
        return cls((Mode(1, size),) if size != 1 else ())


@dataclass(frozen=True, slots=True)
class Dim:
    """One dimension of a stored tensor: modes of the index of one logical axis, outermost first; none for size 1."""

    axis: int
    modes: tuple[Mode, ...]

    @classmethod
    def whole(cls, axis: int, size: int) -> Dim:
        """Return a dimension that is all of a logical axis, in its own order."""
        return cls(axis, (Mode(1, size),) if size != 1 else ())

    @property
    def size(self) -> int:
        """Number of elements along it."""
        return prod(mode.size for mode in self.modes)

    def resized(self, old: int, new: int) -> Dim | None:
        """Return the dimension for an axis of ``new`` elements instead of ``old``, whose outermost mode alone changes.

        None where that lies in this dimension and ``new`` is not a multiple of its stride.
        """
        if old == 1:
            return Dim.whole(self.axis, new)
        if any(mode.top == old and new % mode.stride for mode in self.modes):
            return None
        modes = (Mode(mode.stride, new // mode.stride) if mode.top == old else mode for mode in self.modes)
        return Dim(self.axis, merge_modes(mode for mode in modes if mode.size != 1))

    @property
    def indices(self) -> tuple[int, ...]:
        """Return the place along the logical axis of each element, in stored order."""
        steps = [np.arange(mode.size) * mode.stride for mode in self.modes]
        grid = np.zeros((), np.int64)
        for step in steps:
            grid = grid[..., None] + step
        return tuple(grid.reshape(-1).tolist())


@dataclass(frozen=True, slots=True)
class PhysicalLayout:
    """The way in which a tensor is stored, in the words of its logical axes: a layout with dimensions.

    Attributes:
        shape: the logical shape.
        dims: the stored dimensions, outermost first. An axis may lie in several; one of size 1 has one anywhere.
    """

    shape: Shape
    dims: tuple[Dim, ...]

    @classmethod
    @lru_cache(maxsize=CACHE)
    def ordered(cls, shape: Shape, order: Perm) -> PhysicalLayout:
        """Return the layout of whole axes in ``order``."""
        return cls(shape, tuple(Dim.whole(axis, shape[axis]) for axis in order))

    @classmethod
    def natural(cls, shape: Shape) -> PhysicalLayout:
        """Return the layout that ONNX says."""
        return cls.ordered(shape, identity(len(shape)))

    @classmethod
    @lru_cache(maxsize=CACHE)
    def of(cls, shape: Shape, order: ModeOrder, like: Shape = ()) -> PhysicalLayout | None:
        """Return the layout of a tensor of ``shape`` that lies as ``order`` says; None where a mode straddles two axes.

        Args:
            shape: the logical shape.
            order: of its modes.
            like: the stored dimensions to have, if none of them would belong to two axes. Otherwise axes of size 1 go
                where the natural or the channels-last order has them if one of these two is the layout, else to the
                front.
        """
        dims = _dims(shape, order)
        if dims is None:
            return None
        ones = [Dim(axis, ()) for axis, size in enumerate(shape) if size == 1]
        if like and shape and (fitted := _fitted(dims, ones, like)) is not None:
            return cls(shape, fitted)
        for usual in (identity(len(shape)), channels_last(len(shape))):
            if tuple(Dim.whole(axis, shape[axis]) for axis in usual if shape[axis] != 1) == dims:
                return cls.ordered(shape, usual)
        return cls(shape, (*ones, *dims))

    def with_last(self, axis: int) -> PhysicalLayout:
        """Return this layout with all of a logical axis innermost, its modes in the order in which they are."""
        own = [mode for dim in self.dims if dim.axis == axis for mode in dim.modes]
        others = tuple(dim for dim in self.dims if dim.axis != axis)
        return PhysicalLayout(self.shape, (*others, Dim(axis, merge_modes(own))))

    @property
    def sizes(self) -> Shape:
        """Return the stored shape."""
        return _sizes(self.dims)

    @property
    def mode_order(self) -> ModeOrder:
        """Return the order of the bytes alone."""
        return _layout(self)

    @property
    def is_natural(self) -> bool:
        """Return whether it is logical order, with the dimensions of the ONNX value."""
        return self == PhysicalLayout.natural(self.shape)

    @property
    def order(self) -> Perm | None:
        """Return the order of the axes; None where one does not lie in one piece and in its own order."""
        order = tuple(dim.axis for dim in self.dims)
        return order if self == PhysicalLayout.ordered(self.shape, order) and len(order) == len(self.shape) else None

    def position(self, axis: int, *, ordered: bool = True) -> int | None:
        """Return the dimension that is all of ``axis``, in its own order if ``ordered``; None where there is none."""
        found = self.positions((axis,))
        if len(found) != 1 or (ordered and self.dims[found[0]] != Dim.whole(axis, self.shape[axis])):
            return None
        return found[0]

    def outermost(self, axis: int) -> tuple[int, int, Mode] | None:
        """Return the dimension with the outermost mode of ``axis``, the elements of modes before it there, and it."""
        size = self.shape[axis]
        for place, dim in enumerate(self.dims):
            for index, mode in enumerate(dim.modes or (Mode(1, 1),)):
                if dim.axis == axis and mode.top == size:
                    return place, prod(each.size for each in dim.modes[:index]), mode
        return None

    def positions(self, axes: Collection[int]) -> tuple[int, ...]:
        """Return the dimensions that hold parts of ``axes``."""
        return tuple(index for index, dim in enumerate(self.dims) if dim.axis in axes)

    def lifted(self, rank: int) -> PhysicalLayout:
        """Return the layout raised to ``rank`` by leading axes of size 1, as broadcasting does."""
        extra = rank - len(self.shape)
        if not extra:
            return self
        moved = (replace(dim, axis=dim.axis + extra) for dim in self.dims)
        return PhysicalLayout((1,) * extra + self.shape, (*(Dim(axis, ()) for axis in range(extra)), *moved))

    def sized(self, shape: Shape) -> PhysicalLayout | None:
        """Return the same order for another ``shape``; None if the outermost mode of an axis cannot have that size."""
        if shape == self.shape:
            return self
        dims = []
        for dim in self.dims:
            old, new = self.shape[dim.axis], shape[dim.axis]
            if old == new:
                dims.append(dim)
            elif new == 1:
                dims.append(Dim(dim.axis, ()))
            elif (resized := dim.resized(old, new)) is not None:
                dims.append(resized)
            else:
                return None
        return PhysicalLayout(shape, tuple(dims))

    def completed(self, shape: Shape, missing: Collection[int]) -> Iterator[PhysicalLayout]:
        """Yield layouts for ``shape``, in which the ``missing`` axes are no longer 1: their block at every place."""
        rest = [dim for dim in self.dims if dim.axis not in missing]
        block = [Dim.whole(axis, shape[axis]) for axis in sorted(missing)]
        for place in range(len(rest) + 1):
            yield PhysicalLayout(shape, (*rest[:place], *block, *rest[place:]))

    def without(self, axes: Collection[int]) -> PhysicalLayout:
        """Return what is left where ``axes`` are dropped."""
        kept = [axis for axis in range(len(self.shape)) if axis not in axes]
        names = {axis: index for index, axis in enumerate(kept)}
        dims = tuple(replace(dim, axis=names[dim.axis]) for dim in self.dims if dim.axis in names)
        return PhysicalLayout(tuple(self.shape[axis] for axis in kept), dims)

    def renamed(self, perm: Perm) -> PhysicalLayout:
        """Return the layout of the tensor whose axis ``perm[i]`` is this one's axis ``i``; not a byte moves."""
        shape = tuple(size for _, size in sorted(zip(perm, self.shape, strict=True)))
        return PhysicalLayout(shape, tuple(replace(dim, axis=perm[dim.axis]) for dim in self.dims))


def _dims(shape: Shape, order: ModeOrder) -> tuple[Dim, ...] | None:
    """Return the stored dimensions of more than one element; neighbouring modes of one axis are one dimension."""
    strides = _strides(shape)
    axes = {strides[axis]: axis for axis, size in enumerate(shape) if size != 1}
    pieces = split_modes(order.modes, axes.keys())
    if pieces is None:
        return None
    dims: list[tuple[int, list[Mode]]] = []
    for piece in pieces:
        stride = max(stride for stride in axes if stride <= piece.stride)
        if piece.stride % stride:
            return None
        mode = Mode(piece.stride // stride, piece.size)
        if dims and dims[-1][0] == axes[stride]:
            dims[-1][1].append(mode)
        else:
            dims.append((axes[stride], [mode]))
    return tuple(Dim(axis, merge_modes(modes)) for axis, modes in dims)


def _fitted(dims: Sequence[Dim], ones: Sequence[Dim], like: Shape) -> tuple[Dim, ...] | None:
    """Cut ``dims`` into pieces of the sizes ``like``, with as many of the ``ones`` between them as there is place for.

    A dimension of size 1 beyond them counts as a piece of the first axis. None where a size spans two of the ``dims``.
    """
    found: list[Dim] = []
    single, rest = iter(ones), [Dim(dim.axis, (mode,)) for dim in reversed(dims) for mode in reversed(dim.modes)]
    for size in like:
        if size == 1:
            found.append(next(single, Dim(0, ())))
            continue
        piece: list[Mode] = []
        axis = rest[-1].axis if rest else -1
        while size > 1:
            if not rest or rest[-1].axis != axis:
                return None
            (mode,) = rest.pop().modes
            if mode.size > size:
                if mode.size % size:
                    return None
                rest.append(Dim(axis, (Mode(mode.stride, mode.size // size),)))
                mode = Mode(mode.stride * (mode.size // size), size)
            elif size % mode.size:
                return None
            piece.append(mode)
            size //= mode.size
        found.append(Dim(axis, merge_modes(piece)))
    return None if rest else tuple(found)


def _sizes(dims: Iterable[Dim]) -> Shape:
    return tuple(dim.size for dim in dims)


@lru_cache(maxsize=CACHE)
def _layout(layout: PhysicalLayout) -> ModeOrder:
    strides = _strides(layout.shape)
    modes = ((strides[dim.axis], mode) for dim in layout.dims for mode in dim.modes)
    return ModeOrder(merge_modes(Mode(stride * mode.stride, mode.size) for stride, mode in modes))


def _strides(shape: Sequence[int]) -> Shape:
    """Return the elements between two neighbours along each axis of a row-major tensor without empty axes."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides)) if shape else ()
