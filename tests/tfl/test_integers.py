"""Operators on integers, made of the graph of LiteRT's operators, against ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert import runtime
from layoutopt.ir.verify import Arrays
from layoutopt.tfl.graph import Model
from layoutopt.tfl.rewrites.integers import use_integer_kernels
from tests.lowering.direct import lowered

pytestmark = pytest.mark.tflite

CHANNELS_LAST = (0, 2, 3, 1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def integers_of(model: ir.Model) -> Model:
    """The graph of a model that no pass has seen."""
    found = lowered(ir.to_proto(model))
    use_integer_kernels(found.graph)
    return found


def outputs_of(model: Model, inputs: Arrays, directory: Path) -> tuple[Mapping[str, Any], Path]:
    path = directory / "model.tflite"
    write_tflite(model, path)
    return runtime.run(path, inputs), path


def off_by(found: Any, expected: Any, scale: float) -> float:
    return float(np.abs(found.astype(float) - expected.astype(float)).max()) / scale
