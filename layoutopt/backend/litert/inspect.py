"""The contents of a .tflite file, read from the flatbuffer itself: no TensorFlow, no interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from layoutopt.errors import InvalidModelError
from layoutopt.files import require_file
from layoutopt.ir.counts import Counts, tally, transposed_bytes
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.reader import (
    DamagedFileError,
    buffer_of,
    default_signature,
    dtype_of,
    operator_name,
    root_table,
    text_of,
    vector,
)

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import Model, Operator, SubGraph, Tensor, TensorMap


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One input or output of a .tflite file.

    Attributes:
        name: of the tensor in the file.
        signature_name: by which the signature calls it; the same as ``name`` where the file has no signature.
        shape: sizes, -1 for dynamic ones.
        dtype: name of the element type as numpy has it, for example ``float32``.
        index: among the tensors of its graph; the interpreter's handle for it.
        default: sizes that hold until the tensor is resized; the same as ``shape`` where nothing is dynamic.
        scale: what a step of a quantized tensor stands for; 0 where it is not quantized as a whole.
        zero_point: what stands for zero in it.
    """

    name: str
    signature_name: str
    shape: tuple[int, ...]
    dtype: str
    index: int
    default: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class TfliteSignature:
    """Inputs and outputs of a .tflite file, both in the order of the graph, which is also the interpreter's."""

    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """One operator of the main graph.

    Attributes:
        name: as the schema has it, for example ``CONV_2D``; of a custom one, its custom code.
        inputs: indices of the tensors that it reads, without those that are left out.
        outputs: indices and names of the tensors that it writes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, str], ...]


def count_tflite(path: Path) -> Counts:
    """Count the operators of all subgraphs of a .tflite file.

    Built-in operators go by their name in the schema, custom ones by their custom code (``FlexErf``). A TRANSPOSE adds
    the size of its result to ``bytes_moved``, unless it only moves axes of size 1; a dynamic size counts as what it is
    until it is resized, an unknown shape as nothing.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        names = [operator_name(model.OperatorCodes(index)) for index in range(model.OperatorCodesLength())]
        operators = [(graph, operator, names[operator.OpcodeIndex()]) for graph, operator in _operators(model)]
        moved = sum(
            bytes_transposed(model, graph, operator) for graph, operator, name in operators if name == "TRANSPOSE"
        )
        return tally((name for _, _, name in operators), bytes_moved=moved)


def signature_of(path: Path) -> TfliteSignature:
    """Read the inputs and outputs of the main graph of a .tflite file.

    Of several signatures it takes ``serving_default``, or else the first; without any, the tensors' own names.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        graph, signature = model.Subgraphs(0), default_signature(model)
        inputs, outputs = vector(graph, "Inputs"), vector(graph, "Outputs")
        named_inputs, named_outputs = [(index, "") for index in inputs], [(index, "") for index in outputs]
        if signature is not None:
            named_inputs = _entries(signature.Inputs, signature.InputsLength(), inputs)
            named_outputs = _entries(signature.Outputs, signature.OutputsLength(), outputs)
        return TfliteSignature(
            tuple(_describe(graph, index, name) for index, name in named_inputs),
            tuple(_describe(graph, index, name) for index, name in named_outputs),
        )


def operators_of(path: Path) -> tuple[TfliteOperator, ...]:
    """Read the operators of the main graph of a .tflite file, in the order in which they run.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        graph = model.Subgraphs(0)
        names = [operator_name(model.OperatorCodes(index)) for index in range(model.OperatorCodesLength())]
        return tuple(
            TfliteOperator(
                names[operator.OpcodeIndex()],
                tuple(index for index in vector(operator, "Inputs") if index >= 0),
                tuple((index, text_of(graph.Tensors(index).Name())) for index in vector(operator, "Outputs")),
            )
            for operator in map(graph.Operators, range(graph.OperatorsLength()))
        )


def computes_with_integers(path: Path) -> bool:
    """Return whether an operator of the main graph writes integers that stand for real numbers.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        graph = model.Subgraphs(0)
        operators = map(graph.Operators, range(graph.OperatorsLength()))
        results = (graph.Tensors(index) for operator in operators for index in vector(operator, "Outputs"))
        return any(not dtype_of(result).is_floating and _quantization(result)[0] > 0 for result in results)


@contextmanager
def open_tflite(path: Path) -> Iterator[Model]:
    """Return the file's root table; whatever breaks while it is read becomes an InvalidModelError."""
    require_file(path)
    try:
        with root_table(path) as model:
            yield model
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read: {error.strerror}.") from None
    except DamagedFileError as error:
        raise InvalidModelError(f"{path}: {error}.") from None


def _operators(model: Model) -> Iterator[tuple[SubGraph, Operator]]:
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            yield graph, graph.Operators(position)


def bytes_transposed(model: Model, graph: SubGraph, transpose: Operator) -> int:
    """Return the bytes that a TRANSPOSE writes, as far as the file knows its shape."""
    result, order = graph.Tensors(transpose.Outputs(0)), graph.Tensors(transpose.Inputs(1))
    # A dynamic axis is moved for all we know, even where its default is 1.
    shape = [
        None if dynamic < 0 and size == 1 else size
        for dynamic, size in zip(tensor_shape(result), default_shape_of(result), strict=True)
    ]
    constant = buffer_of(model, order.Buffer())
    # A permutation that is computed at run time is taken for a reversal, which moves data wherever any can.
    perm: Sequence[int] = range(len(shape))[::-1]
    if len(constant):
        perm = constant.view(np.int32).tolist()
    if len(perm) != len(shape):
        return 0
    return transposed_bytes(shape, tuple(perm), bits=dtype_of(result).bits)


def _entries(read: Callable[[int], TensorMap], count: int, order: Sequence[int]) -> list[tuple[int, str]]:
    """Return tensor and name of each entry of a signature in the order of the graph, not of the names."""
    entries = [(read(index).TensorIndex(), text_of(read(index).Name())) for index in range(count)]
    return sorted(entries, key=lambda entry: order.index(entry[0]))


def _describe(graph: SubGraph, index: int, signature_name: str) -> TfliteTensor:
    tensor = graph.Tensors(index)
    name = text_of(tensor.Name())
    shape, default = tensor_shape(tensor), default_shape_of(tensor)
    return TfliteTensor(
        name, signature_name or name, shape, numpy_name(dtype_of(tensor)), index, default, *_quantization(tensor)
    )


def _quantization(tensor: Tensor) -> tuple[float, int]:
    found = tensor.Quantization()
    if found is None or found.ScaleLength() != 1:
        return 0.0, 0
    return float(found.Scale(0)), int(found.ZeroPoint(0)) if found.ZeroPointLength() else 0


def tensor_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return sizes, -1 for dynamic ones."""
    shape, dynamic = vector(tensor, "Shape"), vector(tensor, "ShapeSignature")
    return tuple(dynamic[: len(shape)] if dynamic else shape)


def default_shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return sizes until somebody resizes the tensor."""
    return tuple(max(1, size) for size in vector(tensor, "Shape"))


def numpy_name(dtype: DType) -> str:
    """Return NumPy's name of the element type."""
    return "str" if dtype is DType.STRING else str(dtype)
