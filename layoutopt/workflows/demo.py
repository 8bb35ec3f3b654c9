"""Do the main job on a MobileNetV2 with random weights that is built here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir import io as modelio
from layoutopt.outputs import writing
from layoutopt.results.optimize import OptimizeReport
from layoutopt.workflows.optimize import OptimizeOptions, optimize_model
from layoutopt.workflows.options import RunContext


def run_demo(
    folder: Path, options: OptimizeOptions, context: RunContext, *, resolution: int, width: float
) -> OptimizeReport:
    """Build a MobileNetV2 with random weights, and optimize it.

    Args:
        folder: where the three models go; made if it is not there.
        options: of `optimize_model`; where it writes to is decided here.
        context: of the run.
        resolution: height and width of the input, a multiple of 32.
        width: multiplier of the channels.

    Raises:
        LayoutoptError: see `layoutopt.errors`.
    """
    source = folder / "mobilenet_v2.onnx"
    with writing() as outputs:
        outputs.make_directory(folder)
        outputs.expect(source, force=options.force)
        model = mobilenet_v2(resolution=resolution, width=width)
        with outputs.filling(source) as staged:
            modelio.write_model(model, staged)
        options = dataclasses.replace(
            options, output=folder / "mobilenet_v2.nhwc.onnx", tflite=folder / "mobilenet_v2.tflite"
        )
        report = optimize_model(model, options, context).report
    return dataclasses.replace(report, model=source)
