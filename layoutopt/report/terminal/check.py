"""The table of ``layoutopt check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layoutopt.results.check import CheckReport, Finding


def of_check(report: CheckReport, *, verbose: bool) -> Iterator[RenderableType]:
    """Yield a sentence on what the target runs, and a table of findings, alike ones together unless ``verbose``."""
    yield Text(f"{report.file}: {report.title}", style="bold")
    if report.findings:
        yield _table(report, verbose=verbose)
    for mend, operators in _mends(report.findings).items():
        yield Text(f"{', '.join(operators)}: {mend}")
    yield Text(f"It runs {runs(report)}.", style="green" if report.passes else "yellow")
    if not report.passes:
        yield Text(f"An operator that it does not run {report.rest}.")
    yield Text(f"Rules of {report.date}: {report.source}", style="dim")


def runs(report: CheckReport) -> str:
    """Return what a target runs, as the end of a sentence: ``3 of 5 operators, in 2 parts``."""
    parts = "part" if report.partitions == 1 else "parts"
    default = "" if report.run == report.taken else f"; by default {report.run:,} of them run there"
    return f"{report.taken:,} of {report.operators:,} operators, in {report.partitions:,} {parts}{default}"


def _table(report: CheckReport, *, verbose: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("operator", no_wrap=True)
    table.add_column("why")
    table.add_column("tensor" if verbose else "for example", overflow="fold")
    rows = [(finding, 1) for finding in report.findings] if verbose else list(_grouped(report.findings))
    for finding, count in rows:
        table.add_row(f"{count:,}", escape(finding.operator), escape(_why(finding)), escape(finding.tensor))
    return table


def _why(finding: Finding) -> str:
    reasons = "\n".join(finding.reasons)
    return reasons if finding.certain else f"perhaps: {reasons}"


def _mends(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Return how to fix the findings, each fix with the operators that it is for."""
    found: dict[str, dict[str, None]] = {}
    for finding in findings:
        for mend in finding.mends:
            found.setdefault(mend, {})[finding.operator] = None
    return {mend: list(operators) for mend, operators in found.items()}


def _grouped(findings: Sequence[Finding]) -> Iterator[tuple[Finding, int]]:
    """Iterate over the first of findings that differ only in the tensor, with their number."""
    counts: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        counts.setdefault((finding.operator, finding.reasons, finding.mends, finding.certain), []).append(finding)
    for found in counts.values():
        yield found[0], len(found)
