"""The time that products of matrices take, by their shapes and by the form in which an operator runs them.

XNNPACK multiplies rows by panels of columns, and packs the right matrix into such panels first: a constant one when the
model is loaded, any other in each inference. So a product takes its multiplications over a rate that depends on its
depth and its columns, and the time to read the right matrices and to pack those that are not constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

import numpy as np


@dataclass(frozen=True, slots=True)
class MatrixProducts:
    """Products of matrices as one operator runs them.

    Attributes:
        count: how many products, one for each element of the batch.
        rows: of each left matrix.
        depth: of the sum of each element.
        columns: of each right matrix.
        rights: how many right matrices there are; fewer than products where some share one.
        constant: whether the right matrices are constant, and so packed before.
        turned: elements of the left operand where it comes transposed, else 0.
    """

    count: int
    rows: int
    depth: int
    columns: int
    rights: int = 1
    constant: bool = False
    turned: int = 0

    @property
    def multiplications(self) -> int:
        """Return how many multiplications they take together."""
        return self.count * self.rows * self.depth * self.columns

    @property
    def overheads(self) -> tuple[int, ...]:
        """Return by what the times of a start, of reading, of packing and of turning are multiplied."""
        rights = self.rights * self.depth * self.columns
        return self.count, rights, 0 if self.constant else rights, self.turned


@dataclass(frozen=True, slots=True)
class ProductTimes:
    """Measured times of products.

    Attributes:
        depths: lengths of the sums that were measured.
        columns: numbers of columns that were measured.
        rates: multiplications per nanosecond; a row for each depth, a number for each number of columns.
        start: nanoseconds of each product of a batch.
        reading: nanoseconds of each element of a right matrix.
        packing: nanoseconds, on top, of each element of a right matrix that is packed.
        turning: nanoseconds of each element of a left matrix that comes transposed.
    """

    depths: tuple[int, ...]
    columns: tuple[int, ...]
    rates: tuple[tuple[float, ...], ...]
    start: float
    reading: float
    packing: float
    turning: float

    def __post_init__(self) -> None:
        """Raise ValueError where these are not such times."""
        if len(self.rates) != len(self.depths) or any(len(row) != len(self.columns) for row in self.rates):
            raise ValueError(f"rates for {len(self.depths)} depths and {len(self.columns)} columns")
        if not all(0 < rate < inf for row in self.rates for rate in row):
            raise ValueError("a rate that is not positive")
        if not all(0 <= number < inf for number in (self.start, self.reading, self.packing, self.turning)):
            raise ValueError("a negative time")

    def rate(self, depth: int, columns: int) -> float:
        """Return multiplications per nanosecond, between the measured shapes and no further than these reach."""
        rows = [np.interp(log(columns), np.log(self.columns), np.log(row)) for row in self.rates]
        return exp(np.interp(log(depth), np.log(self.depths), rows))

    def nanoseconds(self, product: MatrixProducts) -> float:
        """Return the time that ``product`` takes, without that of starting the operator."""
        terms = (self.start, self.reading, self.packing, self.turning)
        extra = sum(time * number for time, number in zip(terms, product.overheads, strict=True))
        return product.multiplications / self.rate(product.depth, product.columns) + extra
