"""Element types that the kernels of an operator do not take: how they get through them all the same.

LiteRT has each kernel for a few types, ONNX allows nearly all. What a kernel does not take is handed to it as another
type, and its results are converted back, by the cheapest way that leaves the result as ONNX needs it:

- Where only bits move (`DTypeSemantics.BITS`), as any type of the same size.
- Where integers count modulo 2**n (`DTypeSemantics.MODULAR`), as the other integer of the same size.
- Where only the order counts (`DTypeSemantics.ORDER`), uint64 as int64 with the top bit flipped.
- Else by a cast to the next type that holds all values, and back, where integers wrap around. float16, bfloat16 and
  double are computed in float32; between two such nodes nothing is rounded, as in ONNX Runtime.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import onnx_ir as ir

from layoutopt.ir.dialect import ACTIVATIONS, DOMAIN, OPERATORS
from layoutopt.ir.schemas import type_variables
from layoutopt.lowering.kernel_types import OTHERS, DTypeSemantics, KernelTypes
from layoutopt.lowering.node import Lowering, Node, Operand, Result, kernel_types_of
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value


def lower_adapted(lowering: Lowering, node: Node, domain: str) -> Result:
    """Lower a node with its operands in types that the operator's kernels take, and convert the results back.

    Raises:
        UnsupportedOperatorError: there is no way to have the kernels compute what ONNX says.
    """
    operator = _DIALECT.get(node.operator, node.operator) if domain == DOMAIN else node.operator
    formal, kernels = _formal_types(node, operator, domain), kernel_types_of(domain, node.operator)
    names = formal.operands if kernels is None else formal.data
    found = {name: _conversion_of(node, formal.operands[name], kernels or OTHERS) for name in names}
    conversions = {name: conversion for name, conversion in found.items() if conversion is not None}
    if not conversions:
        return lowering(node)
    operands = list(node.operands)
    for name, conversion in conversions.items():
        for index in formal.operands[name]:
            operands[index] = conversion.there(node[index])
    results = lowering(replace(node, operands=tuple(operands)))
    back = [conversions.get(name) for name in formal.results]
    return [
        result if (each := back[min(index, len(back) - 1)]) is None else each.back(_tensor(result))
        for index, result in enumerate(results if isinstance(results, (list, tuple)) else [results])
    ]


def _tensor(result: Operand) -> Value:
    assert isinstance(result, Value), "sequences are lowered as they are"
    return result


@dataclass(frozen=True, slots=True)
class _Formal:
    """Type variables of a node.

    Attributes:
        operands: the indices of the operands of each type variable.
        results: the type variable of each result; more results have the last.
    """

    operands: Mapping[str, Sequence[int]]
    results: Sequence[str]

    @property
    def data(self) -> Sequence[str]:
        """Return the variables of what is computed with, not of indices, axes and counts."""
        handed_on = [name for name in self.operands if name in self.results]
        return handed_on or list(self.operands)[:1]


def _formal_types(node: Node, operator: str, domain: str) -> _Formal:
    """Return the types that ONNX declares; for other operators, all of the first operand's type have that type."""
    operands: dict[str, list[int]] = defaultdict(list)
    given = [index for index, operand in enumerate(node.operands) if operand is not None]
    variables = type_variables(operator, node.opset, "" if domain in (DOMAIN, "ai.onnx") else domain)
    if variables is None:
        for index in given:
            operands["T" if node[index].dtype is node[given[0]].dtype else "others"].append(index)
        return _Formal({"T": operands["T"]} if given else {}, ["T"])
    for index in given:
        name = variables.operands[min(index, len(variables.operands) - 1)]
        if name is not None:
            operands[name].append(index)
    return _Formal(operands, variables.results)


_DIALECT: Mapping[str, str] = {
    **{form.name: name for name, forms in OPERATORS.items() for form in forms.values()},
    **{name: known.onnx for name, known in ACTIVATIONS.items()},
}
"""The ONNX operator that each operator of the dialect stands for."""


# --- from one type to another ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DTypeConversion:
    """The way of elements to a type that a kernel takes, and back."""

    there: Callable[[Value], Value]
    back: Callable[[Value], Value]


_SMALL = (DType.INT32, DType.INT64, DType.FLOAT32)
_WIDER: Mapping[DType, Sequence[DType]] = {
    DType.BOOL: (DType.UINT8, *_SMALL), DType.INT8: _SMALL, DType.UINT8: _SMALL,
    DType.INT16: _SMALL, DType.UINT16: _SMALL, DType.INT32: (DType.INT64,), DType.UINT32: (DType.INT64,),
    DType.FLOAT16: (DType.FLOAT32,), DType.BFLOAT16: (DType.FLOAT32,), DType.FLOAT64: (DType.FLOAT32,),
}  # fmt: skip
"""The types that a type may be computed in instead. double's float32 is not wider, but all that LiteRT has."""
_TO_FLOAT32 = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT64)
_unrounded: WeakKeyDictionary[Value, Value] = WeakKeyDictionary()
"""The results of nodes that computed in float32, before the cast to the narrow type that ONNX states."""
_narrow_casts: WeakKeyDictionary[Value, Value] = WeakKeyDictionary()
"""The same of results of ONNX's Cast, which another Cast is to see as they are."""


def _conversion_of(node: Node, members: Sequence[int], kernels: KernelTypes) -> DTypeConversion | None:
    """Return the way for the operands ``members`` of one type; None where the kernels take it."""
    source = node[members[0]].dtype
    if source in _TO_FLOAT32 and DType.FLOAT32 in kernels.types:
        computed = [node[index] for index in members if not node[index].is_constant]
        if computed and all(value in _unrounded or value in _narrow_casts for value in computed):
            return _by_cast(source, DType.FLOAT32)
    if source in kernels.types:
        return None
    if (conversion := _same_size(source, kernels)) is not None:
        return conversion
    for wide in _WIDER.get(source, ()):
        if wide in kernels.types:
            return _by_cast(source, wide)
    known = ", ".join(sorted(str(each) for each in kernels.types))
    raise node.unsupported(
        f"LiteRT has no kernel that computes this in {source}, only in {known}; put a Cast before it"
    )


def _same_size(source: DType, kernels: KernelTypes) -> DTypeConversion | None:
    others = [each for each in DType if each in kernels.types and each.is_integer and each.size == source.size]
    if not others or not (source.is_integer or source is DType.FLOAT64):
        return None
    if kernels.semantics is DTypeSemantics.BITS or (kernels.semantics is DTypeSemantics.MODULAR and source.is_integer):
        return DTypeConversion(lambda x: tfl.bitcast(x, others[0]), lambda y: tfl.bitcast(y, source))
    if kernels.semantics is DTypeSemantics.ORDER and source is DType.UINT64:
        return DTypeConversion(
            lambda x: tfl.bitcast(x, DType.INT64) + _TOP, lambda y: tfl.bitcast(y + _TOP, DType.UINT64)
        )
    return None


_TOP = np.array(np.iinfo(np.int64).min)


def _by_cast(source: DType, target: DType) -> DTypeConversion:
    return DTypeConversion(lambda x: _widened(x, target), lambda y: _narrowed(y, source))


def _widened(x: Value, target: DType) -> Value:
    found = _unrounded.get(x, _narrow_casts.get(x)) if target is DType.FLOAT32 else None
    return tfl.cast(x, target) if found is None else found


def _narrowed(y: Value, target: DType) -> Value:
    result = tfl.cast(y, target)
    if target in _TO_FLOAT32 and not result.is_constant:
        _unrounded[result] = y
    return result


def converted(x: Value, target: DType) -> Value:
    """Convert as ONNX's Cast between any two types; CAST knows all but uint64."""
    source = x.dtype
    if source is target or x.is_constant or DType.UINT64 not in (source, target):
        if target is DType.FLOAT32 and x in _unrounded:
            return _unrounded[x]  # between nodes that compute in float32 nothing is rounded
        result = tfl.cast(x, target)
        if source is DType.FLOAT32 and target in _TO_FLOAT32 and not x.is_constant:
            _narrow_casts[result] = x
        return result
    if source is DType.UINT64:
        signed = tfl.bitcast(x, DType.INT64)
        if not target.is_floating:
            return tfl.not_equal(signed, 0) if target is DType.BOOL else tfl.cast(signed, target)
        value = tfl.cast(signed, DType.FLOAT32)
        return tfl.cast(tfl.select_v2(signed < 0, value + 2.0**64, value), target)
    if not source.is_floating:
        return tfl.bitcast(tfl.cast(x, DType.INT64), target)
    value = tfl.cast(x, DType.FLOAT32)
    high = tfl.cast(value - 2.0**63, DType.INT64) + _TOP
    return tfl.bitcast(tfl.select_v2(value < 2.0**63, tfl.cast(value, DType.INT64), high), target)


def lower_through(operator: str, function: Callable[..., Value], node: Node, *operands: Value) -> Value:
    """Apply ``function`` to operands of one type, in a type that the kernels of ``operator`` take."""
    (result,) = lower_each_through(operator, lambda *each: [function(*each)], node, *operands)
    return result


def lower_each_through(
    operator: str, function: Callable[..., Sequence[Value]], node: Node, *operands: Value
) -> list[Value]:
    """Apply ``function`` as `lower_through` does; it has several results."""
    conversion = _conversion_of(
        replace(node, operands=operands), range(len(operands)), kernel_types_of("", operator) or OTHERS
    )
    if conversion is None:
        return list(function(*operands))
    return [conversion.back(result) for result in function(*map(conversion.there, operands))]


# --- types that no .tflite can hold ------------------------------------------------------------------------------


_INTERFACE = frozenset(
    ir.DataType[name] for name in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL")
) | {ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE}
"""Element types that inputs may have."""
_INNER = _INTERFACE | {ir.DataType.BFLOAT16, ir.DataType.INT4, ir.DataType.UINT4}
"""Those that results of nodes may have: 4 bits between a QuantizeLinear and a DequantizeLinear."""


def foreign_values(graph: ir.Graph) -> Iterator[str]:
    """Iterate over values whose type no tensor of a .tflite has there, as ``name: type``."""
    for value in graph.inputs:
        if not value.is_initializer() and (kind := _foreign(value, _INTERFACE)):
            yield kind
    for value in graph.outputs:
        if kind := _foreign(value, _INTERFACE | {ir.DataType.BFLOAT16}):
            yield kind
    outputs = set(graph.outputs)
    for node in graph:
        for value in node.outputs:
            if value not in outputs and (kind := _foreign(value, _INNER)):
                yield kind


def _foreign(value: ir.Value, held: frozenset[ir.DataType]) -> str:
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return f"{value.name}: {type(value.type).__name__.removesuffix('Type').lower()}"
    dtype = value.dtype
    # What is not stated may be anything.
    known = dtype is None or dtype is ir.DataType.UNDEFINED or dtype in held
    return "" if dtype is None or known else f"{value.name}: {dtype.name.lower()}"
