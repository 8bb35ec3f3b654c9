"""The time that TFLite's TRANSPOSE takes to move data.

Time follows from four things. *Size*: the bytes of the tensor. *Piece*: what no Transpose tears apart, one element, or
the whole innermost axis where that stays innermost. Kernels move pieces of up to 4 bytes in two-dimensional tiles and
larger ones one by one, so that a piece of 8 bytes takes as long as one of 32. *Tile*: no wider than the axis that was
innermost, nor than the one that will be, and a narrow tile leaves most of a vector empty. *Blocks*: these two axes
span a matrix, and each of the matrices that a tensor consists of has to be started. The rank itself makes no difference
beside these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, inf, log, prod

import numpy as np

from layoutopt.ir.perm import Perm

LARGEST_TILED = 4
"""Bytes of the largest piece that is moved in tiles."""


class Family(StrEnum):
    """The loops of the kernel that move data."""

    BYTES = "bytes"
    """Pieces of 1 byte, in tiles."""
    WORDS = "words"
    """Pieces of 2 to 4 bytes, in tiles."""
    PIECES = "pieces"
    """Larger pieces, one by one."""


@dataclass(frozen=True, slots=True)
class Movement:
    """The way in which a Transpose moves data.

    Attributes:
        family: which loop.
        extent: width of the tiles, in pieces; for ``Family.PIECES``, bytes of a piece.
        blocks: how many matrices are moved in tiles.
    """

    family: Family
    extent: int
    blocks: int = 1

    @classmethod
    def of(cls, shape: Sequence[int], perm: Perm, bits: int) -> Movement:
        """Return the way in which a Transpose of ``shape`` by ``perm`` moves data, all as `Costs.copy` takes them."""
        last = len(perm) - 1
        kept, inner = (shape[last], last - 1) if perm[last] == last else (1, last)
        piece = max(1, kept * bits // 8)
        if piece > LARGEST_TILED:
            return cls(Family.PIECES, piece)
        rows, columns = shape[perm[inner]], shape[inner]
        family = Family.BYTES if piece == 1 else Family.WORDS
        return cls(family, min(rows, columns), prod(shape[: inner + 1]) // (rows * columns))


@dataclass(frozen=True, slots=True)
class Curve:
    """Times over sizes.

    Attributes:
        family: which loop.
        extent: as that of a `Movement`.
        sizes: of the tensor in bytes, rising.
        nanoseconds: one for each size, of a single block, without the overhead that every operator has.
    """

    family: Family
    extent: int
    sizes: tuple[int, ...]
    nanoseconds: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError where these are not such times."""
        if list(self.sizes) != sorted(set(self.sizes)) or len(self.sizes) != len(self.nanoseconds) or not self.sizes:
            raise ValueError(f"{self.family} of {self.extent}: sizes {self.sizes}")
        if not all(0 < number < inf for number in (self.extent, *self.sizes, *self.nanoseconds)):
            raise ValueError(f"{self.family} of {self.extent}: a time or a size that is not positive")

    def at(self, size: int) -> float:
        """Return nanoseconds for ``size`` bytes: straight lines between logarithms, in proportion outside them."""
        inside = min(max(size, self.sizes[0]), self.sizes[-1])
        rising = np.maximum.accumulate(np.log(self.nanoseconds))
        return exp(np.interp(log(inside), np.log(self.sizes), rising)) * size / inside


@dataclass(frozen=True, slots=True)
class TimeTable:
    """Measured times.

    Attributes:
        overhead: nanoseconds of an operator that has nothing to do.
        blocks: for each family, nanoseconds to start a block.
        curves: of every family.
        typical: how many times as long transposes of networks take, whose strides are less even; the median.
    """

    overhead: float
    blocks: Mapping[Family, float] = field(hash=False)
    curves: tuple[Curve, ...]
    typical: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError where a time cannot be told for every movement."""
        if not all(0 <= number < inf for number in (self.overhead, self.typical, *self.blocks.values())):
            raise ValueError("a negative time")
        if not set(Family) == set(self.blocks) == {curve.family for curve in self.curves}:
            raise ValueError("not all families are there")

    def at(self, movement: Movement, size: int) -> float:
        """Return the nanoseconds that moving ``size`` bytes takes, between the curves of its family; no overhead."""
        family = sorted((curve.extent, curve.at(size)) for curve in self.curves if curve.family is movement.family)
        extents, times = zip(*family, strict=True)
        block = exp(np.interp(log(movement.extent), np.log(extents), np.log(times)))
        return self.typical * (block + (movement.blocks - 1) * self.blocks[movement.family])
