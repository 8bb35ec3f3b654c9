"""Inputs and outputs of a quantized graph that are integers."""

from __future__ import annotations

from collections.abc import Sequence

from layoutopt.options import QuantizedIo
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Quantization, Value
from layoutopt.tfl.rewrites.dead_code import eliminate_dead_code
from layoutopt.tfl.rewrites.grids import QuantizationGrid

_SIGN = 128
"""The difference of UINT8 and the INT8 that stands for the same number."""


def integer_interface(graph: Graph, io: QuantizedIo, steps: Sequence[QuantizationGrid | None]) -> None:
    """Let a caller give and get integers where the graph has floats, in place.

    An input that computes with floats stays float; an output that does is rounded.

    Args:
        graph: on integers, with a QUANTIZE of inputs and a DEQUANTIZE of outputs.
        io: the element type.
        steps: of each output that is float32; None for others.
    """
    dtype = DType.INT8 if io is QuantizedIo.INT8 else DType.UINT8
    readers = graph.readers()
    for at, value in enumerate(graph.inputs):
        read = readers.get(value, [])
        if len(read) == 1 and read[0] is not None and read[0].code == "QUANTIZE":
            graph.inputs[at] = _input(graph, value, read[0], dtype)
    for at, value in enumerate(graph.outputs):
        found = steps[at]
        if found is not None and value.dtype is DType.FLOAT32:
            graph.outputs[at] = _output(graph, value, found, dtype)
    eliminate_dead_code(graph)


def _input(graph: Graph, value: Value, quantize: Operation, dtype: DType) -> Value:
    integers = quantize.result
    if dtype is DType.INT8:
        graph.operations.remove(quantize)
        integers.producer = None
        integers.name = value.name
        return integers
    assert integers.quantization is not None
    given = Value(dtype, value.shape, name=value.name, quantization=_shifted(integers.quantization))
    quantize.operands = [given]
    return given


def _output(graph: Graph, value: Value, steps: QuantizationGrid, dtype: DType) -> Value:
    producer = value.producer
    integers = producer[0] if producer is not None and producer.code == "DEQUANTIZE" else None
    if integers is None:
        integers = _quantize(graph, value, DType.INT8, steps.quantization)
    if dtype is DType.INT8:
        return integers
    assert integers.quantization is not None
    return _quantize(graph, integers, dtype, _shifted(integers.quantization))


def _quantize(graph: Graph, source: Value, dtype: DType, quantization: Quantization) -> Value:
    scope = source.producer.scope if source.producer else ""
    result = Value(dtype, source.shape, quantization=quantization)
    result.producer = Operation("QUANTIZE", [source], [result], {}, scope=scope)
    graph.operations.append(result.producer)
    return result


def _shifted(quantization: Quantization) -> Quantization:
    return Quantization(quantization.scales, tuple(zero + _SIGN for zero in quantization.zero_points))
