"""THE TABLE: how each operator takes part in the choice of layouts. One entry and one test case per operator.

An operator that is not here runs in the natural layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import onnx_ir as ir

from layoutopt.ir.perm import Perm, channels_last, identity
from layoutopt.layout import remaps
from layoutopt.layout.remaps import Carry, Price, Remap
from layoutopt.layout.variants import Port, Variant, is_constant, static_shape


class Kind(Enum):
    """How an operator takes part."""

    AGNOSTIC = auto()
    """Runs in any layout that its carry and its remaps allow."""
    ANCHOR = auto()
    """Runs in channels-last only; operand and result are two groups with one variant each."""
    VIEW = auto()
    """Moves no bytes in any layout: it only gives them other axes."""


@dataclass(frozen=True, slots=True)
class LayoutRule:
    """How one operator takes part in the choice of layouts.

    Attributes:
        kind: agnostic, anchor or view.
        operands: how many leading operands carry the layout; None means all.
        carry: which orders follow from the order at one port.
        remaps: edits of whatever else names an axis (attributes, constant operands).
        price: bytes that the target moves inside the operator.
        since: first opset that the rule describes.
        until: last opset that the rule describes; None means the newest.
        rank: the only rank of the first operand that the rule describes; None means any.
    """

    kind: Kind = Kind.AGNOSTIC
    operands: int | None = 1
    carry: Carry = remaps.broadcast
    remaps: tuple[Remap, ...] = ()
    price: Price | None = None
    since: int = 1
    until: int | None = None
    rank: int | None = None

    def ports(self, node: ir.Node) -> tuple[Port, ...]:
        """The ports of ``node`` that carry the layout: operands, then results."""
        operands = [
            Port(result=False, index=index)
            for index, value in enumerate(node.inputs[: self.operands])
            if value is not None
        ]
        return (*operands, *(Port(result=True, index=index) for index in range(len(node.outputs))))

    def variant(self, node: ir.Node, port: Port, order: Perm) -> Variant | None:
        """The variant that follows from ``order`` at ``port``; None where there is none."""
        orders = self.carry(node, self.ports(node), port, order)
        if orders is None:
            return None
        variant = Variant(orders)
        first = orders[self.ports(node)[0]]
        cost = self.price(node, first) if self.price else 0
        if variant.natural or self.kind is Kind.VIEW:
            return replace(variant, cost=cost)
        edits = [remap(node, first) for remap in self.remaps]
        found = tuple(edit for edit in edits if edit is not None)
        return Variant(orders, found, cost) if len(found) == len(edits) else None


_UNARY = LayoutRule()
_ELEMENTWISE = LayoutRule(operands=None)
_ALONG_AXIS = LayoutRule(remaps=(remaps.axis(-1),), since=13)
_LAST_AXIS = replace(_ALONG_AXIS, price=remaps.last_axis_only)
_REDUCTION = LayoutRule(carry=remaps.reduction, remaps=(remaps.axes(1),))
_ARG_REDUCTION = LayoutRule(carry=remaps.reduction, remaps=(remaps.axis(0),))
_GLOBAL_POOL = LayoutRule(carry=remaps.spatial_only, remaps=(remaps.to_dialect,), rank=4)
_ANCHOR = LayoutRule(kind=Kind.ANCHOR, remaps=(remaps.to_dialect,), rank=4)
_RESHAPE = LayoutRule(kind=Kind.VIEW, carry=remaps.reshape)

RULES: Mapping[str, LayoutRule] = {
    **dict.fromkeys(
        (
            "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh",
            "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
            "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
            "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
        ),
        _UNARY,
    ),
    **dict.fromkeys(
        (
            "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min",
            "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
        ),
        replace(_ELEMENTWISE, since=8),
    ),
    **dict.fromkeys(
        (
            "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
            "ReduceProd", "ReduceSum", "ReduceSumSquare",
        ),
        _REDUCTION,
    ),
    "ArgMax": _ARG_REDUCTION,
    "ArgMin": _ARG_REDUCTION,
    "AveragePool": _ANCHOR,
    "Concat": LayoutRule(operands=None, remaps=(remaps.axis(),)),
    "Conv": _ANCHOR,
    "ConvTranspose": _ANCHOR,
    "DepthToSpace": _ANCHOR,
    "Flatten": _RESHAPE,
    "GlobalAveragePool": _GLOBAL_POOL,
    "GlobalMaxPool": _GLOBAL_POOL,
    "Hardmax": _LAST_AXIS,
    "LogSoftmax": _LAST_AXIS,
    "MaxPool": _ANCHOR,
    "Pad": LayoutRule(remaps=(remaps.pads,), since=2),
    "Reshape": _RESHAPE,
    "Resize": replace(_ANCHOR, since=11),
    "Slice": LayoutRule(remaps=(remaps.slices,), since=10),
    "Softmax": _LAST_AXIS,
    "SpaceToDepth": _ANCHOR,
    "Split": LayoutRule(remaps=(remaps.axis(0),)),
    "Squeeze": _RESHAPE,
    "Transpose": LayoutRule(kind=Kind.VIEW, carry=remaps.transpose),
    "Unsqueeze": _RESHAPE,
    "Upsample": replace(_ANCHOR, until=9),
}  # fmt: skip
"""The rules, by operator of the default ONNX domain."""


def rule_for(node: ir.Node, opset: int) -> LayoutRule | None:
    """The rule that describes ``node`` in a model of ``opset``; None where it is pinned to the natural layout."""
    rule = RULES.get(node.op_type) if node.domain == "" else None
    if rule is None or opset < rule.since or (rule.until is not None and opset > rule.until):
        return None
    ports = rule.ports(node)
    shapes = [static_shape(port.value(node)) for port in ports]
    if any(shape is None for shape in shapes) or all(is_constant(p.value(node)) for p in ports if not p.result):
        return None
    if rule.rank not in (None, len(shapes[0] or ())):
        return None
    if rule.kind is Kind.ANCHOR:
        return rule if len(node.outputs) == 1 else None  # the indices of a MaxPool count in the natural layout
    if rule.variant(node, ports[0], identity(len(shapes[0] or ()))) is None:
        return None  # its axes are not known offline
    return rule


def anchored(rule: LayoutRule, node: ir.Node, port: Port) -> Variant:
    """The one variant of the group at ``port`` of an anchor; the result's group carries the edits."""
    order = channels_last(len(static_shape(port.value(node)) or ()))
    edits = tuple(edit for remap in rule.remaps if port.result and (edit := remap(node, order)) is not None)
    return Variant({port: order}, edits)
