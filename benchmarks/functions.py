"""Functions of TensorFlow as .tflite files, timed against each other."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layoutopt.backend.litert.runtime import measure

ROUNDS = 40


def microseconds(functions: Mapping[str, tuple[Callable[..., Any], Sequence[Sequence[int]]]]) -> Mapping[str, float]:
    """Return the fastest time of each in one interleaved run, one XNNPACK thread, by the clock of the thread.

    Args:
        functions: each with the shapes of its float32 operands.
    """
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{index}.tflite" for index in range(len(functions))]
        for path, (function, shapes) in zip(paths, functions.values(), strict=True):
            path.write_bytes(tflite(function, shapes))
        latencies = measure(paths, rounds=ROUNDS, clock=time.thread_time)
    return {name: latency.minimum_ms * 1e3 for name, latency in zip(functions, latencies, strict=True)}


def tflite(function: Callable[..., Any], shapes: Sequence[Sequence[int]]) -> bytes:
    """Return a .tflite of ``function``, whose operands are float32 tensors of these shapes."""
    import tensorflow as tf

    concrete = tf.function(
        function, [tf.TensorSpec(shape) for shape in shapes], autograph=False
    ).get_concrete_function()
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert()
    return content
