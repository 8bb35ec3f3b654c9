"""The padding of strided windows as operators of their own, which say the same at any size.

Of the padding that a Conv of stride 2 asks for, its windows read one side only or both, by the size of the input; and
what TensorFlow calls SAME is one or the other. A kernel that suits the size that it was chosen for computes something
else at others. A pool that rounds its size up (``ceil_mode``) is one that rounds it down, of an input with ``s - 1``
more elements where ``s`` is the stride: ``ceil(n / s) == floor((n + s - 1) / s)``. What ONNX calls SAME_UPPER is
TensorFlow's SAME at any size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.dialect import DOMAIN, OPERATORS

Array = npt.NDArray[np.int64]

_PADDING: Mapping[str, float] = {"Conv": 0.0, "MaxPool": -np.inf, "AveragePool": 0.0}
"""The operators that are padded, and with what."""

_OPERANDS = 11
"""The opset since which Pad takes the amounts as an operand; models of older ones stay as they are."""


def spell_out_padding(model: ir.Model) -> None:
    """Give every strided Conv and pool of fixed padding, or of a size rounded up, a Pad before it, in place."""
    if model.opset_imports[""] < _OPERANDS:
        return
    forms = {form.name: operator for operator, ranks in OPERATORS.items() for form in ranks.values()}
    for graph in edit.graphs_of(model):
        for node in tuple(graph):
            last = node.domain == DOMAIN
            operator = forms.get(node.op_type, "") if last else node.op_type if node.domain == "" else ""
            if operator in _PADDING and (amounts := _amounts(node, operator)) is not None:
                _pad(graph, node, amounts, _PADDING[operator], channels_last=last)


def _amounts(node: ir.Node, operator: str) -> Array | None:
    """Return the padding before and after each spatial axis; None if no size changes it, or if a Pad is none."""
    attributes = node.attributes
    strides = np.array(attributes.get_ints("strides", ()))
    pads = np.array(attributes.get_ints("pads", ()) or (0,) * 2 * strides.size, np.int64).reshape(2, -1)
    fixed = attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
    counted = operator != "AveragePool" or attributes.get_int("count_include_pad", 0) == 1
    source = node.inputs[0]
    known = source is not None and source.shape is not None and source.shape.is_static()
    if not (fixed and counted and known and len(node.outputs) == 1 and (strides > 1).any()):
        return None
    if attributes.get_int("ceil_mode", 0):
        kernel, dilations = (np.array(attributes.get_ints(name, (1,) * strides.size)) for name in _EXTENT)
        pads[1] += strides - 1
        if operator != "MaxPool" or ((kernel - 1) * dilations + 1 <= pads[1]).any():
            return None  # the last window could lie on padding alone, and ONNX leaves such a one out
    return pads if pads.any() else None


_EXTENT = ("kernel_shape", "dilations")


def _pad(graph: ir.Graph, node: ir.Node, pads: Array, value: float, *, channels_last: bool) -> None:
    source = node.inputs[0]
    assert source is not None
    assert source.shape is not None
    assert source.dtype is not None
    amounts = np.pad(pads, ((0, 0), (1, 1) if channels_last else (2, 0)))
    write = edit.Writer(graph, node, f"{node.outputs[0].name}_padded", source.dtype)
    shape = tuple((source.shape.numpy() + amounts.sum(axis=0)).tolist())
    filler = write.constant(np.array(value, source.dtype.numpy()))
    node.replace_input_with(0, write("Pad", shape, source, write.constant(amounts.reshape(-1)), filler))
    node.attributes["pads"] = ir.AttrInt64s("pads", [0] * pads.size)
    node.attributes.pop("ceil_mode", None)
