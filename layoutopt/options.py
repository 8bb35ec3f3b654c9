"""The choices that the API and the command line share. Light: nothing here imports a heavy package."""

from __future__ import annotations

import enum

TOLERANCE = 1e-4
"""Largest absolute error over the largest absolute value of an output: float32 drift above it is a bug to explain."""


class Io(enum.Enum):
    """What may happen to the layout of graph inputs and outputs."""

    FREE = "free"
    """Those of rank 3 to 5 are natural or channels-last, whichever is cheaper."""
    KEEP = "keep"
    """All stay as they are."""


class Objective(enum.Enum):
    """What the choice of layouts makes as small as it can be."""

    BYTES = "bytes"
    """The bytes that are moved in one inference."""
    TIME = "time"
    """The time that moving them takes, as `layoutopt calibrate` measured it on this machine."""


class Verify(enum.Enum):
    """What is compared with the original in ONNX Runtime."""

    NONE = "none"
    """Nothing."""
    RESULT = "result"
    """The result of the whole pipeline."""
    EACH = "each"
    """The result of each pass."""


class Exporter(enum.Enum):
    """Which of PyTorch's exporters writes the ONNX."""

    LEGACY = "legacy"
    """TorchScript tracing, ``torch.onnx.export(dynamo=False)``."""
    DYNAMO = "dynamo"
    """``torch.export``, ``torch.onnx.export(dynamo=True)``; needs onnxscript."""
