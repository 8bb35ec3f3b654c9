"""The result of `layoutopt.calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layoutopt.layout.costs.calibration import Calibration
from layoutopt.results.result import Result


@dataclass(frozen=True, slots=True)
class CalibrationReport(Result):
    """The measured costs of TRANSPOSE on this machine.

    Attributes:
        path: the file that keeps it.
        calibration: the times and the machine.
    """

    path: Path
    calibration: Calibration
