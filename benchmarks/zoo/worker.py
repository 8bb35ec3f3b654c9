"""``python -m benchmarks.zoo.worker KEY BACKEND MODEL DIRECTORY``: the whole path for one entry, in its own process."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir

import layoutopt
from benchmarks.zoo.catalogue import Network, entries
from benchmarks.zoo.interface import EXACT, TFLITE, Arrays, infer
from benchmarks.zoo.rows import Row, Tensor, in_one_line
from layoutopt.backend.conversion import Backend
from layoutopt.errors import LayoutoptError, VerificationError
from layoutopt.ir.io import load, set_shapes
from layoutopt.ir.verify import OutputDifference, Reference, difference_of
from layoutopt.options import TOLERANCE
from layoutopt.results.optimize import OptimizeReport
from layoutopt.results.provenance import Provenance


class Clock:
    """Adds up the wall time between announcements, by what was announced."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "load", time.perf_counter()

    def start(self, stage: str) -> None:
        """End the stage before and start ``stage``."""
        now = time.perf_counter()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


def measured(network: Network, backend: Backend, path: Path, directory: Path) -> Row:
    """Convert a file as a user would, and compare the result with ONNX Runtime on the original."""
    clock = Clock()
    tflite = directory / TFLITE
    unsteadiness = 0.0
    optimized = partial(_optimized, network, backend, path, tflite, clock)
    try:
        try:
            report = optimized(TOLERANCE)
        except VerificationError:
            unsteadiness = _reference(network, path).unsteadiness()
            if 4 * unsteadiness <= TOLERANCE:
                raise
            report = optimized(4 * unsteadiness)
    except LayoutoptError as error:
        print(error, file=sys.stderr)
        clock.start("")
        return replace(_sized(path), error=in_one_line(error), seconds=clock.seconds)
    clock.start("")
    row = replace(
        _sized(path),
        transposes=report.optimized.transposes,
        operators=report.optimized.operators,
        histogram=report.optimized.histogram,
        operands=tuple(map(Tensor.of, report.inputs)),
        results=tuple(map(Tensor.of, report.outputs)),
        unsteadiness=unsteadiness,
        seconds=clock.seconds,
    )
    reference = _reference(network, path)
    found = infer(tflite, row, reference.inputs)
    row = replace(row, outputs=reference.compare(found).outputs)
    exact = path.with_name(EXACT)
    if not exact.exists():
        return row
    with np.load(exact) as arrays:
        judge = dict(arrays)
    return replace(row, runtime=differences(judge, reference.outputs), exact=differences(judge, found))


def _optimized(
    network: Network, backend: Backend, path: Path, tflite: Path, clock: Clock, tolerance: float
) -> OptimizeReport:
    return layoutopt.optimize(
        path,
        tflite=tflite,
        shapes=network.shapes,
        tolerance=tolerance,
        baseline=False,
        backend=backend,
        force=True,
        progress=clock.start,
    )


def differences(expected: Arrays, found: Arrays) -> tuple[OutputDifference, ...]:
    """Return how far each output is from what it should be."""
    return tuple(difference_of(name, array, found[name]) for name, array in expected.items())


def _reference(network: Network, path: Path) -> Reference:
    model = load(path)
    set_shapes(model, network.shapes)
    return Reference(model)


def _sized(path: Path) -> Row:
    """Return a row with no more than the size of what came in."""
    model = load(path)
    graphs = (model.graph, *model.graph.subgraphs())
    constants = [value.const_value for graph in graphs for value in graph.initializers.values()]
    constants += [node.attributes["value"].as_tensor() for graph in graphs for node in graph if _is_constant(node)]
    floats = [each for each in constants if each is not None and each.dtype.is_floating_point()]
    return Row(
        opset=model.opset_imports.get("", 0),
        parameters=sum(each.size for each in floats),
        weights=sum(each.nbytes for each in floats),
        measured=Provenance.here(),
    )


def _is_constant(node: ir.Node) -> bool:
    return node.op_type == "Constant" and "value" in node.attributes


def main() -> None:
    """Write the row into the directory."""
    key, backend, path, directory = sys.argv[1], Backend(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
    entry = next(each for each in entries() if each.key == key)
    measured(entry.network, backend, path, directory).save(directory)


if __name__ == "__main__":
    main()
