"""What tests of the command line start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that onnx-tf needs can be found."""
    monkeypatch.setattr("layoutopt.backend.conversion.missing_for_onnx_tf", lambda: ["tensorflow"])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small MobileNetV2 in a file."""
    path = tmp_path / "model.onnx"
    save(mobilenet_v2(resolution=32, width=0.25), path)
    return path
