"""The bodies that ONNX gives for operators that are functions of others."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir


def body_of(node: ir.Node, opset: int) -> ir.Function | None:
    """Return the function that ``node``, of the default domain, is by ONNX's own definition.

    Args:
        node: with operands of known element types; how the body looks may depend on them.
        opset: of the model.

    Returns:
        A function of the node's operands and attributes, which has no defaults for what the node leaves out; None where
        ONNX has no body for this node at this opset.
    """
    schema: Any = onnx.defs.get_schema(node.op_type, opset)  # its stubs lack most of what follows
    plain = [version for version in schema.function_opset_versions if version <= opset]
    by_context = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    if plain:
        content = schema.get_function_with_opset_version(max(plain))
    elif by_context:
        types = [b"" if value is None else _type(value) for value in node.inputs]
        proto = ir.serde.serialize_node(node).SerializeToString()
        content = schema.get_context_dependent_function_with_opset_version(max(by_context), proto, types)
    else:
        return None
    function = onnx.FunctionProto.FromString(content)
    return ir.serde.deserialize_function(_whole(function)) if function.node else None


def _whole(function: onnx.FunctionProto) -> onnx.FunctionProto:
    """Return ``function`` with something for the results that it leaves out, since the node has no use for them."""
    made = {*function.input, *(name for node in function.node for name in node.output)}
    function.node.extend(
        onnx.helper.make_node("Identity", [function.input[0]], [name]) for name in function.output if name not in made
    )
    return function


def _type(value: ir.Value) -> bytes:
    return ir.serde.serialize_value(value).type.SerializeToString()


def defaults_of(operator: str, opset: int) -> list[ir.Attr]:
    """Return the attributes of an operator of the default domain that have a value even where a node names none."""
    schema = onnx.defs.get_schema(operator, opset)
    named = [attribute.default_value for attribute in schema.attributes.values()]
    return [ir.serde.deserialize_attribute(value) for value in named if value.name]
