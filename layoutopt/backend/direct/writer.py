"""Writes a graph to a .tflite: a small header first, and the weights streamed after it.

The header is a flatbuffer whose tables of buffers point forward to where their elements will be, which is patched in
once the header's length is known. To any reader that is a plain flatbuffer. Flatbuffers end at 2 GB; above that,
buffers tell where their elements are in the file by offset and size, which LiteRT reads and TFLite Micro does not.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import flatbuffers  # type: ignore[import-untyped]

from layoutopt.arrays import chunks
from layoutopt.backend.direct.tables import tables_of
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Model, Value
from layoutopt.tfl.schema import IDENTIFIER

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT

_ALIGNMENT = 16
"""Of elements in the file; the schema asks for it."""
_MAX_FLATBUFFER = (1 << 31) - 1


def write_tflite(
    model: Model,
    path: Path,
    *,
    data_after: bool | None = None,
    defaults: Mapping[Value, Sequence[int]] | None = None,
) -> None:
    """Write a .tflite file.

    Args:
        model: to be written; it is not changed.
        path: of the file, which is overwritten.
        data_after: whether buffers tell their elements' offset and size in the file instead of being part of the
            flatbuffer; None for whether they have to.
        defaults: the shapes that values of unknown sizes have until an input is resized; 1 is the size of others.

    Raises:
        ValueError: an operation reads what nothing computes.
    """
    tables, arrays = tables_of(model, defaults or {})
    write_tables(tables, arrays, path, data_after=data_after)


def write_tables(tables: ModelT, arrays: Sequence[Array | None], path: Path, *, data_after: bool | None = None) -> None:
    """Write a .tflite file from its tables without buffers and the content of each buffer, as `write_tflite` does."""
    if data_after is None:
        header = _Header(tables, arrays, external=False)
        if header.end > _MAX_FLATBUFFER:
            header = _Header(tables, arrays, external=True)
    else:
        header = _Header(tables, arrays, external=data_after)
    with path.open("wb") as file:
        header.write(file)


@dataclass(slots=True)
class _Slot:
    """A table of the header that is to tell where an array is.

    Attributes:
        size: bytes of the array; 0 for the buffer of all that has no elements.
        external: whether it gives the offset in the file.
        fields: distances of its fields from the end of the header.
    """

    size: int
    external: bool
    fields: list[int] = field(default_factory=list)

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  (the generated name)
        builder.StartObject(3)
        if self.size and self.external:
            builder.PrependUint64Slot(1, 1, 0)
            self.fields = [builder.Offset()]
            builder.PrependUint64Slot(2, 1, 0)
            self.fields.append(builder.Offset())
        elif self.size:
            builder.PrependUint32Slot(0, 1, 0)
            self.fields = [builder.Offset()]
        offset: int = builder.EndObject()
        return offset


class _Header:
    """The flatbuffer before the elements, and where those go.

    Attributes:
        end: length of the file.
    """

    def __init__(self, tables: ModelT, arrays: Sequence[Array | None], *, external: bool) -> None:
        slots = [_Slot(0 if array is None else array.nbytes, external) for array in arrays]
        tables.buffers = slots
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(tables.Pack(builder), IDENTIFIER)
        self._bytes = bytearray(builder.Output())
        self._length = 0 if external else struct.calcsize("<I")  # of the count before a vector's elements
        self._data: list[tuple[int, int, Array]] = []
        self.end = len(self._bytes)
        for slot, array in zip(slots, arrays, strict=True):
            if array is not None:
                start = self.end + self._length
                start += -start % _ALIGNMENT
                self._patch(slot, start)
                self._data.append((start, slot.size, array))
                self.end = start + slot.size

    def _patch(self, slot: _Slot, start: int) -> None:
        places = [len(self._bytes) - distance for distance in slot.fields]
        if slot.external:
            struct.pack_into("<Q", self._bytes, places[0], start)
            struct.pack_into("<Q", self._bytes, places[1], slot.size)
        elif (distance := start - self._length - places[0]) <= _MAX_FLATBUFFER:
            struct.pack_into("<I", self._bytes, places[0], distance)

    def write(self, file: BinaryIO) -> None:
        """Write the file."""
        file.write(self._bytes)
        at = len(self._bytes)
        for start, size, array in self._data:
            file.write(bytes(start - self._length - at))
            if self._length:
                file.write(struct.pack("<I", size))
            for chunk in chunks(array):
                file.write(chunk)
            at = start + size
