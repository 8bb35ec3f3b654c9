"""layoutopt: whole-graph layout optimization for ONNX, NCHW to NHWC, and on to TFLite.

Everything here is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layoutopt.api import benchmark, calibrate, check, compare, convert, count, explain, optimize, tensors
    from layoutopt.backend.conversion import Backend, Conversion, Quantize
    from layoutopt.backend.onnx_tf.convert import Handlers
    from layoutopt.boundary import Boundary, BoxFormat, DetectionPostprocess, Postprocess, Preprocess
    from layoutopt.boundary.description import Description
    from layoutopt.errors import LayoutoptError
    from layoutopt.frontend.pytorch import from_torch
    from layoutopt.options import Io, Objective, Phone, Target, TensorLayout, Verify
    from layoutopt.quantization.outcome import QuantizationReport
    from layoutopt.quantization.request import QuantizationOptions
    from layoutopt.results.benchmark import BenchmarkReport
    from layoutopt.results.calibrate import CalibrationReport
    from layoutopt.results.check import CheckReport
    from layoutopt.results.comparison import ComparisonReport
    from layoutopt.results.count import CountReport
    from layoutopt.results.explain import ExplainReport
    from layoutopt.results.model_report import ModelReport
    from layoutopt.results.optimize import OptimizeReport
    from layoutopt.workflows.pipelines import Dump

__version__ = "0.1.0"

_HOME = {
    "Backend": "layoutopt.backend.conversion",
    "BenchmarkReport": "layoutopt.results.benchmark",
    "Boundary": "layoutopt.boundary",
    "BoxFormat": "layoutopt.boundary",
    "CalibrationReport": "layoutopt.results.calibrate",
    "CheckReport": "layoutopt.results.check",
    "ComparisonReport": "layoutopt.results.comparison",
    "Conversion": "layoutopt.backend.conversion",
    "CountReport": "layoutopt.results.count",
    "Description": "layoutopt.boundary.description",
    "DetectionPostprocess": "layoutopt.boundary",
    "Dump": "layoutopt.workflows.pipelines",
    "ExplainReport": "layoutopt.results.explain",
    "Handlers": "layoutopt.backend.onnx_tf.convert",
    "Io": "layoutopt.options",
    "LayoutoptError": "layoutopt.errors",
    "ModelReport": "layoutopt.results.model_report",
    "Objective": "layoutopt.options",
    "OptimizeReport": "layoutopt.results.optimize",
    "Phone": "layoutopt.options",
    "Postprocess": "layoutopt.boundary",
    "Preprocess": "layoutopt.boundary",
    "QuantizationOptions": "layoutopt.quantization.request",
    "QuantizationReport": "layoutopt.quantization.outcome",
    "Quantize": "layoutopt.backend.conversion",
    "Target": "layoutopt.options",
    "TensorLayout": "layoutopt.options",
    "Verify": "layoutopt.options",
    "benchmark": "layoutopt.api",
    "calibrate": "layoutopt.api",
    "check": "layoutopt.api",
    "compare": "layoutopt.api",
    "convert": "layoutopt.api",
    "count": "layoutopt.api",
    "explain": "layoutopt.api",
    "from_torch": "layoutopt.frontend.pytorch",
    "optimize": "layoutopt.api",
    "tensors": "layoutopt.api",
}

__all__ = [
    "Backend",
    "BenchmarkReport",
    "Boundary",
    "BoxFormat",
    "CalibrationReport",
    "CheckReport",
    "ComparisonReport",
    "Conversion",
    "CountReport",
    "Description",
    "DetectionPostprocess",
    "Dump",
    "ExplainReport",
    "Handlers",
    "Io",
    "LayoutoptError",
    "ModelReport",
    "Objective",
    "OptimizeReport",
    "Phone",
    "Postprocess",
    "Preprocess",
    "QuantizationOptions",
    "QuantizationReport",
    "Quantize",
    "Target",
    "TensorLayout",
    "Verify",
    "__version__",
    "benchmark",
    "calibrate",
    "check",
    "compare",
    "convert",
    "count",
    "explain",
    "from_torch",
    "optimize",
    "tensors",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
