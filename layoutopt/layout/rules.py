"""THE TABLE: how each operator takes part in the choice of layouts. One entry and one test case per operator.

An operator that is not here runs in the natural layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

from layoutopt.ir.dialect import ACTIVATIONS, DOMAIN
from layoutopt.ir.perm import Perm, permute
from layoutopt.ir.schemas import is_well_typed
from layoutopt.layout import carries, channels, contractions, remaps
from layoutopt.layout.carries import Carry
from layoutopt.layout.layouts import Storage
from layoutopt.layout.remaps import Price, Remap
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
        enlarges: whether what it makes of constants is so much that it stays, and has a layout.
        before: the rule of the opsets before ``since``, where the operator was another; None leaves it natural there.
    """

    operands: int | None = 1
    carry: Carry = carries.aligned
    remaps: tuple[Remap, ...] = ()
    price: Price | None = None
    anchor: Callable[[ir.Node, Port], Storage] | None = None
    separate: Callable[[ir.Node], bool] = _never
    since: int = 1
    until: int | None = None
    ranks: tuple[int, ...] | None = None
    results: int | None = None
    shaped: int = 0
    enlarges: bool = False
    before: LayoutRule | None = None

    def at(self, opset: int) -> LayoutRule | None:
        """The rule of ``opset``; None where it has none."""
        if opset < self.since:
            return self.before.at(opset) if self.before else None
        return self if self.until is None or opset <= self.until else None

    @property
    def words(self) -> str:
        """Its conditions, in the words of its parts."""
        parts = [self.carry, *self.remaps, *([self.price] if self.price else [])]
        words = [(part.__doc__ or "").strip().partition("\n")[0] for part in parts]
        if self.ranks is not None:
            words.append(f"Rank {', '.join(map(str, self.ranks))}.")
        if self.results is not None:
            words.append("The first result alone.")
        return " ".join(words).replace("``", "`")

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


_ELEMENTWISE = LayoutRule(operands=None, since=7)
_ALONG_AXIS = LayoutRule(remaps=(remaps.axis(-1),))
_LAST_AXIS = replace(_ALONG_AXIS, price=remaps.last_axis_only)
_FLATTENED = LayoutRule(remaps=(remaps.innermost_axes(1),))
_SOFTMAX = replace(_LAST_AXIS, since=13, before=_FLATTENED)
_HARDMAX = replace(_SOFTMAX, before=LayoutRule(remaps=(remaps.innermost_axes(1, ordered=True),)))
_ACCUMULATION = LayoutRule(remaps=(remaps.axis_operand,))
_BY_ELEMENT = LayoutRule(operands=3, remaps=(remaps.axis(0),))
_NORMALIZATION = LayoutRule(operands=3, carry=carries.normalized, remaps=(remaps.innermost_axes(-1),), results=1)
_REDUCTION = LayoutRule(carry=carries.reduction, remaps=(remaps.axes(1),))
_ARG_REDUCTION = LayoutRule(carry=carries.reduction, remaps=(remaps.axis(0),))
_QUANTIZATION = LayoutRule(remaps=(remaps.quantized_axis,), shaped=2)
_SCALARS = LayoutRule(carry=carries.beside_scalars)
_PER_CHANNEL = LayoutRule(
    carry=channels.per_channel,
    remaps=(remaps.to_dialect,),
    anchor=channels.natural_channels,
    ranks=(3, 4, 5),
    results=1,
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
    ranks=(4,),
)

RULES: Mapping[str, LayoutRule] = {
    **dict.fromkeys(
        (
            "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitwiseNot", "Cast", "CastLike",
            "Ceil", "Celu", "Clip", "Cos", "Cosh", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
            "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu",
            "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish",
            "Tan", "Tanh", "ThresholdedRelu",
        ),
        LayoutRule(),
    ),
    **dict.fromkeys(
        (
            "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater",
            "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub",
            "Sum", "SwiGLU", "Where", "Xor",
        ),
        _ELEMENTWISE,
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
    "CenterCropPad": LayoutRule(remaps=(remaps.centered_axes,)),
    "Concat": LayoutRule(operands=None, remaps=(remaps.joint(),), price=remaps.interleaving),
    "ConstantOfShape": LayoutRule(operands=0, remaps=(remaps.made_shape,), enlarges=True),
    "Conv": _CONV,
    "ConvTranspose": _CONV,
    "CumProd": _ACCUMULATION,
    "CumSum": _ACCUMULATION,
    "DepthToSpace": _DEPTH,
    "DequantizeLinear": _QUANTIZATION,
    "Det": LayoutRule(carry=carries.per_matrix, remaps=(remaps.matrices,)),
    "DynamicQuantizeLinear": _SCALARS,
    "Expand": LayoutRule(remaps=(remaps.expanded_shape,), enlarges=True),
    "Gather": LayoutRule(carry=carries.gathering, remaps=(remaps.axis(0),), shaped=2),
    "GatherElements": replace(_BY_ELEMENT, operands=2),
    "GlobalAveragePool": _GLOBAL_POOL,
    "GlobalLpPool": _GLOBAL_POOL,
    "GlobalMaxPool": _GLOBAL_POOL,
    "Hardmax": _HARDMAX,
    "LRN": replace(_PER_CHANNEL, carry=carries.ordered_channels, ranks=(4,)),
    "LayerNormalization": _NORMALIZATION,
    "LogSoftmax": _SOFTMAX,
    "LpNormalization": _ALONG_AXIS,
    "LpPool": _PER_CHANNEL,
    "MatMul": LayoutRule(operands=2, carry=contractions.matmul, remaps=(contractions.matmul_form,)),
    "MaxPool": _PER_CHANNEL,
    "MeanVarianceNormalization": LayoutRule(remaps=(remaps.axes(1, (0, 2, 3)),)),
    "OneHot": LayoutRule(carry=carries.inserting, remaps=(remaps.axis(-1, result()),)),
    "Pad": LayoutRule(remaps=(remaps.pads,), since=2),
    "QuantizeLinear": _QUANTIZATION,
    "RMSNormalization": _NORMALIZATION,
    "Resize": replace(_PER_CHANNEL, since=10),
    "ReverseSequence": LayoutRule(remaps=(remaps.sequence_axes,)),
    "Scatter": replace(_BY_ELEMENT, until=10),
    "ScatterElements": _BY_ELEMENT,
    "Size": _SCALARS,
    "Slice": LayoutRule(remaps=(remaps.slices,)),
    "Softmax": _SOFTMAX,
    "SpaceToDepth": _DEPTH,
    "Split": LayoutRule(remaps=(remaps.joint(0),), price=remaps.interleaving),
    "Tile": LayoutRule(remaps=(remaps.repeats,), since=6, enlarges=True),
    "TopK": _LAST_AXIS,
    "Trilu": LayoutRule(remaps=(remaps.matrices,)),
    "Upsample": replace(_PER_CHANNEL, until=9),
}  # fmt: skip
"""The rules, by operator of the default ONNX domain."""

PREPARED: Mapping[str, str] = {
    "BatchNormalization": "`fold-batch-norm` merges it into a convolution, or makes a Mul and an Add of it",
    **dict.fromkeys(
        ("ConvInteger", "MatMulInteger"),
        "`expand-quantized-operators` makes a float operator of it where its sums are exact in float32",
    ),
    **dict.fromkeys(
        ("QLinearConv", "QLinearMatMul"),
        "`expand-quantized-operators` makes a float operator of it between DequantizeLinear and QuantizeLinear",
    ),
    "Constant": "`fold-constants` makes an initializer of it",
    "Einsum": "`expand-products` makes a MatMul of it, if it is one product of two operands",
    "Gemm": "`expand-products` makes a MatMul and an Add of it",
    "GroupNormalization": "`expand-instance-norm` makes operators of it that run in any layout",
    "InstanceNormalization": "`expand-instance-norm` makes operators of it that run in any layout",
    "Range": "`fold-constants` makes an initializer of it",
    "Shape": "`fold-constants` makes an initializer of it",
}
"""Operators that the passes before the choice of layouts remove, and how. What they leave is pinned."""

PINNED: Mapping[str, str] = {
    **dict.fromkeys(
        ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "RandomNormal", "RandomUniform"),
        "no operand that could have a layout",
    ),
    **dict.fromkeys(
        ("Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"),
        "draws numbers in the order in which they are stored",
    ),
    **dict.fromkeys(
        (
            "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt",
            "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap",
            "SplitToSequence",
        ),
        "sequences and optional values have no layout",
    ),
    **dict.fromkeys(("If", "Loop", "Scan"), "bodies see the natural layout"),
    **dict.fromkeys(
        ("ImageDecoder", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"),
        "text and files: nothing of it goes to TFLite",
    ),
    **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), "a loss: training only"),
    **dict.fromkeys(
        ("Compress", "NonMaxSuppression", "NonZero", "Unique"), "how large the result is depends on the data"
    ),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), "time, batch and features come in a fixed order"),
    **dict.fromkeys(
        ("Attention", "CausalConvWithState", "LinearAttention", "RotaryEmbedding"),
        "batch, heads, time and features come in a fixed order",
    ),
    **dict.fromkeys(
        ("AffineGrid", "Col2Im", "DeformConv", "GridSample", "MaxRoiPool", "RoiAlign"),
        "TFLite has no such operator in channels-last either",
    ),
    **dict.fromkeys(("DFT", "STFT"), "the last axis holds real and imaginary parts"),
    **dict.fromkeys(("GatherND", "ScatterND"), "an index names places on several axes in their natural order"),
    "EyeLike": "the result depends on the shape alone: it is natural",
    "MaxUnpool": "its indices count in the natural layout",
    "TensorScatter": "the batch comes first, and each has a place of its own to write to",
}  # fmt: skip
"""Operators that run in the natural layout alone, and why."""


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
    if objection(node, opset):
        return None
    return LayoutRule() if node.domain == DOMAIN else RULES[node.op_type].at(opset)


def objection(node: ir.Node, opset: int) -> str:
    """Why ``node`` is pinned to the natural layout; empty where a rule describes it."""
    is_activation = node.domain == DOMAIN and node.op_type in ACTIVATIONS
    entry = LayoutRule() if is_activation else RULES.get(node.op_type) if node.domain == "" else None
    rule = entry.at(opset) if entry is not None else None
    if entry is None:
        return PINNED.get(node.op_type, f"no layout rule for {node.op_type}")
    if rule is None:
        return f"the layout rule for {node.op_type} is for other opsets than {opset}"
    if not is_activation and not is_well_typed(node, opset):
        return "it has an attribute that its opset does not know"
    return _misfit(node, rule)


def _misfit(node: ir.Node, rule: LayoutRule) -> str:
    """Why ``rule`` does not describe ``node``, although it does other operators of the type."""
    ports = rule.ports(node)
    shaped = (*(port.value(node) for port in ports), *node.inputs[: rule.shaped])
    if any(value is None or static_shape(value) is None for value in shaped):
        return "not all shapes are known"
    if not rule.enlarges and all(is_constant(port.value(node)) for port in ports if not port.result):
        return "its operands are constants"
    if rule.ranks is not None and (rank := len(ports[0].shape(node))) not in rule.ranks:
        return f"the layout rule for {node.op_type} is for other ranks than {rank}"
    if rule.results not in (None, len(node.outputs)):
        return "its further results count in the natural layout"  # the indices of a MaxPool
    if rule.anchor is channels.natural_channels and not _has_anchor(node, rule, ports[0]):
        return "it changes the batch or the channels"
    if rule.anchor is None and rule.natural(node) is None:
        return "an axis that it names is not known offline"
    return ""


def _has_anchor(node: ir.Node, rule: LayoutRule, port: Port) -> bool:
    """Whether the target has the operator in the one layout that it insists on."""
    assert rule.anchor is not None
    return any(rule.variants(node, port, rule.anchor(node, port), lambda _: ()))


def is_view(node: ir.Node) -> bool:
    """Whether ``node`` only gives the bytes of its first operand other axes."""
    if node.domain != "" or node.op_type not in VIEWS or not node.inputs or (value := node.inputs[0]) is None:
        return False
    before, after = static_shape(value), static_shape(node.outputs[0])
    if before is None or after is None or is_constant(value):
        return False
    perm = VIEWS[node.op_type](node)
    if perm is None:
        return node.op_type != "Transpose" and prod(before) == prod(after)
    return permute(before, perm) == after
