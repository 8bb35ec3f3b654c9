"""Lowers a model, of ONNX and of the dialect ``layoutopt.nhwc``, to a graph of LiteRT's operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.errors import DynamicShapeError, LayoutoptError, UnsupportedOperatorError
from layoutopt.ir.recognition import recognize
from layoutopt.ir.resizing import arrange_resizes
from layoutopt.lowering.node import (
    Lowering,
    Node,
    Operand,
    TensorSequence,
    attributes_of,
    dtype_of,
    lowering_of,
)
from layoutopt.lowering.ranks import fit_ranks
from layoutopt.lowering.types import foreign_values, lower_adapted
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, UnknownShapeError, Value
from layoutopt.tfl.opset import OPSET
from layoutopt.tfl.recorder import record
from layoutopt.tfl.shapes import Results

FOREIGN = "ONNX:"
"""The prefix of the codes of operations that stand for an ONNX node as it is; somebody else translates these."""

_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_TEXT = ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit")

_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(_RANDOM, "draw the numbers outside and give them to the model"),
    **dict.fromkeys(_TEXT, "work on the text outside and give the model numbers"),
    "FlexAttention": "use an Attention",
    "ImageDecoder": "decode the image outside and give the model its pixels",
    "MaxRoiPool": 'use a RoiAlign with mode = "max"',
}
"""The nearest thing to do for operators that have no lowering."""

_TENSORS_ONLY = "A .tflite takes and gives tensors: make the elements inputs and outputs of their own."

IsForeign = Callable[[ir.Node], bool]
"""Tells whether somebody else translates a node that has no lowering."""


def lower(
    model: ir.Model,
    *,
    is_foreign: IsForeign = lambda _: False,
    resizable: bool = False,
    share_bodies: bool = False,
) -> Model:
    """Lower a model of static shapes; constants of the result are views of the model's.

    Args:
        model: stays as it is.
        is_foreign: tells of a node without a lowering whether it becomes an operation of the code ``FOREIGN`` plus the
            operator's name, with the node as its option ``node``.
        resizable: whether the operations must be the same at other sizes of the inputs.
        share_bodies: whether several operations may run the same body, as a .tflite can hold them; TensorFlow would
            make as many bodies of it.

    Returns:
        The graph, with names of inputs and outputs.

    Raises:
        UnsupportedOperatorError: nodes that cannot be lowered, all at once, or values of types that no .tflite holds.
        DynamicShapeError: an input has a symbolic dimension.
    """
    _refuse_unknown(model, is_foreign)
    model = model.clone()
    recognize(model)
    _arrange(model)
    lowerer = _Lowerer(model.graph.opset_imports.get("", 1), is_foreign, resizable, share_bodies)
    graph = Graph()
    values: dict[ir.Value, Operand] = {}
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    for value in inputs:
        values[value] = _input(value)
        graph.inputs.append(_tensor(values[value], f"input {value.name}"))
    with tfl.recording(graph):
        lowerer.run(model.graph, values)
        if lowerer.refused:
            raise _together(lowerer.refused)
        graph.outputs = [_readable(_tensor(values[value], f"output {value.name}")) for value in model.graph.outputs]
    fit_ranks(graph)
    names = [str(value.name) for value in inputs], [str(value.name) for value in model.graph.outputs]
    return Model(graph, *names)


def _arrange(model: ir.Model) -> None:
    """Let resizes be of N, C, spatial..., as kernels take them, by shapes that are inferred where none are stated."""
    resizes = [node for node in model.graph if node.op_type in ("Resize", "Upsample")]
    touched = (value for node in resizes for value in (node.inputs[0], node.outputs[0]))
    if any(value is not None and _stated_shape(value) is None for value in touched):
        ShapeInferencePass(data_prop=True)(model)
    arrange_resizes(model.graph, model.graph.opset_imports.get("", 1))


def _refuse_unknown(model: ir.Model, is_foreign: IsForeign) -> None:
    """Refuse nodes that have no lowering, and values that no .tflite can hold, all at once."""
    if lost := [node for node in model.graph.all_nodes() if _is_lost(node, is_foreign)]:
        described = "\n  ".join(_describe(node, model) for node in lost)
        raise UnsupportedOperatorError(
            f"no lowering for {'this node' if len(lost) == 1 else 'these nodes'}:\n  {described}",
            hint="Rewrite them in terms of other operators, or add a lowering to layoutopt/lowering.",
            nodes=tuple(map(name_of, lost)),
        )
    if foreign := list(foreign_values(model.graph)):
        raise UnsupportedOperatorError(
            "no .tflite can hold the type of "
            + ("this value:\n  " if len(foreign) == 1 else "these values:\n  ")
            + "\n  ".join(foreign),
            hint="Leave out the nodes that make or read them, or let them work on another type.",
        )


def _is_lost(node: ir.Node, is_foreign: IsForeign) -> bool:
    return lowering_of(node.domain, node.op_type) is None and not is_foreign(node)


def _describe(node: ir.Node, model: ir.Model) -> str:
    domain, instead = node.domain or "ai.onnx", _INSTEAD.get(node.op_type)
    line = f"{name_of(node)}: {node.op_type} ({domain}, opset {model.graph.opset_imports.get(node.domain, '?')})"
    return f"{line}; instead, {instead}" if instead else line


def name_of(node: ir.Node) -> str:
    """Return the name of a node, or that of its first result."""
    return node.name or (str(node.outputs[0].name) if node.outputs else node.op_type)


def _input(value: ir.Value) -> Value:
    """Return an input of the graph.

    Raises:
        UnsupportedOperatorError: it is no tensor.
        DynamicShapeError: it has a symbolic dimension.
    """
    if value.shape is None or value.dtype is None:
        raise UnsupportedOperatorError(f"input {value.name} is a sequence or an optional", hint=_TENSORS_ONLY)
    symbolic = [str(size) if size is not None else "?" for size in value.shape if not isinstance(size, int)]
    if symbolic:
        raise DynamicShapeError(f"input {value.name} has symbolic dimensions: {', '.join(symbolic)}")
    return Value(dtype_of(value.dtype), value.shape.numpy(), name=str(value.name))


def _tensor(operand: Operand, what: str) -> Value:
    if isinstance(operand, TensorSequence):
        raise UnsupportedOperatorError(f"{what} is a sequence or an optional", hint=_TENSORS_ONLY)
    return operand


_SIZES = frozenset({"begin", "count", "end", "limit", "multiples", "paddings", "shape", "size", "sizes"})
"""Roles of operands that tell how large a result is."""


def _readable(output: Value) -> Value:
    """Return the same elements in a tensor that LiteRT allocates even if there are none.

    One whose size other operands tell at run time has no memory then, and LiteRT's Interpreter refuses to return it.
    """
    producer = output.producer
    if producer is None or output.is_static or producer.code not in OPSET:
        return output
    role = OPSET[producer.code].role
    at_run_time = [at for at, each in enumerate(producer.operands) if each is not None and not each.is_constant]
    return tfl.copy_of(output) if any(role(at) in _SIZES for at in at_run_time) else output


def _together(refused: Sequence[UnsupportedOperatorError]) -> UnsupportedOperatorError:
    """Return one error for all nodes that cannot be lowered."""
    if len(refused) == 1:
        return refused[0]
    hints = dict.fromkeys(error.hint for error in refused if error.hint)
    return UnsupportedOperatorError(
        f"{len(refused)} nodes cannot be translated:\n  " + "\n  ".join(error.message for error in refused),
        hint="\n".join(hints),
        nodes=tuple(node for error in refused for node in error.nodes),
    )


# --- one graph -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lowerer:
    """Lower graphs node by node.

    Attributes:
        opset: version of the default domain.
        is_foreign: as of `lower`.
        resizable: as of `lower`.
        share_bodies: as of `lower`.
        refused: nodes of the main graph that cannot be lowered.
        constants: initializers and results of Constant nodes, which are the same each time that a body is lowered.
    """

    opset: int
    is_foreign: IsForeign
    resizable: bool = False
    share_bodies: bool = False
    refused: list[UnsupportedOperatorError] = field(default_factory=list)
    constants: dict[ir.Value, Operand] = field(default_factory=dict)

    def run(self, graph: ir.Graph, values: dict[ir.Value, Operand]) -> None:
        """Lower all nodes of the main graph; those that cannot be are collected, so that all are told at once."""
        self._enter_constants(graph, values)
        for node in graph:
            try:
                results = self._node(node, values)
            except UnsupportedOperatorError as error:
                error.nodes = (name_of(node),)
                self.refused.append(error)
                if (stand_ins := _stand_ins(node)) is None:
                    return
                results = stand_ins
            values.update(zip(node.outputs, results, strict=False))

    def body(
        self, around: Mapping[ir.Value, Operand], graph: ir.Graph, given: Mapping[ir.Value, Operand]
    ) -> list[Operand]:
        """Lower a subgraph, which sees the values around its node, and return its outputs."""
        values = {**around, **given}
        self._enter_constants(graph, values)
        for node in graph:
            values.update(zip(node.outputs, self._node(node, values), strict=False))
        return [values[output] for output in graph.outputs]

    def _enter_constants(self, graph: ir.Graph, values: dict[ir.Value, Operand]) -> None:
        for value in graph.initializers.values():
            if value not in values and value.const_value is not None:
                if value not in self.constants:
                    self.constants[value] = Value.constant(value.const_value.numpy())
                values[value] = self.constants[value]

    def _node(self, node: ir.Node, values: Mapping[ir.Value, Operand]) -> Sequence[Operand]:
        """Return the results of one node; of constants, constants."""
        if node.op_type != "Constant":
            return self._computed(node, values)
        (result,) = node.outputs
        if result not in self.constants:
            (self.constants[result],) = self._computed(node, values)
        return [self.constants[result]]

    def _computed(self, node: ir.Node, values: Mapping[ir.Value, Operand]) -> Sequence[Operand]:
        stated = [_stated_shape(value) for value in node.outputs]
        if stated and all(shape is not None and 0 in shape for shape in stated):
            return [_empty(value) for value in node.outputs]  # which needs no operator
        operands = tuple(None if value is None else values[value] for value in node.inputs)
        lowering = lowering_of(node.domain, node.op_type)
        try:
            with tfl.scope(name_of(node)):
                if lowering is None:
                    return _foreign(node, operands)
                seen = self._seen(node, operands, values)
                results = _lowered(lowering, seen, node)
        except LayoutoptError:
            raise
        except UnknownShapeError:
            raise UnsupportedOperatorError(
                f"node {name_of(node)} ({node.op_type}): the shape of an operand depends on values at run time",
                hint="Make the operand that sets the shape a constant, or state the shape of the result in the model.",
            ) from None
        except Exception as error:
            raise RuntimeError(f"node {name_of(node)} ({node.op_type}): {error}") from error
        for result, value in zip(results, node.outputs, strict=False):
            _state(result, value)
        return results

    def _seen(self, node: ir.Node, operands: tuple[Operand | None, ...], values: Mapping[ir.Value, Operand]) -> Node:
        wanted = [i for i, value in enumerate(node.outputs) if value.uses() or value.is_graph_output()]
        # Split has as many results as it names, read or not.
        results = len(node.outputs) if node.op_type == "Split" else max(wanted, default=0) + 1
        return Node(
            node.op_type,
            name_of(node),
            self.opset,
            attributes_of(node),
            operands,
            results,
            tuple(_stated_shape(value) for value in node.outputs),
            partial(self.body, values),
            self.resizable,
            self.share_bodies,
        )


def _lowered(lowering: Lowering, seen: Node, node: ir.Node) -> list[Operand]:
    """Return the results of the lowering of a node; constants are computed exactly, in any type."""
    given = [operand for operand in seen.operands if operand is not None]
    hands_on = _hands_on(node, given)
    if not hands_on and given and all(isinstance(each, Value) and each.is_constant for each in given):
        with tfl.recording(Graph()):  # operations that turn out to be needed are recorded below
            results = _listed(lowering(seen))
        if all(isinstance(result, Value) and result.is_constant for result in results):
            return results
    return _listed(lowering(seen) if hands_on else lower_adapted(lowering, seen, node.domain))


def _listed(results: object) -> list[Operand]:
    if isinstance(results, (list, tuple)) and not isinstance(results, TensorSequence):
        return list(results)
    assert isinstance(results, (Value, TensorSequence))
    return [results]


def _hands_on(node: ir.Node, operands: Sequence[Operand]) -> bool:
    """Return whether a node only passes values on, to a body or into and out of a sequence or an optional."""
    has_graph = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
    makes_sequence = node.op_type in ("Optional", "SequenceConstruct", "SplitToSequence")
    return has_graph or makes_sequence or any(isinstance(operand, TensorSequence) for operand in operands)


def _stated_shape(value: ir.Value) -> tuple[int, ...] | None:
    """Return the shape that the model states for a value, if it does in full."""
    if value.shape is None or not all(isinstance(size, int) for size in value.shape):
        return None
    return value.shape.numpy()


def _empty(value: ir.Value) -> Value:
    dtype = DType.FLOAT32 if value.dtype is None else dtype_of(value.dtype)
    return Value.constant(np.zeros(_stated_shape(value) or (), dtype.numpy))


def _state(result: Operand, value: ir.Value) -> None:
    """Give a result whose shape depends on values at run time the sizes that the model states."""
    if not isinstance(result, Value) or result.is_static or value.shape is None:
        return
    stated = tuple(size if isinstance(size, int) else None for size in value.shape)
    known = result.shape if result.shape is not None else (None,) * len(stated)
    if len(known) == len(stated):
        result.shape = tuple(a if b is None else b for a, b in zip(known, stated, strict=True))


def _stand_ins(node: ir.Node) -> Sequence[Operand] | None:
    """Return values of the types and shapes that the model gives for the results of a node; None if it gives none."""
    shapes = [_stated_shape(value) for value in node.outputs]
    if any(shape is None for shape in shapes):
        return None
    dtypes = [DType.FLOAT32 if value.dtype is None else dtype_of(value.dtype) for value in node.outputs]
    return [Value(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)]


def _foreign(node: ir.Node, operands: Sequence[Operand | None]) -> list[Operand]:
    """Return an operation that stands for the node as it is."""
    results: Results = [
        (DType.FLOAT32 if value.dtype is None else dtype_of(value.dtype), _stated_shape(value))
        for value in node.outputs
    ]
    tensors = [None if operand is None else _tensor(operand, f"an operand of {name_of(node)}") for operand in operands]
    return list(record(f"{FOREIGN}{node.op_type}", *tensors, results=results, node=node))
