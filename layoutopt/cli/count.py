"""``layoutopt count``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.console import JsonOption, QuietOption, VerboseOption, session

EXAMPLES = """[bold]Examples[/]

layoutopt count model.onnx model.nhwc.onnx

layoutopt count before.tflite after.tflite --json -
"""


def count(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".onnx or .tflite files.")],
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Count operators, TRANSPOSE, other data movement, and the bytes that transposes move per inference."""
    with session(json, quiet=quiet, verbose=verbose) as run, run.progress() as progress:
        progress("counting")
        from layoutopt import api
        from layoutopt.report import tables
        from layoutopt.report.results import to_json

        reports = [api.count(file) for file in files]
        run.write_json(to_json(reports))
    run.show(*tables.of_counts(reports))
