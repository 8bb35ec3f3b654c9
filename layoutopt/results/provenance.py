"""The origin of measured figures: machine, date and versions."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from layoutopt.layout.costs.calibration import processor

_DISTRIBUTIONS = (
    *("layoutopt", "numpy", "onnx", "onnx-ir", "onnxruntime", "onnxsim", "scipy"),
    *("onnx-tf", "tensorflow", "tensorflow-cpu", "ai-edge-litert", "torch"),
)


def versions() -> dict[str, str]:
    """Return the versions of all packages that may take part and are installed, and of Python."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a measurement: machine, date and versions.

    Attributes:
        processor: its model.
        cores: how many this process may see.
        system: the operating system.
        date: the day, ISO 8601.
        versions: of the packages that may have taken part.
    """

    processor: str
    cores: int
    system: str
    date: str
    versions: Mapping[str, str]

    @classmethod
    def here(cls) -> Provenance:
        """Describe this machine, today."""
        return cls(processor(), os.cpu_count() or 1, platform.system(), str(datetime.date.today()), versions())

    @property
    def machine(self) -> str:
        """Return the machine in words."""
        return f"{self.processor}, {self.cores} cores, {self.system}"

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.machine}, {self.date}; {packages}"
