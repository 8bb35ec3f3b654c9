"""Element types: what the TFLite kernels behind each operator take, and how any other type gets through them.

TFLite has each kernel for a few types, ONNX allows nearly all. What a kernel does not take is handed to it as another
type, and its results are turned back, by the cheapest way that leaves the result as ONNX wants it:

- Where only bits move (`Sense.BITS`), as any type of the same size.
- Where integers count modulo 2**n (`Sense.MODULAR`), as the other integer of the same size.
- Where only the order counts (`Sense.ORDER`), uint64 as int64 with the top bit flipped.
- Else by a cast to the next type that holds all values, and back, where integers wrap around. float16, bfloat16 and
  double are computed in float32; between two such nodes nothing is rounded, as in ONNX Runtime.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.node import Handler, Node, Operand, type_of
from layoutopt.backend.onnx_tf.infinities import hidden
from layoutopt.ir.dialect import DOMAIN, OPERATORS


class Sense(enum.Enum):
    """What an operator makes of its elements."""

    VALUE = enum.auto()
    """It computes with them."""
    ORDER = enum.auto()
    """It compares them, and hands on some."""
    MODULAR = enum.auto()
    """The low bits of its results depend on nothing but the low bits of its operands; or it tests for equality."""
    BITS = enum.auto()
    """It moves them."""


@dataclass(frozen=True, slots=True)
class Takes:
    """What a handler gets TFLite to run.

    Attributes:
        types: the element types that its kernels take.
        sense: what it makes of the elements.
    """

    types: frozenset[tf.DType]
    sense: Sense = Sense.VALUE


_TYPES: Mapping[str, tf.DType] = {
    "b": tf.bool, "i1": tf.int8, "u1": tf.uint8, "i2": tf.int16, "u2": tf.uint16, "i4": tf.int32, "u4": tf.uint32,
    "i8": tf.int64, "u8": tf.uint64, "f2": tf.float16, "f4": tf.float32, "f8": tf.float64,
}  # fmt: skip


def takes(types: str, sense: Sense = Sense.VALUE) -> Takes:
    """The types by their short names, separated by spaces."""
    return Takes(frozenset(_TYPES[name] for name in types.split()), sense)


_FLOATS = takes("f4")
_NUMBERS = "i4 i8 f4"
_ANY = takes(" ".join(_TYPES), Sense.BITS)
_OTHERS = takes("b i1 u1 i2 u2 i4 u4 i8 u8 f4")

_TAKES: Mapping[str, Takes] = {
    operator: each
    for operators, each in {
        "And Or Xor Not": takes("b"),
        "Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor IsInf IsNaN Log Mean Reciprocal Round Sigmoid "
        "Sin Sinh Sqrt Tan Tanh": _FLOATS,
        "Celu Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish Selu Shrink Softmax Softplus Softsign "
        "Swish ThresholdedRelu": _FLOATS,
        "Det MaxPool ReduceL2 ReduceLogSum ReduceLogSumExp": _FLOATS,
        "Div Mod": takes(f"u8 {_NUMBERS}"),
        "Abs PRelu Pow ReduceL1 ReduceMean Relu Sign": takes(_NUMBERS),
        "Add CumProd CumSum Einsum Equal Gemm MatMul Mul Neg Range ReduceProd ReduceSum ReduceSumSquare Sub Sum": takes(
            _NUMBERS, Sense.MODULAR
        ),
        "Clip Greater GreaterOrEqual Less LessOrEqual Max Min TopK Unique": takes(_NUMBERS, Sense.ORDER),
        "ReduceMax ReduceMin": takes(f"b {_NUMBERS}", Sense.ORDER),
        "ArgMax ArgMin": takes(f"u1 {_NUMBERS}", Sense.ORDER),
        "BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor": takes("i1 u1 i2 u2 i4 u4 i8 u8"),
        "BitCast Cast CastLike Constant Dropout EyeLike Flatten Identity NonZero Reshape Shape Size Squeeze "
        "Unsqueeze": _ANY,
        "Compress ConstantOfShape Expand Gather GatherND": takes("b i1 u1 i2 i4 i8 f4", Sense.BITS),
        "Concat": takes("b i1 u1 i2 i4 u4 i8 f4", Sense.BITS),
        "OneHot": takes("b i1 u1 i2 i4 i8 f4", Sense.BITS),
        "Pad": takes("b i4 i8 f4", Sense.BITS),
        "Reverse Slice": takes("b u1 i2 i4 i8 f4", Sense.BITS),
        "ReverseSequence": takes("u1 i2 i4 i8 f4", Sense.BITS),
        "Split": takes("i1 u1 i2 i4 i8 f4", Sense.BITS),
        "Tile": takes("b u1 i4 i8 f4", Sense.BITS),
        "Transpose": takes("b i1 u1 i4 i8 f4", Sense.BITS),
        "Trilu Where": takes("b i1 i2 i4 u4 i8 f4", Sense.BITS),
    }.items()
    for operator in operators.split()
}
"""By ONNX operator. Those that are not named compute with floats in float32, and see to their integers themselves."""


def adapted(handler: Handler, node: Node, domain: str) -> Operand | Sequence[Operand]:
    """The results of ``handler``, which gets the operands in types that the operator's kernels take.

    Raises:
        UnsupportedOperatorError: there is no way to have the kernels compute what ONNX says.
    """
    operator = _FORMS.get(node.operator, node.operator) if domain == DOMAIN else node.operator
    formal, takes_ = _formal_types(node, operator, domain), _TAKES.get(operator, _OTHERS)
    turned = formal.data if operator in _TAKES else formal.operands
    turns = {name: turn for name in turned if (turn := _turn_of(node, formal.operands[name], takes_)) is not None}
    operands = list(node.operands)
    for name, turn in turns.items():
        for index in formal.operands[name]:
            operands[index] = turn.there(node[index])
    results = handler(replace(node, operands=tuple(None if each is None else hidden(each) for each in operands)))
    if not turns:
        return results
    turns_back = [turns.get(name) for name in formal.results]
    return [
        result if (back := turns_back[min(index, len(turns_back) - 1)]) is None else back.back(result)
        for index, result in enumerate(results if isinstance(results, (list, tuple)) else [results])
    ]


@dataclass(frozen=True, slots=True)
class _Formal:
    """Type variables of an operator.

    Attributes:
        operands: the indices of the operands of each type variable.
        results: the type variable of each result; more results have the last.
    """

    operands: Mapping[str, Sequence[int]]
    results: Sequence[str]

    @property
    def data(self) -> Sequence[str]:
        """The variables of what is computed with, not of indices, axes and counts."""
        handed_on = [name for name in self.operands if name in self.results]
        return handed_on or list(self.operands)[:1]


def _formal_types(node: Node, operator: str, domain: str) -> _Formal:
    """As ONNX declares them; for operators of others, the first operand's type is that of all that have it."""
    operands: dict[str, list[int]] = defaultdict(list)
    given = [index for index, operand in enumerate(node.operands) if operand is not None]
    try:
        schema = onnx.defs.get_schema(operator, node.opset, "" if domain in (DOMAIN, "ai.onnx") else domain)
    except onnx.defs.SchemaError:
        for index in given:
            operands["T" if type_of(node[index]) == type_of(node[given[0]]) else "others"].append(index)
        return _Formal({"T": operands["T"]} if given else {}, ["T"])
    for index in given:
        parameter = schema.inputs[min(index, len(schema.inputs) - 1)]
        if parameter.is_homogeneous:
            operands[parameter.type_str].append(index)
    return _Formal(operands, [output.type_str for output in schema.outputs])


_FORMS: Mapping[str, str] = {form.name: name for name, forms in OPERATORS.items() for form in forms.values()}
"""The ONNX operator that each operator of the dialect stands for."""


# --- from one type to another ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """How elements get to a type that a kernel takes, and back."""

    there: Callable[[Operand], Operand]
    back: Callable[[Operand], Operand]


_SMALL = (tf.int32, tf.int64, tf.float32)
_WIDER: Mapping[tf.DType, Sequence[tf.DType]] = {
    tf.bool: (tf.uint8, *_SMALL), tf.int8: _SMALL, tf.uint8: _SMALL, tf.int16: _SMALL, tf.uint16: _SMALL,
    tf.int32: (tf.int64,), tf.uint32: (tf.int64,),
    tf.float16: (tf.float32,), tf.bfloat16: (tf.float32,), tf.float64: (tf.float32,),
}  # fmt: skip
"""Where a type may be computed instead. double's float32 is not wider, but all that TFLite has."""
_TO_FLOAT32 = (tf.float16, tf.bfloat16, tf.float64)
_NARROWED = "narrowed"


def _turn_of(node: Node, members: Sequence[int], takes_: Takes) -> Turn | None:
    """The way for the operands ``members`` of one type; None where the kernels take it."""
    source = type_of(node[members[0]])
    if source in _TO_FLOAT32 and tf.float32 in takes_.types:
        tensors = [node[index] for index in members if not isinstance(node[index], np.ndarray)]
        if tensors and all(_unrounded(tensor) is not None for tensor in tensors):
            return _by_cast(source, tf.float32)
    if source in takes_.types:
        return None
    if (turn := _same_size(source, takes_)) is not None:
        return turn
    for wide in _WIDER.get(source, ()):
        if wide in takes_.types:
            return _by_cast(source, wide)
    known = ", ".join(sorted(each.name for each in takes_.types))
    raise node.unsupported(
        f"TFLite has no kernel that computes this in {source.name}, only in {known}; put a Cast before it"
    )


def _same_size(source: tf.DType, takes_: Takes) -> Turn | None:
    others = [each for each in takes_.types if each.size == source.size and each.is_integer]
    if not others or not (source.is_integer or source == tf.float64):
        return None
    if takes_.sense is Sense.BITS or (takes_.sense is Sense.MODULAR and source.is_integer):
        return Turn(lambda x: bits(x, others[0]), lambda y: bits(y, source))
    if takes_.sense is Sense.ORDER and source == tf.uint64:
        return Turn(lambda x: bits(x, tf.int64) + _TOP, lambda y: bits(y + _TOP, tf.uint64))
    return None


_TOP = np.array(np.iinfo(np.int64).min)


def _by_cast(source: tf.DType, target: tf.DType) -> Turn:
    return Turn(lambda x: _widened(x, target), lambda y: _narrowed(y, source))


def _widened(x: Operand, target: tf.DType) -> Operand:
    unrounded = _unrounded(x)
    return cast(x, target) if unrounded is None else unrounded


def _narrowed(y: Operand, target: tf.DType) -> Operand:
    return cast(y, target) if isinstance(y, np.ndarray) else tf.cast(y, target, name=_NARROWED)


def _unrounded(x: Operand) -> tf.Tensor | None:
    """What a node before computed in float32 and `_narrowed` made ``x`` of; None where ``x`` is something else."""
    if not tf.is_symbolic_tensor(x) or x.dtype not in _TO_FLOAT32:
        return None
    made_by = x.op  # type: ignore[union-attr]
    return made_by.inputs[0] if made_by.type == "Cast" and made_by.name.split("/")[-1].startswith(_NARROWED) else None


def cast(x: Operand, target: tf.DType) -> Operand:
    """A CAST to a type that `CAST` knows, as ONNX has it: integers wrap around."""
    if isinstance(x, np.ndarray):
        with np.errstate(all="ignore"):
            return x.astype(target.as_numpy_dtype)
    return tf.cast(x, target)


def bits(x: Operand, target: tf.DType) -> Operand:
    """The same bits as another type of the same size."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x).reshape(x.shape).view(target.as_numpy_dtype)
    return tf.bitcast(x, target)


def converted(x: Operand, target: tf.DType) -> Operand:
    """ONNX's Cast between any two types; CAST knows all but uint64."""
    source = type_of(x)
    if source == target:
        return x
    if isinstance(x, np.ndarray):
        return cast(x, target)
    if source == tf.uint64:
        signed = bits(x, tf.int64)
        if not target.is_floating:
            return tf.not_equal(signed, 0) if target == tf.bool else cast(signed, target)
        value = tf.cast(signed, tf.float32)
        return cast(tf.where(signed < 0, value + np.float32(2.0**64), value), target)
    if target != tf.uint64:
        return tf.cast(x, target)
    if not source.is_floating:
        return bits(cast(x, tf.int64), target)
    value = tf.cast(x, tf.float32)
    return bits(tf.where(value < 2.0**63, tf.cast(value, tf.int64), tf.cast(value - 2.0**63, tf.int64) + _TOP), target)


def through(operator: str, function: Callable[..., Operand], node: Node, *operands: Operand) -> Operand:
    """``function`` of operands of one type, in a type that the kernels of ``operator`` take."""
    turn = _turn_of(replace(node, operands=operands), range(len(operands)), _TAKES[operator])
    return function(*operands) if turn is None else turn.back(function(*map(turn.there, operands)))


# --- types that no .tflite can hold ------------------------------------------------------------------------------


_OUTSIDE = [
    *(f"{sign}INT{width}" for sign in ("", "U") for width in (8, 16, 32, 64)),
    "BOOL",
    "FLOAT16",
    "FLOAT",
    "DOUBLE",
]
"""Element types that inputs may have; the converter knows BFLOAT16 in all other places."""
_WITHIN = [*_OUTSIDE, "BFLOAT16", "INT4", "UINT4"]
"""Those that results of nodes may have: 4 bits between a QuantizeLinear and a DequantizeLinear."""


def foreign_values(graph: onnx.GraphProto) -> Iterator[str]:
    """Inputs, outputs and results of nodes whose type no tensor of a .tflite has there, as ``name: type``."""
    constants = {tensor.name for tensor in graph.initializer}
    for values, held in ((graph.input, _OUTSIDE), (graph.output, [*_OUTSIDE, "BFLOAT16"]), (graph.value_info, _WITHIN)):
        for value in values:
            if value.name not in constants and (kind := _type_name(value.type)) not in held:
                yield f"{value.name}: {kind.lower()}"


def _type_name(type_: onnx.TypeProto) -> str:
    kind: str | None = type_.WhichOneof("value")
    if kind not in ("tensor_type", None):
        return kind.removesuffix("_type").replace("_", " ")
    element = type_.tensor_type.elem_type
    name: str = onnx.TensorProto.DataType.Name(element)
    return name if element else "FLOAT"  # what is not stated may be anything
