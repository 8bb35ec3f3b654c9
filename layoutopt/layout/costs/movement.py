"""What it costs to move data: bytes, or the time that TFLite's TRANSPOSE was measured to take.

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
from typing import Protocol

import numpy as np

from layoutopt.ir.perm import Perm, is_identity
from layoutopt.ir.values import tensor_bytes

LARGEST_TILED = 4
"""Bytes of the largest piece that is moved in tiles."""

GATHERED = 16
"""Bytes of the pieces that stand for those an operator moves inside, where they are too short to be free."""


class Costs(Protocol):
    """The price of moving data, as a whole number of the objective's units."""

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """What one Transpose costs; nothing where ``perm`` is the identity.

        Args:
            shape: of the operand, without axes of size 1 and without two axes that stay neighbours.
            perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
            bits: size of one element.
        """
        ...

    def moved(self, size: int) -> int:
        """What it costs that an operator moves ``size`` bytes inside."""
        ...


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """Every byte costs 1, however it moves."""

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """The bytes of the tensor."""
        return 0 if is_identity(perm) else tensor_bytes(shape, bits)

    def moved(self, size: int) -> int:
        """The bytes themselves."""
        return size


class Family(StrEnum):
    """Which loop of the kernel moves the data."""

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
        """The way in which a Transpose of ``shape`` by ``perm`` moves data, all as `Costs.copy` takes them."""
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
        """Raises ValueError where these are not such times."""
        if list(self.sizes) != sorted(set(self.sizes)) or len(self.sizes) != len(self.nanoseconds) or not self.sizes:
            raise ValueError(f"{self.family} of {self.extent}: sizes {self.sizes}")
        if not all(0 < number < inf for number in (self.extent, *self.sizes, *self.nanoseconds)):
            raise ValueError(f"{self.family} of {self.extent}: a time or a size that is not positive")

    def at(self, size: int) -> float:
        """Nanoseconds for ``size`` bytes: a straight line between two logarithms, in proportion outside of the grid."""
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
    """

    overhead: float
    blocks: Mapping[Family, float] = field(hash=False)
    curves: tuple[Curve, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where a time cannot be told for every movement."""
        if not all(0 <= number < inf for number in (self.overhead, *self.blocks.values())):
            raise ValueError("a negative time")
        if not set(Family) == set(self.blocks) == {curve.family for curve in self.curves}:
            raise ValueError("not all families are there")

    def at(self, movement: Movement, size: int) -> float:
        """Nanoseconds that the movement of ``size`` bytes takes, between the curves of its family; no overhead."""
        family = sorted((curve.extent, curve.at(size)) for curve in self.curves if curve.family is movement.family)
        extents, times = zip(*family, strict=True)
        block = exp(np.interp(log(movement.extent), np.log(extents), np.log(times)))
        return block + (movement.blocks - 1) * self.blocks[movement.family]


@dataclass(frozen=True, slots=True)
class MeasuredTime:
    """Nanoseconds, as measured.

    Attributes:
        table: what was measured.
    """

    table: TimeTable
    _known: dict[tuple[Movement, int], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """Nanoseconds of a TRANSPOSE, its overhead included."""
        size = tensor_bytes(shape, bits)
        if is_identity(perm) or not size:
            return 0
        return round(self.table.overhead + self._at(Movement.of(shape, perm, bits), size))

    def moved(self, size: int) -> int:
        """Nanoseconds of moving pieces that are too short to be free; no overhead, since the operator is there."""
        return round(self._at(Movement(Family.PIECES, GATHERED), size)) if size else 0

    def _at(self, movement: Movement, size: int) -> float:
        """What the table says, looked up once: a graph asks for the same copies over and over."""
        key = (movement, size)
        if key not in self._known:
            self._known[key] = self.table.at(movement, size)
        return self._known[key]
