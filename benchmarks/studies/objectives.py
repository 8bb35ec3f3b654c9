"""Compares layouts chosen by predicted time with those of the fewest bytes and with layouts per operator.

::

    python -m benchmarks.studies.objectives [--rounds 40] MODEL.onnx...

Every model is converted three times, by the direct backend, and the three are timed in one interleaved run: one
thread of XNNPACK, CPU time, the fastest sample. It prints a row of Markdown
for each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.ir.io import load
from layoutopt.options import Io, Objective
from layoutopt.passes import PropagateLayout, default_pipeline
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.manager import PassManager

CHOICES: Mapping[str, PropagateLayout] = {
    "time": PropagateLayout(Io.KEEP, objective=Objective.TIME),
    "bytes": PropagateLayout(Io.KEEP, objective=Objective.BYTES),
    "per operator": PropagateLayout(Io.KEEP, scope=Scope.OPERATOR),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A .tflite whose layouts were chosen in one way.

    Attributes:
        transposes: how many TRANSPOSE operators it has.
        transposed: bytes in them.
        milliseconds: of one inference.
    """

    transposes: int
    transposed: int
    milliseconds: float


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="a directory for the .tflite files")
    options = parser.parse_args()
    print(
        " | ".join(
            ("network", *(f"{name}: ms, TRANSPOSE, MB" for name in CHOICES), "per operator / time", "bytes / time")
        )
    )
    for path in options.models:
        name = path.stem if path.stem not in ("model", "original") else path.parent.name
        found = compared(path, options.rounds, options.keep and options.keep / name)
        print(" | ".join(_cells(name, found)), flush=True)


def compared(path: Path, rounds: int, keep: Path | None = None) -> Mapping[str, Chosen]:
    """Convert one model in each of `CHOICES`, and time all of them.

    Args:
        path: of the .onnx.
        rounds: samples of each.
        keep: directory for the .tflite files; None throws them away.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, propagate in CHOICES.items():
            files.append(folder / f"{name.replace(' ', '_')}.tflite")
            convert_directly(PassManager(default_pipeline(propagate)).run(load(path)).model, files[-1])
        latencies = measure(files, rounds=rounds, clock=time.thread_time)
        counts = [count_tflite(file) for file in files]
    return {
        name: Chosen(count.transposes, count.bytes_moved, latency.minimum_ms)
        for name, count, latency in zip(CHOICES, counts, latencies, strict=True)
    }


def _cells(name: str, chosen: Mapping[str, Chosen]) -> Sequence[str]:
    return (name, *map(_cell, chosen.values()), *_ratios(chosen))


def _cell(chosen: Chosen) -> str:
    return f"{chosen.milliseconds:.2f}, {chosen.transposes}, {chosen.transposed / 1e6:.2f}"


def _ratios(chosen: Mapping[str, Chosen]) -> Iterator[str]:
    for other in ("per operator", "bytes"):
        yield f"{chosen[other].milliseconds / chosen['time'].milliseconds:.2f}x"


if __name__ == "__main__":
    main()
