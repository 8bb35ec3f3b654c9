"""onnx-tf's backend with our handlers, constants kept as arrays, and one plain trace of the graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.compat import import_onnx_tf
from layoutopt.backend.onnx_tf.fusions import fused
from layoutopt.backend.onnx_tf.handlers import Node, Operand, handler_of
from layoutopt.backend.onnx_tf.handlers.node import UnknownShapeError, decoded_attributes, is_static
from layoutopt.backend.onnx_tf.handlers.types import adapted, foreign_values
from layoutopt.backend.onnx_tf.infinities import hidden
from layoutopt.backend.onnx_tf.names import identifiers, scope_of
from layoutopt.errors import DynamicShapeError, LayoutoptError, UnsupportedOperatorError

onnx_tf = import_onnx_tf()
from onnx_tf.pb_wrapper import OnnxNode  # noqa: E402  (importable only now)

_WIDENED: Mapping[str, int] = {
    # operator: the newest version that differs from onnx-tf's newest in the types it takes, and in nothing else
    "Acos": 22, "Acosh": 22, "Asin": 22, "Asinh": 22, "Atan": 22, "Atanh": 22, "BitShift": 11,
    "Cosh": 22, "Det": 22, "EyeLike": 22, "GRU": 22, "GatherElements": 13, "GlobalLpPool": 22, "Hardmax": 13,
    "If": 24, "LSTM": 22, "Loop": 24, "LpPool": 11, "MaxUnpool": 22, "NonMaxSuppression": 11, "NonZero": 13,
    "OneHot": 11, "RNN": 22, "RoiAlign": 10, "ScatterElements": 13, "ScatterND": 13, "Shrink": 9, "Sinh": 22,
    "Tan": 22, "DequantizeLinear": 19, "QuantizeLinear": 19, "Scan": 24, "IsNaN": 20, "IsInf": 20,
}  # fmt: skip
"""Where onnx-tf's handlers stop at an older version than the model has, yet still do what is asked."""

_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
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

    @classmethod
    def _get_handlers(cls, opset: Sequence[onnx.OperatorSetIdProto] | None) -> dict[str, dict[str, type]]:
        """onnx-tf's handlers; those that are too old by a widening of types only, as the version that they have."""
        handlers: dict[str, dict[str, type]] = super()._get_handlers(opset)
        for operator, handler in handlers.get("", {}).items():
            since: int = handler.SINCE_VERSION  # type: ignore[attr-defined]
            versions: list[int] = handler.get_versions()  # type: ignore[attr-defined]
            older = [version for version in versions if version <= since]
            if since not in versions and older and since <= _WIDENED.get(operator, 0):
                handler.SINCE_VERSION = max(older)  # type: ignore[attr-defined]
        return handlers

    @classmethod
    def _onnx_node_to_tensorflow_op(
        cls,
        node: OnnxNode,
        tensor_dict: dict[str, Operand],
        handlers: dict[str, dict[str, type]] | None = None,
        opset: Sequence[onnx.OperatorSetIdProto] | None = None,
        strict: bool = True,
    ) -> Sequence[Operand]:
        """Called by onnx-tf for the nodes of a subgraph (If, Loop, Scan)."""
        assert opset is not None
        return _run(node.node_proto, tensor_dict, handlers or cls._get_handlers(opset), opset, strict)


# onnx-tf's control flow asks this module-level name for the nodes of a subgraph.
setattr(onnx_tf, "onnx_graph_to_tensorflow_ops", LayoutoptBackend.onnx_graph_to_tensorflow_ops)  # noqa: B010


def unsupported_nodes(model: onnx.ModelProto) -> list[str]:
    """Every node that nobody handles, as ``name: operator (domain, opset)``, subgraphs included."""
    handlers = LayoutoptBackend._get_handlers(model.opset_import)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    lost = []
    for node in _all_nodes(model.graph):
        if handler_of(node.domain, node.op_type) is not None:
            continue
        theirs = handlers.get(node.domain, {}).get(node.op_type)
        if theirs is None or theirs.SINCE_VERSION not in theirs.get_versions():  # type: ignore[attr-defined]
            name = node.name or (node.output[0] if node.output else "?")
            domain = node.domain or "ai.onnx"
            lost.append(f"{name}: {node.op_type} ({domain}, opset {versions.get(node.domain, '?')})")
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

    nodes = fused(model.graph)
    declared = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    read = {name for node in _all_nodes(model.graph) for name in node.input} | set(outputs)

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        values = {**constants, **dict(zip(names, tensors, strict=True))}
        refused: list[UnsupportedOperatorError] = []
        for node in nodes:
            try:
                results = _run(node, values, module.handlers, model.opset_import, True, read, declared)
            except UnsupportedOperatorError as error:
                refused.append(error)
                if (stand_ins := _stand_ins(node, declared)) is None:
                    break
                results = stand_ins  # so that all nodes that cannot be translated are told at once
            values.update(zip(node.output, results, strict=False))
        if refused:
            raise _together(refused)
        return [tf.identity(hidden(values[name])) for name in outputs]

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


def _static_shape(value: onnx.ValueInfoProto) -> list[int]:
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
    strict: bool,
    read: set[str] | None = None,
    declared: Mapping[str, onnx.ValueInfoProto] = MappingProxyType({}),
) -> Sequence[Operand]:
    """The results of one node; constants in, constants out."""
    operands = [values[name] if name else None for name in proto.input]
    known = [isinstance(operand, (np.ndarray, np.generic)) for operand in operands if operand is not None]
    has_graph = any(attribute.HasField("g") for attribute in proto.attribute)
    fold = bool(known) and all(known) and not has_graph and proto.op_type not in _RANDOM
    ours = handler_of(proto.domain, proto.op_type)
    stated = [declared.get(name) for name in proto.output]
    if stated and all(value is not None and 0 in (_stated_shape(value) or ()) for value in stated):
        return [_empty(value) for value in stated if value is not None]
    try:
        # Lifted out of the trace, a node on constants is computed here and now.
        with tf.init_scope() if fold else tf.name_scope(scope_of(_name(proto))):
            if ours is not None:
                version = next(entry.version for entry in opset if entry.domain in ("", "ai.onnx"))
                node = _node(proto, operands, version, read, stated)
                # TensorFlow has more kernels than TFLite, and computes constants exactly.
                results = ours(node) if fold else adapted(ours, node, proto.domain)
            else:
                results = _theirs(proto, values, handlers, strict)
    except LayoutoptError:
        raise
    except UnknownShapeError:
        raise UnsupportedOperatorError(
            f"node {_name(proto)} ({proto.op_type}): the shape of an operand depends on values at run time",
            hint="Make the operand that sets the shape a constant, or state the shape of the result in the model.",
        ) from None
    except Exception as error:
        raise RuntimeError(f"node {_name(proto)} ({proto.op_type}): {error}") from error
    results = results if isinstance(results, (list, tuple)) else [results]
    if fold:
        return [np.asarray(result) for result in results]
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
    if value is not None and not is_static(result) and (shape := _stated_shape(value)) is not None:
        result.set_shape(shape)  # type: ignore[union-attr]
    return np.asarray(result) if isinstance(result, np.generic) else result


def _node(
    proto: onnx.NodeProto,
    operands: list[Operand | None],
    opset: int,
    read: set[str] | None,
    stated: Sequence[onnx.ValueInfoProto | None],
) -> Node:
    wanted = [i for i, name in enumerate(proto.output) if name and (read is None or name in read)]
    # Split has as many results as it names, read or not.
    results = len(proto.output) if proto.op_type == "Split" else max(wanted, default=0) + 1
    shapes = tuple(None if value is None else _stated_shape(value) for value in stated)
    return Node(proto.op_type, _name(proto), opset, decoded_attributes(proto), tuple(operands), results, shapes)


def _theirs(
    proto: onnx.NodeProto, values: Mapping[str, Operand], handlers: Mapping[str, Mapping[str, type]], strict: bool
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
    results: Sequence[Operand] = handler.handle(OnnxNode(renamed), tensor_dict=tensors, strict=strict)  # type: ignore[attr-defined]
    return results


def _name(proto: onnx.NodeProto) -> str:
    return proto.name or (proto.output[0] if proto.output else proto.op_type)
