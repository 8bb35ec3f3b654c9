"""LSTM, GRU and RNN in LiteRT beside ONNX Runtime, and the forms that their steps may have in a .tflite.

::

    python -m benchmarks.recurrences           # networks: medians, minima and errors
    python -m benchmarks.recurrences --forms   # what the schedule of steps was chosen by

All models of a row are timed in turns, on one thread each, and the fastest sample of each counts for the forms. What
both find goes to ``benchmarks/results/recurrences.json``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from benchmarks import records
from benchmarks.sequence_kernels import write_sequence_lstm
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.runtime import Subject, make_ready
from layoutopt.lowering.recurrence import Schedule
from layoutopt.results.provenance import Provenance

RESULTS = records.committed("recurrences")
GATES: Mapping[str, int] = {"LSTM": 4, "GRU": 3, "RNN": 1}
_SECONDS = 0.4
"""Of samples for each model of a row."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """Recurrent layers, one after the other, of as many features as they have hidden units.

    Attributes:
        operator: LSTM, GRU or RNN.
        steps: of each sequence.
        hidden: size of the state of each direction.
        directions: one or two.
        layers: how many there are.
        batch: number of sequences.
    """

    operator: str
    steps: int
    hidden: int
    directions: int = 1
    layers: int = 1
    batch: int = 1

    def model(self) -> onnx.ModelProto:
        """Return it as PyTorch exports it, with random weights."""
        helper, initializers, nodes, x = onnx.helper, [], [], "x"
        rng, bound = np.random.default_rng(0), self.hidden**-0.5
        rows, ways = GATES[self.operator] * self.hidden, self.directions
        attributes: dict[str, Any] = {"hidden_size": self.hidden}
        if ways == 2:
            attributes["direction"] = "bidirectional"
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1
        for layer in range(self.layers):
            features = ways * self.hidden if layer else self.hidden
            shapes = {"w": (ways, rows, features), "r": (ways, rows, self.hidden), "b": (ways, 2 * rows)}
            for name, shape in shapes.items():
                array = rng.uniform(-bound, bound, shape).astype(np.float32)
                initializers.append(onnx.numpy_helper.from_array(array, f"{name}{layer}"))
            names = [f"{name}{layer}" for name in (*shapes, "q", "t", "y")]
            nodes += [
                helper.make_node(self.operator, [x, *names[:3]], names[3:4], **attributes),
                helper.make_node("Transpose", names[3:4], names[4:5], perm=(0, 2, 1, 3)),
                helper.make_node("Reshape", [names[4], "shape"], names[5:]),
            ]
            x = names[5]
        shape = (self.steps, self.batch, ways * self.hidden)
        initializers.append(onnx.numpy_helper.from_array(np.array(shape), "shape"))
        values = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
            for name, sizes in (("x", (*shape[:2], self.hidden)), (x, shape))
        ]
        graph = helper.make_graph(nodes, "network", values[:1], values[1:], initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def input(self) -> Array:
        """Return a random input."""
        shape = self.steps, self.batch, self.hidden
        return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


NETWORKS = (
    *(Network(op, steps, hidden) for op in GATES for hidden in (64, 128, 256, 512) for steps in (20, 100, 300)),
    *(Network(op, 100, hidden, 2, 2) for op in GATES for hidden in (64, 256)),
    *(Network(op, 40, 128, 2, 2, batch=4) for op in GATES),
)
FORMED = tuple(Network(op, 300, hidden) for op in ("LSTM", "GRU") for hidden in (32, 64, 128, 256, 512))
SHORT = tuple(Network("LSTM", steps, hidden) for steps in (8, 20) for hidden in (32, 64, 128, 256))
SCHEDULES = tuple(Schedule(count, size) for count in (1, 2, 4, 8) for size in (8, 16, 32, 64))


@dataclass(frozen=True, slots=True)
class Row:
    """A network in both runtimes, in milliseconds.

    Attributes:
        network: which.
        ort_median: of ONNX Runtime.
        ort_minimum: of ONNX Runtime.
        median: of LiteRT.
        minimum: of LiteRT.
        max_abs_error: between the two.
        mse: likewise.
    """

    network: Network
    ort_median: float
    ort_minimum: float
    median: float
    minimum: float
    max_abs_error: float
    mse: float


@dataclass(frozen=True, slots=True)
class Forms:
    """A network in several forms.

    Attributes:
        network: which.
        ort: milliseconds that it takes in ONNX Runtime.
        milliseconds: in LiteRT, by the name of the form.
    """

    network: Network
    ort: float
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Recurrences:
    """The measured times.

    Attributes:
        rows: networks in both runtimes.
        forms: networks in several forms.
        measured: where and when the former were.
        forms_measured: where and when the latter were.
    """

    rows: tuple[Row, ...]
    forms: tuple[Forms, ...]
    measured: Provenance
    forms_measured: Provenance


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forms", action="store_true", help="forms of steps instead of networks")
    options = parser.parse_args()
    here = Provenance.here()
    kept = records.load(Recurrences, RESULTS) if RESULTS.exists() else Recurrences((), (), here, here)
    if options.forms:
        kept = replace(kept, forms=tuple(map(_forms, (*FORMED, *SHORT))), forms_measured=here)
    else:
        kept = replace(kept, rows=tuple(map(_row, NETWORKS)), measured=here)
    records.save(kept, RESULTS)


def _row(network: Network) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "network.tflite"
        convert_directly(ir.from_proto(network.model()), path)
        theirs, ours = _samples([_in_ort(network), make_ready(Subject(path))])
        (expected,) = _session(network).run(None, {"x": network.input()})
        (found,) = runtime.run_tflite(path, {"x": network.input()}).values()
    error = np.abs(found - expected)
    print(network, min(theirs), min(ours), flush=True)
    return Row(
        network,
        *(statistics.median(theirs), min(theirs), statistics.median(ours), min(ours)),
        *(float(error.max()), float((error**2).mean())),
    )


def _forms(network: Network) -> Forms:
    with tempfile.TemporaryDirectory() as directory:
        paths: dict[str, Path] = {}
        for schedule in (Schedule(1, 0), *SCHEDULES, Schedule(4, network.steps // 4 * 4)):
            if schedule.per_loop > network.steps or (not schedule.per_loop and network.steps > 20):
                continue
            name = f"{schedule.per_round} of {schedule.per_loop}" if schedule.per_loop else "written out"
            paths[name] = Path(directory) / f"{name}.tflite"
            with mock.patch.object(Schedule, "of", return_value=schedule):
                convert_directly(ir.from_proto(network.model()), paths[name])
        if network.operator == "LSTM":
            name = "UNIDIRECTIONAL_SEQUENCE_LSTM"
            paths[name] = Path(directory) / f"{name}.tflite"
            write_sequence_lstm(network.model(), paths[name])
        theirs, *ours = _samples([_in_ort(network), *(make_ready(Subject(path)) for path in paths.values())])
    found = Forms(network, min(theirs), dict(zip(paths, map(min, ours), strict=True)))
    print(found, flush=True)
    return found


def _session(network: Network) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = network.model().SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _in_ort(network: Network) -> Callable[[], None]:
    session, x = _session(network), network.input()
    return lambda: session.run(None, {"x": x})


def _samples(calls: Sequence[Callable[[], None]]) -> list[list[float]]:
    """Return milliseconds of each call in turns, as many samples of each as fit into the time."""
    for call in (*calls, *calls, *calls):
        call()
    samples: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + _SECONDS * len(calls)
    while len(samples[0]) < 7 or (time.perf_counter() < end and len(samples[0]) < 300):
        for call, taken in zip(calls, samples, strict=True):
            start = time.perf_counter()
            call()
            taken.append((time.perf_counter() - start) * 1e3)
    return samples


if __name__ == "__main__":
    main()
