"""Both backends side by side: what each makes of the same optimized graph, and which of the two runs faster.

Each network is exported and optimized once, then converted by the direct backend and through onnx-tf. Models stay in a
directory. What was found goes to ``benchmarks/results/backends.json``, from which `benchmarks.figures` makes the page.

::

    python -m benchmarks.backends [--models build/networks] [NAME ...]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import geometric_mean
from typing import ClassVar

from benchmarks import models, records
from benchmarks.markdown import table
from benchmarks.networks_table import exported, optimized
from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.backend.litert.runtime import Setting
from layoutopt.ir.verify import Reference
from layoutopt.options import TOLERANCE, Io
from layoutopt.outputs import make_directory
from layoutopt.report.terminal.tables import size
from layoutopt.results.optimize import Form, Kind
from layoutopt.results.provenance import Provenance
from layoutopt.workflows.benchmark import Effort, time_together
from layoutopt.workflows.conversion import Converter
from layoutopt.workflows.options import RunContext

_SECONDS = 6.0
"""For one pair of models, at most."""

REASONS: Mapping[str, str] = {}
"""Why the operators of a network differ, by the network: written by hand, for every difference in the figures."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network.

    Attributes:
        forms: of each backend, by its value.
        partitions: parts of the graph that XNNPACK takes, likewise.
        speedup: of the direct backend's file over the other; None where they were not timed.
        measured: where and when.
    """

    forms: Mapping[str, Form]
    partitions: Mapping[str, int]
    speedup: Speedup | None
    measured: Provenance

    def form(self, backend: Backend) -> Form:
        """Return the form that a backend made."""
        return self.forms[backend.value]

    @property
    def difference(self) -> str:
        """The operators that only one of the files has: with + those of the direct backend's."""
        direct, other = (Counter(self.form(backend).histogram) for backend in (Backend.DIRECT, Backend.ONNX_TF))
        more = [f"+{count} {name}" for name, count in sorted((direct - other).items())]
        return ", ".join([*more, *(f"-{count} {name}" for name, count in sorted((other - direct).items()))])


@dataclass(frozen=True, slots=True)
class Backends:
    """The figures of all networks by name."""

    rows: Mapping[str, Row]

    PATH: ClassVar[Path] = records.committed("backends")


def main() -> None:
    """Convert and time the networks that are asked for, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description="Both backends side by side.")
    parser.add_argument("names", nargs="*", choices=[*models.NETWORKS, []], help="networks (default: all)")
    parser.add_argument("--models", type=Path, default=Path("build/networks"), help="where models stay")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for timing a network; 0 for none (default: 6)")
    options = parser.parse_args()
    known = dict(records.load(Backends, Backends.PATH).rows) if Backends.PATH.exists() else {}
    for name in options.names or models.NETWORKS:
        known[name] = compared(name, options.models / name, seconds=options.seconds)
        ordered = {name: known[name] for name in models.NETWORKS if name in known}
        records.save(Backends(ordered), Backends.PATH)


def compared(name: str, directory: Path, *, small: bool = False, seconds: float = _SECONDS) -> Row:
    """Convert one network both ways, judge both results by ONNX Runtime, and time them in turns.

    Args:
        name: of the network.
        directory: for its models.
        small: whether it is exported at a small size.
        seconds: for the timing; 0 for none.
    """
    make_directory(directory)
    original = exported(name, directory, small=small)
    reference, graph = Reference(original), optimized(original, Io.FREE).model
    forms: dict[str, Form] = {}
    paths: list[Path] = []
    for backend in (Backend.ONNX_TF, Backend.DIRECT):
        context = RunContext.of(partial(_say, name, backend))
        scratch = directory / backend.value
        made = Converter(scratch, context, reference, TOLERANCE, Quantize.NONE, False, backend).run(
            Kind.LAYOUTOPT, graph.clone()
        )
        assert made.verification is not None
        reference.require(made.verification, f"{name} by {backend.value}")
        forms[backend.value], paths = made.form, [*paths, made.path]
    partitions = {backend: partitions_of(path) for backend, path in zip(forms, paths, strict=True)}
    if not seconds:
        return Row(forms, partitions, None, Provenance.here())
    (group,) = time_together(paths, [Setting()], effort=Effort(seconds=seconds))
    timed = zip(forms.items(), group.latencies, strict=True)
    return Row(
        {name: form.timed(latency) for (name, form), latency in timed},
        partitions,
        group.speedups[1],
        Provenance.here(),
    )


def partitions_of(path: Path) -> int:
    """Return how many parts of a .tflite XNNPACK takes as one operator each."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())


def _say(name: str, backend: Backend, stage: str) -> None:
    print(f"{name}, {backend.value}: {stage}", flush=True)


# --- the page --------------------------------------------------------------------------------------------------------

_TITLES = ("network", "operators", "TRANSPOSE", "partitions", "max abs error", "file")
_TIMED = ("latency", "speedup")
_PAGE = """# Both backends

Both backends make the same operators with the same errors. They differ in [what a conversion costs](conversion-cost.md)
and in what else they can do: SavedModels and Flex operators need onnx-tf, models over 2 GiB the direct backend. Each of
the benchmark networks is optimized once; then `--backend direct` and `--backend onnx-tf` each make a `.tflite` of the
same graph. The first number of a pair is that of the direct backend. Errors are against ONNX Runtime on the original.

{table}

Operators differ in {differing} of {count} networks. {latency}
{reasons}
Measured by `python -m benchmarks.backends`: {measured}.
"""


def page(figures: Backends) -> str:
    """Return the page."""
    rows = figures.rows
    reasons = [f"- {name}: {row.difference}. {REASONS[name]}" for name, row in rows.items() if row.difference]
    return _PAGE.format(
        table=table(
            (*_TITLES, *(_TIMED if any(row.speedup for row in rows.values()) else ())),
            (_row(name, row) for name, row in rows.items()),
        ),
        differing=len(reasons),
        count=len(rows),
        latency=_latency([row.speedup for row in rows.values() if row.speedup is not None]),
        reasons="\n".join(["", *reasons, ""]) if reasons else "",
        measured=".\n\n".join(dict.fromkeys(str(row.measured) for row in rows.values())),
    )


def _latency(speedups: Sequence[Speedup]) -> str:
    """What is said of the networks that were timed."""
    if not speedups:
        return "Latency was not measured in this run."
    slower = sum(each.verdict is Verdict.SLOWER for each in speedups)
    mean = geometric_mean(1 / each.median_of_rounds for each in speedups)
    return (
        "Both files were timed in turns on one thread of LiteRT with XNNPACK, the first one twice as a control: what "
        "two copies of one file may differ in is no difference. Latency of the direct backend's files over the other's "
        f"is {mean:.2f} in the geometric mean; {slower or 'none'} of {len(speedups)} slower beyond noise."
    )


def _row(title: str, row: Row) -> tuple[str, ...]:
    direct, other = row.form(Backend.DIRECT), row.form(Backend.ONNX_TF)
    return (
        title,
        f"{direct.operators}, {other.operators}",
        f"{direct.transposes}, {other.transposes}",
        f"{row.partitions[Backend.DIRECT.value]}, {row.partitions[Backend.ONNX_TF.value]}",
        f"{direct.max_abs_error:.1e}, {other.max_abs_error:.1e}",
        f"{size(direct.file_size)}, {size(other.file_size)}",
        *(() if row.speedup is None else _timed(direct, other, row.speedup)),
    )


def _timed(direct: Form, other: Form, speedup: Speedup) -> tuple[str, str]:
    latency = f"{direct.latency_ms:.1f}, {other.latency_ms:.1f} ms"
    return latency, f"{speedup.median_of_rounds:.2f}x, {speedup.verdict.value}"


def committed_page() -> str:
    """Return the page of the committed figures."""
    return page(records.load(Backends, Backends.PATH))


if __name__ == "__main__":
    main()
