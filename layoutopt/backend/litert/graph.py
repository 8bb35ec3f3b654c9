"""The main graph of a .tflite file with all that is worth showing, read from the flatbuffer itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layoutopt.backend.litert.inspect import (
    bytes_transposed,
    default_shape_of,
    numpy_name,
    open_tflite,
    tensor_shape,
)
from layoutopt.tfl.opset import definition
from layoutopt.tfl.reader import buffer_of, dtype_of, operator_name, options_of, text_of, vector
from layoutopt.tfl.storage import loaded

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import Model, Operator, SubGraph

MOST_NUMBERS = 16
"""Constants of no more integers are told in full: axes, sizes, permutations."""

_PLAIN: Mapping[str, object] = {
    "fused_activation_function": "NONE",
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "dilation_d_factor": 1,
    "pot_scale_int16": True,
    "quantized_bias_type": "FLOAT32",
    "weights_format": "DEFAULT",
}
"""Values of options that go without saying."""


@dataclass(frozen=True, slots=True)
class TfliteArray:
    """One tensor of a graph.

    Attributes:
        name: unique in the graph; where several tensors share one, the index is after it.
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
    """Read the main graph of a .tflite file.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        return _Reader(model).graph()


class _Reader:
    """Read the main graph."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._graph: SubGraph = model.Subgraphs(0)
        self._names: dict[str, int] = {}

    def graph(self) -> TfliteGraph:
        graph = self._graph
        operators = [graph.Operators(position) for position in range(graph.OperatorsLength())]
        inputs, outputs = tuple(vector(graph, "Inputs")), tuple(vector(graph, "Outputs"))
        made = [index for each in operators for index in vector(each, "Outputs")]
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
        size = -(-prod(default_shape_of(tensor)) * dtype.bits // 8)
        return TfliteArray(name, tensor_shape(tensor), numpy_name(dtype), size)

    def _node(self, operator: Operator, tensors: Mapping[int, TfliteArray]) -> TfliteNode:
        name = operator_name(self._model.OperatorCodes(operator.OpcodeIndex()))
        read = vector(operator, "Inputs")
        constants = {at: index for at, index in enumerate(read) if index >= 0 and index not in tensors}
        perm = {"perm": self._numbers(constants[1])} if name == "TRANSPOSE" and 1 in constants else {}
        moved = bytes_transposed(self._model, self._graph, operator) if name == "TRANSPOSE" else 0
        return TfliteNode(
            name,
            tuple(index for index in read if index in tensors),
            tuple(vector(operator, "Outputs")),
            tuple(self._constant(_role(name, at), index) for at, index in constants.items()),
            {**dict(_options(operator)), **perm},
            moved,
        )

    def _constant(self, role: str, index: int) -> str:
        tensor = self._graph.Tensors(index)
        return constant_in_words(role, tensor_shape(tensor), numpy_name(dtype_of(tensor)), self._numbers(index))

    def _numbers(self, index: int) -> str:
        """Return the integers of a short constant; empty where it holds something else."""
        tensor = self._graph.Tensors(index)
        dtype, shape = dtype_of(tensor), tensor_shape(tensor)
        data = buffer_of(self._model, tensor.Buffer())
        if not str(dtype).startswith("int") or not 0 < prod(shape) <= MOST_NUMBERS or not len(data):
            return ""
        return " ".join(map(str, loaded(data, dtype, shape).reshape(-1).tolist()))


def _role(operator: str, at: int) -> str:
    """Return the role of a constant operand; ``constant`` if it has the same role as the others."""
    facts = definition(operator)
    role = facts.role(at)
    return "constant" if role in ("a", "b", "x") else role


def constant_in_words(role: str, shape: Sequence[int], dtype: str, numbers: str) -> str:
    """Return ``axes 2 int32: 1 2``; without ``numbers`` where they are empty."""
    sizes = "x".join(map(str, shape)) or "scalar"
    return f"{role} {sizes} {dtype}{f': {numbers}' if numbers else ''}"


def _options(operator: Operator) -> Iterator[tuple[str, str]]:
    """Yield the scalar options of an operator by name."""
    for name, value in options_of(operator).items():
        if (
            value is not None
            and value is not False
            and not isinstance(value, (list, np.ndarray))
            and value != _PLAIN.get(name)
        ):
            yield name, str(value)
