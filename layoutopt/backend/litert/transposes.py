"""Times TRANSPOSE by itself, in .tflite files that are written here: no TensorFlow, no converter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from layoutopt.backend.litert.runtime import measure
from layoutopt.errors import MissingExtraError
from layoutopt.ir.perm import Perm, permute

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT, OperatorT, TensorT

_MANY = 16  # operators that a model has more than another, so that the difference is theirs


@dataclass(frozen=True, slots=True)
class Transpose:
    """One TRANSPOSE.

    Attributes:
        shape: of the operand.
        perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
        bits: 32 for float32, 8 for quantized int8: what XNNPACK takes.
    """

    shape: tuple[int, ...]
    perm: Perm
    bits: int


_TINY = Transpose((2, 3), (1, 0), 32)


@dataclass(frozen=True, slots=True)
class Times:
    """How long each takes, all from one interleaved run.

    Attributes:
        overhead: nanoseconds of an operator that has nothing to do.
        nanoseconds: of each TRANSPOSE, without the overhead and without what starting an inference takes.
    """

    overhead: float
    nanoseconds: tuple[float, ...]


def time_transposes(
    transposes: Sequence[Transpose],
    *,
    threads: int = 1,
    rounds: int = 15,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Times:
    """Times each of ``transposes`` alone on LiteRT with XNNPACK; the fastest sample counts.

    Args:
        transposes: what to time; all are held in memory at once.
        threads: of XNNPACK.
        rounds: samples of each.
        verbose: let through what LiteRT writes to stderr.
        progress: called after each round with how many are done and how many there are.

    Raises:
        MissingExtraError: LiteRT is not installed.
        UsageError: there are no rounds or no threads.
        ConversionError: LiteRT cannot run one of them.
    """
    with tempfile.TemporaryDirectory(prefix="layoutopt-") as scratch:
        paths = [Path(scratch) / f"{index}.tflite" for index in range(len(transposes) + 2)]
        write_transpose(_TINY, paths[0])
        write_transpose(_TINY, paths[1], copies=1 + _MANY)
        for transpose, path in zip(transposes, paths[2:], strict=True):
            write_transpose(transpose, path)
        latencies = measure(paths, threads=threads, rounds=rounds, verbose=verbose, progress=progress)
    one, many, *each = (latency.minimum_ms * 1e6 for latency in latencies)
    return Times(max(1.0, (many - one) / _MANY), tuple(max(1.0, time - one) for time in each))


def write_transpose(transpose: Transpose, path: Path, *, copies: int = 1) -> None:
    """Writes a .tflite that does ``transpose`` and nothing else.

    Args:
        transpose: of the input ``x``.
        path: where to.
        copies: how often it does so, to as many outputs ``y0``, ``y1``...

    Raises:
        MissingExtraError: LiteRT is not installed.
    """
    schema = _schema()
    import flatbuffers  # type: ignore[import-untyped]  # what ai-edge-litert itself builds on

    builder = flatbuffers.Builder()
    builder.Finish(_model(schema, transpose, copies).Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def _schema() -> ModuleType:
    """The classes of the .tflite format."""
    try:
        return import_module("ai_edge_litert.schema_py_generated")
    except ImportError:
        raise MissingExtraError(
            "Timing transposes needs ai-edge-litert.", hint="pip install 'layoutopt[tflite]'"
        ) from None


def _model(schema: ModuleType, transpose: Transpose, copies: int) -> ModelT:
    model, graph, code = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE
    empty, order = schema.BufferT(), schema.BufferT()
    order.data = np.array(transpose.perm, np.int32).view(np.uint8)
    model.buffers = [empty, order]
    result = permute(transpose.shape, transpose.perm)
    graph.tensors = [
        _data(schema, "x", transpose.shape, transpose.bits),
        _tensor(schema, "perm", (len(transpose.perm),), schema.TensorType.INT32, 1),
        *(_data(schema, f"y{index}", result, transpose.bits) for index in range(copies)),
    ]
    graph.inputs, graph.outputs = [0], list(range(2, 2 + copies))
    graph.operators = [_operator(schema, output) for output in graph.outputs]
    return model


def _operator(schema: ModuleType, output: int) -> OperatorT:
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1], [output]
    operator.builtinOptionsType = schema.BuiltinOptions.TransposeOptions
    operator.builtinOptions = schema.TransposeOptionsT()
    return operator


def _data(schema: ModuleType, name: str, shape: tuple[int, ...], bits: int) -> TensorT:
    if bits == 32:
        return _tensor(schema, name, shape, schema.TensorType.FLOAT32)
    tensor = _tensor(schema, name, shape, schema.TensorType.INT8)
    tensor.quantization = schema.QuantizationParametersT()  # without a scale XNNPACK does not take it
    tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0], [0]
    return tensor


def _tensor(schema: ModuleType, name: str, shape: tuple[int, ...], kind: int, buffer: int = 0) -> TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    return tensor
