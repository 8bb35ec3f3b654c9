"""Writes LiteRT's own kernel for a whole LSTM, which no conversion uses: measured, it is slower than loops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import onnx

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.recorder import record, recording
from layoutopt.tfl.schema import IDENTIFIER, schema

_STATES = ("hidden state", "cell state")


def write_sequence_lstm(model: onnx.ModelProto, path: Path) -> None:
    """Write a network of one LSTM of one direction as one UNIDIRECTIONAL_SEQUENCE_LSTM.

    Args:
        model: from ``x`` of (steps, batch, features) to the hidden states of all steps, with initializers ``w0``,
            ``r0`` and ``b0``.
        path: of the .tflite.
    """
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights, recurrent, biases = arrays["w0"][0], arrays["r0"][0], arrays["b0"][0].reshape(2, -1).sum(axis=0)
    steps, batch, features = (dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)
    hidden = recurrent.shape[1]
    x = Value(DType.FLOAT32, (steps, batch, features))
    states = [Value(DType.FLOAT32, (batch, hidden)) for _ in _STATES]
    graph = Graph([x, *states])
    with recording(graph):
        graph.outputs = record(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            *(x, *_gates(weights), *_gates(recurrent), None, None, None, *_gates(biases), None, None, *states),
            *(None,) * 4,  # layer normalization
            results=[(DType.FLOAT32, (steps, batch, hidden))],
            fused_activation_function="TANH",
            time_major=True,
        )
    write_tflite(Model(graph, ["x", *_STATES], ["y"]), path)
    _keep_states(path)


def _gates(array: npt.NDArray[np.float32]) -> Iterator[Value]:
    """Yield the parts of the gates input, forget, cell and output; ONNX has input, output, forget and cell."""
    parts = np.split(array, 4)
    yield from (Value.constant(np.ascontiguousarray(parts[at])) for at in (0, 2, 3, 1))


def _keep_states(path: Path) -> None:
    """Make variables of the inputs that are states: zero before each sequence."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        tensor.isVariable = tensor.name.decode() in _STATES
    graph.inputs = graph.inputs[:1]
    model.signatureDefs[0].inputs = model.signatureDefs[0].inputs[:1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))
