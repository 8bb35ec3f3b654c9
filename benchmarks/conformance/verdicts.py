"""The verdict on a test by one way to a .tflite, and where it is kept."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt.outputs import atomic_write


class Route(enum.Enum):
    """The way that a test takes to a .tflite."""

    DIRECT = "direct"
    """Optimized, and converted by layoutopt itself."""
    ONNX_TF = "onnx-tf"
    """Optimized, and converted through onnx-tf and TensorFlow."""
    PLAIN = "plain"
    """Plain onnx-tf, without layoutopt."""


class Status(enum.Enum):
    """The outcomes of a test."""

    PASSED = "passed"
    """The outputs are as expected, in value and type."""
    UNSUPPORTED = "unsupported"
    """An error that names the node and says why."""
    FAILED = "failed"
    """Any other error."""
    WRONG = "wrong"
    """Other outputs than expected, without an error."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one test.

    Attributes:
        status: what became of it.
        reason: the first lines of the error, or what is wrong with the outputs.
    """

    status: Status
    reason: str = ""


def load(results: Path, route: Route) -> dict[str, Verdict]:
    """Return the verdicts so far."""
    path = _path(results, route)
    if not path.exists():
        return {}
    return {name: Verdict(Status(status), reason) for name, (status, reason) in json.loads(path.read_text()).items()}


def save(verdicts: Mapping[str, Verdict], results: Path, route: Route) -> None:
    found = {name: (verdict.status.value, verdict.reason) for name, verdict in sorted(verdicts.items())}
    with atomic_write(_path(results, route)) as beside:
        beside.write_text(json.dumps(found, indent=0) + "\n")


def _path(results: Path, route: Route) -> Path:
    return results / f"{route.value}.json"
