"""Times BROADCAST_TO beside the product by ones that computes the same.

::

    python -m benchmarks.studies.broadcasts [--rounds 30]

Both are written without TensorFlow and timed in turns, one thread with XNNPACK, the fastest sample of each. It prints
a line for each shape.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from layoutopt.backend.direct.writer import Model, write_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Value
from layoutopt.tfl.rewrites import FLOAT_RULES, simplify

Sizes = tuple[int, ...]
SHAPES: tuple[tuple[Sizes, Sizes], ...] = (
    ((16, 1, 16, 16), (16, 16, 16, 16)),
    ((4, 16, 16, 1, 16), (4, 16, 16, 16, 16)),
    ((64, 64, 1), (64, 64, 64)),
    ((1, 1, 1000), (16, 100, 1000)),
    ((1, 64, 1, 1), (1, 64, 56, 56)),
    ((1, 1, 1, 8), (1, 4, 4, 8)),
    ((2, 3, 1, 5, 1, 4), (2, 3, 6, 5, 7, 4)),
    ((100, 1), (100, 100)),
)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory) / name for name in ("broadcast.tflite", "product.tflite")]
        for before, after in SHAPES:
            for file, rewrite in zip(files, (lambda _: None, lambda graph: simplify(graph, FLOAT_RULES)), strict=True):
                _write(before, after, file, rewrite)
            broadcast, product = (each.minimum_ms for each in measure(files, rounds=rounds, clock=time.thread_time))
            print(f"{before} to {after}: {broadcast:.4f} ms, by a product {product:.4f} ms, {broadcast / product:.1f}x")


def _write(before: Sizes, after: Sizes, file: Path, rewrite: Callable[[Graph], None]) -> None:
    graph = Graph([Value(DType.FLOAT32, before)])
    with tfl.recording(graph):
        graph.outputs = [tfl.abs_(tfl.broadcast_to(tfl.abs_(graph.inputs[0]), after))]
    rewrite(graph)
    write_tflite(Model(graph, ["x"], ["y"]), file)


if __name__ == "__main__":
    main()
