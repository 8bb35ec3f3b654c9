"""``layoutopt optimize``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from layoutopt.backend.conversion import Quantize
from layoutopt.cli.boundary import (
    InputsOption,
    LabelsOption,
    MetadataOption,
    OutputsOption,
    PostprocessOption,
    PreprocessOption,
    parse_boundary,
    parse_description,
)
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
    beside,
    parse_layouts,
    parse_shapes,
    read_model,
    session,
)
from layoutopt.cli.quantization import (
    CalibrationOption,
    ColorOption,
    Int8Option,
    KeepFloatOption,
    LoadRangesOption,
    MeanOption,
    MinSqnrOption,
    QuantizedIoOption,
    RangesOption,
    ResizeOption,
    SampleLayoutOption,
    SamplesOption,
    SaveRangesOption,
    ScaleOption,
    StdOption,
    quantization_options,
)
from layoutopt.errors import OutputExistsError, UsageError
from layoutopt.options import TOLERANCE, Color, Int8, QuantizedIo, RangeMethod, Resize, SampleLayout, Verify
from layoutopt.outputs import Outputs, apart

EXAMPLES = """[bold]Examples[/]

layoutopt optimize model.onnx

layoutopt optimize first.onnx second.onnx --output-dir out

layoutopt optimize model.onnx --no-tflite

layoutopt optimize model.onnx -o fast.onnx --tflite fast.tflite --benchmark

layoutopt optimize model.onnx --io keep --shape input=1,3,224,224

layoutopt optimize model.onnx --dynamic batch

layoutopt optimize detector.onnx --outputs boxes,scores

layoutopt optimize model.onnx --preprocess input:mean=0.485,0.456,0.406,std=0.229,0.224,0.225,scale=1/255

layoutopt optimize model.onnx --labels classes.txt --metadata model.json

layoutopt optimize model.onnx --layout image=nhwc --layout mask=nchw

layoutopt optimize model.onnx --input photo.jpg

layoutopt optimize model.onnx --objective time

layoutopt optimize model.onnx --quantize int8 --calibration photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

layoutopt optimize model.onnx --quantize mixed --calibration samples.npz --min-sqnr 25

layoutopt optimize model.onnx --passes 'fold-constants,propagate-layout{io=keep},cancel-transposes'
"""


def optimize(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL.onnx...", help="The models. They are never changed. - reads standard input."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The optimized .onnx. Default: MODEL.nhwc.onnx beside MODEL.")
    ] = None,
    tflite: Annotated[
        Path | None,
        typer.Option("--tflite", help="The .tflite. Default: MODEL.tflite beside MODEL, or beside the file of -o."),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", help="Where what has no place of its own goes, in place of beside MODEL."),
    ] = None,
    no_tflite: Annotated[
        bool, typer.Option("--no-tflite", help="The optimized .onnx alone: nothing is converted.")
    ] = False,
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
    inputs: InputsOption = [],  # noqa: B006, typer copies it
    outputs: OutputsOption = [],  # noqa: B006, typer copies it
    preprocess: PreprocessOption = [],  # noqa: B006, typer copies it
    postprocess: PostprocessOption = [],  # noqa: B006, typer copies it
    metadata: MetadataOption = None,
    labels: LabelsOption = [],  # noqa: B006, typer copies it
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
            help="int8: weights and activations, by --calibration. mixed: likewise, but as exact as --min-sqnr. "
            "weights: int8 in the file, float arithmetic. dynamic: int8 weights, as tf.lite.Optimize.DEFAULT makes "
            "them. float16: half the size.",
        ),
    ] = Quantize.NONE,
    calibration: CalibrationOption = None,
    calibration_samples: SamplesOption = 100,
    calibration_layout: SampleLayoutOption = SampleLayout.MODEL,
    mean: MeanOption = "0",
    std: StdOption = "1",
    scale: ScaleOption = "",
    color: ColorOption = Color.RGB,
    resize: ResizeOption = Resize.STRETCH,
    quantized_io: QuantizedIoOption = QuantizedIo.FLOAT,
    int8: Int8Option = Int8.FAST,
    ranges: RangesOption = RangeMethod.AUTO,
    min_sqnr: MinSqnrOption = None,
    keep_float: KeepFloatOption = [],  # noqa: B006, typer copies it
    save_ranges: SaveRangesOption = None,
    load_ranges: LoadRangesOption = None,
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
    """Rewrite models to NHWC with the fewest bytes transposed, convert them, and compare with what you have without.

    NCHW stores an image plane by plane, as PyTorch does; NHWC pixel by pixel, as TFLite runs it. MODEL.nhwc.onnx and
    MODEL.tflite are written together, or neither.
    """
    with session(json, quiet=quiet, verbose=verbose, force=force, inputs=[*models, input, load_ranges]) as run:
        if len(models) > 1 and (saved_model or dump_after or save_ranges):
            raise UsageError("--saved-model, --save-ranges and --dump-after are for one model")
        if min_sqnr is not None and quantize is not Quantize.MIXED:
            raise UsageError("--min-sqnr is for --quantize mixed")
        boundary = parse_boundary(inputs, outputs, preprocess, postprocess)
        description = parse_description(metadata, labels)
        quantization = quantization_options(
            mean=mean,
            std=std,
            scale=scale,
            min_sqnr=min_sqnr,
            samples=calibration_samples,
            layout=calibration_layout,
            color=color,
            resize=resize,
            io=quantized_io,
            int8=int8,
            ranges=ranges,
            keep_float=tuple(keep_float),
            save_ranges=save_ranges,
            load_ranges=load_ranges,
        )
        targets = _targets(models, output, tflite, output_dir, convert=not no_tflite)
        if output_dir is not None:
            run.outputs.make_directory(output_dir, "--output-dir")
        _refuse_early(run.outputs, [path for pair in targets for path in pair if path is not None], force=force)
        from layoutopt import api
        from layoutopt.report import tables
        from layoutopt.report.results import to_json

        reports = []
        for model, (onnx, lite) in zip(models, targets, strict=True):
            # Of several models each is a run of its own: what is done stays if a later one fails.
            with run.progress() as progress, apart() if len(models) > 1 else nullcontext():
                report = api.optimize(
                    read_model(model, complete=not (inputs or outputs)),
                    output=onnx,
                    tflite=lite,
                    saved_model=saved_model,
                    io=io,
                    layouts=parse_layouts(layout),
                    objective=objective,
                    exact=exact,
                    shapes=parse_shapes(shape),
                    dynamic=[name for text in dynamic for name in text.split(",")],
                    boundary=boundary,
                    description=description,
                    passes=passes,
                    verify=verify,
                    input=input,
                    tolerance=tolerance,
                    seed=seed,
                    baseline=baseline,
                    benchmark=benchmark,
                    threads=threads,
                    quantize=quantize,
                    calibration=calibration,
                    quantization=quantization,
                    allow_flex=allow_flex,
                    backend=backend,
                    dump=api.Dump(dump_dir, frozenset(dump_after) - {"all"}) if dump_after else None,
                    convert=not no_tflite,
                    force=force,
                    verbose=verbose,
                    progress=progress,
                )
            reports.append(report)
        run.write_json(to_json(reports if len(reports) > 1 else reports[0]))
    for report in reports:
        run.show(*tables.of_optimize(report, verbose=verbose))


def _targets(
    models: Sequence[Path], output: Path | None, tflite: Path | None, directory: Path | None, *, convert: bool
) -> list[tuple[Path, Path | None]]:
    """Where the .onnx and the .tflite of each model go.

    Raises:
        UsageError: several models would share one place, or a .tflite has a place and is not to be made.
    """
    for option, path in (("--output", output), ("--tflite", tflite)):
        if path is not None and len(models) > 1:
            raise UsageError(f"{option} {path}: is one file for {len(models)} models", hint="Use --output-dir.")
    if tflite is not None and not convert:
        raise UsageError("--tflite and --no-tflite contradict each other")
    found = []
    for model in models:
        onnx = output or beside(model, ".nhwc.onnx", directory)
        lite = beside(model, ".tflite", directory)
        if output is not None and directory is None:
            lite = output.with_name(f"{output.name.removesuffix('.onnx').removesuffix('.nhwc')}.tflite")
        found.append((onnx, (tflite or lite) if convert else None))
    return found


def _refuse_early(outputs: Outputs, paths: Sequence[Path], *, force: bool) -> None:
    """Refuse what is known to be wrong with the places of the outputs of all models, before anything heavy is loaded.

    Raises:
        OutputExistsError: names all that exist, and the way out, in one line.
        OutputError: one of them cannot be written.
    """
    try:
        for path in paths:
            outputs.expect(path, force=force)
    except OutputExistsError:
        there = [str(path) for path in paths if os.path.lexists(path)]
        what = "exists already: --force overwrites it" if len(there) == 1 else "exist already: --force overwrites them"
        raise OutputExistsError(f"{', '.join(there)} {what}") from None
    for path in paths:
        outputs.withdraw(path)
