"""Times operators by themselves, in .tflite files that are written here: no TensorFlow, no converter."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.ir.perm import Perm
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
from layoutopt.layout.costs.products import Product
from layoutopt.outputs import scratch
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.recorder import recording

_MANY = 16  # operators that a model has more than another, so that the difference is theirs


class Timed(Protocol):
    """An operator that can be timed."""

    def operands(self) -> list[Value]:
        """Return its operands that are no constants."""
        ...

    def record(self, *operands: Value) -> Value:
        """Record the operator once and return its result."""
        ...


@dataclass(frozen=True, slots=True)
class Transpose:
    """One TRANSPOSE.

    Attributes:
        shape: of the operand.
        perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
        bits: 32 for float32, 8 for quantized int8: what XNNPACK takes.
    """

    shape: tuple[int, ...]
    perm: Perm
    bits: int

    def operands(self) -> list[Value]:
        """Return the operand; without a scale XNNPACK does not take int8."""
        x = Value(DType.FLOAT32 if self.bits == 32 else DType.INT8, self.shape)
        if self.bits == 8:
            x.quantization = Quantization((1.0,), (0,))
        return [x]

    def record(self, *operands: Value) -> Value:
        """Record the TRANSPOSE."""
        (x,) = operands
        result = tfl.transpose(x, self.perm)
        result.quantization = x.quantization
        return result


@dataclass(frozen=True, slots=True)
class Multiplication:
    """One FULLY_CONNECTED or BATCH_MATMUL.

    Attributes:
        product: its sizes and its form; each product has a right matrix of its own, or all share one constant.
    """

    product: Product

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


_TINY = Transpose((2, 3), (1, 0), 32)


def _constant(*shape: int) -> Value:
    return Value.constant(np.random.default_rng(0).normal(0, 1, shape).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Times:
    """How long each takes, all from one interleaved run.

    Attributes:
        overhead: nanoseconds of an operator that has nothing to do.
        nanoseconds: of each operator, without the overhead and without what starting an inference takes.
    """

    overhead: float
    nanoseconds: tuple[float, ...]


def time_operators(
    operators: Sequence[Timed],
    *,
    threads: int = 1,
    rounds: int = 15,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Times:
    """Time each operator alone on LiteRT with XNNPACK; the fastest sample counts.

    Args:
        operators: what to time; all are held in memory at once.
        threads: of XNNPACK.
        rounds: samples of each.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Raises:
        MissingExtraError: LiteRT is not installed.
        UsageError: there are no rounds or no threads.
        ConversionError: LiteRT cannot run one of them.
    """
    with scratch() as folder:
        paths = [folder / f"{index}.tflite" for index in range(len(operators) + 2)]
        write_operator(_TINY, paths[0])
        write_operator(_TINY, paths[1], copies=1 + _MANY)
        for operator, path in zip(operators, paths[2:], strict=True):
            write_operator(operator, path)
        latencies = measure(paths, threads=threads, rounds=rounds, verbose=verbose, progress=progress)
    one, many, *each = (latency.minimum_ms * 1e6 for latency in latencies)
    return Times(max(1.0, (many - one) / _MANY), tuple(max(1.0, time - one) for time in each))


def time_in_turn(operators: Sequence[Timed], *, rounds: int, seed: int = 0) -> list[float]:
    """Return nanoseconds of each operator where it finds its operands as a network leaves them, not in the cache.

    Each runs once in its turn, in a new order each time; the median counts, and all are timed on one thread.

    Args:
        operators: what to time; together they have to be larger than the caches.
        rounds: how often each runs.
        seed: of the orders.
    """
    from ai_edge_litert.interpreter import Interpreter  # slow to import

    with scratch() as folder:
        calls = []
        for index, operator in enumerate(operators):
            write_operator(operator, folder / f"{index}.tflite")
            interpreter = Interpreter(str(folder / f"{index}.tflite"), num_threads=1)
            interpreter.allocate_tensors()
            calls.append(interpreter.invoke)
        took: list[list[int]] = [[] for _ in operators]
        order = np.random.default_rng(seed)
        for _ in range(rounds):
            for index in order.permutation(len(calls)):
                start = time.thread_time_ns()
                calls[index]()
                took[index].append(time.thread_time_ns() - start)
    return [float(np.median(each)) for each in took]


def write_operator(operator: Timed, path: Path, *, copies: int = 1) -> None:
    """Write a .tflite that runs ``operator`` and nothing else.

    Args:
        operator: of the inputs ``x0``, ``x1``...
        path: where to.
        copies: how often it is run, to as many outputs ``y0``, ``y1``...
    """
    graph = Graph(operator.operands())
    with recording(graph):
        graph.outputs = [operator.record(*graph.inputs) for _ in range(copies)]
    inputs, outputs = (
        [f"{name}{n}" for n in range(len(of))] for name, of in (("x", graph.inputs), ("y", graph.outputs))
    )
    write_tflite(Model(graph, inputs, outputs), path)


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
    kinds: tuple[list[Timed], ...] = (
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
