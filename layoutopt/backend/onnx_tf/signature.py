"""Puts a `serving_default` signature with the ONNX names into a .tflite.

The converter writes signatures only for a SavedModel, and with names that Python takes for arguments. Here they go
into the flatbuffer itself: a signature may hold any string.
"""

from __future__ import annotations

from collections.abc import Sequence

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_ALIGNMENT = 16  # force_align of Buffer.data in the schema, which flatbuffers' object API for Python does not heed
_IDENTIFIER = b"TFL3"


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data start on a 16-byte boundary, as the C++ writer has it."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  (the generated name)
        data = None
        if self.data is not None and len(self.data):
            raw = np.asarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head -= len(raw)
            builder.Bytes[builder.head : builder.head + len(raw)] = raw
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        offset: int = schema.BufferEnd(builder)
        return offset


def sign(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The same .tflite with a signature and with inputs and outputs that bear their ONNX names.

    Args:
        content: a .tflite with one subgraph, its inputs and outputs in the order of the names.
        inputs: ONNX names of the graph's inputs.
        outputs: ONNX names of the graph's outputs.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = b"serving_default"
    signature.subgraphIndex = 0
    signature.inputs = _maps(graph, list(graph.inputs), inputs)
    signature.outputs = _maps(graph, list(graph.outputs), outputs)
    model.signatureDefs = [signature]
    model.buffers = [_aligned(buffer) for buffer in model.buffers]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _maps(graph: schema.SubGraphT, indices: Sequence[int], names: Sequence[str]) -> list[schema.TensorMapT]:
    if len(indices) != len(names):
        raise RuntimeError(f"the .tflite has {len(indices)} inputs or outputs where the model has {len(names)}")
    maps = []
    for index, name in zip(indices, names, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        graph.tensors[index].name = name.encode()
        maps.append(entry)
    return maps


def _aligned(buffer: schema.BufferT) -> _AlignedBuffer:
    if buffer.offset > 1:  # data after the flatbuffer, which only models beyond 2 GB have
        raise RuntimeError("models with data outside the flatbuffer are not supported")
    aligned = _AlignedBuffer()
    aligned.data = buffer.data
    return aligned
