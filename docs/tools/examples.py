"""The output of commands in the examples of the docs, kept in ``examples.json`` beside this module.

::

    python -m docs.tools.examples
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import layoutopt
from benchmarks import records
from layoutopt.backend.litert.inspect import operators_of
from layoutopt.cli import app
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.tfl.schema import schema

COLUMNS = 132
PRINTED = Path(__file__).with_suffix(".json")
FAULT, FACTOR = "features.6.conv.2/", 1.2
"""Whose bias is wrong in the example of ``compare``, and what it was multiplied by."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The printed text, by the name of the command."""

    printed: Mapping[str, str]


def main() -> None:
    """Run the examples."""
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        printed = {"compare": compared(), "explain": explained()}
    records.save(Examples(printed), PRINTED)


def compared() -> str:
    """Compare a small MobileNetV2 with a .tflite that has a fault, in the working directory."""
    model, tflite = Path("model.onnx"), Path("model.tflite")
    save(mobilenet_v2(resolution=64, width=0.25), model)
    layoutopt.optimize(model, tflite=tflite, baseline=False)
    (position,) = (index for index, each in enumerate(operators_of(tflite)) if each.outputs[0][1].startswith(FAULT))
    damage(tflite, tflite, position, 2, FACTOR)
    return _printed("compare", str(model), str(tflite), "--top", "3")


def damage(source: Path, target: Path, operator: int, operand: int, factor: float) -> Path:
    """Multiply a float32 constant that one operator reads by a factor, in a copy of a .tflite."""
    data = bytearray(source.read_bytes())
    model = schema.Model.GetRootAs(data)
    graph = model.Subgraphs(0)
    tensor = graph.Tensors(graph.Operators(operator).Inputs(operand))
    weights = model.Buffers(tensor.Buffer()).DataAsNumpy().view(np.float32)
    assert weights.size
    weights *= factor
    target.write_bytes(data)
    return target


def explained() -> str:
    """Explain the transposes of the fewest bytes in the head of a detector, in the working directory."""
    from benchmarks.models import NETWORKS, export

    save(export(NETWORKS["yolo_head"]), Path("yolo_head.onnx"))
    return _printed("explain", "yolo_head.onnx", "--objective", "bytes")


def _printed(*command: str) -> str:
    """Return the table and the error that a command prints; its stages take a different time in each run."""
    found = CliRunner().invoke(app, command, env={"COLUMNS": str(COLUMNS), "TERM": "dumb"})
    errors = found.stderr[found.stderr.find("error: ") :] if found.exit_code else ""
    return "\n".join(line.rstrip() for line in (found.stdout + errors).strip().splitlines())


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Examples, PRINTED)
    return {f"example-{name}": f"```text\n{text}\n```" for name, text in found.printed.items()}


if __name__ == "__main__":
    main()
