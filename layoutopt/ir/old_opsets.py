"""Models of opsets before the oldest that is known here, raised to that."""

from __future__ import annotations

import onnx
import onnx.version_converter


def raise_opset(proto: onnx.ModelProto, oldest: int) -> onnx.ModelProto:
    """Return ``proto`` at the opset ``oldest``, if it is older and ONNX's own converter can do it."""
    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or max(versions) >= oldest:
        return proto
    try:
        aligned = _with_aligned_operands(proto)
        newer = onnx.version_converter.convert_version(aligned, oldest)
        del newer.graph.value_info[:]  # some of what it writes there is wrong
        return newer
    except Exception:  # it raises what its C++ part raises; the check of the opset has a better message
        return proto


def _with_aligned_operands(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``proto`` without the attribute ``axis`` of arithmetic before opset 7, which the converter gets wrong.

    The second operand gets the trailing axes of size 1 that today's broadcasting needs.
    """
    model = onnx.shape_inference.infer_shapes(proto)
    graph = model.graph
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            ranks.setdefault(value.name, len(value.type.tensor_type.shape.dim))
    nodes = []
    for node in graph.node:
        axis = next((each.i for each in node.attribute if each.name == "axis"), None)
        if axis is not None and any(each.name == "broadcast" and each.i for each in node.attribute):
            first, second = node.input
            behind = range(ranks[second], ranks[first] - axis % ranks[first])
            if behind:
                name = f"{node.output[0]}_aligned"
                nodes.append(onnx.helper.make_node("Unsqueeze", [second], [name], axes=list(behind)))
                node.input[1] = name
            kept = [each for each in node.attribute if each.name != "axis"]
            del node.attribute[:]
            node.attribute.extend(kept)
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    return model
