"""Reads a .tflite of any writer into the graph that `layoutopt.tfl.build` records. Constants stay in the file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from layoutopt.memory import mapped
from layoutopt.text import error_line
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Operation, Quantization, Shape, UnknownShapeError, Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.schema import IDENTIFIER, OPERATOR_NAMES, decode_options, default_options, names_of, schema
from layoutopt.tfl.storage import densified, loaded

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as tables

Content: TypeAlias = "bytes | memoryview | Path"
"""Of a .tflite file; of a path only what is looked at is read."""

DEFAULT_SIGNATURE = "serving_default"
_BROKEN = (
    struct.error, LookupError, ValueError, TypeError, OverflowError, AttributeError, MemoryError, RecursionError,
    UnknownShapeError,
)  # fmt: skip
"""The errors that reading out of bounds or following a wild offset raises; flatbuffers has no verifier in Python."""


class DamagedFileError(ValueError):
    """The content is no .tflite file, or a truncated or damaged one."""


def read_tflite(content: Content) -> Model:
    """Return the main graph of a .tflite file, with the bodies that it runs.

    Operators that are not builtin go by their custom code. Other graphs, which no operator of the main one runs, are
    left out. Where the file has no signature, inputs and outputs go by the names of their tensors.

    Args:
        content: of the file. Constants are views on it; those that are packed or sparse are copied.

    Raises:
        DamagedFileError: it is no .tflite file, or a truncated or damaged one.
        OSError: it cannot be read.
    """
    with root_table(content) as file:
        return _Reader(file).model()


@contextmanager
def root_table(content: Content) -> Iterator[tables.Model]:
    """Give the root table of a .tflite file; whatever breaks while it is looked at is a damage of the file.

    Raises:
        DamagedFileError: it is no .tflite file, or a truncated or damaged one.
        OSError: it cannot be read.
    """
    view = mapped(content) if isinstance(content, Path) else memoryview(content)
    if bytes(view[4:8]) != IDENTIFIER:
        raise DamagedFileError(f"not a .tflite file: bytes 4 to 8 are not {IDENTIFIER.decode()!r}")
    try:
        file = schema.Model.GetRootAs(view)
        if not file.SubgraphsLength():
            raise ValueError("no subgraph")
        for index in range(file.BuffersLength()):  # data lie at the end, where files are cut off
            buffer_of(file, index)
        yield file
    except _BROKEN as error:
        raise DamagedFileError(f"a truncated or damaged .tflite file ({error_line(error)})") from None


def buffer_of(file: tables.Model, index: int) -> Array:
    """Return the bytes of a buffer.

    Raises:
        ValueError: they end after the end of the file.
    """
    buffer = file.Buffers(index)
    if buffer.Offset() <= 1:  # 0 and 1 say that the data are in the flatbuffer
        found: Array = buffer.DataAsNumpy() if buffer.DataLength() else np.zeros(0, np.uint8)
        return found
    return np.frombuffer(file._tab.Bytes, np.uint8, buffer.Size(), buffer.Offset())


def text_of(raw: bytes | None) -> str:
    """Return a string of the file; empty where it has none."""
    return "" if raw is None else raw.decode()


def operator_name(code: tables.OperatorCode) -> str:
    """Return the name of an operator: of a builtin one as the schema has it, of others the custom code."""
    # The first field is one byte wide; codes past 127 are in the second, which older files do not have.
    builtin = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
    if builtin == schema.BuiltinOperator.CUSTOM:
        return text_of(code.CustomCode()) or "CUSTOM"
    return OPERATOR_NAMES.get(builtin, f"BUILTIN_{builtin}")


def dtype_of(tensor: tables.Tensor) -> DType:
    """Return the element type of a tensor.

    Raises:
        ValueError: the schema knows no such type.
    """
    if (name := names_of(schema.TensorType).get(tensor.Type())) is None:
        raise ValueError(f"unknown element type {tensor.Type()}")
    return DType(name)


def default_signature(file: tables.Model) -> tables.SignatureDef | None:
    """Return the signature to go by, of those for the main graph: ``serving_default``, or else the first."""
    every = [file.SignatureDefs(index) for index in range(file.SignatureDefsLength())]
    signatures = [signature for signature in every if signature.SubgraphIndex() == 0]
    named = [signature for signature in signatures if text_of(signature.SignatureKey()) == DEFAULT_SIGNATURE]
    return next(iter(named or signatures), None)


def vector(table: Any, name: str) -> list[int]:
    """Return the numbers of a vector of a table of the schema.

    Args:
        table: of the file.
        name: of the vector as the schema's classes call it, for example ``Inputs``.
    """
    count = getattr(table, f"{name}Length")()
    return getattr(table, f"{name}AsNumpy")().tolist() if count else []


class _Reader:
    """Read the main graph of a file."""

    def __init__(self, file: tables.Model) -> None:
        self._file = file
        self._names = [operator_name(file.OperatorCodes(index)) for index in range(file.OperatorCodesLength())]
        self._bodies: dict[int, Graph] = {}
        self._tells_ranks = any(
            graph.Tensors(index).HasRank()
            for graph in map(file.Subgraphs, range(file.SubgraphsLength()))
            for index in range(graph.TensorsLength())
        )

    def model(self) -> Model:
        graph, signature = self._graph(0, ()), default_signature(self._file)
        table = self._file.Subgraphs(0)
        inputs = {} if signature is None else _signature_names(signature.Inputs, signature.InputsLength())
        outputs = {} if signature is None else _signature_names(signature.Outputs, signature.OutputsLength())
        return Model(
            graph,
            [inputs.get(at) or text_of(table.Tensors(at).Name()) for at in vector(table, "Inputs")],
            [outputs.get(at) or text_of(table.Tensors(at).Name()) for at in vector(table, "Outputs")],
        )

    def _graph(self, index: int, around: tuple[int, ...]) -> Graph:
        """Return a graph of the file, that of an operator in the graphs ``around``."""
        if index in around or not 0 <= index < self._file.SubgraphsLength():
            raise ValueError(f"graph {index} runs itself or is not there")
        table = self._file.Subgraphs(index)
        values = [self._value(table.Tensors(at)) for at in range(table.TensorsLength())]
        graph = Graph(name=text_of(table.Name()) or "main")
        graph.inputs = [_at(values, at) for at in vector(table, "Inputs")]
        graph.operations = [
            self._operation(table.Operators(at), values, (*around, index)) for at in range(table.OperatorsLength())
        ]
        graph.outputs = [_at(values, at) for at in vector(table, "Outputs")]
        known = {*graph.inputs, *(result for operation in graph.operations for result in operation.results)}
        for value in values:  # constants without elements have no buffer to tell them by
            if value.data is None and value not in known and 0 in (value.shape or ()):
                value.data = np.zeros(value.sizes, value.dtype.numpy)
        return graph

    def _body(self, index: int, around: tuple[int, ...]) -> Graph:
        """Return a graph of the file as the body of an operator; the same one to all operators that run it."""
        if index not in self._bodies:
            self._bodies[index] = self._graph(index, around)
        return self._bodies[index]

    def _value(self, tensor: tables.Tensor) -> Value:
        dtype, shape = dtype_of(tensor), self._shape(tensor)
        value = Value(dtype, shape, name=text_of(tensor.Name()), quantization=_quantization(tensor))
        if tensor.Buffer() and len(raw := buffer_of(self._file, tensor.Buffer())):
            sparsity = tensor.Sparsity()
            if sparsity is None:
                value.data = loaded(raw, dtype, value.sizes)
            else:
                value.data = densified(raw, dtype, value.sizes, schema.SparsityParametersT.InitFromObj(sparsity))
        return value

    def _shape(self, tensor: tables.Tensor) -> Shape | None:
        default, signature = (vector(tensor, name) for name in ("Shape", "ShapeSignature"))
        if not default and self._tells_ranks and not tensor.HasRank() and not tensor.Buffer():
            return None
        sizes = signature if len(signature) == len(default) else default
        return tuple(None if size < 0 else size for size in sizes)

    def _operation(self, table: tables.Operator, values: Sequence[Value], around: tuple[int, ...]) -> Operation:
        code = self._names[table.OpcodeIndex()]
        facts = definition(code)
        operation = Operation(
            code,
            [None if at == -1 else _at(values, at) for at in vector(table, "Inputs")],
            [_at(values, at) for at in vector(table, "Outputs")],
            {**default_options(facts.options), **options_of(table)},
        )
        if table.CustomOptionsLength():
            operation.options["custom_options"] = table.CustomOptionsAsNumpy().tobytes()
        operation.bodies = tuple(self._body(operation.options[field], around) for field in facts.bodies)
        for field in facts.bodies:  # which is told by the bodies now
            del operation.options[field]
        for result in operation.results:
            result.producer = operation
        operation.scope = operation.results[0].name if operation.results else code
        return operation


def options_of(operator: tables.Operator) -> dict[str, Any]:
    """Return the options of an operator by name, as `layoutopt.tfl.schema.decode_options` does."""
    found: dict[str, Any] = {}
    unions = (
        (schema.BuiltinOptions, operator.BuiltinOptionsType(), operator.BuiltinOptions()),
        (schema.BuiltinOptions2, operator.BuiltinOptions2Type(), operator.BuiltinOptions2()),
    )
    for union, kind, table in unions:
        if kind and table is not None:
            options = getattr(schema, f"{names_of(union)[kind]}T")
            found |= decode_options(options.InitFromBuf(table.Bytes, table.Pos))
    return found


def _at(values: Sequence[Value], index: int) -> Value:
    if index < 0:
        raise ValueError(f"no tensor has the index {index}")
    return values[index]


def _signature_names(read: Callable[[int], Any], count: int) -> dict[int, str]:
    entries = map(read, range(count))
    return {entry.TensorIndex(): text_of(entry.Name()) for entry in entries}


def _quantization(tensor: tables.Tensor) -> Quantization | None:
    table = tensor.Quantization()
    if table is None or not table.ScaleLength():
        return None
    scales, zeros = vector(table, "Scale"), vector(table, "ZeroPoint")
    zeros += [0] * (len(scales) - len(zeros))
    return Quantization(tuple(map(float, scales)), tuple(zeros), table.QuantizedDimension())
