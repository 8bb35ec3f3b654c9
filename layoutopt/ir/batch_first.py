"""Recurrent operators that take the batch first, which ONNX Runtime does not: Transposes, and time first."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.perm import permute

_RECURRENT = ("GRU", "LSTM", "RNN")
_STATES = (5, 6)
"""The operands that are states: hidden, and an LSTM's cell."""


def put_time_first(model: ir.Model) -> None:
    """Let each GRU, LSTM and RNN of ``layout = 1`` compute the same with ``layout = 0``, in place."""
    for graph in edit.graphs_of(model):
        for node in tuple(graph):
            if node.domain == "" and node.op_type in _RECURRENT and node.attributes.get_int("layout", 0) == 1:
                _put_time_first(graph, node)


def _put_time_first(graph: ir.Graph, node: ir.Node) -> None:
    inputs = [
        _transposed(graph, node, value, (1, 0, 2)) if index in (0, *_STATES) and value is not None else value
        for index, value in enumerate(node.inputs)
    ]
    kept = [attribute for name, attribute in node.attributes.items() if name != "layout"]
    name = edit.fresh_name(graph, f"{node.name}_time_first")
    inner = ir.Node("", node.op_type, inputs, kept, num_outputs=len(node.outputs), name=name)
    for value, old in zip(inner.outputs, node.outputs, strict=True):
        value.name = edit.fresh_name(graph, f"{old.name}_time_first") if old.name else ""
    graph.insert_before(node, inner)
    for position, (value, old) in enumerate(zip(inner.outputs, node.outputs, strict=True)):
        if old.name:
            value.type = old.type
            perm, back = ((1, 2, 0, 3), (2, 0, 1, 3)) if position == 0 else ((1, 0, 2), (1, 0, 2))
            value.shape = None if old.shape is None else ir.Shape(permute(tuple(old.shape), perm))
            edit.replace_uses(graph, old, _transposed(graph, node, value, back))
    edit.remove_dead(node)


def _transposed(graph: ir.Graph, node: ir.Node, value: ir.Value, perm: tuple[int, ...]) -> ir.Value:
    """Return ``value`` with its axes permuted, by a Transpose before ``node``."""
    transpose = ir.node("Transpose", [value], {"perm": perm}, name=edit.fresh_name(graph, f"Transpose/{value.name}"))
    result = transpose.outputs[0]
    result.name, result.type = edit.fresh_name(graph, f"{value.name}_transposed"), value.type
    result.shape = None if value.shape is None else ir.Shape(permute(tuple(value.shape), perm))
    graph.insert_before(node, transpose)
    return result
