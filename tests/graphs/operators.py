"""Graphs with operators that layouts pass through, or end at."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs.text import (
    AFTER,
    BATCH_NORM,
    CONV,
    QUANTIZED,
    STEPS,
    W44,
    Text,
    W,
    X,
    numbers,
)

GRAPHS: Mapping[str, Text] = {
    "a quantized convolution": Text(
        f"({X}) => ({AFTER} y) "
        f"<{STEPS}, int8[4,3,1,1] w = {{1,2,3,-4,5,6,7,-8,9,10,11,12}}, "
        f"float[4] ws = {{1,2,0.5,4}}> {{ {QUANTIZED} d = DequantizeLinear (q, s, o) "
        "v = DequantizeLinear <axis = 0> (w, ws) t = Conv (d, v) "
        "r = QuantizeLinear (t, fine, o) y = DequantizeLinear (r, fine, o) }"
    ),
    "quantized values are pooled": Text(
        f"({X}) => (float[1,3,2,3] y) <{STEPS}> {{ {QUANTIZED} "
        "m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (q) y = DequantizeLinear (m, s, o) }"
    ),
    "indices of a pool": Text(
        f"({X}) => (float[1,4,2,3] y, int64[1,4,2,3] i) <{W}> {{ {CONV} y, "
        f"i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (t) }}"
    ),
    "classifier head": Text(
        f"({X}) => (float[1,2] y) <{W}, {numbers('g', 2, 4)}> {{ {CONV} p = GlobalAveragePool (t) "
        f"f = Flatten (p) y = Gemm <transB = 1> (f, g) }}"
    ),
    "squeeze and excite": Text(
        f"({X}) => ({AFTER} y) <{W}, {W44}> {{ {CONV} p = GlobalAveragePool (t) a = Conv (p, w44) "
        "b = Relu (a) c = Conv (b, w44) "
        "s = HardSigmoid (c) y = Mul (t, s) }"
    ),
    "squeeze and excite by matrices": Text(
        f"({X}) => ({AFTER} y) <{W}, {numbers('g', 4, 4)}, int64[4] back = {{1, 4, 1, 1}}> {{ {CONV} "
        "p = ReduceMean <axes = [2, 3], keepdims = 0> (t) a = Gemm (p, g) s = Reshape (a, back) y = Mul (s, t) }"
    ),
    "concat of mixed layouts": Text(
        f"({X}, float[1,2,4,6] z) => (float[1,6,4,6] y) <{W}, {numbers('m', 6, 6)}> {{ {CONV} "
        f"a = MatMul (z, m) y = Concat <axis = 1> (a, t) }}"
    ),
    "softmax over channels": Text(f"({X}) => ({AFTER} y) <{W}> {{ {CONV} y = Softmax <axis = 1> (t) }}"),
    "softmax over rows": Text(f"({X}) => ({AFTER} y) <{W}> {{ {CONV} y = Softmax <axis = -1> (t) }}"),
    "strings": Text("(string[2,3] x) => (string[3,2] y) { a = Identity (x) y = Transpose (a) }"),
    "dropout and identities": Text(
        f"({X}) => ({AFTER} y) <{W}> {{ {CONV} a = Identity (t) b = Dropout (a) y = Identity (b) }}"
    ),
    "optional results and operands that nobody needs": Text(
        f"({X}) => ({AFTER} y) <{W}, {BATCH_NORM}> {{ "
        't = Conv (x, w, "") a, mask = Dropout (t) b, i = MaxPool <kernel_shape = [1, 1]> (a) '
        "y = BatchNormalization <training_mode = 0> (b, gamma, beta, mean, var) }"
    ),
    "dead ends": Text(
        f"({X}) => ({AFTER} y) <{W}, float[9] unused = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}> {{ {CONV} "
        f"a = Relu (t) b = Neg (a) y = Abs (t) }}"
    ),
    "a channel shuffle between convolutions": Text(
        f"({X}) => ({AFTER} y) <{W}, {W44}, int64[5] cut = {{1, 2, 2, 4, 6}}, int64[4] join = {{1, 4, 4, 6}}> "
        f"{{ {CONV} r = Relu (t) a = Reshape (r, cut) b = Transpose <perm = [0, 2, 1, 3, 4]> (a) c = Reshape (b, join) "
        "y = Conv (c, w44) }"
    ),
    "a channel shuffle that is an output": Text(
        f"({X}) => ({AFTER} y) <{W}, int64[5] cut = {{1, 2, 2, 4, 6}}, int64[4] join = {{1, 4, 4, 6}}> {{ {CONV} "
        "a = Reshape (t, cut) b = Transpose <perm = [0, 2, 1, 3, 4]> (a) y = Reshape (b, join) }"
    ),
    "a pixel shuffle spelled out": Text(
        f"({X}) => (float[1,1,8,12] y) <{W}, int64[5] cut = {{2, 2, 1, 4, 6}}, int64[4] join = {{1, 1, 8, 12}}> "
        f"{{ {CONV} a = Reshape (t, cut) b = Transpose <perm = [2, 3, 0, 4, 1]> (a) c = Reshape (b, join) "
        "y = Relu (c) }"
    ),
    "foldable": Text(
        f"({X}) => ({AFTER} y) <{W}, float[4,1,1] k = {{1, 2, 3, 4}}> {{ {CONV} s = Shape (t) "
        f"a = Neg (k) b = Add (t, a) y = Reshape (b, s) }}"
    ),
}
