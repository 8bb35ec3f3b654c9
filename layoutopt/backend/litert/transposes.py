"""Times TRANSPOSE by itself, in .tflite files that are written here: no TensorFlow, no converter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.ir.perm import Perm
from layoutopt.outputs import scratch
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.recorder import int32, one, recording

_MANY = 16  # operators that a model has more than another, so that the difference is theirs


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


_TINY = Transpose((2, 3), (1, 0), 32)


@dataclass(frozen=True, slots=True)
class Times:
    """How long each takes, all from one interleaved run.

    Attributes:
        overhead: nanoseconds of an operator that has nothing to do.
        nanoseconds: of each TRANSPOSE, without the overhead and without what starting an inference takes.
    """

    overhead: float
    nanoseconds: tuple[float, ...]


def time_transposes(
    transposes: Sequence[Transpose],
    *,
    threads: int = 1,
    rounds: int = 15,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Times:
    """Times each of ``transposes`` alone on LiteRT with XNNPACK; the fastest sample counts.

    Args:
        transposes: what to time; all are held in memory at once.
        threads: of XNNPACK.
        rounds: samples of each.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Raises:
        UsageError: there are no rounds or no threads.
        ConversionError: LiteRT cannot run one of them.
    """
    with scratch() as folder:
        paths = [folder / f"{index}.tflite" for index in range(len(transposes) + 2)]
        write_transpose(_TINY, paths[0])
        write_transpose(_TINY, paths[1], copies=1 + _MANY)
        for transpose, path in zip(transposes, paths[2:], strict=True):
            write_transpose(transpose, path)
        latencies = measure(paths, threads=threads, rounds=rounds, verbose=verbose, progress=progress)
    one, many, *each = (latency.minimum_ms * 1e6 for latency in latencies)
    return Times(max(1.0, (many - one) / _MANY), tuple(max(1.0, time - one) for time in each))


def write_transpose(transpose: Transpose, path: Path, *, copies: int = 1) -> None:
    """Write a .tflite that does ``transpose`` and nothing else.

    Args:
        transpose: of the input ``x``.
        path: where to.
        copies: how often it does so, to as many outputs ``y0``, ``y1``...
    """
    x = Value(DType.FLOAT32 if transpose.bits == 32 else DType.INT8, transpose.shape)
    if transpose.bits == 8:
        x.quantization = Quantization((1.0,), (0,))  # without a scale XNNPACK does not take it
    graph, perm = Graph([x]), int32(transpose.perm)
    with recording(graph):
        graph.outputs = [one("TRANSPOSE", x, perm) for _ in range(copies)]
    for output in graph.outputs:
        output.quantization = x.quantization
    write_tflite(Model(graph, ["x"], [f"y{index}" for index in range(copies)]), path)
