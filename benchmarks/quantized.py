"""MobileNetV2, quantized by ONNX Runtime, as an int8 .tflite: how exact, how large, how fast.

Figures go to ``benchmarks/results/quantized.json``.

::

    python -m benchmarks.quantized
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

import layoutopt
from benchmarks import records
from benchmarks.machine import has_vnni
from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.backend.litert.runtime import measure, run_tflite
from layoutopt.errors import ConversionError
from layoutopt.ir.io import load, save
from layoutopt.options import TOLERANCE
from layoutopt.passes import ExpandQuantizedOperators, FoldConstants
from layoutopt.results.optimize import ModelKind, ModelStats, OptimizeReport
from layoutopt.results.provenance import Provenance
from layoutopt.workflows.conversion import Converter, per_operator
from layoutopt.workflows.options import RunContext

NETWORK, INPUTS, ROUNDS = "mobilenet_v2", 5, 25
RESULTS = records.committed("quantized")
JUDGES: Mapping[str, Mapping[str, str]] = {
    "on integers, without saturation (`session.x64quantprecision`)": {"session.x64quantprecision": "1"},
    "on floats, as the nodes say": {"session.disable_quant_qdq": "1"},
    "on integers, as it comes": {},
}
"""Ways in which ONNX Runtime computes a quantized model: what is set in its session."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """The .tflite beside ONNX Runtime.

    Attributes:
        equal: least and largest share of the results that are equal, over the inputs.
        steps: by how many steps of the quantized result the worst is off.
    """

    equal: tuple[float, float]
    steps: int


@dataclass(frozen=True, slots=True)
class Quantized:
    """All figures.

    Attributes:
        judged: by the name of the way in which ONNX Runtime computes.
        vnni: whether the processor adds products of bytes without saturation.
        real: the float network.
        whole: the quantized one.
        left_in: the quantized one with transposes around every layout-bound operator.
        lacking: what TFLite lacks of what plain onnx-tf makes of the quantized one; empty if it can be converted.
        measured: where and when.
    """

    judged: Mapping[str, Judged]
    vnni: bool
    real: ModelStats
    whole: ModelStats
    left_in: ModelStats
    lacking: tuple[str, ...]
    measured: Provenance


def main() -> None:
    """Measure the network and keep the figures."""
    with tempfile.TemporaryDirectory() as directory:
        records.save(measured(Path(directory)), RESULTS)


def measured(scratch: Path) -> Quantized:
    """Return all figures; files go to ``scratch``."""
    from benchmarks.models import NETWORKS, export

    save(export(NETWORKS[NETWORK]), scratch / "float.onnx")
    rng = np.random.default_rng(0)
    pictures = [rng.standard_normal((1, 3, 224, 224), np.float32) for _ in range(3 + INPUTS)]
    _quantize(scratch / "float.onnx", scratch / "int8.onnx", pictures[:3])
    reports = [_optimized(scratch / f"{name}.onnx") for name in ("float", "int8")]
    forms = (report.optimized for report in reports)
    paths = [report.tflite for report in reports if report.tflite]
    latencies = measure(paths, rounds=ROUNDS, clock=time.thread_time)
    real, whole = (form.timed(latency) for form, latency in zip(forms, latencies, strict=True))
    model = load(scratch / "int8.onnx")
    context = RunContext.of(partial(print, flush=True))
    converter = Converter(scratch, context, None, TOLERANCE, Quantize.NONE, False, Backend.ONNX_TF)
    folded = FoldConstants()(ExpandQuantizedOperators()(model.clone()).model).model
    return Quantized(
        dict(_judged(scratch / "int8.onnx", reports[1], pictures[3:])),
        has_vnni(),
        real,
        whole,
        converter.run(ModelKind.PER_OPERATOR, per_operator(folded.clone())).stats,
        _lacking(converter, folded),
        Provenance.here(),
    )


def _quantize(source: Path, target: Path, pictures: Sequence[Array]) -> None:
    """Quantize per channel, as QuantizeLinear and DequantizeLinear."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):
        rest = iter(pictures)

        def get_next(self) -> dict[str, Array] | None:
            picture = next(self.rest, None)
            return None if picture is None else {"input": picture}

    quantize_static(
        *(source, target, Pictures()),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _optimized(path: Path) -> OptimizeReport:
    return layoutopt.optimize(path, tflite=path.with_suffix(".tflite"), baseline=False, progress=print)


def _lacking(converter: Converter, folded: ir.Model) -> tuple[str, ...]:
    try:
        converter.run(ModelKind.PLAIN, folded)
    except ConversionError as error:
        return tuple(sorted(set(re.findall(r"'(\S+)' op is neither a custom op nor a flex op", error.message))))
    return ()


def _judged(path: Path, report: OptimizeReport, pictures: Sequence[Array]) -> Iterator[tuple[str, Judged]]:
    (operand,), (result,) = report.inputs, report.outputs
    assert report.tflite is not None
    found = [
        run_tflite(report.tflite, {operand.tflite_name: np.ascontiguousarray(picture.transpose(0, 2, 3, 1))})
        for picture in pictures
    ]
    scale = _scale(load(path))
    for name, settings in JUDGES.items():
        expected = _expected(path, settings, pictures)
        steps = [
            np.round(np.abs(ours[result.tflite_name].astype(np.float64) - theirs) / scale)
            for ours, theirs in zip(found, expected, strict=True)
        ]
        equal = [float((each == 0).mean()) for each in steps]
        yield name, Judged((min(equal), max(equal)), int(max(each.max() for each in steps)))


def _expected(path: Path, settings: Mapping[str, str], pictures: Sequence[Array]) -> list[Array]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    for name, value in settings.items():
        options.add_session_config_entry(name, value)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return [session.run(None, {"input": picture})[0] for picture in pictures]


def _scale(model: ir.Model) -> float:
    """Return the scale of the one output."""
    node = model.graph.outputs[0].producer()
    assert node is not None
    assert node.inputs[1] is not None
    assert node.inputs[1].const_value is not None
    return float(node.inputs[1].const_value.numpy().reshape(()))


if __name__ == "__main__":
    main()
