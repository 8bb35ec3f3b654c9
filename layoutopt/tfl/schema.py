"""The flatbuffer schema of .tflite files: the one place that imports it.

It is LiteRT's own, with an object API (``ModelT``), and costs a tenth of a second to import.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from ai_edge_litert import schema_py_generated as schema

__all__ = [
    "IDENTIFIER",
    "OPERATOR_CODES",
    "OPERATOR_NAMES",
    "decode_options",
    "default_options",
    "encode_options",
    "names_of",
    "schema",
]

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a .tflite file."""

OPERATOR_NAMES: Mapping[int, str] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
"""The name of each builtin operator by its code."""
OPERATOR_CODES: Mapping[str, int] = {name: code for code, name in OPERATOR_NAMES.items()}

_ENUMERATIONS: Mapping[str, type] = {
    "fusedActivationFunction": schema.ActivationFunctionType,
    "inDataType": schema.TensorType,
    "outDataType": schema.TensorType,
    "outType": schema.TensorType,
    "outputType": schema.TensorType,
    "idxOutType": schema.TensorType,
    "quantizedBiasType": schema.TensorType,
    "padding": schema.Padding,
    "weightsFormat": schema.FullyConnectedOptionsWeightsFormat,
}
"""Fields of options that hold a member of an enumeration, by its number."""


@cache
def names_of(enumeration: type) -> Mapping[int, str]:
    """Return the names of an enumeration's members by number."""
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


@cache
def default_options(options: str) -> Mapping[str, Any]:
    """Return the fields of a table of options with the schema's defaults.

    Args:
        options: name of the table, for example ``Conv2DOptions``; empty for none.
    """
    return {} if not options else decode_options(getattr(schema, f"{options}T")())


def decode_options(table: Any) -> dict[str, Any]:
    """Return the fields of a table of options by their names in snake case, members of enumerations by name."""
    decoded = {}
    for field, value in vars(table).items():
        enumeration = _enumeration(type(table).__name__, field)
        decoded[_snake_case(field)] = names_of(enumeration)[value] if enumeration else value
    return decoded


def encode_options(options: str, values: Mapping[str, Any]) -> Any:
    """Return the table of options that `decode_options` gives ``values`` of.

    Args:
        options: name of the table, for example ``Conv2DOptions``.
        values: its fields; those that are missing have the schema's defaults.
    """
    table = getattr(schema, f"{options}T")()
    for field in vars(table):
        if (value := values.get(_snake_case(field))) is not None:
            enumeration = _enumeration(type(table).__name__, field)
            setattr(table, field, getattr(enumeration, value) if enumeration else value)
    return table


def _enumeration(table: str, field: str) -> type | None:
    if field == "mode":
        return schema.MirrorPadMode if table == "MirrorPadOptionsT" else None
    return _ENUMERATIONS.get(field)


@cache
def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
