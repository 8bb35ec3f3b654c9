"""``layoutopt benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.backend.litert.converter import Quantize
from layoutopt.cli.console import (
    JsonOption,
    QuietOption,
    SeedOption,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
    parse_shapes,
    session,
)
from layoutopt.options import Io

EXAMPLES = """[bold]Examples[/]

layoutopt benchmark model.onnx

layoutopt benchmark before.tflite after.tflite --threads 2
"""


def benchmark(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...", help=".tflite files; an .onnx stands for its baseline and its optimized form."
        ),
    ],
    io: Annotated[Io, typer.Option("--io", help="Layout of image inputs and outputs of .onnx models.")] = Io.FREE,
    shape: ShapeOption = [],  # noqa: B006, typer copies it
    threads: ThreadsOption = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Samples per model.")] = 60,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Inferences before the first sample.")] = 5,
    seed: SeedOption = 0,
    quantize: Annotated[Quantize, typer.Option("--quantize", help="Weights of .onnx models.")] = Quantize.NONE,
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Measure TFLite latency: all models in one interleaved run on LiteRT with XNNPACK."""
    with session(json, quiet=quiet, verbose=verbose) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report import tables

        report = api.benchmark(
            models,
            shapes=parse_shapes(shape),
            io=io,
            threads=threads,
            rounds=rounds,
            warmup=warmup,
            seed=seed,
            quantize=quantize,
            verbose=verbose,
            progress=progress,
        )
        run.write_json(report.to_json())
    run.show(*tables.of_benchmark(report))
