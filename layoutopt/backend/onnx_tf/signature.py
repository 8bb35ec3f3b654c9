"""Puts a `serving_default` signature with the ONNX names into a .tflite.

The converter writes signatures only for a SavedModel, and with names that Python takes for arguments. Here they go
into the flatbuffer itself: a signature may hold any string.
"""

from __future__ import annotations

from collections.abc import Sequence

from layoutopt.backend.litert.flatbuffer import pack
from layoutopt.backend.onnx_tf.infinities import restore
from layoutopt.tfl.schema import schema


def sign(content: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """The same .tflite with a signature, with inputs and outputs that bear their ONNX names, and with infinities.

    Args:
        content: a .tflite with one subgraph, its inputs and outputs in the order of the names.
        inputs: ONNX names of the graph's inputs.
        outputs: ONNX names of the graph's outputs.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    restore(model)
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = b"serving_default"
    signature.subgraphIndex = 0
    signature.inputs = _maps(graph, list(graph.inputs), inputs)
    signature.outputs = _maps(graph, list(graph.outputs), outputs)
    model.signatureDefs = [signature]
    return pack(model, size=len(content))


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
