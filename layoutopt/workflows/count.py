"""Count the operators of a model, and the bytes that its transposes move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.boundary.writing import metadata_lines
from layoutopt.ir import io as modelio
from layoutopt.ir.counts import count_onnx
from layoutopt.passes import FoldConstants
from layoutopt.results.count import CountReport
from layoutopt.workflows.models import error_context, load_model, source_of

if TYPE_CHECKING:
    from layoutopt.workflows.models import Model


def count_model(file: Model) -> CountReport:
    """Count the operators of a model, ONNX or TFLite, and the bytes that its transposes move.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is neither ONNX nor TFLite.
    """
    path = source_of(file)
    if path is not None and path.suffix == ".tflite":
        return CountReport(path, count_tflite(path), {}, metadata_lines(path))
    model = load_model(file)
    with error_context(model):
        counts = count_onnx(FoldConstants(simplify=False)(model.clone()).model)
    return CountReport(path, counts, modelio.recorded_orders(model))
