"""Measure what transposes and matrix products cost on this machine, and keep the table for --objective time."""

from __future__ import annotations

from dataclasses import dataclass

from layoutopt.layout.costs.calibration import FULL, QUICK, Calibration, Machine, calibration_path
from layoutopt.outputs import make_directory, writing_apart
from layoutopt.progress import Progress
from layoutopt.results.calibrate import CalibrationReport
from layoutopt.workflows.measuring import measure_times
from layoutopt.workflows.options import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions:
    """The options of `layoutopt.calibrate`.

    Attributes:
        threads: of XNNPACK; each number of threads has times of its own.
        quick: whether a coarse table in a few seconds will do.
        verbose: let LiteRT's messages through.
        progress: called with what starts now.
    """

    threads: int = 1
    quick: bool = False
    verbose: bool = False
    progress: Progress | None = None


def calibrate_machine(options: CalibrateOptions, context: RunContext) -> CalibrationReport:
    """Measure what transposes and matrix products cost on this machine, and keep the table.

    Args:
        options: of the measurement.
        context: of the run.

    Raises:
        OutputError: the times cannot be written.
    """
    path = calibration_path(options.threads)
    make_directory(path.parent)
    with writing_apart() as trial:  # before any work is done for it
        trial.expect(path, force=True)
    grid = QUICK if options.quick else FULL
    context.say("preparing operators")
    times = measure_times(
        grid,
        threads=options.threads,
        verbose=context.verbose,
        progress=lambda done, total: context.say(f"round {done} of {total}"),
    )
    context.say.finish()
    calibration = Calibration(Machine.here(options.threads), times)
    return CalibrationReport(calibration.save(), calibration)
