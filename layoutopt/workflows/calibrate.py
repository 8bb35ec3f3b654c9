"""Measure what a TRANSPOSE costs on this machine, and keep the table for --objective time."""

from __future__ import annotations

from layoutopt.backend.litert.transposes import Transpose, time_transposes
from layoutopt.layout.costs.calibration import FULL, QUICK, Calibration, Machine, calibration_path, tabulate
from layoutopt.outputs import apart, make_directory
from layoutopt.results.calibrate import CalibrationReport
from layoutopt.workflows.options import RunContext


def calibrate_machine(context: RunContext, *, threads: int, quick: bool) -> CalibrationReport:
    """Measure what a TRANSPOSE costs on this machine, and keep it.

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
    probes = grid.probes()
    context.say(f"preparing {len(probes)} transposes")
    times = time_transposes(
        [Transpose(probe.shape, probe.perm, probe.bits) for probe in probes],
        threads=threads,
        rounds=grid.rounds,
        verbose=context.verbose,
        progress=lambda done, total: context.say(f"round {done} of {total}"),
    )
    context.say.finish()
    calibration = Calibration(Machine.here(threads), tabulate(probes, times.nanoseconds, times.overhead))
    return CalibrationReport(calibration.save(), calibration)
