"""The operators of ONNX, as its schemas describe them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import onnx
import onnx_ir as ir


def newest_opset() -> int:
    """Return the newest opset of the default domain that is known here."""
    return onnx.defs.onnx_opset_version()


def opsets_of() -> Mapping[str, int]:
    """Return every operator of the default domain that was not withdrawn, with the opset that brought it."""
    first: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            first[schema.name] = min(schema.since_version, first.get(schema.name, schema.since_version))
    current = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == "" and not schema.deprecated}
    return {name: first[name] for name in sorted(current)}


def is_well_typed(node: ir.Node, opset: int) -> bool:
    """Return whether ONNX knows all attributes of ``node``, of the default domain, with just these types."""
    kinds = attribute_types(node.op_type, opset)
    return all(kinds.get(attribute.name) == attribute.type for attribute in node.attributes.values())


@lru_cache(maxsize=1024)
def attribute_types(operator: str, opset: int) -> Mapping[str, ir.AttributeType]:
    """Return the attributes of an operator of the default domain; none where ``opset`` has no such operator."""
    try:
        schema = onnx.defs.get_schema(operator, opset)
    except onnx.defs.SchemaError:
        return {}
    # Its stubs lack ``value``, which is all that can be told from it.
    kinds = {name: int(attribute.type.value) for name, attribute in schema.attributes.items()}  # type: ignore[attr-defined]
    return {name: ir.AttributeType(kind) for name, kind in kinds.items()}


@lru_cache(maxsize=1024)
def operand_names(operator: str, opset: int) -> tuple[str, ...]:
    """Return the names of the operands of an operator of the default domain; the last may be variadic."""
    try:
        return tuple(each.name for each in onnx.defs.get_schema(operator, opset).inputs)
    except onnx.defs.SchemaError:
        return ()


@dataclass(frozen=True, slots=True)
class TypeVariables:
    """The operands and results of an operator that share one element type.

    Attributes:
        operands: the type variable of each operand; more operands have the last. None for a list of mixed types.
        results: the type variable of each result; more results have the last.
    """

    operands: tuple[str | None, ...]
    results: tuple[str, ...]


@lru_cache(maxsize=1024)
def type_variables(operator: str, opset: int, domain: str) -> TypeVariables | None:
    """Return the type variables of an operator; None where ONNX does not know it."""
    try:
        schema = onnx.defs.get_schema(operator, opset, domain)
    except onnx.defs.SchemaError:
        return None
    operands = tuple(each.type_str if each.is_homogeneous else None for each in schema.inputs)
    return TypeVariables(operands, tuple(each.type_str for each in schema.outputs))
