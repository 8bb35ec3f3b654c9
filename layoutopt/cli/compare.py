"""``layoutopt compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import RunArguments
from layoutopt.cli.console import SeedOption, ShapeOption, read_model
from layoutopt.cli.parsing import parse_shapes
from layoutopt.options import TOLERANCE

EXAMPLES = """[bold]Examples[/]

layoutopt compare model.onnx model.tflite

layoutopt compare model.onnx model.tflite --input photo.jpg --all

layoutopt compare model.onnx quantized.tflite --tolerance 0.1 --json -
"""


def compare(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx", help="The original, or an optimized .onnx; - reads standard input.")
    ],
    tflite: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="A .tflite from any converter.")],
    *,
    input: Annotated[  # noqa: A002, the name of the option
        Path | None,
        typer.Option(
            "--input",
            help="An .npz with an array for each input of the .onnx by its name, or an image. Default: random numbers.",
        ),
    ] = None,
    shape: ShapeOption = [],  # noqa: B006, typer copies it
    seed: SeedOption = 0,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0.0, help="Largest allowed error, divided by the largest value of the tensor."),
    ] = TOLERANCE,
    top: Annotated[
        int, typer.Option("--top", min=0, help="Number of layers to show, those with the largest own errors.")
    ] = 5,
    every: Annotated[bool, typer.Option("--all", help="Show every matched layer.")] = False,
    session: RunArguments,
) -> None:
    """Run an .onnx and a .tflite on the same inputs, match their tensors, and show where the error enters."""
    with session.start((model, tflite, input)) as run:
        with run.progress() as progress:
            progress("loading")
            from layoutopt import api
            from layoutopt.report.terminal import layers

            report = api.compare(
                read_model(model),
                tflite,
                input=input,
                shapes=parse_shapes(shape),
                seed=seed,
                tolerance=tolerance,
                verbose=session.verbose,
                progress=progress,
            )
            run.write_json(report.to_json())
            run.outputs.publish()  # also of a result that is refused below
        run.show(*layers.of_compare(report, top=top, every=every))
        report.require()
