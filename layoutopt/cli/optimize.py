"""``layoutopt optimize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.backend.conversion import Quantize
from layoutopt.cli.console import (
    BackendOption,
    ExactOption,
    ForceOption,
    IoOption,
    JsonOption,
    LayoutOption,
    ObjectiveOption,
    QuietOption,
    SeedOption,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
    parse_layouts,
    parse_shapes,
    session,
)
from layoutopt.options import TOLERANCE, Verify

EXAMPLES = """[bold]Examples[/]

layoutopt optimize model.onnx

layoutopt optimize model.onnx -o fast.onnx --tflite fast.tflite --benchmark

layoutopt optimize model.onnx --io keep --shape input=1,3,224,224

layoutopt optimize model.onnx --tflite model.tflite --dynamic batch

layoutopt optimize model.onnx --layout image=nhwc --layout mask=nchw

layoutopt optimize model.onnx --input photo.jpg

layoutopt optimize model.onnx --objective time

layoutopt optimize model.onnx --passes 'fold-constants,propagate-layout{io=keep},cancel-transposes'
"""


def optimize(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="The model. It is never changed.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The optimized .onnx. Default: MODEL.nhwc.onnx beside it.")
    ] = None,
    tflite: Annotated[Path | None, typer.Option("--tflite", help="Write the .tflite here.")] = None,
    saved_model: Annotated[Path | None, typer.Option("--saved-model", help="Write a SavedModel here.")] = None,
    io: IoOption = None,
    layout: LayoutOption = [],  # noqa: B006, typer copies it
    objective: ObjectiveOption = None,
    exact: ExactOption = False,
    shape: ShapeOption = [],  # noqa: B006, typer copies it
    dynamic: Annotated[
        list[str],
        typer.Option(
            "--dynamic",
            metavar="NAME",
            help="A dimension that stays symbolic, for resize_tensor_input: batch, or a name that the inputs have. "
            "Repeatable, or joined by commas.",
        ),
    ] = [],  # noqa: B006, typer copies it
    passes: Annotated[
        str | None, typer.Option("--passes", help="The pipeline, as 'layoutopt passes' spells it.")
    ] = None,
    verify: Annotated[
        Verify, typer.Option("--verify", help="What ONNX Runtime compares with the original.")
    ] = Verify.RESULT,
    input: Annotated[  # noqa: A002, the name of the option
        Path | None,
        typer.Option(
            "--input",
            help="What it is verified on: an .npz with an array for each input by its name, or an image. "
            "Default: random numbers.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="Largest error over the largest value of an output.")
    ] = TOLERANCE,
    seed: SeedOption = 0,
    baseline: Annotated[
        bool, typer.Option(help="Build what you would have without layoutopt, to compare with.")
    ] = True,
    benchmark: Annotated[bool, typer.Option("--benchmark", help="Measure the latency of both .tflite files.")] = False,
    threads: ThreadsOption = 1,
    quantize: Annotated[
        Quantize,
        typer.Option(
            "--quantize",
            help="dynamic: int8 weights, as tf.lite.Optimize.DEFAULT makes them. float16: half the size. "
            "int8 is for 'layoutopt benchmark'.",
        ),
    ] = Quantize.NONE,
    allow_flex: Annotated[
        bool, typer.Option("--allow-flex", help="Let operators into the .tflite that need TensorFlow at run time.")
    ] = False,
    backend: BackendOption = None,
    dump_after: Annotated[
        list[str],
        typer.Option("--dump-after", metavar="PASS|all", help="Write the graph behind this pass. Repeatable."),
    ] = [],  # noqa: B006, typer copies it
    dump_dir: Annotated[Path, typer.Option("--dump-dir", help="Where --dump-after writes.")] = Path("dump"),
    force: ForceOption = False,
    json: JsonOption = "",
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Rewrite a model to NHWC with the fewest bytes transposed, and compare it with what you have without."""
    with session(json, quiet=quiet, verbose=verbose) as run, run.progress() as progress:
        progress("loading")
        from layoutopt import api
        from layoutopt.report import tables

        report = api.optimize(
            model,
            output=output or model.with_suffix(".nhwc.onnx"),
            tflite=tflite,
            saved_model=saved_model,
            io=io,
            layouts=parse_layouts(layout),
            objective=objective,
            exact=exact,
            shapes=parse_shapes(shape),
            dynamic=[name for text in dynamic for name in text.split(",")],
            passes=passes,
            verify=verify,
            input=input,
            tolerance=tolerance,
            seed=seed,
            baseline=baseline,
            benchmark=benchmark,
            threads=threads,
            quantize=quantize,
            allow_flex=allow_flex,
            backend=backend,
            dump=api.Dump(dump_dir, frozenset(dump_after) - {"all"}) if dump_after else None,
            force=force,
            verbose=verbose,
            progress=progress,
        )
        run.write_json(report.to_json())
    run.show(*tables.of_optimize(report, verbose=verbose))
