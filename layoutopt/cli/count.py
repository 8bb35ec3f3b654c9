"""``layoutopt count``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.console import ForceOption, JsonOption, QuietOption, VerboseOption, read_model, session

EXAMPLES = """[bold]Examples[/]

layoutopt count model.onnx model.nhwc.onnx

layoutopt count before.tflite after.tflite --json -
"""


def count(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help=".onnx or .tflite files; - reads an .onnx from standard input."),
    ],
    force: ForceOption = False,
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Count operators, TRANSPOSE, other data movement, and the bytes that transposes move per inference."""
    with session(json, quiet=quiet, verbose=verbose, force=force, inputs=files) as run, run.progress() as progress:
        progress("counting")
        from layoutopt import api
        from layoutopt.report import tables
        from layoutopt.report.results import to_json

        reports = [api.count(read_model(file)) for file in files]
        run.write_json(to_json(reports))
    run.show(*tables.of_counts(reports))
