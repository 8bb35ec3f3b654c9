"""Recorded graphs as .tflite files, operator by operator, so that LiteRT itself says what they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from layoutopt.backend.litert.flatbuffer import pack
from layoutopt.tfl.graph import Graph, Model, Operation, Value
from layoutopt.tfl.opset import OPSET
from layoutopt.tfl.schema import OPERATOR_CODES, encode_options

_LEAST_VERSIONS: Mapping[str, int] = {"BROADCAST_TO": 2}
"""Of kernels that LiteRT has in no older version."""


def written(model: Model) -> bytes:
    """The file of a recorded graph, with a signature."""
    writer = _Writer(list(model.graph.all_graphs()))
    return pack(writer.model(model), size=1 << 16)


class _Writer:
    """Writes all graphs of a model.

    Args:
        graphs: the main one first.
    """

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self._graphs = graphs
        self._codes: dict[str, int] = {}
        self._buffers = [schema.BufferT()]

    def model(self, model: Model) -> Any:
        made = schema.ModelT()
        made.version = 3
        made.subgraphs = [self._graph(graph) for graph in self._graphs]
        made.buffers = self._buffers
        made.operatorCodes = [self._code(name) for name in self._codes]
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs = self._maps(made.subgraphs[0].inputs, model.input_names)
        signature.outputs = self._maps(made.subgraphs[0].outputs, model.output_names)
        made.signatureDefs = [signature]
        return made

    @staticmethod
    def _maps(indices: Sequence[int], names: Sequence[str]) -> list[Any]:
        maps = [schema.TensorMapT() for _ in names]
        for entry, index, name in zip(maps, indices, names, strict=True):
            entry.tensorIndex, entry.name = index, name.encode()
        return maps

    @staticmethod
    def _code(name: str) -> Any:
        code = schema.OperatorCodeT()
        code.builtinCode = OPERATOR_CODES[name]
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = _LEAST_VERSIONS.get(name, 1)
        return code

    def _graph(self, graph: Graph) -> Any:
        made, indices = schema.SubGraphT(), dict[Value, int]()
        made.tensors = []

        def index(value: Value | None) -> int:
            if value is None:
                return -1
            if value not in indices:
                indices[value] = len(made.tensors)
                made.tensors.append(self._tensor(value))
            return indices[value]

        made.inputs = [index(value) for value in graph.inputs]
        made.operators = []
        for operation in graph.operations:
            operator = self._operator(operation)
            operator.inputs = [index(value) for value in operation.operands]
            operator.outputs = [index(value) for value in operation.results]
            made.operators.append(operator)
        made.outputs = [index(value) for value in graph.outputs]
        return made

    def _operator(self, operation: Operation) -> Any:
        operator, options = schema.OperatorT(), dict(operation.options)
        operator.opcodeIndex = self._codes.setdefault(operation.code, len(self._codes))
        bodies = [self._graphs.index(body) for body in operation.bodies]
        names = ("then", "else") if operation.code == "IF" else ("cond", "body")
        options |= {f"{name}_subgraph_index": body for name, body in zip(names, bodies, strict=False)}
        if table := OPSET[operation.code].options:
            fields = encode_options(table, options)
            second = hasattr(schema.BuiltinOptions2, table)
            kinds = schema.BuiltinOptions2 if second else schema.BuiltinOptions
            suffix = "2" if second else ""
            setattr(operator, f"builtinOptions{suffix}Type", getattr(kinds, table))
            setattr(operator, f"builtinOptions{suffix}", fields)
        return operator

    def _tensor(self, value: Value) -> Any:
        tensor = schema.TensorT()
        sizes = value.shape or ()
        tensor.shape = [1 if size is None else size for size in sizes]
        tensor.hasRank = value.shape is not None
        if None in sizes:
            tensor.shapeSignature = [-1 if size is None else size for size in sizes]
        tensor.type = getattr(schema.TensorType, value.dtype.value)
        tensor.buffer, tensor.name = 0, b""
        if value.data is not None:
            tensor.buffer = len(self._buffers)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(value.data, order="C").tobytes(), np.uint8)
            self._buffers.append(buffer)
        if (scales := value.quantization) is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scales.scales, np.float32)
            tensor.quantization.zeroPoint = np.array(scales.zero_points, np.int64)
            tensor.quantization.quantizedDimension = scales.axis
        return tensor
