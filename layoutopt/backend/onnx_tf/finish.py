"""The last edits of a file of the TFLite converter: names, infinities, exact scales, integer kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from layoutopt.backend.onnx_tf.infinities import restore_infinities
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Quantization, Value
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.rewrites.integers import use_integer_kernels

_SAME_SCALE = 1e-6
"""The relative error that a scale may have after it went through the two ends of a range in float32."""


Floats: TypeAlias = "npt.NDArray[np.float64]"


def finish(content: bytes, inputs: Sequence[str], outputs: Sequence[str], scales: Floats) -> Model:
    """Return what the TFLite converter made of a lowered graph as it is to be written.

    Args:
        content: of the converter's file.
        inputs: names of its inputs, in order.
        outputs: names of its outputs, in order.
        scales: of the lowered graph, by `scales_of`.

    Raises:
        RuntimeError: the file has other inputs or outputs.
    """
    converted = read_tflite(content)
    graph = converted.graph
    if (len(graph.inputs), len(graph.outputs)) != (len(inputs), len(outputs)):
        raise RuntimeError(
            f"the .tflite has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, "
            f"the model {len(inputs)} and {len(outputs)}"
        )
    _restore_infinities(graph)
    if scales.size:
        _state_scales(graph, scales)
        use_integer_kernels(graph)
    return Model(graph, inputs, outputs)


def _restore_infinities(graph: Graph) -> None:
    read = {operand for operation in graph.all_operations() for operand in operation.operands}
    for value in {*read, *(output for each in graph.all_graphs() for output in each.outputs)}:
        if value is not None and value.data is not None:
            value.data = restore_infinities(value.data)


def scales_of(graph: Graph) -> Floats:
    """Return all scales of a graph, in order."""
    found = {
        scale
        for operation in graph.all_operations()
        for value in operation.results
        if value.quantization is not None
        for scale in value.quantization.scales
    }
    return np.array(sorted(found))


def _state_scales(graph: Graph, scales: Floats) -> None:
    """Make INT8 of UINT8, 128 lower, which is what kernels take, and the scales those of the model."""
    done: set[Value] = set()
    for operation in graph.all_operations():
        if operation.code in ("QUANTIZE", "DEQUANTIZE"):
            value = operation.result if operation.code == "QUANTIZE" else operation[0]
            if value.quantization is not None and len(value.quantization.scales) == 1 and value not in done:
                done.add(value)
                _state_scale(value, value.quantization, scales)


def _state_scale(value: Value, found: Quantization, scales: Floats) -> None:
    (scale,), (zero,) = found.scales, found.zero_points
    if value.dtype is DType.UINT8:
        value.dtype, zero = DType.INT8, zero - 128
    nearest = float(scales[np.abs(scales - scale).argmin()])
    exact = nearest if abs(nearest - scale) <= _SAME_SCALE * scale else scale
    value.quantization = dataclasses.replace(found, scales=(exact,), zero_points=(zero,))
