"""The options of LiteRT's own custom operators: a map in a FlexBuffer."""

from __future__ import annotations

from collections.abc import Mapping

from flatbuffers import flexbuffers  # type: ignore[import-untyped]

OptionValue = bool | int | float


def encode(options: Mapping[str, OptionValue]) -> bytes:
    """Return a FlexBuffer of a map."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, value in sorted(options.items()):  # readers search it
            match value:
                case bool():
                    builder.Bool(name, value)
                case int():
                    builder.Int(name, value)
                case float():
                    builder.Float(name, value)
    return bytes(builder.Finish())


def decode(data: bytes) -> Mapping[str, OptionValue] | None:
    """Return the map of a FlexBuffer; None where the bytes are something else, as other custom operators have it."""
    try:
        found = flexbuffers.Loads(bytearray(data))
    except Exception:  # it reads whatever the bytes point to
        return None
    return found if isinstance(found, dict) else None
