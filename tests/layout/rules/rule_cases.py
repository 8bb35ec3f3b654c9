"""For each rule of the table, graphs that hold its operator between convolutions, in every form that opsets give it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.layout.rules.case_forms import (
    ARITHMETIC,
    COMPARISONS,
    POOLED,
    REDUCTIONS,
    UNARY,
    Case,
    accumulation,
    arg_reduction,
    binary,
    bitwise,
    comparison,
    global_pool,
    ints,
    last_axis,
    logic,
    normalization,
    quantization,
    reduction,
)

MAKE_MASK = "mask = Greater (t, s)"

NEAREST = '<mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">'

ONE_HOT = "depth = Constant <value = int64 {5}> () values = Constant <value = float[2] {0.25, 0.75}> ()"


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
