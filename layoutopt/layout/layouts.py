"""The layout type: in which order a tensor stores the digits of its row-major flat index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from layoutopt.ir.perm import Perm, channels_last, identity


@dataclass(frozen=True, slots=True, order=True)
class Digit:
    """One digit of a row-major flat index: it counts ``size`` steps of ``stride`` elements."""

    stride: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A stored order of digits, outermost first, merged where two neighbours are one digit.

    The digits are those of the *logical* tensor's flat index. So two layouts are equal exactly if the bytes lie alike:
    axes of size 1 do not exist here, and Reshape, Flatten, Squeeze and Unsqueeze leave a layout as it is.
    """

    digits: tuple[Digit, ...]

    @classmethod
    def of(cls, shape: Sequence[int], order: Perm) -> Layout:
        """The layout of a tensor of logical ``shape`` whose axes are stored in ``order``."""
        strides = _strides(shape)
        return cls(_merge(Digit(strides[axis], shape[axis]) for axis in order if shape[axis] != 1))

    @classmethod
    def natural(cls, shape: Sequence[int]) -> Layout:
        """The layout of a tensor that is stored as ONNX says."""
        return cls.of(shape, identity(len(shape)))

    def order(self, shape: Sequence[int]) -> Perm | None:
        """The order in which the axes of ``shape`` are stored; None where an axis is not stored in one piece.

        Axes of size 1 have no place of their own: they go where the natural or the channels-last order has them, if one
        of these two is this layout, else to the front.
        """
        for usual in (identity(len(shape)), channels_last(len(shape))):
            if Layout.of(shape, usual) == self:
                return usual
        strides = _strides(shape)
        axes = [axis for axis, size in enumerate(shape) if size != 1]
        stored = [
            axis
            for digit in self.digits
            for axis in axes
            if digit.stride <= strides[axis] and strides[axis] * shape[axis] <= digit.stride * digit.size
        ]
        order = (*(axis for axis, size in enumerate(shape) if size == 1), *stored)
        return order if sorted(order) == list(range(len(shape))) and Layout.of(shape, order) == self else None


def copy_rank(source: Layout, target: Layout) -> int:
    """The rank of the one Transpose that rewrites ``source`` as ``target``, both of the same tensor."""
    borders = {
        border for digit in (*source.digits, *target.digits) for border in (digit.stride, digit.stride * digit.size)
    }
    before, after = _split(source, borders), _split(target, borders)
    neighbours = set(pairwise(before))
    return len(after) - sum(pair in neighbours for pair in pairwise(after))


def _split(layout: Layout, borders: set[int]) -> list[Digit]:
    """The digits of ``layout``, cut at every border that lies inside one of them."""
    pieces: list[Digit] = []
    for digit in layout.digits:
        top = digit.stride * digit.size
        inside = sorted((b for b in borders if digit.stride < b < top), reverse=True)
        for high, low in zip((top, *inside), (*inside, digit.stride), strict=True):
            pieces.append(Digit(low, high // low))
    return pieces


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements between two neighbours along each axis of a row-major tensor without empty axes."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _merge(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    merged: list[Digit] = []
    for digit in digits:
        if merged and merged[-1].stride == digit.stride * digit.size:
            merged[-1] = Digit(digit.stride, merged[-1].size * digit.size)
        else:
            merged.append(digit)
    return tuple(merged)
