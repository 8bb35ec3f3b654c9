"""Graphs to show, of .tflite files and of ONNX models, before anything is known of their layouts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import onnx_ir as ir

from layoutopt.backend.litert.graph import MOST_NUMBERS, TfliteArray, TfliteNode, constant_in_words, read_graph
from layoutopt.ir import dialect
from layoutopt.ir.counts import TRANSPOSES, bytes_transposed, operator_name
from layoutopt.ir.schemas import operand_names
from layoutopt.ir.values import constant_of
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph


def of_tflite(path: Path, title: str) -> tuple[ModelGraph, Mapping[int, str]]:
    """Return the main graph of a .tflite file, and the names of its tensors by index. The id of a node is its position.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    read = read_graph(path)
    names = {index: tensor.name for index, tensor in read.tensors.items()}
    graph = ModelGraph(
        title=title,
        nodes=tuple(_of_tflite_node(at, node, names) for at, node in enumerate(read.nodes)),
        tensors={tensor.name: _of_array(tensor) for tensor in read.tensors.values()},
        inputs=tuple(names[index] for index in read.inputs),
        outputs=tuple(names[index] for index in read.outputs),
        key=read.name,
    )
    return graph, names


def of_onnx(model: ir.Model, title: str) -> ModelGraph:
    """Return the main graph of a model. The id of a node is its name, with its position if that is not unique."""
    graph, opset = model.graph, model.opset_imports.get("", 0)
    ids = _ids(graph)
    nodes = [node for node in graph if operator_name(node) != "Constant"]
    fed = [value for value in graph.inputs if not value.is_initializer()]
    made = [value for node in nodes for value in node.outputs if value.name]
    tensors = {str(value.name): _of_value(value) for value in (*fed, *made, *graph.outputs)}
    return ModelGraph(
        title=title,
        nodes=tuple(_of_onnx_node(ids[node], node, tensors, opset) for node in nodes),
        tensors=tensors,
        inputs=tuple(str(value.name) for value in fed),
        outputs=tuple(str(value.name) for value in graph.outputs),
        key=graph.name or "",
    )


# --- .tflite ---------------------------------------------------------------------------------------------------------


def _of_tflite_node(position: int, node: TfliteNode, names: Mapping[int, str]) -> GraphNode:
    return GraphNode(
        id=str(position),
        operator=node.operator,
        name=names[node.outputs[0]] if node.outputs else "",
        inputs=tuple(names[index] for index in node.inputs),
        outputs=tuple(names[index] for index in node.outputs),
        constants=node.constants,
        attributes=node.attributes,
        is_transpose=node.operator in TRANSPOSES,
        bytes_moved=node.bytes_moved,
    )


def _of_array(tensor: TfliteArray) -> GraphTensor:
    return GraphTensor(tensor.name, tensor.shape, tensor.dtype, tensor.size, Layout.UNKNOWN)


# --- ONNX ------------------------------------------------------------------------------------------------------------


def _ids(graph: ir.Graph) -> Mapping[ir.Node, str]:
    """Return a unique name for each node."""
    names = Counter(node.name for node in graph)
    return {
        node: f"<node_{at}>" if not node.name else node.name if names[node.name] == 1 else f"{node.name}_{at}"
        for at, node in enumerate(graph)
    }


def _of_onnx_node(identity: str, node: ir.Node, tensors: Mapping[str, GraphTensor], opset: int) -> GraphNode:
    operator = operator_name(node)
    return GraphNode(
        id=identity,
        operator=operator,
        name=node.name or str(node.outputs[0].name),
        inputs=tuple(str(value.name) for value in node.inputs if value is not None and value.name in tensors),
        outputs=tuple(str(value.name) for value in node.outputs if value.name),
        constants=tuple(_constants(node, opset)),
        attributes={attribute.name: _in_words(attribute) for attribute in node.attributes.values()},
        is_transpose=operator in TRANSPOSES,
        bytes_moved=bytes_transposed(node),
    )


def _of_value(value: ir.Value) -> GraphTensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape or ())
    bits = value.dtype.bitwidth if value.dtype is not None and value.dtype != ir.DataType.STRING else 0
    dtype = str(value.dtype.numpy()) if value.dtype is not None else ""
    size = -(-prod(abs(each) for each in shape) * bits // 8)
    return GraphTensor(str(value.name), shape, dtype, size, Layout.UNKNOWN)


def _constants(node: ir.Node, opset: int) -> Iterator[str]:
    """Yield the constant operands in words."""
    forms = [form for forms in dialect.OPERATORS.values() for form in forms.values()]
    dialects = {form.name: form.inputs for form in forms}
    names = dialects.get(node.op_type, ()) if node.domain else operand_names(node.op_type, opset)
    for at, value in enumerate(node.inputs):
        if value is not None and (tensor := constant_of(value)) is not None:
            short = 0 < tensor.size <= MOST_NUMBERS and tensor.dtype.is_integer()
            numbers = " ".join(map(str, tensor.numpy().reshape(-1).tolist())) if short else ""
            role = names[at] if at < len(names) else "constant"
            yield constant_in_words(role, tensor.shape.numpy(), str(tensor.dtype.numpy()), numbers)


def _in_words(attribute: ir.Attr) -> str:
    value = attribute.value
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return "a body"
    if isinstance(value, ir.TensorProtocol):
        return f"a tensor of {'x'.join(map(str, value.shape.numpy()))}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return str(value)
