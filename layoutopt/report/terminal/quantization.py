"""The costs of quantization, for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layoutopt.quantization.outcome import FloatOperator, QuantizationReport
from layoutopt.text import first_few

_LISTED = 6
"""The most names of one kind that are shown."""


def of_quantization(report: QuantizationReport, *, file_size: int, verbose: bool) -> Iterator[RenderableType]:
    """Yield each output beside the float model's, what stayed float and why, and the warnings, the most serious last.

    Args:
        report: what became of the model.
        file_size: of the quantized .tflite in bytes.
        verbose: whether all operators on floats are named.
    """
    if report.outputs:
        yield _of_outputs(report)
    correction = ", biases corrected for the rounding of weights" if report.corrects_biases else ""
    smaller = report.float_size / file_size if file_size else 0.0
    yield Text(
        f"Quantized: {report.whole} operators on integers, {len(report.floats)} on floats; ranges by {report.methods}"
        f"{correction}; {smaller:.1f} times smaller than float{_latency(report)}"
    )
    yield from (Text(line) for line in _of_floats(report.floats, verbose=verbose))
    for warning in report.warnings:
        yield Text(f"Warning: {warning}", style="yellow")


def _latency(report: QuantizationReport) -> str:
    if report.milliseconds is None or report.float_milliseconds is None:
        return ""
    return f", {report.milliseconds:.2f} instead of {report.float_milliseconds:.2f} ms on one thread"


def _of_outputs(report: QuantizationReport) -> Table:
    table = Table(
        title=f"Against float, on {report.held_out} held-out samples ({report.samples} others for calibration, "
        f"{report.choosing} to choose methods)",
        title_justify="left",
    )
    for heading in ("output", "SQNR", "cosine", "same top-1", "max abs error", "largest value"):
        table.add_column(heading, justify="left" if heading == "output" else "right", overflow="fold")
    for each in report.outputs:
        top1 = "[dim]-[/]" if each.top1 is None else f"{each.top1:.0%}"
        numbers = f"{each.sqnr:.1f} dB", f"{each.cosine:.4f}", top1, f"{each.max_error:.3g}", f"{each.largest:.3g}"
        table.add_row(escape(each.name), *numbers)
    return table


def _of_floats(floats: tuple[FloatOperator, ...], *, verbose: bool) -> Iterator[str]:
    for (code, reason), count in Counter((each.code, each.reason) for each in floats).items():
        names = [each.name for each in floats if (each.code, each.reason) == (code, reason)]
        shown = first_few(names, count if verbose else _LISTED)
        yield f"  on floats: {count} {code}: {reason} ({shown})"
