"""``layoutopt count``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import read_model

EXAMPLES = """[bold]Examples[/]

layoutopt count model.onnx model.nhwc.onnx

layoutopt count before.tflite after.tflite --json -
"""


def count(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help=".onnx or .tflite files; - reads an .onnx from standard input."),
    ],
    session: RunArguments,
) -> None:
    """Count operators, TRANSPOSE, other data movement, and the bytes that transposes move per inference."""
    with session.start(files) as run, run.progress() as progress:
        progress("counting")
        from layoutopt import api
        from layoutopt.report.terminal import tables
        from layoutopt.results.result import to_json

        reports = [api.count(read_model(file)) for file in files]
        run.write_json(to_json(reports))
    run.show(*tables.of_counts(reports))
