"""Measures the times of operators that the choice of layouts goes by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layoutopt.backend.litert.operator_times import TimedOperator, Transpose, time_operators
from layoutopt.layout.costs.calibration import (
    FORMS,
    JOINED,
    JOINED_ROWS,
    TYPICAL,
    Grid,
    tabulate_pieces,
    tabulate_products,
    tabulate_transposes,
)
from layoutopt.layout.costs.objectives import OperatorTimes
from layoutopt.layout.costs.products import MatrixProducts
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value


@dataclass(frozen=True, slots=True)
class Multiplication:
    """One FULLY_CONNECTED or BATCH_MATMUL.

    Attributes:
        product: its sizes and its form; each product has a right matrix of its own, or all share one constant.
    """

    product: MatrixProducts

    def operands(self) -> list[Value]:
        """Return the left matrices, and the right ones where they are not constant."""
        p = self.product
        left = (p.count, p.depth, p.rows) if p.turned else (p.count, p.rows, p.depth)
        right = Value(DType.FLOAT32, (p.rights, p.depth, p.columns))
        return [Value(DType.FLOAT32, left), *([] if p.constant else [right])]

    def record(self, *operands: Value) -> Value:
        """Record the product."""
        p, (left, *right) = self.product, operands
        if right:
            return tfl.batch_matmul(left, right[0], adj_x=p.turned > 0)
        if p.rights == 1:
            return tfl.fully_connected(left, _constant(p.columns, p.depth))
        return tfl.batch_matmul(left, _constant(p.rights, p.depth, p.columns))


@dataclass(frozen=True, slots=True)
class Concatenation:
    """One CONCATENATION of two tensors along their last axis.

    Attributes:
        rows: of each.
        piece: float32 elements of each row.
    """

    rows: int
    piece: int

    def operands(self) -> list[Value]:
        """Return the two tensors."""
        return [Value(DType.FLOAT32, (self.rows, self.piece)) for _ in range(2)]

    def record(self, *operands: Value) -> Value:
        """Record the CONCATENATION."""
        return tfl.concatenation(operands, 1)


def _constant(*shape: int) -> Value:
    return Value.constant(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32))


def measure_times(
    grid: Grid, *, threads: int = 1, verbose: bool = False, progress: Callable[[int, int], None] | None = None
) -> OperatorTimes:
    """Measure the times that the choice of layouts goes by, all in one interleaved run.

    Args:
        grid: what is measured.
        threads: of XNNPACK.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Raises:
        ConversionError: LiteRT cannot run one of the operators.
    """
    probes = grid.probes()
    kinds: tuple[list[TimedOperator], ...] = (
        [Transpose(probe.shape, probe.perm, probe.bits) for probe in probes],
        [Transpose(probe.shape, probe.perm, probe.bits) for probe in TYPICAL],
        [Multiplication(product) for product in grid.products()],
        [Multiplication(product) for product in FORMS],
        [Concatenation(JOINED_ROWS, piece) for piece in JOINED],
    )
    times = time_operators(
        [operator for kind in kinds for operator in kind],
        threads=threads,
        rounds=grid.rounds,
        verbose=verbose,
        progress=progress,
    )
    each = iter(times.nanoseconds)
    transposes, typical, rates, forms, pieces = ([next(each) for _ in kind] for kind in kinds)
    return OperatorTimes(
        tabulate_transposes(probes, transposes, typical, times.overhead),
        tabulate_products(grid, rates, forms),
        tabulate_pieces(pieces),
    )
