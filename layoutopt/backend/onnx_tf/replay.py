"""Replays a recorded graph of LiteRT's operators in TensorFlow, for its converter to make the same operators of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.fake_quantization import QuantizedTensor
from layoutopt.backend.onnx_tf.infinities import mask_infinities
from layoutopt.backend.onnx_tf.names import identifiers, scope_of
from layoutopt.backend.onnx_tf.tensorflow_operators import ACTIVATIONS, TENSORFLOW_OPERATORS, Call, Operand
from layoutopt.errors import LayoutoptError, UnsupportedOperatorError
from layoutopt.lowering.lower import FOREIGN
from layoutopt.tfl.graph import Graph, Model, Operation, Value

Foreign: TypeAlias = "Callable[[Operation, Sequence[tf.Tensor | None]], Sequence[tf.Tensor]]"
"""Computes an operation whose code begins with `FOREIGN`."""

_VIEWS = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE"})
"""Operators that may stand between a QUANTIZE and its DEQUANTIZE."""


def replay(model: Model, foreign: Foreign | None = None) -> tf.types.experimental.ConcreteFunction:
    """Return a graph as a function of TensorFlow, with operands and results in the order of the graph.

    Args:
        model: a graph as it was recorded, before any rewrites.
        foreign: computes operators of ONNX that stand in it.

    Raises:
        UnsupportedOperatorError: an operator of ONNX stands in it, and ``foreign`` is not given.
    """
    graph = model.graph
    specs = [
        tf.TensorSpec(value.shape, tf.as_dtype(value.dtype.numpy), name=name)
        for value, name in zip(graph.inputs, identifiers(model.input_names), strict=True)
    ]

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        # An output may be an input, and two may be one: the converter needs a tensor of its own for each.
        return [tf.identity(output) for output in _run(graph, tensors, foreign)]

    return tf.function(run, autograph=False).get_concrete_function(*specs)


def _run(graph: Graph, operands: Sequence[Operand], foreign: Foreign | None) -> list[tf.Tensor]:
    """Return the outputs of a graph or of a body, which sees nothing but its operands."""
    values: dict[Value, Any] = dict(zip(graph.inputs, operands, strict=True))
    scopes: dict[str, str] = {}
    for name, operations in groupby(graph.operations, lambda operation: operation.scope or operation.code):
        # A name that ends in a slash is taken up again.
        with tf.name_scope(scopes.get(name) or scope_of(name)) as full:
            scopes[name] = full
            for operation in operations:
                values.update(zip(operation.results, _results(operation, values, foreign), strict=True))
    return [tf.convert_to_tensor(_integers(_operand(output, values))) for output in graph.outputs]


def _operand(value: Value, values: dict[Value, Any]) -> Any:
    return mask_infinities(np.asarray(value.data)) if value.data is not None else values[value]


def _integers(operand: Any) -> Any:
    return operand.integers() if isinstance(operand, QuantizedTensor) else operand


def _results(operation: Operation, values: dict[Value, Any], foreign: Foreign | None) -> Sequence[Any]:
    """Return what an operation computes, each with the shape that was recorded."""
    operands = [None if value is None else _operand(value, values) for value in operation.operands]
    try:
        found = _spelled(operation, operands, foreign)
        results = list(found) if isinstance(found, (list, tuple)) else [found]
        for value, result in zip(operation.results, results, strict=True):
            if value.shape is not None and tf.is_tensor(result):
                result.set_shape(value.shape)
    except LayoutoptError:
        raise
    except Exception as error:
        raise RuntimeError(f"node {operation.scope} ({operation.code}): {error}") from error
    return results


def _spelled(operation: Operation, operands: list[Any], foreign: Foreign | None) -> Any:
    if operation.code.startswith(FOREIGN):
        return _foreign(operation, operands, foreign)

    def run(graph: Graph, given: Sequence[Operand]) -> list[tf.Tensor]:
        return _run(graph, given, foreign)

    spelling = TENSORFLOW_OPERATORS[operation.code]
    first = operands[0] if operands else None
    if isinstance(first, QuantizedTensor) and operation.code in _VIEWS:
        return first.seen(lambda x: spelling(Call(operation, [x, *operands[1:]], run)))
    if operation.code not in ("QUANTIZE", "DEQUANTIZE"):
        operands = [_integers(operand) for operand in operands]
    found = spelling(Call(operation, operands, run))
    activation = operation.options.get("fused_activation_function", "NONE")
    return found if activation == "NONE" else ACTIVATIONS[activation](found)


def _foreign(operation: Operation, operands: Sequence[Any], foreign: Foreign | None) -> Sequence[tf.Tensor]:
    if foreign is None:
        name = operation.code.removeprefix(FOREIGN)
        raise UnsupportedOperatorError(f"node {operation.scope} ({name}): LiteRT has no operators for it")
    given = [None if operand is None else tf.convert_to_tensor(_integers(operand)) for operand in operands]
    return foreign(operation, given)
