"""Checks for what ONNX's checker lets through and breaks native code: divisors of 0, little that becomes gigabytes.

Nothing here runs a model. What cannot be known without running it is left to the limits of the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from layoutopt.errors import InvalidModelError
from layoutopt.ir.protos import all_nodes

_POSITIVE = frozenset(
    {
        *("blocksize", "dilations", "group", "head_size", "hidden_size", "kernel_shape", "kv_num_heads"),
        *("num_groups", "num_heads", "num_outputs", "output_height", "output_width", "q_num_heads", "size", "strides"),
    }
)
"""Attributes that an operator divides by, or takes for a size."""

MAX_CONSTANT = 1 << 30
"""Bytes that a result of small constants may have."""

_GROWTH = 4
"""The factor, over the bytes of the largest weight, that a result of constants may always have."""

MAX_INLINED = 1_000_000
"""Nodes that a model may have when all calls of its own functions are replaced by their bodies."""

MAX_ITERATED = 100_000_000
"""The nodes that may run in loops whose numbers of iterations are constant: minutes of ONNX Runtime's time."""


def require_sound(proto: onnx.ModelProto, name: str, weights: Iterable[str] = ()) -> None:
    """Refuse a model on which native code would crash or not end, as far as that can be seen.

    Args:
        proto: a model that ONNX's checker has accepted.
        name: what errors call it.
        weights: those of its inputs that stand for constants.

    Raises:
        InvalidModelError: names the node and what is wrong with it.
    """
    nodes = [*all_nodes(proto.graph), *(node for function in proto.functions for node in function.node)]
    complaints = (
        *_wrong_attributes(nodes),
        *_too_many_calls(proto),
        *_endless_loops(proto.graph, _constants(proto.graph), 1),
        *_large_constants(proto, frozenset(weights)),
    )
    for complaint in complaints[:1]:
        raise InvalidModelError(f"{name}: {complaint}")


def _called(node: onnx.NodeProto) -> str:
    return f"node {node.name or next(iter(node.output), '')!r} ({node.op_type})"


def _wrong_attributes(nodes: list[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.name in _POSITIVE and not attribute.ref_attr_name:
                numbers = [attribute.i] if attribute.type == onnx.AttributeProto.INT else [*attribute.ints]
                if numbers and min(numbers) < 1:
                    yield f"{_called(node)}: {attribute.name} of {min(numbers)}, which has to be at least 1"


# --- functions -------------------------------------------------------------------------------------------------------


def _too_many_calls(proto: onnx.ModelProto) -> Iterator[str]:
    """Complain of functions whose bodies, substituted for each call, are too many nodes."""
    bodies = {(each.domain, each.name): [*all_nodes(each)] for each in proto.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size_of(nodes: list[onnx.NodeProto]) -> int:
        return sum(size_of_call((node.domain, node.op_type)) for node in nodes)

    def size_of_call(key: tuple[str, str]) -> int:
        if key not in bodies:
            return 1
        if key not in sizes:
            sizes[key] = min(size_of(bodies[key]), MAX_INLINED + 1)
        return sizes[key]

    if bodies and size_of([*all_nodes(proto.graph)]) > MAX_INLINED:
        yield f"its functions call each other so often that they are over {MAX_INLINED:,} nodes"


# --- loops -----------------------------------------------------------------------------------------------------------


def _endless_loops(graph: onnx.GraphProto, outer: Mapping[str, onnx.TensorProto], times: int) -> Iterator[str]:
    """Complain of each loop of constant length that runs too many nodes, which itself runs ``times`` times."""
    constants = {**outer, **_constants(graph)}
    for node in graph.node:
        bodies = [body for each in node.attribute for body in (each.g, *each.graphs) if body.node]
        count = _iterations(node, constants) if node.op_type == "Loop" else 1
        if count is None:
            yield f"{_called(node)}: it never ends"
            continue
        for body in bodies:
            total = times * count * len(body.node)
            if total > MAX_ITERATED:
                yield f"{_called(node)}: it runs {times * count:,} times, {total:,} nodes in all"
            else:
                yield from _endless_loops(body, constants, times * count)


def _iterations(loop: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> int | None:
    """Return how often a Loop runs at least: 1 where that is known at run time only, None where it never ends."""
    count, condition = (*loop.input, "", "")[:2]
    body = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    if not _goes_on(body, condition, constants):
        return 1
    if not count:
        return None
    return max(1, int(to_array(constants[count]).reshape(-1)[0])) if count in constants else 1


def _goes_on(body: onnx.GraphProto, condition: str, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Say whether the condition of a Loop is true whatever it computes."""
    if condition and not (condition in constants and to_array(constants[condition]).all()):
        return False
    aliases = {node.output[0]: node.input[0] for node in body.node if node.op_type == "Identity"}
    decides, inside = body.output[0].name, {**constants, **_constants(body)}
    for _ in body.node:
        decides = aliases.get(decides, decides)
    return decides == body.input[1].name or (decides in inside and bool(to_array(inside[decides]).all()))


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the tensors that a graph has of its own, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer if not tensor.external_data}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((name, each.t) for name in node.output for each in node.attribute if each.name == "value")
    return found


_BODIES = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


# --- constants -------------------------------------------------------------------------------------------------------


def _large_constants(proto: onnx.ModelProto, weights: frozenset[str]) -> Iterator[str]:
    """Complain of nodes that make gigabytes of constants alone, as far as shape inference can tell."""
    inputs = {value.name: _bytes(value.type.tensor_type) for value in proto.graph.input}
    known = {tensor.name for tensor in proto.graph.initializer} - inputs.keys() | weights
    largest = max(MAX_CONSTANT, _GROWTH * max((inputs.get(name, 0) for name in weights), default=0))
    nodes = []
    for node in proto.graph.node:
        is_known = node.op_type in ("Shape", "Size") or all(not name or name in known for name in node.input)
        if is_known and not any(each.type in _BODIES for each in node.attribute):
            nodes.append(node)
            known.update(node.output)
    if all(node.op_type == "Constant" for node in nodes):
        return
    alone = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    alone.graph.node.extend(nodes)
    alone.graph.input.extend(proto.graph.input)
    alone.graph.initializer.extend(tensor for tensor in proto.graph.initializer if tensor.name in known)
    makers = {name: node for node in nodes for name in node.output}
    for data_prop in (False, True):  # which computes shapes, as large as they may be, so the plain way goes first
        try:
            inferred = onnx.shape_inference.infer_shapes(alone, data_prop=data_prop)
        except Exception:  # of its C++ part; whatever is wrong is told by what comes later
            return
        for value in inferred.graph.value_info:
            size = _bytes(value.type.tensor_type)
            if size > largest:
                yield f"{_called(makers[value.name])}: {size / 1e9:.1f} GB of constants alone"
                return


def _bytes(kind: onnx.TypeProto.Tensor) -> int:
    """Return the bytes of a tensor; 0 where its shape is not known."""
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    try:
        width = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).itemsize
    except KeyError:
        return 0
    return math.prod(sizes) * width
