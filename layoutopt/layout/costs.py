"""What it costs to move data: bytes, or the time that TFLite's TRANSPOSE was measured to take.

Time follows from three things, and a table has them all. *How much*: the bytes of the tensor. *How it lies together*:
the piece that no Transpose tears apart, one element or the whole innermost axis where that stays innermost. Kernels
move pieces of up to 4 bytes in two-dimensional tiles, and larger ones one by one, so that a piece of 8 bytes takes as
long as one of 64. *How wide the tiles are*: no wider than the axis that was innermost, nor than the one that will be,
and a narrow tile leaves most lanes of a vector empty. The rank makes no difference that these three leave over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, inf, log, prod
from typing import Protocol

import numpy as np

from layoutopt.ir.perm import Perm, is_identity

LARGEST_TILED = 4
"""Bytes of the largest piece that is moved in tiles."""

FAMILIES = (0, 1, LARGEST_TILED)
"""Pieces one by one; single bytes in tiles; words in tiles."""

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
        return 0 if is_identity(perm) else _size(shape, bits)

    def moved(self, size: int) -> int:
        """The bytes themselves."""
        return size


@dataclass(frozen=True, slots=True, order=True)
class Movement:
    """The way in which a Transpose moves data.

    Attributes:
        piece: bytes that stay together.
        tile: the smaller of the two axes, in pieces, that are innermost before and after; 0 where pieces are too large
            to be moved in tiles.
    """

    piece: int
    tile: int = 0

    @classmethod
    def of(cls, shape: Sequence[int], perm: Perm, bits: int) -> Movement:
        """The way in which a Transpose of ``shape`` by ``perm`` moves data, both as `Costs.copy` takes them."""
        last = len(perm) - 1
        kept, outer = (shape[last], last) if perm[last] == last else (1, last + 1)
        piece = max(1, kept * bits // 8)
        if piece > LARGEST_TILED:
            return cls(piece)
        return cls(piece, min(shape[outer - 1], shape[perm[outer - 1]]))

    @property
    def family(self) -> int:
        """One of ``FAMILIES``: movements of the same one differ in ``extent`` alone."""
        if not self.tile:
            return 0
        return 1 if self.piece == 1 else LARGEST_TILED

    @property
    def extent(self) -> int:
        """What makes the difference within the family: the tile, or the piece where there are none."""
        return self.tile or self.piece


@dataclass(frozen=True, slots=True)
class Curve:
    """Times of one movement.

    Attributes:
        movement: which.
        sizes: of the tensor in bytes, rising.
        nanoseconds: one for each size, all positive; without the overhead that every operator has.
    """

    movement: Movement
    sizes: tuple[int, ...]
    nanoseconds: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where these are not such times."""
        if list(self.sizes) != sorted(set(self.sizes)) or len(self.sizes) != len(self.nanoseconds) or not self.sizes:
            raise ValueError(f"{self.movement}: sizes {self.sizes}")
        if not all(0 < number < inf for number in (self.movement.piece, *self.sizes, *self.nanoseconds)):
            raise ValueError(f"{self.movement}: a time or a size that is not positive")

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
        curves: one for each movement, with at least one of each family.
    """

    overhead: float
    curves: tuple[Curve, ...]

    def __post_init__(self) -> None:
        """Raises ValueError where a time cannot be told for every movement."""
        if not 0 <= self.overhead < inf or {curve.movement.family for curve in self.curves} != set(FAMILIES):
            raise ValueError("not all movements are there")

    def at(self, movement: Movement, size: int) -> float:
        """Nanoseconds that the movement of ``size`` bytes takes, between the curves of its family; no overhead."""
        family = sorted(
            (curve.movement.extent, curve.at(size)) for curve in self.curves if curve.movement.family == movement.family
        )
        extents, times = zip(*family, strict=True)
        return exp(np.interp(log(movement.extent), np.log(extents), np.log(times)))


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
        size = _size(shape, bits)
        if is_identity(perm) or not size:
            return 0
        return round(self.table.overhead + self._at(Movement.of(shape, perm, bits), size))

    def moved(self, size: int) -> int:
        """Nanoseconds of moving pieces that are too short to be free; no overhead, since the operator is there."""
        return round(self._at(Movement(GATHERED), size)) if size else 0

    def _at(self, movement: Movement, size: int) -> float:
        """What the table says, looked up once: a graph asks for the same copies over and over."""
        key = (movement, size)
        if key not in self._known:
            self._known[key] = self.table.at(movement, size)
        return self._known[key]


def _size(shape: Sequence[int], bits: int) -> int:
    """Bytes of a tensor, rounded up."""
    return -(-prod(shape) * bits // 8)
