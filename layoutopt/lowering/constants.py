"""Operators whose results are constants where shapes are known: fills, ranges, shapes."""

from __future__ import annotations

import numpy as np

from layoutopt.lowering.kernel_types import ANY, NUMBERS, DTypeSemantics, takes
from layoutopt.lowering.node import Node, constant, dtype_of, lowers, scalar
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Size, Value

_NUMBERS = {
    "value_float": DType.FLOAT32,
    "value_floats": DType.FLOAT32,
    "value_int": DType.INT64,
    "value_ints": DType.INT64,
}
"""The element types of a Constant's attributes."""


@lowers("Constant", types=ANY)
def constant_(node: Node) -> Value:
    """Lower Constant to a constant, which needs no operator."""
    (name, value), *_ = node.attributes.items()
    if name == "value":
        assert isinstance(value, np.ndarray)
        return Value.constant(value)
    if name not in _NUMBERS:
        raise node.unsupported(f"a constant of the kind {name!r}")
    return constant(value, _NUMBERS[name])


@lowers("ConstantOfShape", types=takes("b i1 u1 i2 i4 i8 f4", DTypeSemantics.BITS))
def constant_of_shape(node: Node) -> Value:
    """Lower ConstantOfShape to a constant; to FILL where the shape comes at run time."""
    value = node.attributes.get("value", np.zeros(1, np.float32))
    assert isinstance(value, np.ndarray)
    shape = node.optional_ints(0) if node.known(0) else node.result_shape()
    if shape is not None:
        return tfl.fill(tuple(shape), value.reshape(()))
    return tfl.fill(tfl.int32(node[0]), value.reshape(()))


@lowers("EyeLike", types=ANY)
def eye_like(node: Node) -> Value:
    """Lower EyeLike to a constant: ones on a diagonal of a matrix of the operand's shape."""
    rows, columns = node.shape
    target = node.integer("dtype", 0)
    dtype = dtype_of(target) if target else node.x.dtype
    return constant(np.eye(rows, columns, node.integer("k", 0), dtype.numpy))


@lowers("Shape", types=ANY)
def shape(node: Node) -> Value:
    """Lower Shape to a constant; to SHAPE where one of the sizes comes at run time."""
    sizes: list[Size] = list(range(node.x.rank)) if node.x.shape is None else list(node.x.shape)
    part = slice(node.integer("start", 0), node.integer("end", len(sizes)))
    if None not in sizes[part]:
        return constant(sizes[part], DType.INT64)
    return tfl.shape_of(node.x, DType.INT64)[part]


@lowers("Size", types=ANY)
def size(node: Node) -> Value:
    """Lower Size to a constant; to SHAPE and REDUCE_PROD where one of the sizes comes at run time."""
    if node.x.is_static:
        return constant(node.x.count, DType.INT64)
    return tfl.reduce_prod(tfl.shape_of(node.x, DType.INT64))


@lowers("Range", types=takes(NUMBERS, DTypeSemantics.MODULAR))
def range_(node: Node) -> Value:
    """Lower Range to a constant.

    Bounds that come at run time take RANGE, or a product where the model states how many elements come out.
    """
    start, limit, delta = (scalar(node[i]) for i in range(3))
    if all(node.known(i) for i in range(3)):
        first, last, step = (each.array.item() for each in (start, limit, delta))
        return constant(np.arange(first, last, step, dtype=start.dtype.numpy))
    if (stated := node.result_shape()) is not None:
        return start + delta * np.arange(stated[0]).astype(start.dtype.numpy)
    return tfl.range_(start, _from(start, limit, delta), delta)


def _from(start: Value, limit: Value, delta: Value) -> Value:
    """Return ``limit``, or ``start`` if no step leads there: RANGE refuses what is no element in ONNX."""
    after, before = tfl.maximum(start, limit), tfl.minimum(start, limit)
    if delta.is_constant:
        return after if delta.array > 0 else before
    return tfl.select_v2(delta > 0, after, before)
