"""The page of the zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.zoo.catalogue import NETWORKS, OF_THE_ARTICLE, Entry, entries
from benchmarks.zoo.rows import Row, Zoo, normalized, worst
from docs.tools.markdown import table
from docs.tools.reasons.zoo import REASONS
from layoutopt.backend.conversion import Backend
from layoutopt.ir.verify import OutputDifference
from layoutopt.report.terminal.tables import format_size

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

Published networks from Python packages, exported to ONNX, optimized by `layoutopt.optimize`, converted by each backend
without TensorFlow operators, and compared in LiteRT with ONNX Runtime on the original. The first number of a pair is
that of the direct backend, the second that of onnx-tf; a single number is for both. Measured by `make zoo`.
"""
_ON_EARLIER = """
Networks marked with \u2020 were not run with this version: their figures are those of an earlier one, which could
convert through onnx-tf only.
"""
_ON_ARTICLE = """
## The article's set

The networks of an article on converting PyTorch to TFLite, with the MSE that it gives. The article does not say how
large its outputs were, and the MSE depends on their square: *MSE / variance* does not. The next two columns have
the same figure against the network in float64, for ONNX Runtime on the original and for the .tflite, which is the error
of float32 itself. *Initial* means the weights that a package initializes; other weights keep activations at unit
variance.
"""
_ON_NETWORKS = """
## All networks

Weights are random where the package has no trained ones, and scaled to keep activations at unit variance; inputs
are standard normal. Errors are those of the .tflite against ONNX Runtime on the original, at the output with the
largest *MSE / variance*. Seconds are those of `layoutopt.optimize` including verification; memory is the peak of all
processes together. *Initial* weights are those that the package initializes.
"""
_ON_DIFFERENCES = """
## Where the backends differ

Operators that only one of the two files has; + marks those of the direct backend:
"""
_ON_UNSTEADY = """
The outputs of these networks change by more than a quarter of the tolerance when their inputs change by one rounding
in float32; their tolerance is four times that change:
"""
_ON_TRAINED = """
## Trained networks

PP-OCR reads a page of six lines, one upside down, with one of its networks run as a .tflite instead of in ONNX Runtime:
"""
_ON_FAILURES = """
## What was not converted
"""
_ON_STAGES = """
## Where time and memory go

The networks with the most weights that were run with this version. Memory is the peak resident size: of the process
that optimizes, of the largest process that it started, and of all of them together.
"""

Rows = Sequence[tuple[Entry, Mapping[str, Row]]]


def committed_page() -> str:
    """Return the page of the committed figures."""
    return "\n".join(page(Zoo.committed())) + "\n"


def page(zoo: Zoo) -> Iterator[str]:
    """Yield the lines of the page."""
    rows = _rows(zoo)
    single = [(entry, backend, row) for entry, of in rows for backend, row in of.items()]
    yield _INTRODUCTION
    yield summary(zoo)
    if any(entry.key not in zoo.rows for entry, _ in rows):
        yield _ON_EARLIER.rstrip()
    yield _ON_ARTICLE
    yield table(_ARTICLE, (line for entry, of in rows for line in _article(entry, of, zoo)))
    yield _ON_NETWORKS
    yield table(_NETWORKS, (_network(entry, of, zoo) for entry, of in rows))
    if differing := zoo.differences:
        yield _ON_DIFFERENCES
        yield from (
            f"- {key}: {told}. {REASONS.get(key, 'The cause is not known.')}" for key, told in differing.items()
        )
    if unsteady := {entry.key: row.unsteadiness for entry, _, row in single if row.unsteadiness}:
        yield _ON_UNSTEADY
        yield from (f"- {key}: by {moved:.1e}" for key, moved in unsteady.items())
    yield _ON_TRAINED
    yield from (f"- {entry.network.name}, {backend}: {row.verdict}" for entry, backend, row in single if row.verdict)
    if failed := dict.fromkeys((_named(entry, zoo), row.error) for entry, _, row in single if row.error):
        yield _ON_FAILURES
        yield from (f"- {name}: " + error.replace("[", r"\[") for name, error in failed)  # brackets, not links
    yield _ON_STAGES
    yield table(_STAGES, (_stages(*each) for each in _largest(zoo)))
    measured = dict.fromkeys(str(row.measured) for _, _, row in single if row.measured is not None)
    yield from (line for each in measured for line in ("", f"{each}."))


def _rows(zoo: Zoo) -> Rows:
    """Return the rows of this version, and the earlier ones of what it has not run, in the order of the catalogue."""
    order = {name: index for index, name in enumerate(NETWORKS)}
    earlier = {key: {Backend.ONNX_TF.value: row} for key, row in zoo.earlier.items()}
    known = {**earlier, **zoo.rows}
    found = [(entry, known[entry.key]) for entry in entries() if entry.key in known]
    return sorted(found, key=lambda pair: order[pair[0].network.name])


def summary(zoo: Zoo) -> str:
    """Return how many networks and exports there are, and how many were converted by which backend."""
    run = [entry for entry in entries() if entry.key in zoo.rows]
    both = [entry for entry in run if len(zoo.rows[entry.key]) == len(Backend)]
    converted = [sum(not zoo.rows[e.key][backend.value].error for e in both) for backend in Backend]
    told = ", ".join(f"{count} of them by {backend.value}" for count, backend in zip(converted, Backend, strict=True))
    exports = ", ".join(sorted({str(entry.export) for entry in run}))
    missing = len({*zoo.earlier} - {*zoo.rows})
    return (
        f"{len({entry.network.name for entry in run})} networks in {len(run)} exports ({exports}) were run with this "
        f"version, {len(both)} with both backends: converted were {told}. Operators differ in "
        f"{len(zoo.differences)} of them. {missing or 'No'} more were run with an earlier version only."
    )


def _named(entry: Entry, zoo: Zoo) -> str:
    """Return the key of an entry, with a mark where an earlier version has run it."""
    return entry.key if entry.key in zoo.rows else f"{entry.key} \u2020"


def _pair(told: Sequence[str]) -> str:
    """Return what is told of each backend, once where it is the same."""
    return ", ".join(dict.fromkeys(told)) if len({*told}) == 1 else ", ".join(told)


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


def _article(entry: Entry, of: Mapping[str, Row], zoo: Zoo) -> Iterator[tuple[str, ...]]:
    name = entry.network.name.removesuffix("_initial")
    differences = [(row, difference) for row in of.values() if (difference := worst(row.outputs)) is not None]
    if entry.network.name not in OF_THE_ARTICLE or not differences:
        return
    told = f"{name}, initial" if entry.network.initial else name
    yield (
        told if entry.key in zoo.rows else f"{told} \u2020",
        str(entry.export),
        _pair([f"{difference.mse:.1e}" for _, difference in differences]),
        _pair([f"{difference.variance:.1e}" for _, difference in differences]),
        _pair([f"{normalized(difference):.1e}" for _, difference in differences]),
        _pair([_normalized(row.runtime) for row, _ in differences]),
        _pair([_normalized(row.exact) for row, _ in differences]),
        f"e{MARKS[name]}" if name in MARKS else "-",
    )


_NETWORKS = (
    *("network", "from", "export", "opset", "parameters", "TRANSPOSE", "operators"),
    *("max abs", "MSE", "variance", "MSE / variance", "seconds", "memory"),
)


def _network(entry: Entry, of: Mapping[str, Row], zoo: Zoo) -> tuple[str, ...]:
    rows = list(of.values())
    first = rows[0]
    return (
        entry.network.name if entry.key in zoo.rows else f"{entry.network.name} \u2020",
        entry.network.source.value,
        str(entry.export),
        str(first.opset) if first.opset else "-",
        f"{first.parameters / 1e6:.1f} M" if first.parameters else "-",
        _pair(["not converted" if row.error else f"**{row.transposes}**" for row in rows]),
        _pair(["-" if row.error else str(row.operators) for row in rows]),
        *(_pair([_error(worst(row.outputs), told) for row in rows]) for told in _ERRORS),
        _pair([f"{sum(row.seconds.values()):.0f}" if row.seconds else "-" for row in rows]),
        _pair([format_size(row.memory.together) if row.memory.together else "-" for row in rows]),
    )


_ERRORS: Sequence[Callable[[OutputDifference], float]] = (
    lambda difference: difference.max_abs_error,
    lambda difference: difference.mse,
    lambda difference: difference.variance,
    normalized,
)


def _error(difference: OutputDifference | None, told: Callable[[OutputDifference], float]) -> str:
    return "-" if difference is None else f"{told(difference):.1e}"


def _normalized(differences: Sequence[OutputDifference]) -> str:
    difference = worst(differences)
    return f"{normalized(difference):.1e}" if difference else "-"


_GROUPS = {
    "ONNX Runtime": ("ONNX Runtime on the original", "verification"),
    "LiteRT": ("layoutopt: LiteRT",),
    "lowering and rewrites": ("layoutopt: lowering", "layoutopt: rewrites"),
    "TensorFlow": (
        *("layoutopt: import tensorflow", "layoutopt: onnx-tf", "layoutopt: trace"),
        "layoutopt: TFLite converter",
    ),
    "writing": ("layoutopt: write .tflite", "write .tflite"),
}
"""The stages that are shown together; all others are passes."""

_STAGES = ("network", "backend", "weights", "seconds", "passes", *_GROUPS, "optimizes", "child", "together")
_SHOWN = 8


def _largest(zoo: Zoo) -> Iterator[tuple[Entry, str, Row]]:
    """Yield the converted rows of the entries with the most weights."""
    found = [(entry, of) for entry in entries() if (of := zoo.rows.get(entry.key)) is not None]
    for entry, of in sorted(found, key=lambda pair: -max(row.weights for row in pair[1].values()))[:_SHOWN]:
        yield from ((entry, backend, row) for backend, row in of.items() if not row.error)


def _stages(entry: Entry, backend: str, row: Row) -> tuple[str, ...]:
    total = sum(row.seconds.values())
    groups = [sum(row.seconds.get(stage, 0.0) for stage in stages) for stages in _GROUPS.values()]
    memory = row.memory
    return (
        entry.network.name,
        backend,
        format_size(row.weights),
        f"{total:.0f}",
        *(f"{each / total:.0%}" for each in (total - sum(groups), *groups)),
        *(format_size(each) for each in (memory.parent, memory.child, memory.together)),
    )
