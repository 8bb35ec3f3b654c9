"""Measure what transposes and matrix products cost on this machine, and keep the table for --objective time."""

from __future__ import annotations

from layoutopt.layout.costs.calibration import FULL, QUICK, Calibration, Machine, calibration_path
from layoutopt.outputs import apart, make_directory
from layoutopt.results.calibrate import CalibrationReport
from layoutopt.workflows.measuring import measure_times
from layoutopt.workflows.options import RunContext


def calibrate_machine(context: RunContext, *, threads: int, quick: bool) -> CalibrationReport:
    """Measure what transposes and matrix products cost on this machine, and keep the table.

    Args:
        context: of the run.
        threads: of XNNPACK; each number of threads has times of its own.
        quick: whether a coarse table in a few seconds will do.

    Raises:
        OutputError: the times cannot be written.
    """
    path = calibration_path(threads)
    make_directory(path.parent)
    with apart() as trial:  # before any work is done for it
        trial.expect(path, force=True)
    grid = QUICK if quick else FULL
    context.say("preparing operators")
    times = measure_times(
        grid,
        threads=threads,
        verbose=context.verbose,
        progress=lambda done, total: context.say(f"round {done} of {total}"),
    )
    context.say.finish()
    calibration = Calibration(Machine.here(threads), times)
    return CalibrationReport(calibration.save(), calibration)
