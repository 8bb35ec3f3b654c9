"""``layoutopt calibrate``."""

from __future__ import annotations

from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import ThreadsOption

EXAMPLES = """[bold]Examples[/]

layoutopt calibrate

layoutopt calibrate --quick --threads 2
"""


def calibrate(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Measure a coarse table, in a few seconds.")] = False,
    threads: ThreadsOption = 1,
    session: RunArguments,
) -> None:
    """Measure what transposes and matrix products cost on this machine, and keep the table for --objective time."""
    with session.start() as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report.terminal import calibration

        report = api.calibrate(threads=threads, quick=quick, verbose=session.verbose, progress=progress)
        run.write_json(report.to_json())
    run.show(*calibration.of_calibration(report))
