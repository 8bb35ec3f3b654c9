"""Small models, and calls of ``layoutopt optimize`` with several of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from typer.testing import CliRunner, Result

from layoutopt.cli import app

QUICK = ("--backend", "direct", "--no-baseline")


def save(path: Path, channels: int = 4) -> Path:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> '
        "g (float[1, 3, 8, 8] x) => (float[1, n, 8, 8] y) { c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (c) }"
    )
    weights = np.random.default_rng(0).standard_normal((channels, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    return path


def arguments(models: Sequence[Path], out: Path, *options: str | Path) -> list[str]:
    return ["optimize", *map(str, models), "--output-dir", str(out / "out"), *QUICK, *map(str, options)]


def invoke(models: Sequence[Path], out: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(app, arguments(models, out, *options))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
