"""Lets a model give what an app wants: the last operators of the network."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.ir import edit
from layoutopt.options import choose

_HINT = "Write --postprocess OUTPUT:softmax, or argmax, sigmoid, dequantize; to choose the axis: OUTPUT:softmax,axis=1."


class Operator(enum.Enum):
    """An operator that can be appended to an output."""

    SOFTMAX = "softmax"
    ARGMAX = "argmax"
    """The index of the largest number, as int64."""
    SIGMOID = "sigmoid"
    DEQUANTIZE = "dequantize"
    """The floats that a quantized output represents."""

    @property
    def has_axis(self) -> bool:
        """Return whether it works along the axis of the classes."""
        return self in (Operator.SOFTMAX, Operator.ARGMAX)


@dataclass(frozen=True, slots=True)
class Postprocess:
    """The postprocessing of an output.

    Attributes:
        operator: what is computed.
        axis: of the classes, for softmax and argmax; None for the second of two or of four and more.
    """

    operator: Operator
    axis: int | None = None

    @classmethod
    def parse(cls, text: str) -> tuple[str, Postprocess]:
        """Return the name of an output, empty for the only one, and its postprocessing.

        Raises:
            UsageError: the text does not read like ``OUTPUT:softmax,axis=1``.
        """
        name, _, what = text.rpartition(":")
        word, comma, axis = what.partition(",axis=")
        operator = choose(Operator, word, f"--postprocess {name or 'OUTPUT'}")
        if comma and not (operator.has_axis and axis.removeprefix("-").isdecimal()):
            raise UsageError(f"--postprocess {text}: cannot be read", hint=_HINT)
        return name, cls(operator, int(axis) if comma else None)

    def __str__(self) -> str:
        return self.operator.value + (f",axis={self.axis}" if self.axis is not None else "")


_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def append(model: ir.Model, name: str, wanted: Postprocess) -> None:
    """Append an operator to an output of ``model``, in place; the new output has the name of the old one.

    Raises:
        UsageError: the output is of another type or rank.
    """
    graph, what = model.graph, f"--postprocess {name}:{wanted.operator.value}"
    position = next(at for at, value in enumerate(graph.outputs) if value.name == name)
    value = graph.outputs[position]
    rank = None if value.shape is None else len(value.shape)
    if wanted.operator is Operator.DEQUANTIZE:
        node, shape, dtype = _dequantizing(what, value), value.shape, ir.DataType.FLOAT
    else:
        if value.dtype not in _FLOATS:
            raise UsageError(f"{what}: the output is of {'unknown type' if value.dtype is None else value.dtype}")
        dtype = value.dtype if wanted.operator is not Operator.ARGMAX else ir.DataType.INT64
        attributes: Mapping[str, int] = {}
        shape = value.shape
        if wanted.operator.has_axis:
            axis = _axis(what, wanted.axis, rank)
            attributes = {"axis": axis}
            if wanted.operator is Operator.ARGMAX:
                attributes = {"axis": axis, "keepdims": 0}
                assert shape is not None
                shape = ir.Shape([size for at, size in enumerate(shape) if at != axis])
        node = ir.node(_ONNX[wanted.operator], [value], attributes)
    result = node.outputs[0]
    node.name = edit.fresh_name(graph, f"{node.op_type}/{name}")
    result.name = edit.fresh_name(graph, f"{name}_{wanted.operator.value}")
    result.type, result.shape = ir.TensorType(dtype), shape
    graph.append(node)
    edit.replace_output(graph, position, result)


_ONNX = {Operator.SOFTMAX: "Softmax", Operator.ARGMAX: "ArgMax", Operator.SIGMOID: "Sigmoid"}


def _axis(what: str, asked: int | None, rank: int | None) -> int:
    if rank is None:
        raise UsageError(f"{what}: the rank of the output is not known")
    if asked is None and rank in (1, 3):
        if rank == 1:
            return 0
        raise UsageError(f"{what}: any of three axes may be that of the classes", hint=f"Choose one: {what},axis=1.")
    axis = 1 if asked is None else asked
    if not -rank <= axis < rank:
        raise UsageError(f"{what},axis={axis}: the output has {rank} axes")
    return axis % rank


def _dequantizing(what: str, value: ir.Value) -> ir.Node:
    """Return a node that dequantizes a value with the scale and zero point that it was quantized with."""
    producer = value.producer()
    while producer is not None and producer.op_type in ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze"):
        source = producer.inputs[0]
        producer = None if source is None else source.producer()
    if producer is None or producer.op_type not in _SCALES:
        raise UsageError(
            f"{what}: the scale of its numbers is not known",
            hint="Only the results of QuantizeLinear, QLinearConv and QLinearMatMul can be dequantized.",
        )
    first = _SCALES[producer.op_type]
    return ir.node("DequantizeLinear", [value, *producer.inputs[first : first + 2]])


_SCALES = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6}
"""The operand that is the scale of the result; the zero point follows."""
