"""Graphs about values: several names, several readers, no readers, no elements, no rank."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs.text import (
    AFTER,
    CONV,
    IMAGE,
    Text,
    W,
    X,
    numbers,
)

GRAPHS: Mapping[str, Text] = {
    "nothing to do": Text("(float[2] x) => (float[2] y) { y = Relu (x) }"),
    "no node": Text("(float[1,2,3,4] x) => (float[1,2,3,4] x) {}"),
    "an axis that is dropped, stored with ones around": Text(
        f"({X}) => (int64[1,1] y) <{W}, int64[3] flat = {{4, 1, 1}}> "
        "{ t = Conv (x, w) p = GlobalAveragePool (t) f = Reshape (p, flat) y = ArgMax <axis = 0, keepdims = 0> (f) }"
    ),
    "products with vectors": Text(
        f"({X}, float[6] v) => (float[1,4,4] y, float[1,4,6] z) <{W}, {numbers('m', 4)}> "
        "{ t = Conv (x, w) y = MatMul (t, v) z = MatMul (m, t) }"
    ),
    "a sum over an axis of size 1 that is not stored": Text(
        f"({X}) => (float[1,1,1,96] y) <{W}, int64[4] flat = {{1, 1, 1, 96}}, int64[1] axis = {{1}}> "
        "{ t = Conv (x, w) p = Transpose <perm = [0, 2, 3, 1]> (t) f = Reshape (p, flat) "
        "y = ReduceSum <keepdims = 1> (f, axis) }"
    ),
    "a constant of more axes than are stored": Text(
        f"(float[2,3,1,4] x) => (float[1,1] y) <{numbers('v', 24, 1)}, float[1,1] c = {{2.0}}, "
        "int64[2] flat = {1, 24}> "
        "{ t = Transpose <perm = [0, 2, 3, 1]> (x) f = Reshape (t, flat) m = MatMul (f, v) y = Add (m, c) }"
    ),
    "one value as two outputs": Text(f"({X}) => ({AFTER} y, {AFTER} y) <{W}> {{ t = Conv (x, w) y = Relu (t) }}"),
    "one value as two outputs of a view": Text(
        f"({X}) => (float[1,4,6,4] y, float[1,4,6,4] y) <{W}> {{ {CONV} y = Transpose <perm = [0, 1, 3, 2]> (t) }}"
    ),
    "two names for one value": Text(
        f"({X}) => ({AFTER} y, {AFTER} z) <{W}> {{ {CONV} y = Identity (t) z = Identity (t) }}"
    ),
    "two outputs cancel to one value": Text(
        f"""({X}) => ({AFTER} y, {AFTER} z) <{W}> {{
            {CONV}
            a = Transpose <perm = [0, 2, 3, 1]> (t) y = Transpose <perm = [0, 3, 1, 2]> (a)
            b = Transpose <perm = [0, 2, 3, 1]> (t) z = Transpose <perm = [0, 3, 1, 2]> (b)
        }}"""
    ),
    "an output cancels to an input": Text(
        f"({X}) => ({IMAGE} y) {{ a = Transpose <perm = [0, 2, 3, 1]> (x) y = Transpose <perm = [0, 3, 1, 2]> (a) }}"
    ),
    "an input that is an output": Text(f"({X}) => ({X}, {AFTER} y) <{W}> {{ y = Conv (x, w) }}"),
    "an output that is read inside": Text(
        f"({X}) => ({AFTER} t, float[1,4,24] y) <{W}> "
        f"{{ {CONV} shape = Constant <value = int64[3] {{1, 4, 24}}> () r = Reshape (t, shape) "
        f"y = Softmax <axis = 1> (r) }}"
    ),
    "one value twice in a node": Text(f"({X}) => ({AFTER} y) <{W}> {{ {CONV} y = Mul (t, t) }}"),
    "a value and its transpose": Text(
        f"(float[1,3,4,4] x) => (float[1,4,4,4] y) <{W}> {{ {CONV} "
        f"a = Transpose <perm = [0, 2, 3, 1]> (t) y = Add (t, a) }}"
    ),
    "a value, its transpose and its inverse": Text(
        "(float[1,4,4,4] x) => (float[1,4,4,4] y) "
        "{ a = Transpose <perm = [0, 2, 3, 1]> (x) b = Transpose <perm = [0, 3, 1, 2]> (x) "
        "c = Add (a, b) y = Mul (c, x) }"
    ),
    "an empty optional operand": Text(
        f'({X}) => ({AFTER} y) <{W}> {{ {CONV} high = Constant <value = float {{0.5}}> () y = Clip (t, "", high) }}'
    ),
    "empty operands of a resize": Text(
        f'({X}) => (float[1,4,8,6] y) <{W}, float[4] scales = {{1, 1, 2, 1}}> {{ {CONV} y = Resize (t, "", scales) }}'
    ),
    "unknown rank": Text(
        f"({X}, int64[N] shape) => ({AFTER} y) <{W}> "
        f"{{ {CONV} n = Constant <value = int64[4] {{1, 4, 4, 6}}> () a = Reshape (t, shape) "
        f"b = Relu (a) y = Reshape (b, n) }}"
    ),
    "symbolic batch": Text(
        f"(float[N,3,4,6] x) => (float[N,4,6,4] y) <{W}> {{ {CONV} r = Relu (t) "
        f"y = Transpose <perm = [0, 1, 3, 2]> (r) }}"
    ),
    "initializers listed as inputs": Text(
        f"({X}) => ({AFTER} y) <{W}, {numbers('k', 1, 4, 4, 6)}> {{ {CONV} a = Add (t, k) y = Relu (a) }}",
        listed=("w", "k"),
    ),
    "an initializer as an output": Text(
        f"({X}) => ({AFTER} y, float[1,4,4,6] k) <{W}, {numbers('k', 1, 4, 4, 6)}> {{ {CONV} y = Add (t, k) }}"
    ),
    "tensors of no element": Text(
        f"(float[1,3,0,6] x) => (float[1,4,0,6] y) <{W}> {{ {CONV} "
        f"a = Transpose <perm = [0, 2, 3, 1]> (t) y = Transpose <perm = [0, 3, 1, 2]> (a) }}"
    ),
    "scalar constants": Text(
        f"({X}) => ({AFTER} y) <{W}, float k = {{1.5}}> {{ {CONV} a = Add (t, k) "
        f"one = Constant <value = float[1] {{2.0}}> () y = Mul (one, a) }}"
    ),
    "a constant read in two layouts": Text(
        f"({X}, float[1,4,6,4] z) => ({AFTER} y, float[1,4,6,2] v) <{W}, {numbers('k', 1, 4, 4, 6)}, "
        f"{numbers('m', 4, 2)}> "
        f"{{ {CONV} y = Add (t, k) e = Transpose <perm = [0, 1, 3, 2]> (k) f = Add (e, z) v = MatMul (f, m) }}"
    ),
    "a constant read natural and channels-last": Text(
        f"({X}, float[1,4,4,6] z) => ({AFTER} y, float[1,4,4,2] v) <{W}, {numbers('k', 1, 4, 4, 6)}, "
        f"{numbers('m', 6, 2)}> "
        f"{{ {CONV} y = Add (t, k) f = Mul (z, k) v = MatMul (f, m) }}"
    ),
    "names that will be generated": Text(
        f"({X}) => ({AFTER} y, {AFTER} x_natural) <{W}, float[4,1,1] x_nhwc = {{1, 2, 3, 4}}> {{ t_nhwc = Conv (x, w) "
        "t_natural = Add (t_nhwc, x_nhwc) y_natural = Softmax <axis = 2> (t_natural) "
        "y = Relu (y_natural) x_natural = Neg (y_natural) }"
    ),
    "node names that will be generated": Text(
        f"({X}) => (float[1,4,4,2] y) <{W}, {numbers('m', 6, 2)}> "
        f'{{ ["Transpose/t_natural"] t = Conv (x, w) ["Transpose/x_nhwc"] y = MatMul (t, m) }}'
    ),
}
