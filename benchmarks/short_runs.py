"""What joining and cutting short pieces takes in LiteRT, next to a TRANSPOSE of the same bytes.

::

    python -m benchmarks.short_runs [--kilobytes 1024] [--repetitions 60]

Each operator runs once in its turn, in a new order each time: it finds its operands where a network leaves them, which
is not in the fastest cache. That is why `layoutopt.backend.litert.runtime.measure`, which repeats, is not asked.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.functions import tflite
from layoutopt.layout.rules.internal_costs import SHORTEST_RUN
from layoutopt.results.provenance import Provenance

RUNS = (1, 2, 4, 8, 16, 32, 64)
RESULTS = records.committed("short_runs")


@dataclass(frozen=True, slots=True)
class Run:
    """Microseconds of what writes pieces of one length.

    Attributes:
        floats: length of the pieces.
        concatenation: of two of them side by side, all along.
        split: into two of them.
        pieces: a TRANSPOSE that moves whole pieces.
        elements: a TRANSPOSE that moves single elements.
    """

    floats: int
    concatenation: float
    split: float
    pieces: float
    elements: float


@dataclass(frozen=True, slots=True)
class ShortRuns:
    """All lengths.

    Attributes:
        kilobytes: that each operator writes.
        runs: the shortest first.
        measured: where and when.
    """

    kilobytes: int
    runs: tuple[Run, ...]
    measured: Provenance


def main() -> None:
    """Measures every length in one interleaved run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kilobytes", type=int, default=1024, help="size of what is written")
    parser.add_argument("--repetitions", type=int, default=60)
    options = parser.parse_args()
    operators = {run: of_run(run, options.kilobytes * 256 // run // 2) for run in RUNS}
    calls = {(run, name): invoker(*operator) for run, row in operators.items() for name, operator in row.items()}
    took = interleaved(calls, options.repetitions)
    runs = (Run(run, **{name: took[run, name] for name in row}) for run, row in operators.items())
    records.save(ShortRuns(options.kilobytes, tuple(runs), Provenance.here()), RESULTS)
    print(told())


def of_run(run: int, rows: int) -> Mapping[str, tuple[Callable[..., Any], Sequence[Sequence[int]]]]:
    """The operators over pieces of ``run`` elements, with the shapes of their operands."""
    import tensorflow as tf

    return {
        "concatenation": (lambda a, b: tf.concat([a, b], 1), ((rows, run), (rows, run))),
        "split": (lambda a: tf.split(a, 2, 1), ((rows, 2 * run),)),
        "pieces": (lambda a: tf.transpose(a, [1, 0, 2]), ((rows, 2, run),)),
        "elements": (tf.transpose, ((rows, 2 * run),)),
    }


def invoker(function: Callable[..., Any], shapes: Sequence[Sequence[int]]) -> Callable[[], None]:
    """Runs a function of TensorFlow as a .tflite, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite(function, shapes), num_threads=1)
    interpreter.allocate_tensors()
    for operand in interpreter.get_input_details():
        interpreter.set_tensor(operand["index"], np.random.default_rng(0).random(operand["shape"], np.float32))
    return interpreter.invoke  # type: ignore[no-any-return]


def interleaved(
    calls: Mapping[tuple[int, str], Callable[[], None]], repetitions: int
) -> Mapping[tuple[int, str], float]:
    """The median of each call in microseconds of the thread, all of them in a new order each time."""
    times: dict[tuple[int, str], list[float]] = {key: [] for key in calls}
    keys, rng = list(calls), random.Random(0)
    for _ in range(repetitions):
        rng.shuffle(keys)
        for key in keys:
            start = time.thread_time()
            calls[key]()
            times[key].append(time.thread_time() - start)
    return {key: float(np.median(each)) * 1e6 for key, each in times.items()}


def told() -> str:
    """What short pieces cost, in words."""
    *shorter, longest = records.load(ShortRuns, RESULTS).runs
    first, *others = (
        (run.floats, (run.concatenation + run.split) / (longest.concatenation + longest.split))
        for run in shorter
        if run.floats <= SHORTEST_RUN
    )
    return (
        f"CONCATENATION and SPLIT of LiteRT take {first[1]:.1f} times as long with runs of one float as with runs of "
        f"{longest.floats}, " + ", ".join(f"{ratio:.1f} times with {floats}" for floats, ratio in others)
    )


if __name__ == "__main__":
    main()
