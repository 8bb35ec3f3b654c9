"""The measured times of transposes for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from layoutopt.layout.costs.movement import Curve, Family
from layoutopt.report.terminal.tables import format_size
from layoutopt.results.calibrate import CalibrationReport


def of_calibration(report: CalibrationReport) -> Iterator[RenderableType]:
    """Yield a row per movement and a column per size: the time, and the bytes moved in it."""
    machine, times = report.calibration.machine, report.calibration.times.transposes
    sizes = sorted({at for curve in times.curves for at in curve.sizes})
    table = Table(title="TRANSPOSE: µs, and GB/s", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("what moves", no_wrap=True)
    for each in sizes:
        table.add_column(format_size(each), justify="right", no_wrap=True)
    for curve in times.curves:
        table.add_row(_movement(curve), *(_time_and_rate(curve.at(each), each) for each in sizes))
    yield table
    yield Text(f"LiteRT {machine.runtime} with XNNPACK, {machine.threads} thread(s), {machine.processor}")
    yield Text(
        f"An operator takes another {times.overhead:.0f} ns, a further block "
        f"{times.blocks[Family.BYTES]:.0f} ns (bytes) or {times.blocks[Family.WORDS]:.0f} ns (words)"
    )
    yield Text(f"Times written to {report.path}")


def _movement(curve: Curve) -> str:
    if curve.family is Family.PIECES:
        return f"pieces of {curve.extent} B"
    return f"{curve.family}, tiles of {curve.extent}"


def _time_and_rate(nanoseconds: float, bytes_moved: int) -> str:
    if nanoseconds < 10:  # no longer than an operator that moves nothing
        return "< 0.01\n[dim]-[/]"
    microseconds = nanoseconds / 1e3
    digits = 0 if microseconds >= 100 else 1 if microseconds >= 10 else 2
    return f"{microseconds:,.{digits}f}\n[dim]{bytes_moved / nanoseconds:.1f}[/]"
