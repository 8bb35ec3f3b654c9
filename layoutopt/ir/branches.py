"""Branches whose condition is known offline, in the main graph and in bodies, which onnxsim does not look into."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.values import constant_of

Array = npt.NDArray[np.generic]


def take_known_branches(model: ir.Model) -> bool:
    """Replace each If of a known condition by the branch that it runs, in place, and return whether there was one."""
    opset, modified = model.opset_imports.get("", 0), False
    for graph in edit.graphs_of(model):
        for node in list(graph):
            if node.op_type != "If" or node.domain != "" or node.inputs[0] is None:
                continue
            condition = _known(node.inputs[0], opset)
            if condition is not None:
                _inline(graph, node, "then_branch" if condition.item() else "else_branch")
                modified = True
    return modified


def _inline(graph: ir.Graph, node: ir.Node, name: str) -> None:
    branch = node.attributes[name].as_graph()
    outputs, inner = list(branch.outputs), list(branch)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        del branch.initializers[str(value.name)]
        graph.register_initializer(value)
    branch.remove(inner)
    graph.insert_before(node, inner)
    for old, new in zip(node.outputs, outputs, strict=True):
        edit.replace_uses(graph, old, new)
    edit.remove_dead(node)


_COMPUTED = frozenset(
    {
        "Add", "And", "Cast", "Concat", "Div", "Equal", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less",
        "LessOrEqual", "Mod", "Mul", "Not", "Or", "ReduceProd", "ReduceSum", "Reshape", "Size", "Slice", "Squeeze",
        "Sub", "Unsqueeze", "Where", "Xor",
    }
)  # fmt: skip
"""The operators that conditions are computed with."""


def _known(value: ir.Value, opset: int) -> Array | None:
    """Compute ``value`` from constants and static shapes; None if they do not determine it."""
    if (tensor := constant_of(value)) is not None:
        return tensor.numpy()
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type in ("Shape", "Size"):
        return _size(node)
    if node.op_type not in _COMPUTED:
        return None
    operands = {str(each.name): _known(each, opset) for each in node.inputs if each is not None}
    if any(each is None for each in operands.values()):
        return None
    proto = ir.to_proto(node)
    graph = onnx.helper.make_graph(
        [proto],
        "condition",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in operands],
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in proto.output],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    from onnx.reference import ReferenceEvaluator  # all operators of ONNX in Python: 8 MB, which few models need

    results = ReferenceEvaluator(model).run([str(value.name)], operands)
    assert isinstance(results, list)
    return np.asarray(results[0])


def _size(node: ir.Node) -> Array | None:
    source = node.inputs[0]
    if source is None or source.shape is None or not source.shape.is_static():
        return None
    sizes = np.array(source.shape.numpy(), np.int64)
    if node.op_type == "Size":
        return np.array(sizes.prod(), np.int64)
    end = node.attributes["end"].as_int() if "end" in node.attributes else None
    return sizes[node.attributes.get_int("start", 0) : end]
