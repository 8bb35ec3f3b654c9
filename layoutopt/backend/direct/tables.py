"""The tables of a .tflite file, made of a graph: tensors, operators, operator codes, the signature.

Elements of constants do not go through here: they stay arrays, numbered as the file numbers its buffers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Operation, Quantization, Value
from layoutopt.tfl.opset import definition
from layoutopt.tfl.schema import OPERATOR_CODES, default_options, encode_options, schema
from layoutopt.tfl.storage import stored
from layoutopt.tfl.versions import version_of

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT, OperatorT, TensorT

_SIGNATURE = "serving_default"
_SCHEMA_VERSION = 3
_MAX_SHARED_BYTES = 4096
"""Constants of no more bytes are compared with each other, so that equal ones are written once."""
_LAST_OLD_CODE = 127
"""Builtin codes up to here fit the field that readers of before 2020 look at; later ones say this there."""


def tables_of(model: Model, defaults: Mapping[Value, Sequence[int]]) -> tuple[ModelT, list[Array | None]]:
    """Return the tables of a model without its buffers, and the elements that belong in each buffer.

    Args:
        model: to be written.
        defaults: the shapes of values of unknown sizes until an input is resized.

    Raises:
        ValueError: an operation reads what nothing computes.
    """
    tables = schema.ModelT(version=_SCHEMA_VERSION, description="layoutopt", subgraphs=[], buffers=[])
    codes, buffers = _Codes(model.graph), _Buffers()
    main = _Subgraph(tables, codes, buffers, defaults, model.graph, model.input_names, model.output_names)
    tables.operatorCodes = codes.tables
    signature = schema.SignatureDefT(signatureKey=_SIGNATURE, subgraphIndex=0)
    signature.inputs = _tensor_maps(model.input_names, main.table.inputs)
    signature.outputs = _tensor_maps(model.output_names, main.table.outputs)
    tables.signatureDefs = [signature]
    return tables, buffers.arrays


def _tensor_maps(names: Sequence[str], tensors: Sequence[int]) -> list[Any]:
    return [schema.TensorMapT(name, int(tensor)) for name, tensor in zip(names, tensors, strict=True)]


class _Codes:
    """The operators that a model uses, each at the largest version that any of them needs, as TensorFlow has it."""

    def __init__(self, graph: Graph) -> None:
        self._versions: dict[str, int] = {}
        self._places: dict[str, int] = {}
        for operation in graph.all_operations():
            least = self._versions.get(operation.code, 1)
            self._versions[operation.code] = max(least, version_of(operation))
        self.tables: list[Any] = []

    def index(self, code: str) -> int:
        """Return the place of an operator among the codes; what is no builtin operator is a custom one."""
        if code not in self._places:
            self._places[code] = len(self.tables)
            number = OPERATOR_CODES.get(code, schema.BuiltinOperator.CUSTOM)
            table = schema.OperatorCodeT(min(number, _LAST_OLD_CODE), version=self._versions.get(code, 1))
            table.builtinCode = number
            if code not in OPERATOR_CODES:
                table.customCode = code
            self.tables.append(table)
        return self._places[code]


class _Buffers:
    """The arrays that the file holds; equal small ones are one, and so are views of the same elements."""

    def __init__(self) -> None:
        self.arrays: list[Array | None] = [None]  # buffer 0 is that of all tensors without elements
        self._places: dict[object, int] = {}

    def index(self, value: Value) -> int:
        """Return the number of the buffer of a constant."""
        if not value.array.size:
            return 0
        key = value.dtype.bits, identity_in_file(value.array)
        if key not in self._places:
            self._places[key] = len(self.arrays)
            self.arrays.append(stored(value))
        return self._places[key]


def identity_in_file(array: Array) -> object:
    """Return a key that is equal for arrays of the same bytes in a file."""
    if array.dtype.hasobject:  # strings, which are compared by what they point to
        return tuple(array.reshape(-1).tolist())
    if array.nbytes <= _MAX_SHARED_BYTES:
        return array.tobytes()
    address = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return address, array.nbytes
    return address, array.shape, array.strides


class _Names:
    """Names that occur once in a graph."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """Return ``name``, or ``name_1`` and so on where it is taken."""
        found = name
        while found in self._used:
            self._counts[name] = self._counts.get(name, 0) + 1
            found = f"{name}_{self._counts[name]}"
        self._used.add(found)
        return found


class _Subgraph:
    """Make the tables of one graph, and of the bodies in it.

    Args:
        tables: of the model, which the graph is added to.
        codes: of all operators.
        buffers: of all constants.
        defaults: the shapes of values of unknown sizes until an input is resized.
        graph: to be written.
        input_names: of its inputs; none for a body.
        output_names: of its outputs; none for a body.
    """

    def __init__(
        self,
        tables: ModelT,
        codes: _Codes,
        buffers: _Buffers,
        defaults: Mapping[Value, Sequence[int]],
        graph: Graph,
        input_names: Sequence[str] = (),
        output_names: Sequence[str] = (),
    ) -> None:
        self._tables, self._codes, self._buffers, self._graph = tables, codes, buffers, graph
        self._defaults = defaults
        self._is_body = bool(tables.subgraphs)
        self._tensors: list[TensorT] = []
        self._places: dict[Value, int] = {}
        self._constants: dict[object, int] = {}
        self._bodies: dict[Graph, int] = {}
        self._names = _Names()
        self.table = schema.SubGraphT(tensors=self._tensors, name=graph.name)
        tables.subgraphs.append(self.table)
        # Names of the interface go first, so that nobody else takes them.
        given = [self._names.unique(name) for name in input_names]
        taken = [self._names.unique(name) for name in output_names]
        for at, value in enumerate(graph.inputs):
            self._places[value] = self._add(value, given[at] if given else self._names.unique(value.name or "input"))
        outputs, copies = self._outputs()
        self._reserved = dict(zip(outputs, taken, strict=True)) if taken else {}
        self.table.operators = [self._operator(operation) for operation in (*graph.operations, *copies)]
        self.table.inputs = _int32([self._places[value] for value in graph.inputs])
        self.table.outputs = _int32([self._place(value, "output", "") for value in outputs])

    def _outputs(self) -> tuple[list[Value], list[Operation]]:
        """Return distinct outputs that are neither inputs nor constants, and the copies of those that were."""
        made = {result for operation in self._graph.operations for result in operation.results}
        if self._is_body:  # IF and WHILE pass inputs of a body through
            made.update(self._graph.inputs)
        outputs: list[Value] = []
        copies: list[Operation] = []
        for output in self._graph.outputs:
            if output in made and output not in outputs:
                outputs.append(output)
            elif 0 in (output.shape or ()):  # nothing has to compute it
                outputs.append(Value(output.dtype, output.shape, quantization=output.quantization))
            else:
                copies.extend(_copy(output))
                outputs.append(copies[-1].result)
        return outputs, copies

    def _operator(self, operation: Operation) -> OperatorT:
        facts, name = definition(operation.code), operation.scope or operation.code
        read = [
            -1 if value is None else self._place(value, name, facts.role(at))
            for at, value in enumerate(operation.operands)
        ]
        written = [self._result(result, name) for result in operation.results]
        options = dict(operation.options)
        for field, body in zip(facts.bodies, operation.bodies, strict=True):
            options[field] = self._body(body)
        table = schema.OperatorT(self._codes.index(operation.code), _int32(read), _int32(written))
        if operation.code not in OPERATOR_CODES:
            table.customOptions = np.frombuffer(options.get("custom_options", b""), np.uint8)
        elif not facts.options and options:
            raise ValueError(f"{name}: the options of {operation.code} are not in the table of operators")
        elif facts.options:
            table.builtinOptions = encode_options(facts.options, options)
            table.builtinOptionsType = getattr(schema.BuiltinOptions, facts.options)
        return table

    def _body(self, graph: Graph) -> int:
        """Return the number of the graph that a body is in the file; one that several operations run is there once."""
        if graph not in self._bodies:
            self._bodies[graph] = len(self._tables.subgraphs)
            _Subgraph(self._tables, self._codes, self._buffers, self._defaults, graph)
        return self._bodies[graph]

    def _result(self, value: Value, name: str) -> int:
        self._places[value] = self._add(value, self._reserved.get(value) or self._names.unique(value.name or name))
        return self._places[value]

    def _place(self, value: Value, name: str, role: str) -> int:
        """Return the tensor of a value that is read; that of a constant, or without elements, is added at first use."""
        if value in self._places:
            return self._places[value]
        if value.data is None and 0 not in (value.shape or ()):
            raise ValueError(f"{name}: reads a value of {value.dtype} that nothing in {self._graph.name!r} computes")
        key: object = None
        if value.data is not None:
            key = identity_in_file(value.data), value.dtype, value.shape, value.quantization, value.name
        if key is None or key not in self._constants:
            full = value.name or (f"{name}/{role.replace(' ', '_')}" if role else name)
            self._places[value] = self._add(value, self._reserved.get(value) or self._names.unique(full))
            if key is not None:
                self._constants[key] = self._places[value]
        else:
            self._places[value] = self._constants[key]
        return self._places[value]

    def _add(self, value: Value, name: str) -> int:
        tensor = schema.TensorT(name=name, type=getattr(schema.TensorType, value.dtype.value))
        default = [1 if size is None else size for size in value.shape or ()]
        tensor.shape = _int32(self._defaults.get(value, default))
        tensor.hasRank = value.shape is not None
        if None in (value.shape or ()):
            tensor.shapeSignature = _int32([-1 if size is None else size for size in value.shape or ()])
        if value.quantization is not None:
            tensor.quantization = _quantization(value.quantization)
        if value.data is not None:
            tensor.buffer = self._buffers.index(value)
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _copy(value: Value) -> list[Operation]:
    """Return operations of which the last one's result is a value of its own with the elements of ``value``."""
    made: list[Operation] = []
    if value.is_static:
        target = Value.constant(np.array(value.sizes, np.int32))
    else:
        rank = None if value.shape is None else len(value.shape)
        shape = _operation("SHAPE", [value], Value(DType.INT32, (rank,)), out_type="INT32")
        made, target = [shape], shape.result
    copy = Value(value.dtype, value.shape, quantization=value.quantization)
    return [*made, _operation("RESHAPE", [value, target], copy, new_shape=target.data)]


def _operation(code: str, operands: list[Value | None], result: Value, **options: Any) -> Operation:
    return Operation(code, operands, [result], {**default_options(definition(code).options), **options})


def _quantization(quantization: Quantization) -> Any:
    return schema.QuantizationParametersT(
        scale=np.array(quantization.scales, np.float32),
        zeroPoint=np.array(quantization.zero_points, np.int64),
        quantizedDimension=quantization.axis,
    )


def _int32(numbers: Sequence[int]) -> Array:
    return np.array(numbers, np.int32)
