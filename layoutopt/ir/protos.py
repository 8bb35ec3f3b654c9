"""Walks over models as protobuf has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from layoutopt.ir.serialization import IN_FILE, outlined
from layoutopt.ir.weights import LARGE, weights_of
from layoutopt.memory import mapped


def all_nodes(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.NodeProto]:
    """Give the nodes of a graph or function and its bodies."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from all_nodes(body)


def all_names(graph: onnx.GraphProto) -> Iterator[str | bytes]:
    """Give the names of all that has one; protobuf hands over bytes where they are not UTF-8."""
    for node in all_nodes(graph):
        yield from (node.name, node.domain, node.op_type, *node.input, *node.output)
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.name for tensor in graph.initializer)


def model_files(path: Path) -> list[Path]:
    """Return the file of a model and those that its tensors are in, as far as it can be read."""
    if not path.is_file() or path.suffix == ".tflite":
        return [path]
    try:
        proto = onnx.load_from_string(outlined(mapped(path), LARGE))
    except Exception:  # whatever is wrong with it is told when it is loaded
        return [path]
    found = dict.fromkeys(
        entry.value
        for tensor in all_tensors(proto.graph)
        for entry in tensor.external_data
        if entry.key == "location" and entry.value != IN_FILE
    )
    return [path, *(path.parent / name for name in found)]


def model_size(model: Path | str | onnx.ModelProto | ir.Model) -> int:
    """Return about how many bytes a model has: of its files, or of its weights if it is in memory."""
    if isinstance(model, (Path, str)):
        return sum(path.stat().st_size for path in model_files(Path(model)) if path.is_file())
    if isinstance(model, ir.Model):
        return sum(tensor.nbytes for tensor in weights_of(model).values())
    return model.ByteSize() if isinstance(model, onnx.ModelProto) else 0


def all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Give the initializers of a graph and its bodies, and the tensors that are attributes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from all_tensors(body)
