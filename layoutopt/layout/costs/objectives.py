"""The objectives of the choice of layouts: bytes in TRANSPOSE, or the predicted time of all that layouts decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Protocol

import numpy as np

from layoutopt.ir.perm import Perm, is_identity
from layoutopt.ir.values import tensor_bytes
from layoutopt.layout.costs.movement import Family, Movement, TimeTable
from layoutopt.layout.costs.products import MatrixProducts, ProductTimes

GATHERED = 16
"""Bytes of the pieces in which a TRANSPOSE inside an operator is taken to move its data."""

OPERATOR = 420.0
"""Nanoseconds that each operator of a network takes beside its work: ``python -m benchmarks.rewrites --table``."""

_INSIDE = 2
"""TRANSPOSE operators that the conversion of an operator takes where it takes any: there and back."""

_TIE = 10_000
"""Nanoseconds that count as much as one copy does where bytes are equal."""


@dataclass(frozen=True, slots=True)
class InnerCost:
    """The data that an operator moves in one of its forms, and may not move in another.

    Attributes:
        transposed: bytes in the TRANSPOSE operators that its conversion takes.
        pieces: how many pieces it joins or cuts that lie side by side.
        piece: bytes of each of these, on average.
        product: the product of matrices that it computes, if any.
    """

    transposed: int = 0
    pieces: int = 0
    piece: int = 0
    product: MatrixProducts | None = None


NOTHING = InnerCost()
"""Nothing that depends on the form."""


class Costs(Protocol):
    """The cost of moving data and of the forms of operators, as whole numbers of the objective's unit.

    Attributes:
        copy_tie: what each copy adds where costs are equal.
    """

    copy_tie: ClassVar[int]

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """Return the cost of one Transpose; nothing where ``perm`` is the identity.

        Args:
            shape: of the operand, without axes of size 1 and without two axes that stay neighbours.
            perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
            bits: size of one element.
        """
        ...

    def inside(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return the cost of each form of an operator beyond what the operator takes in its fastest form."""
        ...

    def ties(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return what each form of an operator adds where costs are equal."""
        ...


@dataclass(frozen=True, slots=True)
class PieceTimes:
    """The time of joining or cutting short pieces that lie side by side, beyond that of long ones.

    Attributes:
        sizes: bytes of the pieces that were measured, rising; none above costs anything.
        nanoseconds: of each piece.
    """

    sizes: tuple[int, ...]
    nanoseconds: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError where these are not such times."""
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)) or len(self.sizes) != len(self.nanoseconds):
            raise ValueError(f"pieces of sizes {self.sizes}")
        if not all(0 <= time < inf for time in self.nanoseconds) or self.sizes[0] < 1:
            raise ValueError("a negative time or size of pieces")

    def at(self, size: int) -> float:
        """Return nanoseconds for a piece of ``size`` bytes."""
        return float(np.interp(np.log(size), np.log(self.sizes), self.nanoseconds, right=0.0))


@dataclass(frozen=True, slots=True)
class OperatorTimes:
    """Measured times of all that the choice of layouts decides on, of one thread or several.

    Attributes:
        transposes: of TRANSPOSE.
        products: of BATCH_MATMUL and FULLY_CONNECTED.
        pieces: of CONCATENATION and SPLIT.
    """

    transposes: TimeTable
    products: ProductTimes
    pieces: PieceTimes

    def of_form(self, form: InnerCost) -> float:
        """Return nanoseconds of what a form does, its TRANSPOSE operators apart."""
        pieces = form.pieces * self.pieces.at(form.piece) if form.pieces else 0.0
        return pieces + (self.products.nanoseconds(form.product) if form.product else 0.0)


@dataclass(frozen=True, slots=True)
class FewestBytes:
    """Bytes in TRANSPOSE; of equals, the fewest copies and the fastest forms.

    Attributes:
        times: by which the forms of an operator are compared where bytes are equal.
    """

    copy_tie: ClassVar[int] = 1

    times: OperatorTimes

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """Return the bytes of the tensor."""
        return 0 if is_identity(perm) else tensor_bytes(shape, bits)

    def inside(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return the bytes in TRANSPOSE operators."""
        return tuple(form.transposed for form in forms)

    def ties(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return how much longer each form takes than the fastest, a copy's worth of time at a time."""
        return tuple(round(time / _TIE) for time in _excess(self.times, forms))


@dataclass(frozen=True, slots=True)
class LeastTime:
    """Nanoseconds of transposes, and of what operators take longer than in their fastest form.

    Attributes:
        times: of operators.
    """

    copy_tie: ClassVar[int] = 0

    times: OperatorTimes
    _known: dict[tuple[Movement, int], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    def copy(self, shape: tuple[int, ...], perm: Perm, bits: int) -> int:
        """Return nanoseconds of a TRANSPOSE, with what every operator takes beside its work."""
        size = tensor_bytes(shape, bits)
        if is_identity(perm) or not size:
            return 0
        return round(self._overhead + self._moving(Movement.of(shape, perm, bits), size))

    def inside(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return nanoseconds beyond the fastest form, and of all TRANSPOSE operators inside."""
        gathered = Movement(Family.PIECES, GATHERED)
        moved = (
            _INSIDE * self._overhead + self._moving(gathered, form.transposed) if form.transposed else 0.0
            for form in forms
        )
        return tuple(round(sum(each)) for each in zip(moved, _excess(self.times, forms), strict=True))

    def ties(self, forms: Sequence[InnerCost]) -> tuple[int, ...]:
        """Return nothing: all that is known is in the cost."""
        return (0,) * len(forms)

    @property
    def _overhead(self) -> float:
        """Nanoseconds of one more operator: one that is timed over and over finds all in the nearest caches."""
        return max(self.times.transposes.overhead, OPERATOR)

    def _moving(self, movement: Movement, size: int) -> float:
        """Return what the table says, looked up once: a graph asks for the same copies over and over."""
        key = (movement, size)
        if key not in self._known:
            self._known[key] = self.times.transposes.at(movement, size)
        return self._known[key]


def _excess(times: OperatorTimes, forms: Sequence[InnerCost]) -> list[float]:
    """Return nanoseconds of each form beyond the fastest."""
    taken = [0.0 if form is NOTHING else times.of_form(form) for form in forms]
    least = min(taken, default=0.0)
    return [time - least for time in taken]
