"""``layoutopt tensors``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import read_model

EXAMPLES = """[bold]Examples[/]

layoutopt tensors model.onnx

layoutopt tensors model.onnx --filter '*feat*'

layoutopt tensors model.onnx --filter Conv --json -
"""


def tensors(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model; - reads standard input.")],
    pattern: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="TEXT",
            help="Show only tensors with this text in the name of the tensor, its node or its operator; * stands for "
            "any characters, ? for one.",
        ),
    ] = "",
    *,
    session: RunArguments,
) -> None:
    """List the tensors of a model with shapes, types and operators, to choose --inputs and --outputs from."""
    with session.start([model]) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report.terminal.tensors import of_tensors
        from layoutopt.results.result import to_json

        rows = api.tensors(read_model(model, complete=False), pattern)
        run.write_json(to_json(rows))
    run.show(*of_tensors(rows))
