"""THE TABLE: how each operator takes part in the choice of layouts. One entry and one test case per operator.

An operator that is not here runs in the natural layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx_ir as ir

from layoutopt.ir.attributes import transpose_perm
from layoutopt.ir.perm import Perm
from layoutopt.layout.rules import matmul, propagation, recurrent, remaps, spatial
from layoutopt.layout.rules.internal_costs import interleaving, last_axis_only
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.variants import result

_ELEMENTWISE = LayoutRule(operands=None, since=7)
_ALONG_AXIS = LayoutRule(remaps=(remaps.axis(-1, ordered=False),))
_LAST_AXIS = LayoutRule(
    remaps=(remaps.axis(-1),), propagate=propagation.axis_anywhere_or_last, internal_cost=last_axis_only
)
_FLATTENED = LayoutRule(remaps=(remaps.innermost_axes(1),))
_SOFTMAX = replace(_LAST_AXIS, remaps=_ALONG_AXIS.remaps, since=13, before=_FLATTENED)
_HARDMAX = replace(_LAST_AXIS, since=13, before=LayoutRule(remaps=(remaps.innermost_axes(1, ordered=True),)))
_ACCUMULATION = LayoutRule(remaps=(remaps.axis_operand,))
_BY_ELEMENT = LayoutRule(operands=3, remaps=(remaps.axis(0),))
_NORMALIZATION = LayoutRule(
    operands=3, propagate=propagation.normalized, remaps=(remaps.innermost_axes(-1),), results=1
)
_RECURRENT = LayoutRule(
    propagate=recurrent.sequences,
    remaps=(recurrent.sequence_orders,),
    internal_cost=recurrent.stacking,
    separate=recurrent.separate,
    ranks=(3,),
    shaped=2,
    since=7,
)
_REDUCTION = LayoutRule(propagate=propagation.reduction, remaps=(remaps.axes(1),))
_ARG_REDUCTION = LayoutRule(propagate=propagation.reduction, remaps=(remaps.axis(0),))
_QUANTIZATION = LayoutRule(remaps=(remaps.quantized_axis,), shaped=2)
_SCALARS = LayoutRule(propagate=propagation.beside_scalars)
_PER_CHANNEL = LayoutRule(
    propagate=spatial.per_channel,
    remaps=(remaps.to_dialect,),
    required_layout=spatial.natural_channels,
    ranks=(3, 4, 5),
    results=1,
)
_GLOBAL_POOL = replace(_PER_CHANNEL, required_layout=None)
_CONV = replace(
    _PER_CHANNEL,
    propagate=spatial.conv,
    remaps=(remaps.to_dialect, spatial.conv_weights, spatial.pointwise_rows),
    separate=spatial.separate,
    shaped=2,
)
_DEPTH = replace(
    _PER_CHANNEL,
    propagate=spatial.depth_to_space,
    remaps=(remaps.to_dialect, spatial.depth_first),
    required_layout=spatial.natural_depth,
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
    "Concat": LayoutRule(operands=None, remaps=(remaps.joint(),), internal_cost=interleaving),
    "ConstantOfShape": LayoutRule(operands=0, remaps=(remaps.made_shape,), enlarges=True),
    "Conv": _CONV,
    "ConvTranspose": _CONV,
    "CumProd": _ACCUMULATION,
    "CumSum": _ACCUMULATION,
    "DepthToSpace": _DEPTH,
    "DequantizeLinear": _QUANTIZATION,
    "Det": LayoutRule(propagate=propagation.per_matrix, remaps=(remaps.matrices,)),
    "DynamicQuantizeLinear": _SCALARS,
    "Expand": LayoutRule(remaps=(remaps.expanded_shape,), enlarges=True),
    "Gather": LayoutRule(propagate=propagation.gathering, remaps=(remaps.gathered,), shaped=2),
    "GRU": _RECURRENT,
    "GatherElements": replace(_BY_ELEMENT, operands=2),
    "GlobalAveragePool": _GLOBAL_POOL,
    "GlobalLpPool": _GLOBAL_POOL,
    "GlobalMaxPool": _GLOBAL_POOL,
    "Hardmax": _HARDMAX,
    "LSTM": _RECURRENT,
    "LRN": replace(_PER_CHANNEL, propagate=propagation.ordered_channels, ranks=(4,)),
    "LayerNormalization": _NORMALIZATION,
    "LogSoftmax": _SOFTMAX,
    "LpNormalization": _ALONG_AXIS,
    "LpPool": _PER_CHANNEL,
    "MatMul": LayoutRule(
        operands=2, propagate=matmul.matmul, remaps=(matmul.matmul_form,), internal_cost=matmul.product_form
    ),
    "MaxPool": _PER_CHANNEL,
    "MeanVarianceNormalization": LayoutRule(remaps=(remaps.axes(1, (0, 2, 3)),)),
    "OneHot": LayoutRule(propagate=propagation.inserting, remaps=(remaps.axis(-1, result()),)),
    "Pad": LayoutRule(remaps=(remaps.pads,), since=2),
    "QuantizeLinear": _QUANTIZATION,
    "RMSNormalization": _NORMALIZATION,
    "RNN": _RECURRENT,
    "Resize": replace(_PER_CHANNEL, since=10),
    "ReverseSequence": LayoutRule(remaps=(remaps.sequence_axes,)),
    "Scatter": replace(_BY_ELEMENT, until=10),
    "ScatterElements": _BY_ELEMENT,
    "Size": _SCALARS,
    "Slice": LayoutRule(remaps=(remaps.slices,)),
    "Softmax": _SOFTMAX,
    "SpaceToDepth": _DEPTH,
    "Split": LayoutRule(remaps=(remaps.joint(0),), internal_cost=interleaving),
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
"""Operators that the passes before the choice of layouts remove, and how. What they leave is layout-fixed."""

LAYOUT_FIXED: Mapping[str, str] = {
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
    "Transpose": transpose_perm,
}
"""Operators that move no bytes: they only give them other axes, which these functions permute first, if at all."""
