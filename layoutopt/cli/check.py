"""``layoutopt check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.errors import TargetError
from layoutopt.options import Target

EXAMPLES = """[bold]Examples[/]

layoutopt check model.tflite --target gpu

layoutopt check model.tflite --target edgetpu --json -
"""


def check(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL.tflite...", help="The models, by any converter.")],
    target: Annotated[
        Target,
        typer.Option(
            "--target",
            help="gpu: LiteRT's GPU delegate. edgetpu: Coral's Edge TPU. ethos-u: Arm's Ethos-U55 and U65. nnapi: "
            "Android's. micro: TFLite Micro, which runs only what it has kernels for.",
        ),
    ],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 18 if the target does not run an operator.")
    ] = False,
    session: RunArguments,
) -> None:
    """Show which operators of a .tflite an accelerator would not run, why, and what would fix it.

    By rules that its makers have published; nothing is run. A driver or a compiler may still refuse what they allow.
    """
    with session.start(models) as run:
        from layoutopt import api
        from layoutopt.report.terminal.check import of_check
        from layoutopt.results.result import to_json

        reports = [api.check(model, target) for model in models]
        run.write_json(to_json(reports if len(reports) > 1 else reports[0]))
        for report in reports:
            run.show(*of_check(report, verbose=session.verbose))
    if strict and not all(report.passes for report in reports):
        raise typer.Exit(TargetError.exit_code)
