"""The page of the zoo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks import records
from benchmarks.markdown import table
from benchmarks.zoo.catalogue import NETWORKS, OF_THE_ARTICLE, Entry, entries
from benchmarks.zoo.rows import Row, Zoo, normalized, worst
from layoutopt.ir.verify import OutputDrift
from layoutopt.report.terminal.tables import size
from layoutopt.results.provenance import Provenance

MARKS = {
    "unetplusplus_resnet34": -12,
    "linknet_resnet34": -14,
    "manet_resnet34": -8,
    "yolov3": -14,
    "yolov4": -16,
    "retinanet_heads": -12,
    "bsrgan": -15,
}
"""The order of magnitude of the MSE that the article gives, of outputs whose variance it does not tell."""

_INTRODUCTION = """\
# The zoo

Published networks, taken all the way by `python -m benchmarks.zoo` (`make zoo`): built by the package that has them or
found in one, exported, optimized by `layoutopt.optimize`, handed over, and run on LiteRT beside ONNX Runtime on the
original. No operator of TensorFlow is allowed.
"""
_ON_ARTICLE = """
## The article's set

The networks whose errors the article on PyTorch to TFLite tells, with its mark. It does not tell how large its outputs
were, and the MSE goes with their square: *MSE / variance* has that of the output taken out. The next two columns have
the same figure against the network in float64, of ONNX Runtime on the original and of the .tflite: what float32 costs
by itself. *Initial* has the weights that the packages start from, the others keep activations at unit variance.
"""
_ON_NETWORKS = """
## All networks

Weights are random where the package does not ship trained ones, and such that activations keep unit variance; inputs
are standard normal. Errors are those of the .tflite against ONNX Runtime on the original, at the output with the
largest *MSE / variance*. Seconds are those of `layoutopt.optimize` with all that it verifies; memory is the largest
that all processes held together. *Initial* weights are those that the package starts from.
"""
_ON_UNSTEADY = """
These networks move by more than a quarter of the tolerance when their inputs are off by one rounding in float32, and
are judged by four times that:
"""
_ON_TRAINED = """
## Trained networks

PP-OCR reads a page of six lines, one upside down, with one of its networks as a .tflite in the place of ONNX Runtime:
"""
_ON_FAILURES = """
## What was not converted

"""
_ON_STAGES = """
## Where time and memory go

The networks with the most weights. Memory is the largest resident size: of the process that optimizes, of the child
that has TensorFlow in it, and of both together at one moment; the last column is four times the weights plus 1.5 GB.
"""

Rows = Sequence[tuple[Entry, Row]]


def committed_page() -> str:
    """The page of the committed figures."""
    zoo = records.load(Zoo, Zoo.PATH)
    order = {name: index for index, name in enumerate(NETWORKS)}
    rows = [(entry, zoo.rows[entry.key]) for entry in entries() if entry.key in zoo.rows]
    return "\n".join(page(sorted(rows, key=lambda pair: order[pair[0].network.name]), zoo.measured)) + "\n"


def page(rows: Rows, measured: Provenance) -> Iterator[str]:
    """The lines of the page."""
    yield _INTRODUCTION
    yield summary(rows)
    yield _ON_ARTICLE
    yield table(_ARTICLE, (line for entry, row in rows for line in _article(entry, row)))
    yield _ON_NETWORKS
    yield table(_NETWORKS, (_network(entry, row) for entry, row in rows))
    if unsteady := [(entry, row.unsteadiness) for entry, row in rows if row.unsteadiness]:
        yield _ON_UNSTEADY
        yield from (f"- {entry.key}: by {moved:.1e}" for entry, moved in unsteady)
    yield _ON_TRAINED
    yield from (f"- {entry.network.name}: {row.verdict}" for entry, row in rows if row.verdict)
    if failed := [(entry, row.error) for entry, row in rows if row.error]:
        yield _ON_FAILURES
        yield from (f"- {entry.key}: " + error.replace("[", r"\[") for entry, error in failed)  # brackets, not links
    yield _ON_STAGES
    yield table(_STAGES, (_stages(entry, row) for entry, row in _largest(rows)))
    yield ""
    yield f"{measured}."


def summary(rows: Rows) -> str:
    """How many networks and rows there are, and how many were converted."""
    networks = {entry.network.name for entry, _ in rows}
    whole = networks - {entry.network.name for entry, row in rows if row.error}
    exports = sorted({str(entry.export) for entry, _ in rows})
    converted = sum(not row.error for _, row in rows)
    return (
        f"{len(networks)} networks, {len(whole)} of them converted in every export; "
        f"{len(rows)} exports ({', '.join(exports)}), {converted} of them converted."
    )


_ARTICLE = (
    "network",
    "export",
    "MSE",
    "variance",
    "MSE / variance",
    "ONNX Runtime, float64",
    "ours, float64",
    "the article's MSE",
)


def _article(entry: Entry, row: Row) -> Iterator[tuple[str, ...]]:
    name = entry.network.name.removesuffix("_initial")
    drift = worst(row.outputs)
    if entry.network.name not in OF_THE_ARTICLE or drift is None:
        return
    yield (
        f"{name}, initial" if entry.network.initial else name,
        str(entry.export),
        f"{drift.mse:.1e}",
        f"{drift.variance:.1e}",
        f"{normalized(drift):.1e}",
        *(_normalized(row.runtime), _normalized(row.exact)),
        f"e{MARKS[name]}" if name in MARKS else "-",
    )


_NETWORKS = (
    *("network", "from", "export", "opset", "parameters", "TRANSPOSE", "operators"),
    *("max abs", "MSE", "variance", "MSE / variance", "seconds", "memory"),
)


def _network(entry: Entry, row: Row) -> tuple[str, ...]:
    drift = worst(row.outputs)
    errors = (
        (f"{drift.max_abs_error:.1e}", f"{drift.mse:.1e}", f"{drift.variance:.1e}", f"{normalized(drift):.1e}")
        if drift
        else ("-",) * 4
    )
    return (
        entry.network.name,
        entry.network.source.value,
        str(entry.export),
        str(row.opset) if row.opset else "-",
        f"{row.parameters / 1e6:.1f} M" if row.parameters else "-",
        *(("not converted", "-") if row.error else (f"**{row.transposes}**", str(row.operators))),
        *errors,
        f"{sum(row.seconds.values()):.0f}" if row.seconds else "-",
        size(row.memory.together) if row.memory.together else "-",
    )


def _normalized(drifts: Sequence[OutputDrift]) -> str:
    drift = worst(drifts)
    return f"{normalized(drift):.1e}" if drift else "-"


_GROUPS = {
    "ONNX Runtime": ("ONNX Runtime on the original", "verification", "layoutopt: LiteRT"),
    "import TensorFlow": ("layoutopt: import tensorflow",),
    "onnx-tf and trace": ("layoutopt: onnx-tf", "layoutopt: trace"),
    "TFLite converter": ("layoutopt: TFLite converter",),
    "writing": ("layoutopt: write .tflite",),
}
"""The stages that are shown together; all others are passes."""

_STAGES = ("network", "weights", "seconds", "passes", *_GROUPS, "optimizes", "TensorFlow", "together", "4x + 1.5 GB")
_SHOWN = 8


def _largest(rows: Rows) -> list[tuple[Entry, Row]]:
    first = {entry.network.name: (entry, row) for entry, row in reversed(rows) if not row.error}
    return sorted(first.values(), key=lambda pair: -pair[1].weights)[:_SHOWN]


def _stages(entry: Entry, row: Row) -> tuple[str, ...]:
    total = sum(row.seconds.values())
    groups = [sum(row.seconds.get(stage, 0.0) for stage in stages) for stages in _GROUPS.values()]
    memory = row.memory
    return (
        entry.network.name,
        size(row.weights),
        f"{total:.0f}",
        *(f"{each / total:.0%}" for each in (total - sum(groups), *groups)),
        *(size(each) for each in (memory.parent, memory.child, memory.together)),
        size(4 * row.weights + 1_500_000_000),
    )
