"""The page of all networks, and what the README shows of some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from benchmarks import records
from benchmarks.networks import OPSET, Copies, Networks, Row, ratio
from benchmarks.objectives import BYTES, Objectives
from docs.tools.markdown import table
from layoutopt.report.terminal.tables import format_size
from layoutopt.results.optimize import ModelKind, ModelStats

_KINDS = (ModelKind.PLAIN, ModelKind.PER_OPERATOR, ModelKind.LAYOUTOPT)
_LAYOUTS = ("network", "per-operator", "chosen", "proved", "inputs and outputs kept")
_OPERATORS = ("network", "plain onnx-tf", "per-operator", "layoutopt", "GATHER", "PAD", "all operators")
_SPEED = (
    *("network", "plain onnx-tf", "per-operator", "layoutopt", "over plain onnx-tf", "over per-operator"),
    *("MSE", "max abs error"),
)


_INTRODUCTION = """\
# All networks

The benchmark networks at full size, with random weights, converted in three ways: by plain onnx-tf, in
[per-operator layout](glossary.md#models-and-files), and with the layouts that layoutopt chooses.

## The layouts

Bytes that the Transposes of the ONNX graph write, and their number. Layouts are chosen by
[predicted time](objective.md), and *proved* means that no other choice takes less of it. The last column has inputs and
outputs kept in NCHW (`--io keep`).
"""
_ON_OPERATORS = """
## The operators

The number of TRANSPOSE operators in each .tflite; plain onnx-tf 1.10 cannot convert every network, and the TFLite
converter folds some transposes of the per-operator layout. The other columns show plain onnx-tf, or else the
per-operator layout, → layoutopt. [Other converters](peers.md) has the same for other converters.
"""
_ON_SPEED = """
## Speed and error

Medians on one thread of LiteRT with XNNPACK, in processor time; the files of a network run in turns. The same code
converts the per-operator layout and ours, so *over per-operator* is the gain from the layouts alone; in brackets, the
ratio of the minima. Errors are those of layoutopt's .tflite against ONNX Runtime on the original; outputs have about
unit variance, those of the two detectors are pixels.
"""


def page() -> str:
    """Return the page of all networks."""
    return "\n".join(_page(Networks.committed().rows)) + "\n"


def _page(rows: Mapping[str, Row]) -> Iterator[str]:
    yield _INTRODUCTION
    yield table(_LAYOUTS, (_layouts(name, row) for name, row in rows.items()))
    yield _ON_OPERATORS
    yield table(_OPERATORS, (_operators(name, row) for name, row in rows.items()))
    yield _ON_SPEED
    yield table(_SPEED, (_speed(name, row) for name, row in rows.items()))
    yield ""
    yield f"Exported by PyTorch's legacy exporter, opset {OPSET}. Measured by `make benchmark`."
    for measured in dict.fromkeys(str(row.measured) for row in rows.values()):
        names = [name for name, row in rows.items() if str(row.measured) == measured]
        yield ""
        yield f"{measured}." if len(names) == len(rows) else f"{', '.join(names)}: {measured}."


def _layouts(name: str, row: Row) -> tuple[str, ...]:
    return (
        name,
        _moved(row.left_in),
        f"**{_moved(row.chosen)}**",
        "yes" if row.proved else "no",
        _moved(row.kept),
    )


def _operators(name: str, row: Row) -> tuple[str, ...]:
    plain, left_in = row.form(ModelKind.PLAIN), row.form(ModelKind.PER_OPERATOR)
    return (
        name,
        *(str(form.transposes) if form else "-" for form in (plain, left_in)),
        f"**{row.after.transposes}**",
        *(f"{was} → {now}" for was, now in zip(_others(row.before), _others(row.after), strict=True)),
    )


def _others(form: ModelStats) -> tuple[int, ...]:
    return form.histogram.get("GATHER", 0), form.pads, form.operators


def _speed(name: str, row: Row) -> tuple[str, ...]:
    plain, left_in, ours = (row.form(kind) for kind in _KINDS)
    return (
        name,
        *(_latency(form) for form in (plain, left_in, ours)),
        *(_speedup(form, row.after) for form in (plain, left_in)),
        f"{row.after.mse:.1e}",
        f"{row.after.max_abs_error:.1e}",
    )


def _moved(copies: Copies) -> str:
    return f"{format_size(copies.size)} / {copies.count}" if copies.count else "0"


def _latency(form: ModelStats | None) -> str:
    return f"{form.latency_ms:.2f} ms" if form else "-"


def _speedup(before: ModelStats | None, after: ModelStats) -> str:
    if before is None:
        return "-"
    medians = ratio(before.latency_ms, after.latency_ms)
    minima = ratio(before.latency_min_ms, after.latency_min_ms)
    return f"**{medians:.2f}x** ({minima:.2f}x)"


# --- the README ------------------------------------------------------------------------------------------------------

TITLES = {
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet-50",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "efficientnet_like": "EfficientNet-like (SE, SiLU)",
    "shufflenet_v2": "ShuffleNetV2",
    "unet_bilinear": "U-Net, bilinear",
    "unet_plus_plus": "UNet++",
    "yolo_head": "YOLO-like detector",
    "yolov8": "YOLOv8-like detector",
    "swin_t": "Swin-T",
}
"""The networks that the README shows, and what it calls them."""
_NAMES = {title: name for name, title in TITLES.items()}

_SUMMARY = ("network", "TRANSPOSE", "operators", "latency, 1 thread", "speedup")
_CLEAR = 1.02
"""From here on a speedup is printed bold."""


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    rows = Networks.committed().rows
    return {
        "networks-table": table(_SUMMARY, (_summary(title, rows[name]) for name, title in TITLES.items())),
        "networks-note": _note({title: rows[name] for name, title in TITLES.items()}),
        "networks-link": f"[all {len(rows)} networks, all figures](docs/networks.md)",
    }


def _summary(title: str, row: Row) -> tuple[str, ...]:
    before, after = row.before, row.after
    return (
        title,
        f"{before.transposes} → **{after.transposes}**",
        f"{before.operators} → {after.operators}",
        f"{milliseconds(before, row)} → {milliseconds(after, row)} ms",
        f"**{row.speedup:.2f}x**" if row.speedup >= _CLEAR else f"{row.speedup:.2f}x",
    )


def milliseconds(form: ModelStats, row: Row) -> str:
    """Return the latency of one form of ``row`` to three digits, or to as many places as that of the other."""
    return f"{form.latency_ms:.{0 if row.after.latency_ms and row.after.latency_ms >= 100 else 1}f}"


def _note(rows: Mapping[str, Row]) -> str:
    """Return what was compared, and where it was measured."""
    failed = [title for title, row in rows.items() if row.form(ModelKind.PLAIN) is None]
    machines = {row.measured.machine for row in rows.values()}
    return (
        "Before → after: plain onnx-tf 1.10 after onnxsim, with the default TFLite converter (for "
        f"{', '.join(failed)}, which it cannot convert, the per-operator layout) → layoutopt. Both files of a network "
        f"run in turns; medians of LiteRT with XNNPACK on {' and '.join(sorted(machines))}. Errors are those "
        f"of float32 rounding. No other layouts take less predicted time, which is proved. {_on_bytes(rows)}"
    )


def _on_bytes(rows: Mapping[str, Row]) -> str:
    """Return how many transposes the other objective leaves in a network, where that is fewer."""
    measured = records.load(Objectives, Objectives.PATH).networks
    least = {title: measured[name].figures[BYTES].transposes for title, name in _NAMES.items() if name in measured}
    fewer = [
        f"{least[title]} in {title}" for title, row in rows.items() if least.get(title, inf) < row.after.transposes
    ]
    return (
        f"`--objective bytes` leaves fewer transposes, at more predicted time: {', '.join(fewer)} "
        "([bytes and time](docs/objective.md))."
    )
