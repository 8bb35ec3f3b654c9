"""Writes a .tflite from the schema's object classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from layoutopt.tfl.schema import IDENTIFIER

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import BufferT, ModelT

_ALIGNMENT = 16  # force_align of Buffer.data in the schema, which flatbuffers' object API for Python does not heed


def pack(model: ModelT, *, size: int) -> bytes:
    """The file of ``model``; ``size`` is about how large it will be."""
    packed = copy.copy(model)
    packed.buffers = [_aligned(buffer) for buffer in model.buffers]
    builder = flatbuffers.Builder(size + 4096)
    builder.Finish(packed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@dataclass(frozen=True, slots=True)
class _AlignedBuffer:
    """A buffer whose data start on a 16-byte boundary, as the C++ writer has it."""

    data: npt.NDArray[np.uint8] | None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  (the generated name)
        vector = None
        if self.data is not None and len(self.data):
            raw = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head -= len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            vector = builder.EndVector()
        builder.StartObject(1)
        if vector is not None:
            builder.PrependUOffsetTRelativeSlot(0, vector, 0)
        offset: int = builder.EndObject()
        return offset


def _aligned(buffer: BufferT) -> _AlignedBuffer:
    if buffer.offset > 1:  # data after the flatbuffer, which only models beyond 2 GB have
        raise RuntimeError("models with data outside the flatbuffer are not supported")
    return _AlignedBuffer(buffer.data)
