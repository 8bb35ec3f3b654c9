"""THE TABLE: how each operator takes part in the choice of layouts. One entry and one test case per operator.

An operator that is not here runs in the natural layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

from layoutopt.ir.perm import Perm, permute
from layoutopt.layout import channels, contractions, remaps
from layoutopt.layout.layouts import Storage
from layoutopt.layout.remaps import Carry, Price, Remap
from layoutopt.layout.variants import Known, Port, Variant, is_constant, operand, result, static_shape


def _never(node: ir.Node) -> bool:
    del node
    return False


@dataclass(frozen=True, slots=True)
class LayoutRule:
    """How one operator takes part in the choice of layouts.

    Attributes:
        operands: how many leading operands carry the layout; None means all.
        carry: how all ports are stored, given one.
        remaps: edits of whatever else names an axis (attributes, constant operands).
        price: bytes that the target moves inside the operator.
        anchor: the storage at each port that the target insists on, where there is no natural variant.
        separate: whether each port takes its layout independently of the others.
        since: first opset that the rule describes.
        until: last opset that the rule describes; None means the newest.
        ranks: the ranks of the first operand that the rule describes; None means all.
        results: how many results a node may have; None means any number.
        shaped: how many leading operands must have known shapes beside those that carry the layout.
    """

    operands: int | None = 1
    carry: Carry = remaps.aligned
    remaps: tuple[Remap, ...] = ()
    price: Price | None = None
    anchor: Callable[[ir.Node, Port], Storage] | None = None
    separate: Callable[[ir.Node], bool] = _never
    since: int = 1
    until: int | None = None
    ranks: tuple[int, ...] | None = None
    results: int | None = None
    shaped: int = 0

    def ports(self, node: ir.Node) -> tuple[Port, ...]:
        """The ports of ``node`` that carry the layout: operands, then results."""
        operands = (operand(index) for index, value in enumerate(node.inputs[: self.operands]) if value is not None)
        return (*operands, *(result(index) for index in range(len(node.outputs))))

    def groups(self, node: ir.Node) -> Sequence[tuple[Port, ...]]:
        """The ports that are no constants, those together that take a layout together."""
        ports = tuple(port for port in self.ports(node) if not is_constant(port.value(node)))
        return [(port,) for port in ports] if self.separate(node) else [ports]

    def natural(self, node: ir.Node) -> Variant | None:
        """The variant in which nothing changes; None for an anchor."""
        storages = {port: Storage.natural(port.shape(node)) for port in self.ports(node)}
        cost = self.price(node, storages) if self.price else 0
        return None if self.anchor or cost is None else Variant(storages, cost=cost)

    def variants(self, node: ir.Node, port: Port, storage: Storage, known: Known) -> Iterator[Variant]:
        """The variants of the group at ``port`` that follow from ``storage`` there.

        Args:
            node: the operator.
            port: where the layout comes from.
            storage: how the value there is stored.
            known: what is known so far of the other ports.
        """
        for storages in self.carry(node, self.ports(node), port, storage, known):
            cost = self.price(node, storages) if self.price else 0
            if cost is None:
                continue
            if self.anchor is None and all(storage.is_natural for storage in storages.values()):
                yield Variant(storages, cost=cost)
                continue
            edits = [remap(node, storages) for remap in self.remaps]
            found = tuple(edit for edit in edits if edit is not None)
            if len(found) == len(edits):
                yield Variant(storages, found, cost)


_ELEMENTWISE = LayoutRule(operands=None)
_ALONG_AXIS = LayoutRule(remaps=(remaps.axis(-1),), since=13)
_LAST_AXIS = replace(_ALONG_AXIS, price=remaps.last_axis_only)
_REDUCTION = LayoutRule(carry=remaps.reduction, remaps=(remaps.axes(1),))
_ARG_REDUCTION = LayoutRule(carry=remaps.reduction, remaps=(remaps.axis(0),))
_PER_CHANNEL = LayoutRule(
    carry=channels.per_channel, remaps=(remaps.to_dialect,), anchor=channels.natural_channels, ranks=(4,), results=1
)
_GLOBAL_POOL = replace(_PER_CHANNEL, anchor=None)
_CONV = replace(
    _PER_CHANNEL,
    carry=channels.conv,
    remaps=(remaps.to_dialect, channels.conv_weights, channels.pointwise_rows),
    separate=channels.separate,
    shaped=2,
)
_DEPTH = replace(
    _PER_CHANNEL,
    carry=channels.depth_to_space,
    remaps=(remaps.to_dialect, channels.depth_first),
    anchor=channels.natural_depth,
)

RULES: Mapping[str, LayoutRule] = {
    **dict.fromkeys(
        (
            "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh",
            "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
            "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid",
            "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
        ),
        LayoutRule(),
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
    "AveragePool": _PER_CHANNEL,
    "Concat": LayoutRule(operands=None, remaps=(remaps.axis(),), price=remaps.interleaving),
    "Conv": _CONV,
    "ConvTranspose": _CONV,
    "DepthToSpace": _DEPTH,
    "Gemm": LayoutRule(operands=3, carry=contractions.gemm, remaps=(contractions.gemm_form,), since=7),
    "GlobalAveragePool": _GLOBAL_POOL,
    "GlobalMaxPool": _GLOBAL_POOL,
    "Hardmax": _LAST_AXIS,
    "LogSoftmax": _LAST_AXIS,
    "MatMul": LayoutRule(operands=2, carry=contractions.matmul, remaps=(contractions.matmul_form,)),
    "MaxPool": _PER_CHANNEL,
    "Pad": LayoutRule(remaps=(remaps.pads,), since=2),
    "Resize": replace(_PER_CHANNEL, since=11),
    "Slice": LayoutRule(remaps=(remaps.slices,), since=10),
    "Softmax": _LAST_AXIS,
    "SpaceToDepth": _DEPTH,
    "Split": LayoutRule(remaps=(remaps.axis(0),), price=remaps.interleaving),
    "Upsample": replace(_PER_CHANNEL, until=9),
}  # fmt: skip
"""The rules, by operator of the default ONNX domain."""


def _same_digits(node: ir.Node) -> Perm | None:
    del node
    return None


VIEWS: Mapping[str, Callable[[ir.Node], Perm | None]] = {
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _same_digits),
    "Transpose": remaps.transpose_perm,
}
"""Operators that move no bytes: they only give them other axes, which these functions permute first, if at all."""


def rule_for(node: ir.Node, opset: int) -> LayoutRule | None:
    """The rule that describes ``node`` in a model of ``opset``; None where it is pinned to the natural layout."""
    rule = RULES.get(node.op_type) if node.domain == "" else None
    if rule is None or opset < rule.since or (rule.until is not None and opset > rule.until):
        return None
    ports = rule.ports(node)
    shapes = [static_shape(port.value(node)) for port in ports]
    if any(shape is None for shape in shapes) or all(is_constant(p.value(node)) for p in ports if not p.result):
        return None
    if any(value is None or static_shape(value) is None for value in node.inputs[: rule.shaped]):
        return None
    if rule.ranks is not None and len(shapes[0] or ()) not in rule.ranks:
        return None
    if rule.results not in (None, len(node.outputs)):
        return None  # the indices of a MaxPool count in the natural layout
    return rule


def is_view(node: ir.Node) -> bool:
    """Whether ``node`` only gives the bytes of its first operand other axes."""
    if node.domain != "" or node.op_type not in VIEWS or not node.inputs or (value := node.inputs[0]) is None:
        return False
    before, after = static_shape(value), static_shape(node.outputs[0])
    if before is None or after is None or is_constant(value):
        return False
    perm = VIEWS[node.op_type](node)
    if perm is None:
        return prod(before) == prod(after)
    return sorted(perm) == list(range(len(before))) and permute(before, perm) == after
