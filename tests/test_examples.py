"""The examples run as their first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from layoutopt.backend.litert.inspect import count_tflite

ROOT = Path(__file__).parents[1]


@pytest.mark.onnx_tf
@pytest.mark.torch
def test_mobilenet_v2(tmp_path: Path) -> None:
    target = tmp_path / "out.tflite"
    command = [sys.executable, "-m", "examples.mobilenet_v2", str(target)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "0 transposes" in printed
    assert "image: (1, 224, 224, 3) channels-last image.transpose(0,2,3,1)" in printed
    assert count_tflite(target).transposes == 0
