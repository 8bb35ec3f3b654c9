"""Rows for many models, printed as they are done, and the table of differences between two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layoutopt.fleet.regressions import Change, ChangeVerdict
from layoutopt.fleet.row import Row
from layoutopt.report.terminal.tables import format_size

_LAYOUT = "{:>11}  {:>15}  {:>9}  {:>8}  {:>7}  {}"
"""Widths that do not depend on the rows that are still to come."""


def heading() -> Text:
    """Return the line above the rows."""
    text = _LAYOUT.format("TRANSPOSE", "operators", "size", "error", "seconds", "model")
    return Text(text, style="bold")


def of_row(row: Row, *, before: bool) -> Text:
    """Return one model as a line; ``before`` tells that an earlier run has done it."""
    if row.report is None:
        line = _LAYOUT.format("-", "-", "-", "-", f"{row.seconds:.1f}", f"{row.model}: {row.error}")
        return Text(line, style="red")
    optimized = row.report["optimized"]
    error = optimized["max_abs_error"]
    line = _LAYOUT.format(
        _change(row.report, "transposes"),
        _change(row.report, "operators"),
        format_size(optimized["file_size"]),
        "-" if error is None else f"{error:.1e}",
        "before" if before else f"{row.seconds:.1f}",
        row.model,
    )
    return Text(line, style="dim" if before else "")


def summary(done: int, before: int, failed: int) -> Text:
    """Return how many models are done and how many failed."""
    earlier = f", {before} of them before" if before else ""
    return Text(f"{done} done{earlier}; {failed} failed", style="red" if failed else "green")


def _change(report: dict[str, Any], name: str) -> str:
    baseline, optimized = report["baseline"], report["optimized"]
    return f"{optimized[name]:,}" if baseline is None else f"{baseline[name]:,} -> {optimized[name]:,}"


def of_changes(changes: Sequence[Change], *, verbose: bool) -> Iterator[RenderableType]:
    """Yield a table of the numbers that differ, or of all if ``verbose``, and a summary."""
    shown = [change for change in changes if verbose or change.verdict is not ChangeVerdict.SAME]
    if shown:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("model", overflow="fold")
        for name in ("what", "before", "after"):
            table.add_column(name, justify="right" if name != "what" else "left", no_wrap=True)
        table.add_column("")
        for change in shown:
            style = "red" if change.is_regression else _STYLES.get(change.verdict, "")
            said = f"{change.verdict.value}: {change.note}" if change.note else change.verdict.value
            numbers = [_number(change.metric, number) for number in (change.before, change.after)]
            table.add_row(escape(change.model), change.metric, *numbers, escape(said), style=style)
        yield table
    models = len({change.model for change in changes})
    worse = len({change.model for change in changes if change.is_regression})
    yield Text(f"{models} models compared; {worse} worse", style="red" if worse else "green")


_STYLES = {ChangeVerdict.BETTER: "green", ChangeVerdict.WORKS: "green", ChangeVerdict.LARGER: "yellow"}


def _number(metric: str, number: float | None) -> str:
    if number is None:
        return "-"
    if metric in ("bytes", "size"):
        return format_size(int(number))
    return f"{number:.2e}" if metric == "error" else f"{number:.2f} ms" if metric == "latency" else f"{number:,.0f}"
