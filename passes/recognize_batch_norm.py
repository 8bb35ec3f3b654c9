"""Writes a factor and a term per channel between channels-last operators as BatchNormalization again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx_ir as ir

from layoutopt.ir import dialect, edit
from layoutopt.ir.values import Wide, only_reader, static_shape
from layoutopt.layout.analysis.affine import affine_of, numbers_along
from layoutopt.passes.base import Rewrite

_FORMS = frozenset(forms[4].name for forms in dialect.OPERATORS.values() if 4 in forms)
_NAME = dialect.OPERATORS["BatchNormalization"][4].name
_SUMS = ("Add", "Sub")
_THROUGH = frozenset(("Add", "Clip", "Concat", "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Relu", "Sigmoid"))
"""Operators that ONNX Runtime computes in the layout of the channels-last operator before or after them."""


@dataclass(frozen=True)
class RecognizeBatchNorm(Rewrite):
    """Replace ``x * scale + shift`` per channel by BatchNormalization with the mean 0 and the variance 1.

    `fold-batch-norm` makes a Mul and an Add of what no convolution takes in, for the passes that work each of them into
    weights; this is for what is left in the end, one of the two or both. ONNX Runtime computes convolutions on blocks
    of channels, has its BatchNormalization in this form too, and reorders the whole image for a Mul or an Add. For
    TFLite it is a MUL and an ADD again.
    """

    since = 9

    def rewrite(self, model: ir.Model) -> bool:
        """Recognize them all."""
        modified = edit.rewrite_all(model, _recognizer(), backwards=True)
        dialect.define(model)
        return modified


def _recognizer() -> Callable[[ir.Graph, ir.Node], bool]:
    """Return a function that replaces a node and the one before; all that it makes share their means and variances."""

    @cache
    def repeated(graph: ir.Graph, number: int, channels: int) -> ir.Value:
        name = f"batch_norm_{'variance' if number else 'mean'}_{channels}"
        return edit.add_constant(graph, name, np.full(channels, number, np.float32))

    def recognize(graph: ir.Graph, node: ir.Node) -> bool:
        found, result = _per_channel(graph, node), node.outputs[0]
        if found is None or not (_is_computed_channels_last(found.x) and _is_read_channels_last(result)):
            return False
        channels = len(found.scale)
        numbers = [
            edit.add_constant(graph, f"{result.name}_{name}", array.astype(np.float32))
            for name, array in (("scale", found.scale), ("shift", found.shift))
        ]
        operands = [found.x, *numbers, *(repeated(graph, number, channels) for number in (0, 1))]
        before = node.inputs
        node.domain, node.op_type = dialect.DOMAIN, _NAME
        node.resize_inputs(len(operands))
        for at, operand in enumerate(operands):
            node.replace_input_with(at, operand)
        node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 0.0)
        for value in before:
            if value is not None and (producer := value.producer()) is not None:
                edit.remove_dead(producer)
        return True

    return recognize


@dataclass(frozen=True, slots=True)
class _PerChannel:
    """``x * scale + shift``, a number for each channel, (C,), of which the last axis is."""

    x: ir.Value
    scale: Wide
    shift: Wide


def _per_channel(graph: ir.Graph, node: ir.Node) -> _PerChannel | None:
    """Return what a node, and a Mul before an Add, compute for each channel; None if that is something else."""
    found = _one(node)
    if found is None:
        return None
    before = found.x.producer() if node.op_type in _SUMS and only_reader(graph, found.x) is node else None
    first = None if before is None or before.op_type in _SUMS else _one(before)
    if first is not None:
        found = _PerChannel(first.x, first.scale, found.shift)
    return found if any(np.ptp(each) > 0 for each in (found.scale, found.shift)) else None


def _one(node: ir.Node) -> _PerChannel | None:
    """Return what one node computes for each channel; None if it is something else."""
    affine = affine_of(node) if node.domain == "" else None
    shape = static_shape(node.outputs[0]) or ()
    if affine is None or len(shape) != 4 or node.outputs[0].dtype is not ir.DataType.FLOAT:
        return None
    array = affine.term if affine.factor is None else affine.factor
    numbers = None if array is None else numbers_along(array, 4, 3, shape[3])
    if numbers is None:
        return None
    none = np.zeros(shape[3])
    return _PerChannel(affine.x, none + 1, numbers) if affine.factor is None else _PerChannel(affine.x, numbers, none)


def _is_computed_channels_last(value: ir.Value) -> bool:
    """Return whether a value comes from a channels-last operator, perhaps through others that keep to its layout."""
    node = value.producer()
    while node is not None and node.domain == "" and node.op_type in _THROUGH:
        source = node.inputs[0]
        node = None if source is None else source.producer()
    return _is_channels_last(node)


def _is_read_channels_last(value: ir.Value) -> bool:
    """Return whether a channels-last operator reads a value, perhaps after an activation."""
    readers = [use.node for use in value.uses()]
    activated = [use.node for node in readers if node.op_type in _THROUGH for use in node.outputs[0].uses()]
    return any(map(_is_channels_last, (*readers, *activated)))


def _is_channels_last(node: ir.Node | None) -> bool:
    return node is not None and node.domain == dialect.DOMAIN and node.op_type in _FORMS
