"""The padding of strided windows as operators of their own, which say the same at any size.

Of the padding that a Conv of stride 2 asks for, its windows read one side only or both, by the size of the input; and
what TensorFlow calls SAME is one or the other. A kernel that suits the size that it was chosen for computes something
else at others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.dialect import DOMAIN, OPERATORS

_PADDING: Mapping[str, float] = {"Conv": 0.0, "MaxPool": -np.inf, "AveragePool": 0.0}
"""The operators that are padded, and with what."""

_OPERANDS = 11
"""The opset since which Pad takes the amounts as an operand; models of older ones stay as they are."""


def spell_out_padding(model: ir.Model) -> None:
    """Gives every strided Conv and pool of fixed padding a Pad in front, in place."""
    if model.opset_imports[""] < _OPERANDS:
        return
    forms = {form.name: operator for operator, ranks in OPERATORS.items() for form in ranks.values()}
    for graph in edit.graphs_of(model):
        for node in tuple(graph):
            last = node.domain == DOMAIN
            operator = forms.get(node.op_type, "") if last else node.op_type if node.domain == "" else ""
            if operator in _PADDING and _depends_on_size(node, operator):
                _pad(graph, node, _PADDING[operator], channels_last=last)


def _depends_on_size(node: ir.Node, operator: str) -> bool:
    """Whether what is read of the padding depends on the size of the input, and a Pad can stand for it."""
    attributes = node.attributes
    strided = any(stride > 1 for stride in attributes.get_ints("strides", ()))
    padded = any(attributes.get_ints("pads", ()))
    fixed = attributes.get_string("auto_pad", "NOTSET") == "NOTSET" and not attributes.get_int("ceil_mode", 0)
    counted = operator != "AveragePool" or attributes.get_int("count_include_pad", 0) == 1
    source = node.inputs[0]
    known = source is not None and source.shape is not None and source.shape.is_static()
    return strided and padded and fixed and counted and known and len(node.outputs) == 1


def _pad(graph: ir.Graph, node: ir.Node, value: float, *, channels_last: bool) -> None:
    source = node.inputs[0]
    assert source is not None
    assert source.shape is not None
    assert source.dtype is not None
    pads = np.array(node.attributes.get_ints("pads"), np.int64).reshape(2, -1)
    amounts = np.pad(pads, ((0, 0), (1, 1) if channels_last else (2, 0)))
    write = edit.Writer(graph, node, f"{node.outputs[0].name}_padded", source.dtype)
    shape = tuple((source.shape.numpy() + amounts.sum(axis=0)).tolist())
    filler = write.constant(np.array(value, source.dtype.numpy()))
    node.replace_input_with(0, write("Pad", shape, source, write.constant(amounts.reshape(-1)), filler))
    node.attributes["pads"] = ir.AttrInt64s("pads", [0] * pads.size)
