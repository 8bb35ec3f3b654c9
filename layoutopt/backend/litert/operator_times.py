"""Times operators by themselves, in .tflite files that are written here: no TensorFlow, no converter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.ir.perm import Perm
from layoutopt.outputs import scratch
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.recorder import recording

_MANY = 16  # operators that a model has more than another, so that the difference is theirs


class TimedOperator(Protocol):
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


_TINY = Transpose((2, 3), (1, 0), 32)


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """The time that each operator takes, all from one interleaved run.

    Attributes:
        overhead: nanoseconds of an operator that has nothing to do.
        nanoseconds: of each operator, without the overhead and without what starting an inference takes.
    """

    overhead: float
    nanoseconds: tuple[float, ...]


def time_operators(
    operators: Sequence[TimedOperator],
    *,
    threads: int = 1,
    rounds: int = 15,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredTimes:
    """Time each operator alone on LiteRT with XNNPACK; the fastest sample counts.

    Args:
        operators: what to time; all are held in memory at once.
        threads: of XNNPACK.
        rounds: samples of each.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Raises:
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
    return MeasuredTimes(max(1.0, (many - one) / _MANY), tuple(max(1.0, time - one) for time in each))


def write_operator(operator: TimedOperator, path: Path, *, copies: int = 1) -> None:
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
