"""The main graph of a .tflite file with all that is worth showing, read from the flatbuffer itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layoutopt.backend.litert.inspect import (
    bits_of,
    bytes_transposed,
    default_shape_of,
    dtype_of,
    names_of,
    open_tflite,
    operator_name,
    shape_of,
    text_of,
)

if TYPE_CHECKING:
    from tflite import Model, Operator, SubGraph

MOST_NUMBERS = 16
"""Constants of no more integers are told in full: axes, sizes, permutations."""

_ROLES_OF: Mapping[tuple[str, ...], Mapping[int, str]] = {
    ("CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"): {1: "weights", 2: "bias"},
    ("CONV_3D_TRANSPOSE", "TRANSPOSE_CONV"): {0: "output shape", 1: "weights", 3: "bias"},
    ("BROADCAST_TO", "RESHAPE"): {1: "shape"},
    ("MIRROR_PAD", "PAD", "PADV2"): {1: "paddings", 2: "value"},
    ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"): {1: "size"},
    ("MEAN", "SUM", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"): {1: "axes"},
    ("ARG_MAX", "ARG_MIN", "CUMSUM", "EXPAND_DIMS"): {1: "axis"},
    ("GATHER",): {1: "indices"},
    ("PRELU",): {1: "slope"},
    ("SLICE",): {1: "begin", 2: "size"},
    ("SPLIT",): {0: "axis"},
    ("SPLIT_V",): {1: "sizes", 2: "axis"},
    ("STRIDED_SLICE",): {1: "begin", 2: "end", 3: "strides"},
    ("TILE",): {1: "multiples"},
    ("TRANSPOSE",): {1: "perm"},
}
_ROLES = {operator: roles for operators, roles in _ROLES_OF.items() for operator in operators}
"""What the constant operands of operators are, by position."""

_ENUMERATIONS = {
    "FusedActivationFunction": "ActivationFunctionType",
    "InDataType": "TensorType",
    "Mode": "MirrorPadMode",
    "OutDataType": "TensorType",
    "OutputType": "TensorType",
    "Padding": "Padding",
}
"""Options that are numbers of an enumeration of the schema."""

_PLAIN: Mapping[str, object] = {
    "FusedActivationFunction": "NONE",
    "DilationHFactor": 1,
    "DilationWFactor": 1,
    "DilationDFactor": 1,
    "PotScaleInt16": True,
    "QuantizedBiasType": 0,
    "WeightsFormat": 0,
}
"""Values of options that go without saying."""


@dataclass(frozen=True, slots=True)
class TfliteArray:
    """One tensor of a graph.

    Attributes:
        name: unique in the graph; where several tensors share one, the index is behind it.
        shape: sizes, -1 for dynamic ones.
        dtype: name of the element type as numpy has it.
        size: bytes; dynamic sizes count as what they are until the tensor is resized.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int


@dataclass(frozen=True, slots=True)
class TfliteNode:
    """One operator of a graph, in the order in which they run.

    Attributes:
        operator: as the schema calls it; of a custom one, its custom code.
        inputs: indices of the tensors that it reads, without constants.
        outputs: indices of the tensors that it writes.
        constants: what else it reads, in words: ``weights 32x3x3x3 float32``.
        attributes: its options in words, without those that go without saying.
        bytes_moved: bytes that it writes as a TRANSPOSE.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: tuple[str, ...]
    attributes: Mapping[str, str]
    bytes_moved: int


@dataclass(frozen=True, slots=True)
class TfliteGraph:
    """The main graph of a file.

    Attributes:
        name: of the graph.
        nodes: in the order of execution.
        tensors: by index; those that are computed, and the inputs.
        inputs: indices.
        outputs: indices.
    """

    name: str
    nodes: tuple[TfliteNode, ...]
    tensors: Mapping[int, TfliteArray]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(path: Path) -> TfliteGraph:
    """Reads the main graph of a .tflite file.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        return _Reader(model).graph()


class _Reader:
    """Reads the main graph."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._graph: SubGraph = model.Subgraphs(0)
        self._names: dict[str, int] = {}

    def graph(self) -> TfliteGraph:
        graph = self._graph
        operators = [graph.Operators(position) for position in range(graph.OperatorsLength())]
        inputs = tuple(graph.Inputs(at) for at in range(graph.InputsLength()))
        outputs = tuple(graph.Outputs(at) for at in range(graph.OutputsLength()))
        made = [each.Outputs(at) for each in operators for at in range(each.OutputsLength())]
        tensors = {index: self._tensor(index) for index in (*inputs, *made, *outputs)}
        return TfliteGraph(
            text_of(graph.Name()),
            tuple(self._node(each, tensors) for each in operators),
            tensors,
            inputs,
            outputs,
        )

    def _tensor(self, index: int) -> TfliteArray:
        tensor = self._graph.Tensors(index)
        name = text_of(tensor.Name()) or "tensor"
        if self._names.setdefault(name, index) != index:
            name = f"{name} #{index}"
        dtype = dtype_of(tensor)
        size = -(-prod(default_shape_of(tensor)) * bits_of(dtype) // 8)
        return TfliteArray(name, shape_of(tensor), dtype, size)

    def _node(self, operator: Operator, tensors: Mapping[int, TfliteArray]) -> TfliteNode:
        name = operator_name(self._model, operator.OpcodeIndex())
        read = [operator.Inputs(at) for at in range(operator.InputsLength())]
        roles = _ROLES.get(name, {})
        constants = {at: index for at, index in enumerate(read) if index >= 0 and index not in tensors}
        perm = {"perm": self._numbers(constants[1])} if name == "TRANSPOSE" and 1 in constants else {}
        moved = bytes_transposed(self._model, self._graph, operator) if name == "TRANSPOSE" else 0
        return TfliteNode(
            name,
            tuple(index for index in read if index in tensors),
            tuple(operator.Outputs(at) for at in range(operator.OutputsLength())),
            tuple(self._constant(roles.get(at, "constant"), index) for at, index in constants.items()),
            {**dict(_options(operator)), **perm},
            moved,
        )

    def _constant(self, role: str, index: int) -> str:
        tensor = self._graph.Tensors(index)
        return constant_in_words(role, shape_of(tensor), dtype_of(tensor), self._numbers(index))

    def _numbers(self, index: int) -> str:
        """The integers of a short constant; empty where it holds something else."""
        tensor = self._graph.Tensors(index)
        dtype, shape = dtype_of(tensor), shape_of(tensor)
        buffer = self._model.Buffers(tensor.Buffer())
        if not dtype.startswith("int") or not 0 < prod(shape) <= MOST_NUMBERS or not buffer.DataLength():
            return ""
        array: npt.NDArray[np.generic] = buffer.DataAsNumpy().view(np.dtype(dtype))
        return " ".join(map(str, array.tolist()))


def constant_in_words(role: str, shape: Sequence[int], dtype: str, numbers: str) -> str:
    """``axes 2 int32: 1 2``; without ``numbers`` where they are empty."""
    sizes = "x".join(map(str, shape)) or "scalar"
    return f"{role} {sizes} {dtype}{f': {numbers}' if numbers else ''}"


def _options(operator: Operator) -> Iterator[tuple[str, str]]:
    """The scalar options of an operator by name."""
    import tflite

    kind = names_of(tflite.BuiltinOptions).get(operator.BuiltinOptionsType(), "NONE")
    table = operator.BuiltinOptions()
    schema = getattr(import_module("tflite"), kind, None)
    if table is None or schema is None:
        return
    options = schema()
    options.Init(table.Bytes, table.Pos)
    for name, read in vars(schema).items():
        if name[:1].isupper() and not _is_helper(name, vars(schema)):
            value = read(options)
            if name in _ENUMERATIONS:
                value = names_of(getattr(tflite, _ENUMERATIONS[name])).get(value, value)
            if value is not False and value != _PLAIN.get(name):
                yield _snake_case(name), str(value)


def _is_helper(name: str, members: Mapping[str, object]) -> bool:
    """Whether it reads no scalar: the schema's classes have methods for vectors, and some around all fields."""
    if name == "Init" or name.startswith("GetRootAs") or name.endswith("BufferHasIdentifier"):
        return True
    return any(f"{name.removesuffix(end)}Length" in members for end in ("AsNumpy", "Length", "IsNone", ""))


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
