"""The page of both backends."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean

from benchmarks import records
from benchmarks.backends import Backends, Row
from docs.tools.markdown import table
from docs.tools.reasons.backends import REASONS
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.report.terminal.tables import format_size
from layoutopt.results.optimize import ModelStats

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
    """Return what is said of the networks that were timed."""
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
        f"{format_size(direct.file_size)}, {format_size(other.file_size)}",
        *(() if row.speedup is None else _timed(direct, other, row.speedup)),
    )


def _timed(direct: ModelStats, other: ModelStats, speedup: Speedup) -> tuple[str, str]:
    latency = f"{direct.latency_ms:.1f}, {other.latency_ms:.1f} ms"
    return latency, f"{speedup.median_of_rounds:.2f}x, {speedup.verdict.value}"


def committed_page() -> str:
    """Return the page of the committed figures."""
    return page(records.load(Backends, Backends.PATH))
