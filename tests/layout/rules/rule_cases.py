"""For each rule of the table, graphs that hold its operator between convolutions, in every form that opsets give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir

from tests.harness import model_of


@dataclass(frozen=True)
class Case:
    """One operator between channels-last neighbours.

    Attributes:
        body: from ``t`` and ``s``, two convolutions of shape (1, 4, 6, 6), and ``v``, an input of shape (6), to ``u``.
        opset: of the model.
        result: element type of ``u``.
        tail: whether a pool, which is an anchor, reads ``u``; without it ``u`` is an output.
        inside: bytes that the target moves inside operators all the same.
    """

    body: str
    opset: int = 17
    result: str = "float"
    tail: bool = True
    inside: int = 0

    def model(self) -> ir.Model:
        head, tail = f"{self.result} u", ""
        if self.tail:
            head, tail = "float y", "y = MaxPool <kernel_shape = [1, 1]> (u)"
        return model_of(
            f"""
            g (float[1,3,6,6] x, float[6] v) => ({head})
            <{floats("w", 4, 3, 1, 1)}, {floats("w2", 4, 3, 1, 1)}, {floats("c", 4, 1, 1)},
             {floats("full", 1, 4, 6, 6)},
             {floats("c3", 4, 1, 3, 3)}, {floats("c22", 4, 2, 2, 2)}, {floats("bias", 4)},
             {floats("m4", 4, 5)}, {floats("m44", 4, 4)},
             float[4] scales = {{1, 1, 2, 3}}, int64[4] fourfold = {{1, 4, 1, 1}}> {{
                t = Conv (x, w)
                s = Conv (x, w2)
                {self.body}
                {tail}
            }}
            """,
            opset=self.opset,
        )


def floats(name: str, *shape: int) -> str:
    """The text of an initializer in which no two elements are alike."""
    values = np.random.default_rng(prod(shape)).permutation(prod(shape)) / 7 - 1.3
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(f'{value:.4f}' for value in values)}}}"


def ints(name: str, *values: int, kind: str = "int64") -> str:
    return f"{name} = Constant <value = {kind}[{len(values)}] {{{', '.join(map(str, values))}}}> ()"


UNARY = (
    "Abs",
    "Acos",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Celu",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
)

ARITHMETIC = ("Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum")
COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)


def binary(operator: str, attributes: str = "") -> tuple[Case, ...]:
    """Two values, a value twice, a constant or a value of equal or lower rank on either side."""
    pairs = ("t, s", "t, c", "c, t", "full, t", "t, v", "v, t", "t, t")
    scalar = f"one = Constant <value = float {{1.5}}> () u = {operator} {attributes} (t, one)"
    return (*(Case(f"u = {operator} {attributes} ({pair})") for pair in pairs), Case(scalar))


def comparison(operator: str) -> tuple[Case, ...]:
    return tuple(
        Case(f"u = {operator} ({pair})", result="bool", tail=False) for pair in ("t, s", "t, c", "c, t", "t, v", "v, t")
    )


def logic(operator: str) -> tuple[Case, ...]:
    masks = "a = Greater (t, s) b = Greater (t, c)"
    return (Case(f"{masks} u = {operator} (a, b)", result="bool", tail=False),)


def reduction(operator: str) -> tuple[Case, ...]:
    """Axes as an attribute, as an operand, or none; kept or dropped; negative or not."""
    first = 13 if operator == "ReduceSum" else 18
    old = [
        Case(f"u = {operator} <axes = [{axes}], keepdims = {keep}> (t)", opset=12, tail=bool(keep))
        for axes, keep in (("1", 1), ("-3", 0), ("2, 3", 1), ("-1, 2", 0), ("0, 1", 0))
    ]
    new = [
        Case(f"{ints('axes', *axes)} u = {operator} <keepdims = {keep}> (t, axes)", opset=opset, tail=bool(keep))
        for axes, keep, opset in (((1,), 1, first), ((1,), 0, 18), ((-1, 2), 1, 18), ((3, -2), 0, 18), ((0, 1), 0, 18))
    ]
    everything = [
        Case(f"u = {operator} <keepdims = {keep}> (t)", opset=opset, tail=bool(keep))
        for keep, opset in ((1, 12), (0, 18))
    ]
    nothing = [Case(f"u = {operator} <keepdims = {keep}, noop_with_empty_axes = 1> (t)", opset=18) for keep in (0, 1)]
    return (*old, *new, *everything, *nothing)


def arg_reduction(operator: str) -> tuple[Case, ...]:
    forms = (
        "<axis = 1, keepdims = 0>",
        "<axis = 1>",
        "<axis = -1>",
        "<axis = -2, keepdims = 0>",
        "",
        "<axis = 3, keepdims = 0>",
    )
    return tuple(Case(f"u = {operator} {form} (t)", result="int64", tail=False) for form in forms)


def global_pool(operator: str) -> tuple[Case, ...]:
    return (Case(f"p = {operator} (t) u = Mul (t, p)"), Case(f"u = {operator} (t)"))


def last_axis(operator: str) -> tuple[Case, ...]:
    """Along the channels, which lie last in channels-last: free there, and there alone; or over all but the batch."""
    newer = (Case(f"u = {operator} <axis = {axis}> (t)", opset=opset) for axis, opset in ((1, 13), (-3, 17)))
    pooled = f"{POOLED} e = {operator} <axis = {{axis}}> (p) u = Mul (t, e)"
    older = (Case(pooled.format(axis=axis), opset=opset) for axis, opset in ((1, 11), (-3, 12)))
    return (*newer, *older)


def bitwise(operator: str, attributes: str = "") -> tuple[Case, ...]:
    """On whole numbers; one operand of lower rank."""
    whole = "a = Cast <to = 2> (t) b = Cast <to = 2> (s)"
    lower = "a = Cast <to = 2> (t) b = Cast <to = 2> (v)"
    forms = (f"{numbers} r = {operator} {attributes} (a, b) u = Cast <to = 1> (r)" for numbers in (whole, lower))
    return tuple(Case(form, opset=18) for form in forms)


def accumulation(operator: str, opset: int) -> tuple[Case, ...]:
    axis = "k = Constant <value = int64 {AXIS}> () u = OPERATOR <FORM> (t, k)".replace("OPERATOR", operator)
    forms = (("1", "exclusive = 1"), ("-1", "reverse = 1"), ("0", "exclusive = 0"))
    return tuple(Case(axis.replace("AXIS", at).replace("FORM", form), opset=opset) for at, form in forms)


def normalization(operator: str, opset: int) -> tuple[Case, ...]:
    """Over the channels, after a Transpose, and over all axes."""
    before = "n = Transpose <perm = [0, 2, 3, 1]> (t)"
    after = "u = Transpose <perm = [0, 3, 1, 2]> (m)"
    return (
        Case(f"{before} m = {operator} (n, bias) {after}", opset=opset),
        Case(f"{before} m = {operator} <axis = 3, epsilon = 0.1> (n, bias) {after}", opset=opset),
        Case(f"u = {operator} <axis = 0> (t, full)", opset=opset),
    )


def quantization(operator: str, source: str) -> tuple[Case, ...]:
    """One scale for all, with and without a zero point, and one per channel or row."""
    tail = "" if operator == "DequantizeLinear" else " u = DequantizeLinear (r, one)"
    name = "u" if operator == "DequantizeLinear" else "r"
    one = "one = Constant <value = float {0.5}> ()"
    single = "ones = Constant <value = float[1] {0.5}> ()"
    zero = "zero = Constant <value = uint8 {3}> ()"
    positive = "scale = Abs (bias)"
    forms = (
        (f"{one} {source} {name} = {operator} (q, one){tail}", 10),
        (f"{one} {zero} {source} {name} = {operator} (q, one, zero){tail}", 10),
        (f"{one} {single} {source} {name} = {operator} (q, ones){tail}", 13),
        (f"{one} {positive} {source} {name} = {operator} (q, scale){tail}", 13),
        (f"{one} {positive} {source} {name} = {operator} <axis = -3> (q, scale){tail}", 13),
        (f"{one} scale = Exp (v) {source} {name} = {operator} <axis = 2> (q, scale){tail}", 13),
    )
    return tuple(Case(form, opset=opset) for form, opset in forms)


def numbers(name: str, *shape: int) -> str:
    """A constant of small numbers."""
    values = np.random.default_rng(prod(shape)).uniform(-0.5, 0.5, prod(shape))
    text = ", ".join(f"{value:.4f}" for value in values)
    return f"{name} = Constant <value = float[{', '.join(map(str, shape))}] {{{text}}}> ()"


def recurrent(operator: str, gates: int) -> tuple[Case, ...]:
    """Columns as steps and rows as batch, both ways and to lengths; rows as steps of channels and columns."""
    sequences = f"n = Transpose <perm = [3, 2, 0, 1]> (t) {ints('merged', 6, 6, 4)} i = Reshape (n, merged)"
    back = "u = Transpose <perm = [1, 3, 2, 0]> (q)"
    one = f"{numbers('k', 1, gates * 4, 4)} {numbers('r', 1, gates * 4, 4)}"
    two = f"{numbers('k', 2, gates * 2, 4)} {numbers('r', 2, gates * 2, 2)}"
    wide = f"{numbers('k', 1, gates * 4, 24)} {numbers('r', 1, gates * 4, 4)}"
    both = f'{operator} <hidden_size = 2, direction = "bidirectional">'
    stacked = f"p = Transpose <perm = [1, 3, 2, 0]> (q) {ints('whole', 1, 4, 6, 6)} u = Reshape (p, whole)"
    lengths = ints("l", 6, 1, 2, 6, 3, 4, kind="int32")
    lines = f"n = Transpose <perm = [2, 0, 1, 3]> (t) {ints('merged', 6, 1, 24)} i = Reshape (n, merged)"
    return (
        Case(f"{sequences} {one} q = {operator} <hidden_size = 4> (i, k, r) {back}"),
        Case(f"{sequences} {two} q = {both} (i, k, r) {stacked}"),
        Case(f'{sequences} {two} {lengths} q, h = {both} (i, k, r, "", l) {stacked}'),
        Case(f"{lines} {wide} q = {operator} <hidden_size = 4> (i, k, r) u = Transpose <perm = [1, 3, 0, 2]> (q)"),
    )


MAKE_MASK = "mask = Greater (t, s)"
NEAREST = '<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">'
ONE_HOT = "depth = Constant <value = int64 {5}> () values = Constant <value = float[2] {0.25, 0.75}> ()"
POOLED = "p = GlobalAveragePool (t)"

CASES: Mapping[str, tuple[Case, ...]] = {
    **{operator: (Case(f"u = {operator} (t)"),) for operator in UNARY},
    **{operator: binary(operator) for operator in ARITHMETIC},
    **{operator: comparison(operator) for operator in COMPARISONS},
    **{operator: logic(operator) for operator in ("And", "Or", "Xor")},
    **{operator: reduction(operator) for operator in REDUCTIONS},
    **{operator: arg_reduction(operator) for operator in ("ArgMax", "ArgMin")},
    **{operator: last_axis(operator) for operator in ("Hardmax", "LogSoftmax", "Softmax")},
    **{operator: global_pool(operator) for operator in ("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool")},
    **{operator: bitwise(operator) for operator in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")},
    "GRU": recurrent("GRU", 3),
    "LSTM": recurrent("LSTM", 4),
    "RNN": recurrent("RNN", 1),
    "BitShift": bitwise("BitShift", '<direction = "LEFT">'),
    "CumProd": accumulation("CumProd", 26),
    "CumSum": accumulation("CumSum", 14),
    "LayerNormalization": (
        *normalization("LayerNormalization", 17),
        Case("u = LayerNormalization <axis = -4> (t, full, full)"),
    ),
    "RMSNormalization": normalization("RMSNormalization", 23),
    "DequantizeLinear": quantization("DequantizeLinear", "q = Cast <to = 2> (t)"),
    "QuantizeLinear": quantization("QuantizeLinear", "q = Identity (t)"),
    "Acosh": (Case("big = Exp (t) more = Add (big, big) u = Acosh (more)"),),
    "AveragePool": (
        Case("u = AveragePool <kernel_shape = [2, 3], strides = [2, 1]> (t)"),
        Case("u = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (t)"),
        Case("u = AveragePool <kernel_shape = [2, 2], ceil_mode = 1> (t)", opset=19),
    ),
    "BitCast": (Case("b = BitCast <to = 6> (t) a = Abs (b) u = BitCast <to = 1> (a)", opset=26),),
    "BitwiseNot": (Case("a = Cast <to = 6> (t) b = BitwiseNot (a) u = Cast <to = 1> (b)", opset=18),),
    "CastLike": (Case("like = Constant <value = int32 {1}> () u = CastLike (t, like)", result="int32", tail=False),),
    "CenterCropPad": (Case(f"{ints('size', 1, 2, 8, 3)} u = CenterCropPad (t, size)", opset=18),),
    "Cast": (
        Case("u = Cast <to = 6> (t)", result="int32", tail=False),
        Case("h = Cast <to = 10> (t) u = Cast <to = 1> (h)"),
    ),
    "Clip": (
        Case("u = Clip <min = 0.0, max = 0.5> (t)", opset=10),
        Case("low = Constant <value = float {0.1}> () u = Clip (t, low)"),
        Case('high = Constant <value = float {0.1}> () u = Clip (t, "", high)'),
        Case(
            "low = Constant <value = float {0.1}> () high = Constant <value = float {0.7}> () u = Clip (t, low, high)"
        ),
    ),
    "Concat": (
        Case("u = Concat <axis = 1> (t, s)"),  # runs of 4 elements
        Case("wide = Tile (t, fourfold) u = Concat <axis = 1> (wide, wide)"),
        Case("u = Concat <axis = -1> (t, s, t)"),
        Case("u = Concat <axis = 2> (full, t)"),
        Case("u = Concat <axis = -3> (t, full)"),
    ),
    "ConstantOfShape": (Case(f"{ints('size', 1, 4, 6, 6)} e = ConstantOfShape (size) u = Add (t, e)"),),
    "Conv": (
        Case("u = Conv <kernel_shape = [3, 3], pads = [1, 0, 0, 1], strides = [2, 1], group = 4> (t, c3, bias)"),
        Case('u = Conv <auto_pad = "SAME_UPPER"> (x, w, bias)'),
    ),
    "ConvTranspose": (Case("u = ConvTranspose <strides = [2, 2], group = 2> (t, c22)"),),
    "DepthToSpace": tuple(Case(f'u = DepthToSpace <blocksize = 2, mode = "{mode}"> (t)') for mode in ("DCR", "CRD")),
    "Det": (
        Case(
            "n = Transpose <perm = [0, 2, 3, 1]> (t) m, rest = Split <axis = 2, split = [4, 2]> (n) u = Det (m)",
            opset=12,
            tail=False,
        ),
    ),
    "DynamicQuantizeLinear": (
        Case("q, scale, zero = DynamicQuantizeLinear (t) u = DequantizeLinear (q, scale, zero)"),
    ),
    "Dropout": (
        Case("u = Dropout <ratio = 0.3> (t)", opset=11),
        Case("ratio = Constant <value = float {0.3}> () u = Dropout (t, ratio)"),
    ),
    "Expand": (
        Case(f"{POOLED} {ints('size', 1, 4, 6, 6)} e = Expand (p, size) u = Mul (t, e)"),
        Case(f"{ints('size', 2, 1, 1, 6)} u = Expand (t, size)"),
        Case(f"{ints('size', 1, 4, 6, 6)} e = Expand (v, size) u = Mul (t, e)"),
        Case(f"{ints('size', 1, 4, 6, 6)} e = Expand (c, size) u = Add (t, e)"),
    ),
    "Flatten": (
        Case(f"{POOLED} u = Flatten (p)", tail=False),
        Case(f"{POOLED} u = Flatten <axis = -2> (p)", tail=False),
        Case("m = ReduceMean <axes = [1]> (t) u = Flatten (m)", opset=12, tail=False),
    ),
    "Gather": (
        Case("k = Constant <value = int64 {-2}> () u = Gather <axis = 1> (t, k)", tail=False),
        Case(f"k = Constant <value = int64 {{0}}> () g = Gather (t, k) {ints('first', 0)} u = Unsqueeze (g, first)"),
        Case("k = Constant <value = int64 {3}> () g = Gather <axis = -1> (t, k) a = Relu (g) u = Neg (a)", tail=False),
        Case(f"{ints('k', 3, -3, 1)} u = Gather <axis = 1> (t, k)"),
        Case(f"{ints('k', 5, 0, 0, 1, 2, 2, 3)} u = Gather <axis = -2> (t, k)"),
        Case(
            "m = Cast <to = 7> (v) two = Constant <value = int64 {2}> () k = Clip (m, two, two) "
            "u = Gather <axis = 3> (t, k)"
        ),
    ),
    "GatherElements": (
        Case("i = ArgMax <axis = 1> (t) u = GatherElements <axis = 1> (t, i)"),
        Case("i = ArgMax <axis = 3> (t) u = GatherElements <axis = -1> (t, i)"),
        Case("i = ArgMax <axis = 2> (t) u = GatherElements <axis = 2> (full, i)"),
    ),
    "Gelu": (Case("u = Gelu (t)", opset=20), Case('u = Gelu <approximate = "tanh"> (t)', opset=20)),
    "IsInf": (Case("zero = Sub (t, t) r = Div (t, zero) u = IsInf (r)", result="bool", tail=False),),
    "IsNaN": (Case("r = Sqrt (t) u = IsNaN (r)", result="bool", tail=False),),
    "MaxPool": (
        Case("u = MaxPool <kernel_shape = [2, 3], strides = [2, 1], pads = [0, 1, 1, 1]> (t)"),
        Case("u = MaxPool <kernel_shape = [2, 2], dilations = [2, 1], ceil_mode = 1> (t)"),
    ),
    "LRN": (
        Case("u = LRN <size = 3, alpha = 0.5> (t)"),
        Case("u = LRN <size = 1, alpha = 0.5, beta = 0.5, bias = 2.0> (t)", opset=8),
    ),
    "LpPool": (
        Case("u = LpPool <kernel_shape = [2, 3], strides = [2, 1], p = 3> (t)"),
        Case("u = LpPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (t)", opset=11),
    ),
    "LpNormalization": (
        Case("u = LpNormalization <axis = 1> (t)"),
        Case("u = LpNormalization <p = 1> (t)"),
    ),
    "MatMul": (Case("r = Transpose <perm = [0, 2, 3, 1]> (t) u = MatMul (r, m4)", tail=False),),
    "MeanVarianceNormalization": (
        Case("u = MeanVarianceNormalization <axes = [0, 2, 3]> (t)"),
        Case("u = MeanVarianceNormalization <axes = [1, -1]> (t)"),
    ),
    "Mish": (Case("u = Mish (t)", opset=18),),
    "Mod": binary("Mod", "<fmod = 1>"),
    "Not": (Case(f"{MAKE_MASK} u = Not (mask)", result="bool", tail=False),),
    "PRelu": tuple(Case(f"u = PRelu (t, {slope})") for slope in ("c", "full", "s", "v")),
    "Pad": (
        Case("u = Pad <pads = [0, 1, 2, 3, 0, 0, 1, 2], value = 0.5> (t)", opset=10),
        Case(f"{ints('pads', 0, 1, 2, 3, 0, 0, 1, 2)} u = Pad (t, pads)", opset=11),
        Case(f'{ints("pads", 0, 0, 2, 3, 0, 0, 1, 2)} u = Pad <mode = "reflect"> (t, pads)'),
        Case(
            f"{ints('pads', 0, -1, 0, 3, 0, 0, -1, 2)} half = Constant <value = float {{0.5}}> () "
            "u = Pad (t, pads, half)"
        ),
        Case(f'{ints("pads", 1, 2, 3, 4)} {ints("axes", -1, 1)} u = Pad (t, pads, "", axes)', opset=18),
    ),
    "Pow": (Case("two = Constant <value = float {2.0}> () u = Pow (t, two)"), Case("a = Abs (t) u = Pow (a, c)")),
    "Reshape": (
        Case(f"{ints('flat', 1, 4, 36)} u = Reshape (t, flat)", tail=False),
        Case(f"{POOLED} {ints('flat', 0, -1)} u = Reshape (p, flat)", tail=False),
        Case(
            f"{ints('flat', 1, 4, 36)} {ints('back', 1, 4, 6, 6)} f = Reshape (t, flat) r = Relu (f) "
            "u = Reshape (r, back)"
        ),
        Case(
            f"{ints('cut', 1, 2, 2, 6, 6)} {ints('back', 1, 4, 6, 6)} f = Reshape (t, cut) "
            "r = Neg (f) u = Reshape (r, back)"
        ),
    ),
    "Resize": (
        Case('u = Resize <mode = "nearest"> (t, scales)', opset=10),
        Case(f"roi = Constant <value = float[0] {{}}> () u = Resize {NEAREST} (t, roi, scales)", opset=11),
        Case(f'u = Resize {NEAREST} (t, "", scales)', opset=13),
        Case(f'{ints("sizes", 1, 4, 9, 12)} u = Resize <mode = "linear"> (t, "", "", sizes)', opset=13),
        Case(f'{ints("sizes", 9, 12)} u = Resize <mode = "linear", axes = [2, 3]> (t, "", "", sizes)', opset=18),
    ),
    "Slice": (
        Case("u = Slice <starts = [0, 1], ends = [1, 3]> (t)", opset=9),
        Case("u = Slice <axes = [1, 3], starts = [1, 0], ends = [9, -2]> (t)", opset=7),
        Case(f"{ints('a', 0, 1)} {ints('b', 1, 3)} u = Slice (t, a, b)"),
        Case(f"{ints('a', 1, 0)} {ints('b', 4, 3)} {ints('axes', -1, 1)} u = Slice (t, a, b, axes)"),
        Case(
            f"{ints('a', -1, 0)} {ints('b', -9, 3)} {ints('axes', 1, 2)} {ints('d', -1, 2)} "
            "u = Slice (t, a, b, axes, d)"
        ),
        Case(f'{ints("a", 0, 0)} {ints("b", 1, 4)} {ints("d", 1, 2)} u = Slice (t, a, b, "", d)', opset=11),
        Case(f"{ints('a', 0, 1, kind='int32')} {ints('b', 1, 3, kind='int32')} u = Slice (t, a, b)"),
        Case(
            f"{ints('a', 1, kind='int32')} {ints('b', 3, kind='int32')} "
            f"{ints('axes', 1, kind='int32')} u = Slice (t, a, b, axes)"
        ),
    ),
    "OneHot": (
        Case(f"i = ArgMax <axis = 1, keepdims = 0> (t) {ONE_HOT} u = OneHot <axis = 1> (i, depth, values)"),
        Case(f"i = ArgMax <axis = 1, keepdims = 0> (t) {ONE_HOT} u = OneHot (i, depth, values)", tail=False),
    ),
    "ReverseSequence": (
        Case(
            f"{ints('lengths', 1, 2, 3, 4, 5, 6)} n = Transpose <perm = [2, 3, 0, 1]> (t) "
            "r = ReverseSequence (n, lengths) u = Transpose <perm = [2, 3, 0, 1]> (r)"
        ),
    ),
    "Scatter": (
        Case("i = ArgMax <axis = 1> (t) one = Cast <to = 1> (i) u = Scatter <axis = 1> (t, i, one)", opset=10),
    ),
    "ScatterElements": (
        Case("i = ArgMax <axis = 1> (t) one = Cast <to = 1> (i) u = ScatterElements <axis = -3> (t, i, one)"),
        Case(
            "i = ArgMax <axis = 2> (t) m = ReduceMax <axes = [2]> (t) "
            'u = ScatterElements <axis = 2, reduction = "add"> (full, i, m)'
        ),
    ),
    "Size": (Case("n = Size (t) f = Cast <to = 1> (n) u = Div (t, f)"),),
    "SpaceToDepth": (Case("u = SpaceToDepth <blocksize = 2> (t)"),),
    "Split": (
        Case("p, q = Split <axis = 1, split = [1, 3]> (t) u = Concat <axis = 1> (q, p)", opset=11),
        Case(
            f"{ints('parts', 1, 3)} p, q = Split <axis = -3> (t, parts) u = Concat <axis = 1> (q, p)",
            opset=13,
        ),
        Case("p, q = Split <axis = 3, num_outputs = 2> (t) u = Sub (q, p)", opset=18),
        Case(f"{ints('parts', 1)} u = Split (t, parts)", opset=13),
    ),
    "Squeeze": (
        Case(f"{POOLED} u = Squeeze <axes = [2, -1]> (p)", opset=11, tail=False),
        Case(f"{POOLED} {ints('axes', 2, -1)} u = Squeeze (p, axes)", opset=13, tail=False),
        Case(f"{POOLED} u = Squeeze (p)", opset=13, tail=False),
        Case("m = ReduceMax <axes = [1]> (t) u = Squeeze <axes = [1]> (m)", opset=12, tail=False),
    ),
    "Swish": (Case("u = Swish (t)", opset=24),),
    "SwiGLU": (Case("u = SwiGLU (t, s)", opset=28),),
    "Tile": (
        Case("u = Tile (t, fourfold)"),
        Case(f"{POOLED} {ints('counts', 1, 1, 6, 6)} e = Tile (p, counts) u = Mul (t, e)"),
    ),
    "TopK": (
        Case(f"{ints('k', 2)} u, i = TopK <axis = 1> (t, k)"),
        Case("u, i = TopK <axis = 1, k = 3> (t)", opset=9),
        Case(f"{ints('k', 2)} a, i = TopK <axis = -3, largest = 0> (t, k) u = Cast <to = 1> (i)"),
    ),
    "Transpose": (
        Case("n = Transpose <perm = [0, 2, 3, 1]> (t) r = Relu (n) u = Transpose <perm = [0, 3, 1, 2]> (r)"),
        Case("n = Transpose (t) r = Relu (n) u = Transpose (r)"),
        Case("u = Transpose <perm = [0, 2, 3, 1]> (t)", tail=False),
    ),
    "Trilu": (Case("n = Transpose <perm = [0, 2, 3, 1]> (t) r = Trilu (n) u = Transpose <perm = [0, 3, 1, 2]> (r)"),),
    "Unsqueeze": (
        Case(
            "m = ReduceMean <axes = [2, 3], keepdims = 0> (t) e = Unsqueeze <axes = [2, 3]> (m) u = Mul (t, e)",
            opset=12,
        ),
        Case(
            f"m = ReduceMean <axes = [1], keepdims = 0> (t) {ints('axes', -3)} e = Unsqueeze (m, axes) u = Mul (t, e)",
            opset=13,
        ),
    ),
    "Upsample": (
        Case('u = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 3.0]> (t)', opset=7),
        Case('u = Upsample <mode = "nearest"> (t, scales)', opset=9),
    ),
    "Where": (
        Case(f"{MAKE_MASK} u = Where (mask, t, s)"),
        Case(f"{MAKE_MASK} u = Where (mask, c, t)"),
        Case(f"{MAKE_MASK} u = Where (mask, t, v)"),
        Case("zero = Sub (v, v) mask = Greater (v, zero) u = Where (mask, s, t)"),
    ),
}
