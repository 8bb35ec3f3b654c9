"""onnx-tf's backend with our handlers, constants kept as arrays, and one plain trace of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.compat import import_onnx_tf
from layoutopt.backend.onnx_tf.fusions import fused
from layoutopt.backend.onnx_tf.handlers import Items, Node, Operand, handler_of
from layoutopt.backend.onnx_tf.handlers.node import Body, UnknownShapeError, decoded_attributes, is_static
from layoutopt.backend.onnx_tf.handlers.types import adapted, foreign_values
from layoutopt.backend.onnx_tf.infinities import hidden
from layoutopt.backend.onnx_tf.names import identifiers, scope_of
from layoutopt.errors import DynamicShapeError, LayoutoptError, UnsupportedOperatorError

onnx_tf = import_onnx_tf()
from onnx_tf.pb_wrapper import OnnxNode  # noqa: E402  (importable only now)

_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}

_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(sorted(_RANDOM), "draw the numbers outside and give them to the model"),
    **dict.fromkeys(
        ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
        "work on the text outside and give the model numbers",
    ),
    "DynamicQuantizeLSTM": "use an LSTM with float weights",
    "FlexAttention": "use an Attention",
    "ImageDecoder": "decode the image outside and give the model its pixels",
    "MaxRoiPool": 'use a RoiAlign with mode = "max"',
}
"""The nearest way out for operators that nobody handles."""

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class LayoutoptBackend(onnx_tf.TensorflowBackend):  # type: ignore[misc,name-defined]
    """`prepare()` as onnx-tf has it; what it overrides are onnx-tf's own hooks."""

    @classmethod
    def _onnx_initializer_to_input_dict_items(
        cls, initializer: Iterable[onnx.TensorProto], training_mode: bool = False
    ) -> list[tuple[str, Operand]]:
        """Arrays, where onnx-tf makes a Python list of every weight."""
        assert not training_mode
        return [(tensor.name, onnx.numpy_helper.to_array(tensor)) for tensor in initializer]


def unsupported_nodes(model: onnx.ModelProto) -> list[str]:
    """Every node that nobody handles, as ``name: operator (domain, opset)``, subgraphs included."""
    handlers = LayoutoptBackend._get_handlers(model.opset_import)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    lost = []
    for node in _all_nodes(model.graph):
        if handler_of(node.domain, node.op_type) is not None:
            continue
        theirs = handlers.get(node.domain, {}).get(node.op_type)
        if theirs is None or theirs.SINCE_VERSION not in theirs.get_versions():
            name = node.name or (node.output[0] if node.output else "?")
            domain, instead = node.domain or "ai.onnx", _INSTEAD.get(node.op_type)
            line = f"{name}: {node.op_type} ({domain}, opset {versions.get(node.domain, '?')})"
            lost.append(f"{line}; instead, {instead}" if instead else line)
    return lost


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _all_nodes(subgraph)


@dataclass(frozen=True, slots=True)
class Traced:
    """A graph as TensorFlow has it.

    Attributes:
        function: the concrete function; its operands and results are in the order of the ONNX graph.
        inputs: the ONNX names of its operands.
        outputs: the ONNX names of its results.
    """

    function: tf.types.experimental.ConcreteFunction
    inputs: list[str]
    outputs: list[str]

    def python_operators(self) -> list[str]:
        """Names of operators that call back into Python, which no .tflite can."""
        operations = self.function.graph.get_operations()
        return [operation.name for operation in operations if operation.type in _PYTHON]


def prepare(model: onnx.ModelProto) -> object:
    """onnx-tf's representation of the model.

    Raises:
        UnsupportedOperatorError: no handler for some operators, or values of types that no .tflite can hold.
        DynamicShapeError: an input has a symbolic dimension.
        ValidationError: the checker refuses the model.
    """
    if lost := unsupported_nodes(model):
        raise UnsupportedOperatorError(
            "no handler for " + ("this node:\n  " if len(lost) == 1 else "these nodes:\n  ") + "\n  ".join(lost),
            hint="Rewrite them in terms of other operators, or add a handler to layoutopt/backend/onnx_tf/handlers.",
        )
    if foreign := list(foreign_values(model.graph)):
        raise UnsupportedOperatorError(
            "no .tflite can hold the type of "
            + ("this value:\n  " if len(foreign) == 1 else "these values:\n  ")
            + "\n  ".join(foreign),
            hint="Leave out the nodes that make or read them, or let them work on another type.",
        )
    rep: object = LayoutoptBackend.prepare(model, logging_level="WARNING")
    return rep


def trace(model: onnx.ModelProto, rep: object) -> Traced:
    """Runs every handler once, without AutoGraph: handlers decide everything on static shapes."""
    module = rep.tf_module  # type: ignore[attr-defined]
    constants: dict[str, Operand] = {**module.initializer_dict, **module.handler_variables}
    inputs = [value for value in model.graph.input if value.name not in constants]
    names = [value.name for value in inputs]
    outputs = [value.name for value in model.graph.output]
    specs = [
        tf.TensorSpec(_static_shape(value), _type(value), name=name)
        for value, name in zip(inputs, identifiers(names), strict=True)
    ]

    nodes, (read, declared) = fused(model.graph), _read_and_declared(model.graph)

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        values = {**constants, **dict(zip(names, tensors, strict=True))}
        refused: list[UnsupportedOperatorError] = []
        for node in nodes:
            try:
                results = _run(node, values, module.handlers, model.opset_import, read, declared)
            except UnsupportedOperatorError as error:
                refused.append(error)
                if (stand_ins := _stand_ins(node, declared)) is None:
                    break
                results = stand_ins  # so that all nodes that cannot be translated are told at once
            values.update(zip(node.output, results, strict=False))
        if refused:
            raise _together(refused)
        return [_tensor(values[name], name) for name in outputs]

    function = tf.function(run, autograph=False).get_concrete_function(*specs)
    return Traced(function, names, outputs)


def _stand_ins(node: onnx.NodeProto, declared: Mapping[str, onnx.ValueInfoProto]) -> Sequence[Operand] | None:
    """Something of the shapes that the model states for the results of ``node``; None where it states none."""
    stated = [declared.get(name) for name in node.output if name]
    shapes = [(value, _stated_shape(value)) for value in stated if value is not None]
    if len(shapes) < len(node.output) or any(shape is None for _, shape in shapes):
        return None
    return [tf.zeros(shape, _type(value)) for value, shape in shapes]


def _together(refused: Sequence[UnsupportedOperatorError]) -> UnsupportedOperatorError:
    """One error for all nodes that cannot be translated."""
    if len(refused) == 1:
        return refused[0]
    hints = dict.fromkeys(error.hint for error in refused if error.hint)
    return UnsupportedOperatorError(
        f"{len(refused)} nodes cannot be translated:\n  " + "\n  ".join(error.message for error in refused),
        hint="\n".join(hints),
    )


def _tensor(result: Operand, name: str) -> tf.Tensor:
    if isinstance(result, Items):
        raise UnsupportedOperatorError(f"output {name} is a sequence or an optional", hint=_TENSORS_ONLY)
    return tf.identity(hidden(result))


_TENSORS_ONLY = "A .tflite takes and gives tensors: make the elements inputs and outputs of their own."


def _static_shape(value: onnx.ValueInfoProto) -> list[int]:
    if not value.type.HasField("tensor_type"):
        raise UnsupportedOperatorError(f"input {value.name} is a sequence or an optional", hint=_TENSORS_ONLY)
    dimensions = value.type.tensor_type.shape.dim
    symbolic = [d.dim_param or "?" for d in dimensions if not d.HasField("dim_value")]
    if symbolic:
        raise DynamicShapeError(f"input {value.name} has symbolic dimensions: {', '.join(symbolic)}")
    return [d.dim_value for d in dimensions]


def _type(value: onnx.ValueInfoProto) -> tf.DType:
    return tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


# --- one node ----------------------------------------------------------------------------------------------------


def _run(
    proto: onnx.NodeProto,
    values: Mapping[str, Operand],
    handlers: Mapping[str, Mapping[str, type]],
    opset: Sequence[onnx.OperatorSetIdProto],
    read: set[str],
    declared: Mapping[str, onnx.ValueInfoProto],
) -> Sequence[Operand]:
    """The results of one node; constants in, constants out."""
    operands = [values[name] if name else None for name in proto.input]
    known = [isinstance(operand, (np.ndarray, np.generic)) for operand in operands if operand is not None]
    fold = bool(known) and all(known) and not _has_graph(proto) and proto.op_type not in _RANDOM
    ours = handler_of(proto.domain, proto.op_type)
    stated = [declared.get(name) for name in proto.output]
    if stated and all(value is not None and 0 in (_stated_shape(value) or ()) for value in stated):
        return [_empty(value) for value in stated if value is not None]
    try:
        # Lifted out of the trace, a node on constants is computed here and now.
        with tf.init_scope() if fold else tf.name_scope(scope_of(_name(proto))):
            if ours is not None:
                version = next(entry.version for entry in opset if entry.domain in ("", "ai.onnx"))
                node = _node(proto, operands, version, read, stated, partial(_body, values, handlers, opset))
                # TensorFlow has more kernels than TFLite, and computes constants exactly.
                results = ours(node) if fold or _hands_on(proto, operands) else adapted(ours, node, proto.domain)
            else:
                results = _theirs(proto, values, handlers)
    except LayoutoptError:
        raise
    except UnknownShapeError:
        raise UnsupportedOperatorError(
            f"node {_name(proto)} ({proto.op_type}): the shape of an operand depends on values at run time",
            hint="Make the operand that sets the shape a constant, or state the shape of the result in the model.",
        ) from None
    except Exception as error:
        raise RuntimeError(f"node {_name(proto)} ({proto.op_type}): {error}") from error
    results = results if isinstance(results, (list, tuple)) and not isinstance(results, Items) else [results]
    if fold:
        return [_folded(result) for result in results]
    return [_as_stated(result, value) for result, value in zip_longest(results, stated[: len(results)])]


def _stated_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape that the model states for a value, if it does in full."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(size.HasField("dim_value") for size in tensor.shape.dim):
        return None
    return tuple(size.dim_value for size in tensor.shape.dim)


def _empty(value: onnx.ValueInfoProto) -> Operand:
    """A value without elements, which needs no operator."""
    return np.zeros(_stated_shape(value) or (), _type(value).as_numpy_dtype)


def _as_stated(result: Operand, value: onnx.ValueInfoProto | None) -> Operand:
    """A result of a shape that depends on values at run time gets the one that the model states."""
    if isinstance(result, Items):
        return result
    if value is not None and not is_static(result) and (shape := _stated_shape(value)) is not None:
        result.set_shape(shape)  # type: ignore[union-attr]
    return np.asarray(result) if isinstance(result, np.generic) else result


def _has_graph(proto: onnx.NodeProto) -> bool:
    return any(attribute.HasField("g") for attribute in proto.attribute)


def _hands_on(proto: onnx.NodeProto, operands: Iterable[Operand | None]) -> bool:
    """Whether it only hands on values, of any type: to a body, or in and out of a sequence or an optional."""
    makes_items = proto.op_type in ("Optional", "SequenceConstruct", "SplitToSequence")
    return _has_graph(proto) or makes_items or any(isinstance(operand, Items) for operand in operands)


def _folded(result: Operand) -> Operand:
    return result if isinstance(result, Items) else np.asarray(result)


def _body(
    around: Mapping[str, Operand],
    handlers: Mapping[str, Mapping[str, type]],
    opset: Sequence[onnx.OperatorSetIdProto],
    graph: onnx.GraphProto,
    given: Mapping[str, Operand],
) -> list[Operand]:
    """The outputs of a subgraph, which sees the values around its node."""
    values = {**around, **{tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}, **given}
    read, declared = _read_and_declared(graph)
    for node in fused(graph):
        values.update(zip(node.output, _run(node, values, handlers, opset, read, declared), strict=False))
    return [values[output.name] for output in graph.output]


def _read_and_declared(graph: onnx.GraphProto) -> tuple[set[str], Mapping[str, onnx.ValueInfoProto]]:
    """The values of a graph that anybody reads, and what the model states of its values."""
    read = {name for node in _all_nodes(graph) for name in node.input} | {output.name for output in graph.output}
    return read, {value.name: value for value in (*graph.value_info, *graph.output)}


def _node(
    proto: onnx.NodeProto,
    operands: list[Operand | None],
    opset: int,
    read: set[str],
    stated: Sequence[onnx.ValueInfoProto | None],
    body: Body,
) -> Node:
    wanted = [i for i, name in enumerate(proto.output) if name and name in read]
    # Split has as many results as it names, read or not.
    results = len(proto.output) if proto.op_type == "Split" else max(wanted, default=0) + 1
    shapes = tuple(None if value is None else _stated_shape(value) for value in stated)
    return Node(proto.op_type, _name(proto), opset, decoded_attributes(proto), tuple(operands), results, shapes, body)


def _theirs(
    proto: onnx.NodeProto, values: Mapping[str, Operand], handlers: Mapping[str, Mapping[str, type]]
) -> Sequence[Operand]:
    """onnx-tf's handler, which expects tensors and takes the node's name for a TensorFlow name."""
    renamed = onnx.NodeProto()
    renamed.CopyFrom(proto)
    renamed.name = ""
    tensors = dict(values)
    for name in proto.input:
        if name and isinstance(values[name], (np.ndarray, np.generic)):
            tensors[name] = tf.constant(hidden(np.asarray(values[name])))
    handler = handlers[proto.domain][proto.op_type]
    results: Sequence[Operand] = handler.handle(OnnxNode(renamed), tensor_dict=tensors, strict=True)  # type: ignore[attr-defined]
    return results


def _name(proto: onnx.NodeProto) -> str:
    return proto.name or (proto.output[0] if proto.output else proto.op_type)
