"""TensorFlow Lite's metadata: a flatbuffer in the file that tells apps what inputs and outputs mean.

The part of its schema (``metadata_schema.fbs`` of the TensorFlow authors, identifier M001) that is written and read
here is the table below. Numbers of fields and of members of unions are those of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from flatbuffers import encode, number_types
from flatbuffers.table import Table  # type: ignore[import-untyped]

NAME = "TFLITE_METADATA"
"""The name of the buffer in a .tflite."""
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
"""The oldest version of Android's parser that knows all that is written here."""

Fields: TypeAlias = "dict[str, Any]"
"""A table: text, numbers, lists of floats or of text, tables, and lists of tables, by their names."""

_SCHEMA: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ModelMetadata": {
        "name": (0, "text"),
        "description": (1, "text"),
        "version": (2, "text"),
        "subgraph_metadata": (3, "[SubGraphMetadata]"),
        "author": (4, "text"),
        "license": (5, "text"),
        "associated_files": (6, "[AssociatedFile]"),
        "min_parser_version": (7, "text"),
    },
    "SubGraphMetadata": {
        "input_tensor_metadata": (2, "[TensorMetadata]"),
        "output_tensor_metadata": (3, "[TensorMetadata]"),
    },
    "TensorMetadata": {
        "name": (0, "text"),
        "description": (1, "text"),
        "dimension_names": (2, "[text]"),
        "content": (3, "Content"),
        "process_units": (4, "[ProcessUnit]"),
        "stats": (5, "Stats"),
        "associated_files": (6, "[AssociatedFile]"),
    },
    "Content": {"image": (0, "2:ImageProperties"), "feature": (0, "1:FeatureProperties")},
    "ImageProperties": {"color_space": (0, "byte")},
    "FeatureProperties": {},
    "ProcessUnit": {"normalization": (0, "1:NormalizationOptions")},
    "NormalizationOptions": {"mean": (0, "floats"), "std": (1, "floats")},
    "Stats": {"max": (0, "floats"), "min": (1, "floats")},
    "AssociatedFile": {"name": (0, "text"), "description": (1, "text"), "type": (2, "byte")},
}
"""Field and kind by name in each table; ``2:Table`` is the second member of a union, whose type is the field before."""

COLOR_SPACES = {"rgb": 1, "grayscale": 2}
TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS = 2, 3
"""Types of associated files: names of the indices of an axis, and of the values."""


def encoded(fields: Fields) -> bytes:
    """Return a ``ModelMetadata`` as a flatbuffer."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_pack(builder, "ModelMetadata", fields), IDENTIFIER)
    return bytes(builder.Output())


def decoded(data: bytes) -> Fields:
    """Return the fields of a ``ModelMetadata`` that are known here.

    Raises:
        ValueError: it is none, or it is damaged.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError("not a flatbuffer of TensorFlow Lite's metadata")
    try:
        root = encode.Get(number_types.UOffsetTFlags.packer_type, data, 0)
        return _unpack("ModelMetadata", Table(data, root))
    except Exception as error:  # whatever NumPy, struct and UnicodeDecodeError say of wrong offsets
        raise ValueError(f"damaged metadata ({error})") from error


def _pack(builder: Any, table: str, fields: Fields) -> int:
    """Write a table after everything that it refers to, and return its offset."""
    schema = _SCHEMA[table]
    offsets = {name: _offset(builder, schema[name][1], value) for name, value in fields.items()}
    builder.StartObject(1 + max((slot + (":" in kind) for slot, kind in schema.values()), default=-1))
    for name, value in offsets.items():
        slot, kind = schema[name]
        if kind == "byte":
            builder.PrependInt8Slot(slot, value, 0)
            continue
        if ":" in kind:
            builder.PrependUint8Slot(slot, int(kind.partition(":")[0]), 0)
            slot += 1
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    offset: int = builder.EndObject()
    return offset


def _offset(builder: Any, kind: str, value: Any) -> int:
    """Write a value and return its offset; for a number, which is stored in its table, the number itself."""
    found: int
    if kind == "byte":
        return int(value)
    if kind == "text":
        found = builder.CreateString(value)
    elif kind == "floats":
        found = builder.CreateNumpyVector(np.asarray(value, np.float32))
    elif kind.startswith("["):
        found = _vector(builder, [_offset(builder, kind[1:-1], each) for each in value])
    else:
        found = _pack(builder, kind.rpartition(":")[2], value)
    return found


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    found: int = builder.EndVector()
    return found


def _unpack(table: str, found: Any) -> Fields:
    fields: Fields = {}
    for name, (slot, kind) in _SCHEMA[table].items():
        if ":" in kind:
            tag, _, kind = kind.partition(":")
            if _number(found, slot) != int(tag):
                continue
            slot += 1
        if place := found.Offset(4 + 2 * slot):
            fields[name] = _value(found, kind, place)
    return fields


def _number(table: Any, slot: int) -> int:
    place = table.Offset(4 + 2 * slot)
    return int(table.Get(number_types.Int8Flags, place + table.Pos)) if place else 0


def _value(table: Any, kind: str, place: int) -> Any:
    if kind == "byte":
        return int(table.Get(number_types.Int8Flags, place + table.Pos))
    if kind == "text":
        return table.String(place + table.Pos).decode()
    if kind == "floats":
        return table.GetVectorAsNumpy(number_types.Float32Flags, place).tolist()
    if kind.startswith("["):
        start = table.Vector(place)
        if start + 4 * table.VectorLen(place) > len(table.Bytes):
            raise ValueError("a vector ends after the file")
        places = [start + 4 * at for at in range(table.VectorLen(place))]
        if kind == "[text]":
            return [table.String(each).decode() for each in places]
        return [_unpack(kind[1:-1], Table(table.Bytes, table.Indirect(each))) for each in places]
    return _unpack(kind, Table(table.Bytes, table.Indirect(place + table.Pos)))
