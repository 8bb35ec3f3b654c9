"""Runs the TFLite converter on a traced graph, with the weights in memory as few times as it allows."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import tensorflow as tf


def converter_of(function: tf.types.experimental.ConcreteFunction) -> tf.lite.TFLiteConverter:
    """Return the converter for a function that reads no variables, which it has no use for from here on.

    By itself, the converter first makes constants of variables, which takes ten copies of all weights and half the time
    even where there are none; and it keeps the function to the end. With a trackable object, it would write and read a
    SavedModel on the way.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    assert hasattr(converter, "_freeze_concrete_function"), "this step of the converter has another name now"
    graph = _GraphDef(function.graph.as_graph_def())
    inputs, outputs = ([_spec(tensor) for tensor in tensors] for tensors in (function.inputs, function.outputs))
    bare = SimpleNamespace(graph=None)  # all that is asked for is where in Python an operator was made
    converter._freeze_concrete_function = lambda: (graph, inputs, outputs, bare)
    converter._funcs = [bare]
    return converter


def _spec(tensor: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)


class _GraphDef:
    """A graph as the converter reads it: serialized once, and then only asked for the operators in it.

    Attributes:
        node: its nodes without their attributes, which hold the weights.
        library: its functions with nodes of that kind.
    """

    def __init__(self, content: tf.compat.v1.GraphDef) -> None:
        bare = tf.compat.v1.GraphDef()
        _copy_bare(content.node, bare.node)
        for function in content.library.function:
            copy = bare.library.function.add()
            copy.signature.name = function.signature.name
            _copy_bare(function.node_def, copy.node_def)
        self.node, self.library = bare.node, bare.library
        self._content: tf.compat.v1.GraphDef | None = content

    def SerializeToString(self) -> bytes:  # noqa: N802  (protobuf's name)
        assert self._content is not None
        serialized: bytes = self._content.SerializeToString()
        self._content = None  # to clear it would give no memory back
        return serialized


def _copy_bare(nodes: Iterable[tf.compat.v1.NodeDef], copies: Any) -> None:
    for node in nodes:
        copies.add(name=node.name, op=node.op)
