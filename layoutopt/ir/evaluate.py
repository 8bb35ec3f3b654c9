"""Folds what is computed from large weights alone, one node at a time, so that no other weight is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.values import constant_of
from layoutopt.ir.verify import run_onnx
from layoutopt.ir.weights import is_large, is_large_tensor


def is_fixed(node: ir.Node) -> bool:
    """Say whether ``node`` is a large Constant, or computes its results from weights and other constants alone."""
    if node.domain != "" or any(value.is_graph_output() for value in node.outputs):
        return False
    if node.op_type == "Constant":
        return "value" in node.attributes and is_large_tensor(node.attributes["value"].as_tensor())
    operands = [value for value in node.inputs if value is not None]
    return (
        any(value.is_initializer() and is_large(value) for value in operands)
        and node.op_type not in _NOT_FOLDED
        and all(map(_is_constant, operands))
        and all(attribute.type not in _BODIES for attribute in node.attributes.values())
    )


def _is_constant(value: ir.Value) -> bool:
    """Say whether `constant_of` tells a tensor, which it gives a name as it does."""
    node = value.producer()
    is_written_out = node is not None and node.op_type == "Constant" and node.domain == ""
    return is_written_out or (value.const_value is not None and not value.is_graph_input())


_NOT_FOLDED = frozenset(
    {
        "Bernoulli",
        "DequantizeLinear",
        "Dropout",
        "Multinomial",
        "QuantizeLinear",
        "RandomNormalLike",
        "RandomUniformLike",
        "SequenceConstruct",
        "SplitToSequence",
    }
)
"""Operators of random results, of results that are no tensors, and those that tell of a quantized model."""

_BODIES = frozenset({ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS})


def fold_weights(model: ir.Model) -> bool:
    """Make initializers of what the main graph computes from weights and constants alone; False where nothing is."""
    graph, modified = model.graph, False
    for node in list(graph):
        if is_fixed(node) and (tensors := _results(model, node)) is not None:
            _replace(graph, node, tensors)
            modified = True
    return modified


def equal_weights(model: ir.Model) -> dict[ir.Value, ir.Value]:
    """Return each weight that has the same elements as one before it, with that one."""
    kinds: dict[tuple[object, ...], list[ir.Value]] = {}
    equal = {}
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or value.is_graph_input() or not is_large(value) or isinstance(tensor, ir.LazyTensor):
            continue
        array = tensor.numpy()
        alike = kinds.setdefault((tensor.dtype, array.shape, array.flat[:_SAMPLE].tobytes()), [])
        same = next((other for other in alike if _same_bytes(array, other)), None)
        if same is None:
            alike.append(value)
        else:
            equal[value] = same
    return equal


_SAMPLE = 64
"""Elements by which weights that differ are told apart."""


def _same_bytes(array: npt.NDArray[np.generic], other: ir.Value) -> bool:
    assert other.const_value is not None
    bits = np.dtype(f"V{array.dtype.itemsize}")  # zeros of two signs differ, and what is no number is equal to itself
    return bool(np.array_equal(array.view(bits), other.const_value.numpy().view(bits)))


def _results(model: ir.Model, node: ir.Node) -> list[ir.TensorProtocol] | None:
    """Return what ``node`` computes; None where ONNX Runtime cannot tell."""
    if node.op_type == "Constant":
        tensor = constant_of(node.outputs[0])
        assert tensor is not None
        return [ir.Tensor(tensor.numpy(), tensor.dtype) if tensor.dtype.bitwidth >= 8 else tensor]
    alone, arrays = _alone(model, node)
    try:
        results = run_onnx(alone, arrays)
    except RuntimeError:
        return None
    return [ir.tensor(results[str(value.name)]) for value in alone.graph.outputs]


def _alone(model: ir.Model, node: ir.Node) -> tuple[ir.Model, dict[str, npt.NDArray[np.generic]]]:
    """Return a model of a copy of ``node``, whose operands are inputs, and the arrays for them."""
    inputs: dict[str, ir.Value] = {}
    arrays = {}
    for value in node.inputs:
        tensor = constant_of(value) if value is not None else None
        if tensor is not None:
            name = str(value.name) if value is not None else ""
            arrays[name] = tensor.numpy()
            inputs[name] = ir.val(name, tensor.dtype, tensor.shape.numpy())
    operands = [None if value is None else inputs[str(value.name)] for value in node.inputs]
    outputs = [ir.val(value.name, value.dtype) for value in node.outputs]
    copy = ir.Node("", node.op_type, operands, list(node.attributes.values()), outputs=outputs)
    graph = ir.Graph(
        list(inputs.values()),
        [value for value in outputs if value.name],
        nodes=[copy],
        opset_imports=model.graph.opset_imports,
        name="alone",
    )
    return ir.Model(graph, ir_version=model.ir_version), arrays


def _replace(graph: ir.Graph, node: ir.Node, tensors: Sequence[ir.TensorProtocol]) -> None:
    """Replace the results of ``node`` by initializers of the same names."""
    named = [value for value in node.outputs if value.name]
    made = [ir.val(value.name, const_value=tensor) for value, tensor in zip(named, tensors, strict=True)]
    for value, constant in zip(named, made, strict=True):
        value.replace_all_uses_with(constant)
    graph.remove(node, safe=True)
    for constant in made:
        graph.register_initializer(constant)
