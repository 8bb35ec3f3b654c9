"""The latency of a transposed convolution in LiteRT as TRANSPOSE_CONV, and as CONV_2D and DEPTH_TO_SPACE.

::

    python -m benchmarks.studies.upsampling [--rounds 20]

Prints one row for each kernel, and one cell for each picture: milliseconds of the two forms, one thread, CPU time, both
in one interleaved run, and how many times as fast the second one is.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.lowering.conv_transpose import Spread, sub_pixel, transposed_convolution
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value


@dataclass(frozen=True, slots=True)
class Kernel:
    """A transposed convolution along each of its two axes."""

    size: int
    stride: int
    pad: int = 0
    extra: int = 0

    def __str__(self) -> str:
        return f"k{self.size} s{self.stride} p{self.pad} op{self.extra}"


KERNELS = (
    Kernel(2, 2),
    Kernel(3, 2, 1, 1),
    Kernel(3, 2, 1),
    Kernel(3, 2),
    Kernel(4, 2, 1),
    Kernel(5, 2, 2, 1),
    Kernel(6, 2, 2),
    Kernel(1, 2),
    Kernel(3, 3),
    Kernel(4, 4),
    Kernel(8, 4, 2),
    Kernel(16, 8, 4),
    Kernel(3, 1, 1),
    Kernel(3, 1),
)
PICTURES = ((16, 512, 256), (32, 256, 128), (64, 64, 32), (128, 32, 16), (256, 16, 16), (32, 32, 3))
"""Height and width, channels before and after."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    pictures = [f"{size}x{size}, {before} to {after}" for size, before, after in PICTURES]
    print(f"| kernel | {' | '.join(pictures)} |\n|---{'|---' * len(PICTURES)}|")
    for kernel in KERNELS:
        cells = [compared(kernel, *picture, rounds=options.rounds) for picture in PICTURES]
        print(f"| {kernel} | {' | '.join(cells)} |", flush=True)


def compared(kernel: Kernel, size: int, before: int, after: int, *, rounds: int) -> str:
    """Measure one cell of the table."""
    rng = np.random.default_rng(0)
    out = (size - 1) * kernel.stride + kernel.size + kernel.extra - 2 * kernel.pad
    spreads = [Spread(size, kernel.size, kernel.stride, kernel.pad, out)] * 2
    weights = rng.standard_normal((before, after, kernel.size, kernel.size)).astype(np.float32)
    bias = Value.constant(rng.standard_normal(after).astype(np.float32))
    with tempfile.TemporaryDirectory() as directory:
        old, new = Path(directory, "transposed.tflite"), Path(directory, "sub_pixel.tflite")
        write(old, size, before, lambda x: transposed_convolution(x, Value.constant(weights), bias, spreads))
        write(new, size, before, lambda x: sub_pixel(x, weights, bias, spreads))
        slow, fast = measure([old, new], rounds=rounds, clock=time.thread_time)
    speedup = fast.speedup_over(slow)
    return f"{slow.minimum_ms:.2f} / {fast.minimum_ms:.2f}, {speedup.median_of_rounds:.2f}x"


def write(path: Path, size: int, channels: int, form: Callable[[Value], Value]) -> None:
    """Write a .tflite of a function of a picture."""
    graph = Graph(inputs=[Value(DType.FLOAT32, (1, size, size, channels))])
    with tfl.recording(graph):
        graph.outputs = [form(graph.inputs[0])]
    write_tflite(Model(graph, ["x"], ["y"]), path)


if __name__ == "__main__":
    main()
