"""Rows for many models, which are printed as they come, and the table of what differs between two runs."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from layoutopt.fleet.row import Row
from layoutopt.report.tables import size

_LAYOUT = "{:>11}  {:>15}  {:>9}  {:>8}  {:>7}  {}"
"""Widths that do not depend on the rows that are still to come."""


def heading() -> Text:
    """Return the line above the rows."""
    text = _LAYOUT.format("TRANSPOSE", "operators", "size", "error", "seconds", "model")
    return Text(text, style="bold")


def of_row(row: Row, *, before: bool) -> Text:
    """Return one model as a line; ``before`` says that an earlier run has done it."""
    if row.report is None:
        line = _LAYOUT.format("-", "-", "-", "-", f"{row.seconds:.1f}", f"{row.model}: {row.error}")
        return Text(line, style="red")
    optimized = row.report["optimized"]
    error = optimized["max_abs_error"]
    line = _LAYOUT.format(
        _change(row.report, "transposes"),
        _change(row.report, "operators"),
        size(optimized["file_size"]),
        "-" if error is None else f"{error:.1e}",
        "before" if before else f"{row.seconds:.1f}",
        row.model,
    )
    return Text(line, style="dim" if before else "")


def summary(done: int, before: int, failed: int) -> Text:
    """Return how many models came to which end."""
    earlier = f", {before} of them before" if before else ""
    return Text(f"{done} done{earlier}; {failed} failed", style="red" if failed else "green")


def _change(report: dict[str, Any], name: str) -> str:
    baseline, optimized = report["baseline"], report["optimized"]
    return f"{optimized[name]:,}" if baseline is None else f"{baseline[name]:,} -> {optimized[name]:,}"
