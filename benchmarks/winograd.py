"""The gain of Winograd's algorithms on single convolutions in LiteRT, beside what their cost model predicts.

::

    python -m benchmarks.winograd [--rounds 10]

Each convolution is timed directly and by the plan of least predicted time, whether or not that gains enough to be
taken; both in one interleaved run on one thread of XNNPACK, by the clock of the thread. Errors are against float64.
The figures go to ``benchmarks/results/winograd.json``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import records
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import measure, run_tflite
from layoutopt.results.provenance import Provenance
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.engine import apply_rules
from layoutopt.tfl.rewrites.winograd import Plan, Sizes, computed_by, plans, use_winograd

RESULTS = records.committed("winograd")
_COPIES = 3
"""Convolutions, one after the other, so that the weights of one push those of another out of the caches."""

CASES = (
    *((80, 16, 16), (112, 32, 32), (112, 64, 64), (64, 64, 32), (64, 192, 64), (56, 48, 48), (56, 64, 64)),
    *((40, 32, 32), (28, 96, 96), (28, 128, 128), (28, 384, 128), (20, 64, 64), (14, 192, 192), (14, 256, 256)),
    *((14, 768, 256), (10, 128, 128), (7, 512, 512)),
)
"""Height and width of the images, channels of the input and of the result; the kernel is 3x3."""


@dataclass(frozen=True, slots=True)
class Gain:
    """One convolution.

    Attributes:
        plan: the algorithm along each axis.
        taken: whether the model of costs takes it.
        milliseconds: directly and by the plan.
        predicted: likewise, by the model of costs.
        errors: likewise, the root of the mean squared error against float64, over the largest result.
    """

    plan: str
    taken: bool
    milliseconds: tuple[float, float]
    predicted: tuple[float, float]
    errors: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Winograd:
    """All that was measured.

    Attributes:
        gains: by size.
        measured: where and when.
    """

    gains: Mapping[str, Gain]
    measured: Provenance


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    found = {}
    for size, inputs, outputs in CASES:
        name = f"{size}x{size}, {inputs} to {outputs}"
        found[name] = compared(size, inputs, outputs, options.rounds)
        print(f"{name}: {found[name]}", flush=True)
    records.save(Winograd(found, Provenance.here()), RESULTS)


def compared(size: int, inputs: int, outputs: int, rounds: int) -> Gain:
    """Compare both ways to compute convolutions of these sizes."""
    rng = np.random.default_rng(0)
    depths = [inputs, *[outputs] * (_COPIES - 1)]
    kernels = [
        rng.normal(0, (9 * each / 2) ** -0.5, (outputs, 3, 3, each)).astype(np.float32) for each in depths
    ]  # He et al.: results keep their size
    shape = (1, size, size, inputs)
    direct = _graph(shape, kernels)
    sizes = [Sizes.of(operation) for operation in direct.operations]
    best = min((plan for plan in plans((3, 3)) if plan), key=lambda plan: sum(each.nanoseconds(plan) for each in sizes))
    by_plan, taken = _graph(shape, kernels), _graph(shape, kernels)
    apply_rules(by_plan, (computed_by(best),))
    eliminate_dead_code(by_plan)
    use_winograd(taken)
    x = rng.standard_normal(shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / f"{at}.tflite" for at in range(2)]
        for graph, path in zip((direct, by_plan), paths, strict=True):
            write_tflite(Model(graph, ["x"], ["y"]), path)
        found = [run_tflite(path, {"x": x})["y"] for path in paths]
        times = [each.median_ms / _COPIES for each in measure(paths, rounds=rounds, clock=time.thread_time)]
    expected = _in_double(x, kernels)
    errors = [
        float(np.sqrt(np.mean((each.astype(np.float64) - expected) ** 2)) / np.abs(expected).max()) for each in found
    ]
    told = [sum(each.nanoseconds(plan) for each in sizes) / _COPIES / 1e6 for plan in ((), best)]
    was_taken = len(taken.operations) > _COPIES
    return Gain(_text(best), was_taken, (times[0], times[1]), (told[0], told[1]), (errors[0], errors[1]))


def _text(plan: Plan) -> str:
    return ", ".join(
        f"F({algorithm.step},{algorithm.taps}) along {('height', 'width')[axis]}" for axis, algorithm in plan
    )


def _graph(shape: tuple[int, ...], kernels: list[npt.NDArray[np.float32]]) -> Graph:
    graph = Graph([Value(DType.FLOAT32, shape)])
    with tfl.recording(graph):
        x = graph.inputs[0]
        for kernel in kernels:
            x = tfl.conv_2d(x, kernel, padding="SAME")
        graph.outputs = [x]
    return graph


def _in_double(x: npt.NDArray[np.float32], kernels: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    y = x.astype(np.float64)
    size = y.shape[1]
    for kernel in kernels:
        padded = np.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)])
        y = np.zeros((*y.shape[:3], len(kernel)))
        for row, column in np.ndindex(3, 3):
            y += padded[:, row : row + size, column : column + size] @ kernel[:, row, column].T.astype(np.float64)
    return y


if __name__ == "__main__":
    main()
