"""Affine functions with constant factors and terms: what a rewrite needs to know of one, and of the nodes around it.

How they are worked into weights is the pass `FoldAffine`; products with constant weights are in `convolutions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.values import Shape, Wide, is_constant, static_shape, wide_constant

ROUNDINGS = {ir.DataType.FLOAT: 2.0**-20, ir.DataType.FLOAT16: 2.0**-10, ir.DataType.BFLOAT16: 2.0**-7}
"""The share of the largest of some constants that may get lost, by the element type that they are rounded to."""
_PLAIN = 2.0**-100, 2.0**100
"""The bounds of the largest constant between which float32 holds all of them and rounds by 2**-24 at most."""


@dataclass(frozen=True, slots=True)
class Affine:
    """``x * factor`` or ``x + term``: one of the two is None."""

    x: ir.Value
    factor: Wide | None = None
    term: Wide | None = None


def affine_of(node: ir.Node) -> Affine | None:
    """Return the affine function of one computed operand that ``node`` is; None if it is something else."""
    if node.op_type not in ("Mul", "Div", "Add", "Sub") or node.outputs[0].dtype not in ROUNDINGS:
        return None
    left, right = node.inputs
    if left is None or right is None:
        return None
    x, constant = (left, wide_constant(right)) if wide_constant(left) is None else (right, wide_constant(left))
    if constant is None or x is left is right or wide_constant(x) is not None:
        return None
    if x is right and node.op_type in ("Div", "Sub"):
        return None
    shape = static_shape(x)
    if shape is None or shape != static_shape(node.outputs[0]) or not np.isfinite(constant).all():
        return None
    constant = raised_to(constant, shape)
    if node.op_type in ("Add", "Sub"):
        return Affine(x, term=constant if node.op_type == "Add" else -constant)
    if not constant.all():
        return None
    return Affine(x, factor=constant if node.op_type == "Mul" else 1 / constant)


def compact(array: Wide) -> Wide:
    """Return ``array`` with size 1 along each axis along which all is the same."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if array.shape[axis] > 1 and (array == first).all():
            array = first
    return array


def numbers_along(array: Wide, rank: int, axis: int, size: int) -> Wide | None:
    """Return the ``size`` numbers of a compact ``array`` that differ along one axis at most; None where others do."""
    wide = array.reshape((1,) * (rank - array.ndim) + array.shape)
    return np.broadcast_to(wide.reshape(-1), (size,)) if wide.size == wide.shape[axis] else None


def may_be_activation(affine: Affine) -> bool:
    """Return whether the operand is a product of two computed values of its shape, as ``x * gate(x)``."""
    producer = affine.x.producer()
    if affine.factor is None or producer is None or producer.op_type != "Mul":
        return False
    computed = [operand for operand in producer.inputs if operand is not None and not is_constant(operand)]
    shapes = [static_shape(operand) for operand in computed]
    return shapes == [static_shape(affine.x)] * 2


def narrowed(node: ir.Node, array: Wide) -> npt.NDArray[np.generic] | None:
    """Return ``array`` in the element type of ``node``; None where that overflows, or counts it as almost nothing."""
    dtype = node.outputs[0].dtype
    if dtype not in ROUNDINGS:
        return None
    largest = np.abs(array).max(initial=0.0)
    with np.errstate(over="ignore"):
        narrow: npt.NDArray[np.generic] = array.astype(dtype.numpy())
    if dtype is ir.DataType.FLOAT and _PLAIN[0] < largest < _PLAIN[1]:
        return narrow
    again = narrow.astype(np.float64)
    if not np.isfinite(again).all():
        return None
    return narrow if np.abs(again - array).max(initial=0.0) <= ROUNDINGS[dtype] * largest else None


def raised_to(array: Wide, shape: Shape) -> Wide:
    """Return a constant that broadcasts to ``shape`` with as many axes, compact."""
    return compact(array.reshape((1,) * (len(shape) - array.ndim) + array.shape))


def with_array(x: ir.Value, affine: Affine, array: Wide) -> Affine:
    """Return ``affine`` for another view, ``x``."""
    return Affine(x, factor=array) if affine.factor is not None else Affine(x, term=array)


def lets_factor_through(node: ir.Node, affine: Affine) -> bool:
    """Return whether a factor before ``node`` does what it does after."""
    return node.op_type in ("Relu", "LeakyRelu") and affine.factor is not None and bool((affine.factor > 0).all())


def is_softmax(node: ir.Node | None) -> bool:
    """Return whether the results of ``node`` sum up to 1 along their last axis."""
    if node is None or node.op_type != "Softmax" or node.domain != "":
        return False
    rank = len(static_shape(node.outputs[0]) or ())
    return integer(node, "axis", -1) in (-1, rank - 1)


def may_pad(node: ir.Node) -> bool:
    """Return whether ``node`` may read beyond the border."""
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    return auto.startswith("SAME") or (auto == "NOTSET" and any(node.attributes.get_ints("pads", ())))
