"""The figures of a network that ONNX Runtime quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.quantized import RESULTS, Quantized
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Quantized, RESULTS)
    vnni = "with" if found.vnni else "without"
    size = (f"{form.file_size / 1e6:.1f} MB" for form in (found.real, found.whole))
    latency = (f"{form.latency_ms:.1f} ms" for form in (found.real, found.whole))
    names = (f"{count} {name}" if count > 1 else name for name, count in found.whole.histogram.items())
    return {
        "quantized-judged": table(
            ("the `.tflite` against ONNX Runtime", "equal", "most steps off"),
            ((name, _share(each.equal), str(each.steps)) for name, each in found.judged.items()),
        ),
        "quantized-forms": table(
            ("", "float", "quantized"),
            (
                ("operators", str(found.real.operators), f"{found.whole.operators}: {', '.join(names)}"),
                ("TRANSPOSE", str(found.real.transposes), str(found.whole.transposes)),
                ("size", *size),
                ("one XNNPACK thread", *latency),
            ),
        ),
        "quantized-baseline": f"{_plain(found.lacking)} The per-operator layout "
        f"has {found.left_in.operators} operators, {found.left_in.transposes} of them TRANSPOSE.",
        "quantized-measured": f"{found.measured.machine}, {vnni} VNNI; {found.measured.date}",
    }


def _plain(lacking: Sequence[str]) -> str:
    if not lacking:
        return "Plain onnx-tf converts it."
    return f"Plain onnx-tf cannot convert it: TFLite lacks the {' and '.join(lacking)} that it makes of it."


def _share(equal: tuple[float, float]) -> str:
    least, most = (round(100 * each) for each in equal)
    return f"{least} %" if least == most else f"{least} to {most} %"
