"""What `layoutopt.calibrate` measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layoutopt.layout.costs.calibration import Calibration
from layoutopt.results.result import Result


@dataclass(frozen=True, slots=True)
class CalibrationReport(Result):
    """What a TRANSPOSE costs on this machine.

    Attributes:
        path: the file that keeps it.
        calibration: the times and the machine.
    """

    path: Path
    calibration: Calibration
