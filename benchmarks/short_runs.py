"""What joining and cutting short pieces takes in LiteRT, next to a TRANSPOSE of the same bytes.

::

    python -m benchmarks.short_runs [--kilobytes 1024] [--repetitions 60]

Prints one row for each length of the pieces, in float32 elements: microseconds, one thread, all in one interleaved run.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

RUNS = (1, 2, 4, 8, 16, 32, 64)
Invoke = Callable[[], None]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kilobytes", type=int, default=1024, help="size of what is written")
    parser.add_argument("--repetitions", type=int, default=60)
    options = parser.parse_args()
    operators = {run: of_run(run, options.kilobytes * 256 // run // 2) for run in RUNS}
    calls = {(run, name): call for run, row in operators.items() for name, call in row.items()}
    took = interleaved(calls, options.repetitions)
    print("| elements | CONCATENATION | SPLIT | TRANSPOSE of pieces | TRANSPOSE of elements |\n|---|---|---|---|---|")
    for run, row in operators.items():
        print(f"| {run} | {' | '.join(f'{took[run, name]:.0f} µs' for name in row)} |")


def of_run(run: int, rows: int) -> Mapping[str, Invoke]:
    """The operators, over pieces of ``run`` elements."""
    import tensorflow as tf

    return {
        "concat": invoker(lambda a, b: tf.concat([a, b], 1), (rows, run), (rows, run)),
        "split": invoker(lambda a: tf.split(a, 2, 1), (rows, 2 * run)),
        "pieces": invoker(lambda a: tf.transpose(a, [1, 0, 2]), (rows, 2, run)),
        "elements": invoker(tf.transpose, (rows, 2 * run)),
    }


def invoker(function: Callable[..., Any], *shapes: Sequence[int]) -> Invoke:
    """Runs a function of TensorFlow as a .tflite."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    concrete = tf.function(function, [tf.TensorSpec(shape) for shape in shapes]).get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for operand in interpreter.get_input_details():
        interpreter.set_tensor(operand["index"], np.random.default_rng(0).random(operand["shape"], np.float32))

    def invoke() -> None:
        interpreter.invoke()

    return invoke


def interleaved(calls: Mapping[tuple[int, str], Invoke], repetitions: int) -> dict[tuple[int, str], float]:
    """The median of each call in microseconds, all of them in a new order each time."""
    times: dict[tuple[int, str], list[float]] = {key: [] for key in calls}
    keys, rng = list(calls), random.Random(0)
    for _ in range(repetitions):
        rng.shuffle(keys)
        for key in keys:
            start = time.perf_counter()
            calls[key]()
            times[key].append(time.perf_counter() - start)
    return {key: float(np.median(each)) * 1e6 for key, each in times.items()}


if __name__ == "__main__":
    main()
