"""Cleans up after the choice of layouts: cancels, merges and folds Transposes and Reshapes over the whole graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import transpose_perm
from layoutopt.ir.perm import Perm, compose, identity, is_identity, permute
from layoutopt.ir.rearrange import rearranged, transposed
from layoutopt.ir.values import constant_of, static_shape
from layoutopt.layout.algebra.physical import ModeOrder
from layoutopt.passes.base import Rewrite


@dataclass(frozen=True)
class CancelTransposes(Rewrite):
    """Merge Transpose on Transpose and Reshape on Reshape, and drop those that change nothing.

    Also folds them into constants, turns Transposes that only move axes of size 1 into Reshapes, and merges duplicates.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Clean up until a walk finds nothing: what takes the place of a node may be simplified in turn."""
        modified = False
        for graph in edit.graphs_of(model):
            while _walk(graph):
                modified = True
        return modified


def _walk(graph: ir.Graph) -> bool:
    """Clean up every Transpose and Reshape once; False where there was nothing to do."""
    modified = False
    seen: dict[tuple[object, ...], ir.Value] = {}
    for node in list(graph):
        if node.graph is graph and node.domain == "" and node.op_type in ("Transpose", "Reshape"):
            modified |= _clean(graph, node, seen)
    return modified


def _clean(graph: ir.Graph, node: ir.Node, seen: dict[tuple[object, ...], ir.Value]) -> bool:
    """Replace ``node`` by something simpler; False where there is nothing simpler."""
    result = node.outputs[0]
    if not result.uses() and not result.is_graph_output():
        edit.remove_dead(node)
        return True
    simpler = _simplify_transpose(graph, node) if node.op_type == "Transpose" else _simplify_reshape(graph, node)
    if simpler is None:
        simpler = _first_alike(graph, node, seen)
        if simpler is result:
            return False
    edit.replace_uses(graph, result, simpler)
    edit.remove_dead(node)
    return True


def _first_alike(graph: ir.Graph, node: ir.Node, seen: dict[tuple[object, ...], ir.Value]) -> ir.Value:
    """Return the result of the first node that is still there and computes what ``node`` does, or its own."""
    key = _key(node)
    found = seen.get(key)
    if found is None or (producer := found.producer()) is None or producer.graph is not graph:
        found = seen[key] = node.outputs[0]
    return found


def _key(node: ir.Node) -> tuple[object, ...]:
    """Return a key that is equal for nodes that compute the same."""
    if node.op_type == "Transpose":
        return ("Transpose", node.inputs[0], transpose_perm(node))
    return ("Reshape", node.inputs[0], static_shape(node.outputs[0]) or node.inputs[1])


def _simplify_transpose(graph: ir.Graph, node: ir.Node) -> ir.Value | None:
    source, result, perm = node.inputs[0], node.outputs[0], transpose_perm(node)
    if source is None or perm is None:
        return None
    if is_identity(perm):
        return source
    if (constant := constant_of(source)) is not None:
        return edit.add_tensor(graph, f"{source.name}_transposed", transposed(constant, perm))
    shape = static_shape(source)
    moves = shape is None or ModeOrder.of(shape, perm) != ModeOrder.natural(shape)
    first = source.producer()
    if (
        first is not None
        and first.domain == ""
        and first.op_type == "Transpose"
        and (above := transpose_perm(first)) is not None
        and (moves or not _stays(source, node))
    ):
        origin = first.inputs[0]
        assert origin is not None
        return _transposed(graph, origin, compose(above, perm), result)
    if shape is not None and not moves:
        return edit.reshape(graph, source, permute(shape, perm), f"{result.name}_reshaped")
    return None


def _stays(value: ir.Value, node: ir.Node) -> bool:
    """Return whether ``value`` is needed without ``node``."""
    return value.is_graph_output() or any(use.node is not node for use in value.uses())


def _transposed(graph: ir.Graph, source: ir.Value, perm: Perm, result: ir.Value) -> ir.Value:
    if is_identity(perm):
        return source
    return edit.transpose(graph, source, perm, tuple(result.shape or ()), f"{result.name}_merged")


def _simplify_reshape(graph: ir.Graph, node: ir.Node) -> ir.Value | None:
    source, result = node.inputs[0], node.outputs[0]
    shape = static_shape(result)
    if source is None or shape is None:
        return None
    if static_shape(source) == shape:
        return source
    if (constant := constant_of(source)) is not None:
        reshaped = rearranged(constant, shape, identity(len(shape)), shape)
        return edit.add_tensor(graph, f"{source.name}_reshaped", reshaped)
    first = source.producer()
    if first is not None and first.domain == "" and first.op_type == "Reshape" and first.inputs[0] is not None:
        return edit.reshape(graph, first.inputs[0], shape, f"{result.name}_merged")
    return None
