"""Writes instance and group normalization as moments per channel, one Mul and one Add, which run in any layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import is_operator
from layoutopt.ir.values import Shape, constant_array, known_shape, only_reader, static_shape
from layoutopt.passes.base import Rewrite

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ExpandInstanceNorm(Rewrite):
    """Expand each InstanceNormalization and GroupNormalization of constant scale and shift.

    The moments of a group follow from those of its channels, so the only large operands are read in their own shape.
    PyTorch's exporters write a group normalization as an InstanceNormalization between two Reshapes, and a scale and a
    shift per channel after it: those become part of it.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Expand all of them, with the factors and terms around them."""
        opset = model.opset_imports.get("", 0)

        def expand(graph: ir.Graph, node: ir.Node) -> bool:
            found = _normalization(graph, node, opset) if node.domain == "" else None
            if found is not None:
                _expand(graph, found, opset)
            return found is not None

        return edit.rewrite_all(model, expand)


_SINCE = {"InstanceNormalization": 7, "GroupNormalization": 21}
"""The first opset whose arithmetic broadcasts as it still does, and the first that scales each channel."""
_TYPES = frozenset((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16))
"""Element types that are computed in float32, as ONNX Runtime computes moments of halves."""
_AXES_ARE_OPERANDS = 18
"""The first opset in which ReduceMean takes its axes as an operand."""


@dataclass(frozen=True, slots=True)
class _Normalization:
    """``(x - mean) / sqrt(variance + epsilon) * scale + shift`` with the moments of groups of channels.

    Attributes:
        source: x, of shape ``(N, C, spatial...)``.
        result: of the same shape.
        scale: one factor per channel, ``(1, groups, C / groups)``.
        shift: one term per channel, in the same shape.
        epsilon: added to the variances.
    """

    source: ir.Value
    result: ir.Value
    scale: Floats
    shift: Floats
    epsilon: float


def _normalization(graph: ir.Graph, node: ir.Node, opset: int) -> _Normalization | None:
    """Return the normalization that ``node`` and its neighbours compute; None if there is none that is known."""
    if node.op_type not in _SINCE or opset < _SINCE[node.op_type]:
        return None
    source, result = node.inputs[0], node.outputs[0]
    known = [array for array in map(constant_array, node.inputs[1:3]) if array is not None]
    shape = static_shape(source) or ()
    if source is None or len(known) != 2 or len(shape) < 3 or source.dtype not in _TYPES:
        return None
    tensors = [tensor.astype(np.float32) for tensor in known]
    groups, each, whole = node.attributes.get_int("num_groups", shape[1]), -1, (source, result)
    if (wider := _around_reshapes(graph, source, result)) is not None and node.op_type == "InstanceNormalization":
        each, whole = 1, wider
    channels = known_shape(whole[0])[1]
    scale, shift = (
        np.broadcast_to(tensor.reshape(1, groups, each), (1, groups, channels // groups)) for tensor in tensors
    )
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    return _with_affine(graph, _Normalization(*whole, scale, shift, epsilon))


def _around_reshapes(graph: ir.Graph, source: ir.Value, result: ir.Value) -> tuple[ir.Value, ir.Value] | None:
    """Return operand and result outside the Reshapes that make groups of channels; None without any."""
    before, after = source.producer(), only_reader(graph, result)
    if before is None or after is None or not is_operator(before, "Reshape") or not is_operator(after, "Reshape"):
        return None
    whole, last = before.inputs[0], after.outputs[0]
    assert whole is not None
    shape, grouped = static_shape(whole) or (), known_shape(source)
    if len(shape) < 3 or static_shape(last) != shape or shape[0] != grouped[0] or shape[1] % grouped[1]:
        return None
    return whole, last


def _with_affine(graph: ir.Graph, norm: _Normalization) -> _Normalization:
    """Return ``norm`` with the constant scale or shift per channel that follows, and those that follow that."""
    reader = only_reader(graph, norm.result)
    if reader is None or not is_operator(reader, "Mul", "Add"):
        return norm
    other = reader.inputs[1] if reader.inputs[0] is norm.result else reader.inputs[0]
    constant, shape = constant_array(other), known_shape(norm.source)
    if constant is None or static_shape(reader.outputs[0]) != shape:
        return norm
    array: Floats = constant.astype(np.float32)
    array = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if array.size != array.shape[1]:
        return norm  # not per channel
    factor = np.broadcast_to(array.reshape(-1), (shape[1],)).reshape(norm.scale.shape)
    if reader.op_type == "Mul":
        norm = replace(norm, scale=norm.scale * factor, shift=norm.shift * factor)
    else:
        norm = replace(norm, shift=norm.shift + factor)
    return _with_affine(graph, replace(norm, result=reader.outputs[0]))


def _expand(graph: ir.Graph, norm: _Normalization, opset: int) -> None:
    last = norm.result.producer()
    assert last is not None
    write = _Writer(graph, last, str(norm.result.name), ir.DataType.FLOAT, opset)
    scale, shift, shape = norm.scale, norm.shift, known_shape(norm.source)
    x, dtype = write.cast(norm.source, ir.DataType.FLOAT), norm.source.dtype
    assert dtype is not None
    spatial, ones = range(2, len(shape)), (*shape[:2], *[1] * (len(shape) - 2))
    mean = write.mean(x, spatial, ones)
    variance = write.mean(write.square(write("Sub", shape, x, mean)), spatial, ones)
    grouped = (shape[0], *scale.shape[1:])
    if scale.shape[2] > 1:
        means, each = write.reshaped(mean, grouped), (*grouped[:2], 1)
        mean = write.mean(means, (2,), each)
        between = write.square(write("Sub", grouped, means, mean))
        variance = write.mean(write("Add", grouped, write.reshaped(variance, grouped), between), (2,), each)
    else:
        grouped, scale, shift = ones, scale.reshape(1, *ones[1:]), shift.reshape(1, *ones[1:])
    epsilon = write.constant(np.float32(norm.epsilon))
    inverse = write.inverse_root(write("Add", known_shape(variance), variance, epsilon))
    factor = write("Mul", grouped, inverse, write.constant(scale))
    offset = write("Sub", grouped, write.constant(shift), write("Mul", grouped, mean, factor))
    scaled = write("Mul", shape, x, write.reshaped(factor, ones))
    edit.replace_uses(graph, norm.result, write.cast(write("Add", shape, scaled, write.reshaped(offset, ones)), dtype))
    edit.remove_dead(last)


@dataclass(frozen=True, slots=True)
class _Writer(edit.Writer):
    """With the operators of a normalization, as ``opset`` has them."""

    opset: int

    def mean(self, x: ir.Value, axes: Sequence[int], shape: Shape) -> ir.Value:
        """Return the mean over ``axes``, which stay."""
        if self.opset < _AXES_ARE_OPERANDS:
            return self("ReduceMean", shape, x, attributes={"axes": tuple(axes)})
        return self("ReduceMean", shape, x, self.constant(np.array(axes, np.int64)))

    def cast(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Return ``x`` in another element type; itself where it has that."""
        if x.dtype is dtype:
            return x
        result = self("Cast", known_shape(x), x, attributes={"to": int(dtype)})
        result.dtype = dtype
        return result

    def square(self, x: ir.Value) -> ir.Value:
        """Return ``x * x``, whose layout ONNX Runtime adapts to that of ``x``; it leaves a Pow as it is."""
        return self("Mul", known_shape(x), x, x)

    def inverse_root(self, x: ir.Value) -> ir.Value:
        """Return ``x`` to the power of -1/2."""
        return self("Pow", known_shape(x), x, self.constant(np.float32(-0.5)))
