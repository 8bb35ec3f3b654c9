"""Trained networks in int8, by layoutopt and by others, judged on samples that none of them was calibrated with.

The networks come from the packages that `benchmarks/int8_requirements.txt` names; samples are crops of the pictures
that scikit-image ships, and lines of text that are drawn. All of it is seeded.
Figures go to ``benchmarks/results/int8.json``.

::

    pip install --no-deps -r benchmarks/int8_requirements.txt
    python -m benchmarks.int8 [--models build/int8] [--time-only] [--way WAY] [NETWORK...]

All files of a network are timed in turns. That wants a quiet machine, and can be done again by itself: ``--time-only``.
``--way`` makes the files of one quantizer alone again.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

import layoutopt
from benchmarks import int8_networks, records
from benchmarks.machine import has_vnni
from layoutopt.backend.conversion import missing_for_onnx_tf
from layoutopt.backend.litert.inspect import TfliteTensor, signature_of
from layoutopt.backend.litert.runtime import measure, run_tflite
from layoutopt.quantization.judging import OutputPart, judge
from layoutopt.results.optimize import OptimizeReport
from layoutopt.results.provenance import Provenance

Array = npt.NDArray[np.float32]
RESULTS = records.committed("int8")
ROUNDS = 40
_HELD_OUT = 4
_SIGNATURE = "serving_default"
_ANY = 1e9
"""The tolerance of what is judged here anyway."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network by one quantizer.

    Attributes:
        network: its name.
        way: whose quantizer.
        sqnr: in dB, of the first output, on held-out samples against ONNX Runtime.
        top1: share of samples with the same largest score; None where the output is no scores.
        float_ms: latency of the float .tflite, one XNNPACK thread.
        ms: likewise, of the quantized one, timed in turns with all others of the network.
        floats: operators on floats, conversions apart.
        size: of the file in bytes.
        seconds: processor time of the quantizer, conversion included.
        failure: what went wrong; empty where nothing did.
    """

    network: str
    way: str
    sqnr: float = 0.0
    top1: float | None = None
    float_ms: float = 0.0
    ms: float = 0.0
    floats: int = 0
    size: int = 0
    seconds: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """All rows.

    Attributes:
        rows: network by network.
        vnni: whether the processor adds products of bytes in one instruction.
        measured: where and when.
    """

    rows: tuple[Row, ...]
    vnni: bool
    measured: Provenance


@dataclass(frozen=True, slots=True)
class Task:
    """A network with its samples.

    Attributes:
        model: the float .onnx.
        name: of the input.
        calibration: samples to calibrate with, in the model's own layout.
        held_out: samples to judge on.
        scratch: directory.
    """

    model: Path
    name: str
    calibration: Array
    held_out: Array
    scratch: Path

    @property
    def real(self) -> Path:
        """The float .tflite."""
        return _real(self.scratch)


def main() -> None:
    """Measure the networks that are named, or all; the others keep their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(int8_networks.NETWORKS)}")
    parser.add_argument("--models", type=Path, default=Path("build/int8"), help="where models stay")
    parser.add_argument("--time-only", action="store_true", help="time the models that are there again")
    parser.add_argument("--way", choices=[*WAYS, *SMALLER], help="whose files are made; those of all others stay")
    arguments = parser.parse_args()
    wanted = arguments.networks or list(int8_networks.NETWORKS)
    logging.disable(logging.WARNING)  # the advice of ONNX Runtime's quantizer
    rows = list(records.load(Figures, RESULTS).rows) if RESULTS.exists() else []
    for name in wanted:
        folder = arguments.models / name
        folder.mkdir(parents=True, exist_ok=True)
        own = [row for row in rows if row.network == name]
        if not arguments.time_only:
            own = again(own, name, folder, arguments.way)
        rows = [row for row in rows if row.network != name]
        for row in timed(own, folder):
            print(row, flush=True)
            rows.append(row)
        order = list(int8_networks.NETWORKS)
        rows.sort(key=lambda row: order.index(row.network))
        records.save(Figures(tuple(rows), has_vnni(), Provenance.here()), RESULTS)


def again(known: Iterable[Row], name: str, folder: Path, way: str | None) -> list[Row]:
    """Return the rows of one network, without latencies, of which those of one way are new; None for all."""
    network = int8_networks.NETWORKS[name]
    ways = {**WAYS, **(SMALLER if network.linear else {})}
    found = {row.way: row for row in known}
    found |= {row.way: row for row in judged(name, folder, [way] if way else list(ways)) if row.way in ways}
    return [found[each] for each in ways if each in found]


def judged(name: str, folder: Path, ways: Iterable[str]) -> Iterator[Row]:
    """Iterate over the rows of one network, without latencies; the models stay in ``folder``."""
    network = int8_networks.NETWORKS[name]
    samples = network.samples()
    model, name_of_input = int8_networks.export(network, samples.shape[1:], folder)
    held_out = np.random.default_rng(0).permutation(len(samples)) % _HELD_OUT == 0
    task = Task(model, name_of_input, samples[~held_out], samples[held_out], folder)
    layoutopt.optimize(model, tflite=task.real, baseline=False, backend="direct", force=True)
    expected = _expected(task)
    for way in ways:
        start = time.process_time()
        try:
            report = {**WAYS, **SMALLER}[way](task)
        except Exception as error:  # another's quantizer may fail in any way, which is a result
            yield Row(name, way, failure=f"{type(error).__name__}: {str(error).splitlines()[0]}"[:200])
            continue
        seconds = time.process_time() - start
        assert report.tflite is not None
        qualities = judge(_parts(network, expected), expected, ([each] for each in _found(task, report)))
        quality = min(qualities, key=lambda each: each.sqnr)
        path = report.tflite.replace(_file(folder, way))
        yield Row(
            name,
            way,
            quality.sqnr,
            quality.top1,
            floats=int8_networks.count_floats(path),
            size=path.stat().st_size,
            seconds=seconds,
        )


def timed(rows: Iterable[Row], folder: Path) -> Iterator[Row]:
    """Iterate over the rows of one network with the latencies of its models."""
    known = list(rows)
    made = [row.way for row in known if not row.failure]
    paths = [_real(folder), *(_file(folder, way) for way in made)]
    latencies = [each.median_ms for each in measure(paths, rounds=ROUNDS, clock=time.thread_time)]
    by_way = dict(zip(made, latencies[1:], strict=True))
    for row in known:
        yield row if row.failure else replace(row, float_ms=latencies[0], ms=by_way[row.way])


def _real(folder: Path) -> Path:
    return folder / "float.tflite"


def _file(folder: Path, way: str) -> Path:
    """Return where the model by one quantizer stays."""
    return folder / f"by {way}.tflite"


def _parts(network: int8_networks.Network, expected: Sequence[Sequence[npt.NDArray[np.generic]]]) -> list[OutputPart]:
    """Return what is judged apart of the first output."""
    found = []
    for part in network.parts:
        mask = np.zeros(expected[0][0].shape, bool)
        mask[:, part] = True
        found.append(OutputPart("", 0, None if mask.all() else mask))
    return found


def _expected(task: Task) -> list[list[npt.NDArray[np.generic]]]:
    import onnxruntime as ort

    session = ort.InferenceSession(task.model, providers=["CPUExecutionProvider"])
    return [session.run(None, {task.name: sample[None]})[:1] for sample in task.held_out]


def _found(task: Task, report: OptimizeReport) -> Iterator[npt.NDArray[np.generic]]:
    assert report.tflite is not None
    signature = signature_of(report.tflite)
    (given,) = signature.inputs  # TensorFlow has names and an order of its own
    result = next(each for each in signature.outputs if each.shape == report.outputs[0].shape)
    for sample in task.held_out:
        stored = np.ascontiguousarray(_transposed(sample[None], report.inputs[0].feed))
        found = run_tflite(report.tflite, {given.signature_name: _as_integers(stored, given)})
        yield _transposed(_as_reals(found[result.signature_name], result), report.outputs[0].feed)


def _as_integers(array: npt.NDArray[np.generic], tensor: TfliteTensor) -> npt.NDArray[np.generic]:
    """Return real numbers as the integers that an input takes, where it takes some."""
    if tensor.dtype != "int8":
        return array
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    integers = np.rint(array.astype(np.float64) / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(integers, -128, 127).astype(np.int8))


def _as_reals(array: npt.NDArray[np.generic], tensor: TfliteTensor) -> npt.NDArray[np.generic]:
    """Return the real numbers that an output stands for."""
    if array.dtype != np.int8:
        return array
    assert tensor.scale is not None
    assert tensor.zero_point is not None
    return np.asarray((array.astype(np.float64) - tensor.zero_point) * tensor.scale)


def _transposed(array: npt.NDArray[np.generic], feed: str) -> npt.NDArray[np.generic]:
    """Return an array in the order of axes that a report tells, as ``x.transpose(0,2,3,1)``."""
    order = feed.rpartition("transpose(")[2].rstrip(")")
    return array.transpose([int(axis) for axis in order.split(",")]) if order else array


# --- the quantizers --------------------------------------------------------------------------------------------------


def _by_layoutopt(task: Task) -> OptimizeReport:
    return layoutopt.optimize(
        task.model,
        tflite=task.scratch / "ours.tflite",
        baseline=False,
        quantize="int8",
        calibration=task.calibration,
        force=True,
    )


def _of_weights(kind: str) -> Callable[[Task], OptimizeReport]:
    def quantize(task: Task) -> OptimizeReport:
        path = task.scratch / f"{kind}.tflite"
        return layoutopt.optimize(task.model, tflite=path, baseline=False, quantize=kind, force=True, tolerance=_ANY)

    return quantize


def _by_onnxruntime(task: Task) -> OptimizeReport:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        rest = iter(task.calibration)

        def get_next(self) -> dict[str, Array] | None:
            sample = next(self.rest, None)
            return None if sample is None else {task.name: sample[None]}

    prepared, quantized = task.scratch / "prepared.onnx", task.scratch / "qdq.onnx"
    quant_pre_process(task.model, prepared, skip_symbolic_shape=True)
    quantize_static(
        *(prepared, quantized, Samples()),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    path = task.scratch / "qdq.tflite"
    return layoutopt.optimize(quantized, tflite=path, baseline=False, backend="direct", force=True, tolerance=_ANY)


def _by_litert_quantizer(task: Task) -> OptimizeReport:
    """Quantize layoutopt's float .tflite, for it takes nothing else."""
    from litert_quantizer import quantizer, recipe

    path = task.scratch / "google.tflite"
    real = layoutopt.optimize(task.model, tflite=task.real, baseline=False, backend="direct", force=True)
    (given,) = signature_of(task.real).inputs
    made = quantizer.Quantizer(str(task.real), recipe.static_wi8_ai8())
    samples = [
        {given.signature_name: np.ascontiguousarray(_transposed(sample[None], real.inputs[0].feed))}
        for sample in task.calibration
    ]
    ranges = made.calibrate({_SIGNATURE: samples}, num_threads=1)
    made.quantize(ranges, serialize_to_path=path)
    return replace(real, tflite=path)


def _by_tensorflow(task: Task) -> OptimizeReport:
    folder, tflite = task.scratch / "saved_model", task.scratch / "theirs.tflite"
    report = layoutopt.optimize(
        task.model, tflite=tflite, saved_model=folder, baseline=False, backend="onnx-tf", force=True
    )
    import tensorflow as tf

    (given,) = report.inputs
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([_transposed(sample[None], given.feed)] for sample in task.calibration)
    tflite.write_bytes(converter.convert())
    return report


WAYS: Mapping[str, Callable[[Task], OptimizeReport]] = {
    "layoutopt": _by_layoutopt,
    "ONNX Runtime (QDQ) into layoutopt": _by_onnxruntime,
    **({"Google's litert-quantizer": _by_litert_quantizer} if importlib.util.find_spec("litert_quantizer") else {}),
    **({} if missing_for_onnx_tf() else {"TFLiteConverter": _by_tensorflow}),
}
"""By name; those of others only where they are installed."""
SMALLER: Mapping[str, Callable[[Task], OptimizeReport]] = {
    "int8 weights": _of_weights("weights"),
    "dynamic": _of_weights("dynamic"),
    "int4": _of_weights("int4"),
}
"""Ways of layoutopt that need no samples, for networks with large linear layers."""


if __name__ == "__main__":
    main()
