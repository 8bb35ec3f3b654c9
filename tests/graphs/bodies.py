"""Graphs with bodies: what these read from outside, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs.text import (
    AFTER,
    BATCH_NORM,
    CONV,
    NORMALIZE,
    W44,
    Text,
    W,
    X,
    numbers,
)

GRAPHS: Mapping[str, Text] = {
    "a body reads a channels-last value": Text(
        f"""({X}, bool flag) => ({AFTER} y) <{W}> {{
            {CONV}
            r = Relu (t)
            c = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{ p = Neg (r) }},
                else_branch = else_graph () => ({AFTER} q) {{ q = Add (r, t) }}
            >
            y = Add (c, r)
        }}"""
    ),
    "a body reads a transpose": Text(
        f"""({X}, bool flag) => ({AFTER} y) <{W}> {{
            {CONV}
            r = Transpose <perm = [0, 2, 3, 1]> (t)
            y = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{ p = Transpose <perm = [0, 3, 1, 2]> (r) }},
                else_branch = else_graph () => ({AFTER} q) {{ a = Neg (r) q = Transpose <perm = [0, 3, 1, 2]> (a) }}
            >
        }}"""
    ),
    "bodies and the graph transpose one constant": Text(
        f"""(float[3,2] x, bool flag) => (float[3,2] y) <{numbers("k", 2, 3)}> {{
            a = Transpose (k)
            s = Add (x, a)
            y = If (flag) <
                then_branch = then_graph () => (float[3,2] p) {{ b = Transpose (k) p = Add (s, b) }},
                else_branch = else_graph () => (float[3,2] q) {{ c = Transpose (k) q = Mul (s, c) }}
            >
        }}"""
    ),
    "a body normalizes an outer convolution": Text(
        f"""({X}, bool flag, {AFTER} k) => ({AFTER} y) <{W}, {BATCH_NORM}> {{
            {CONV}
            y = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{ p = {NORMALIZE} }},
                else_branch = else_graph () => ({AFTER} q) {{ q = Identity (k) }}
            >
        }}"""
    ),
    "a body with a convolution of its own": Text(
        f"""({X}, bool flag) => ({AFTER} y) <{W}, {BATCH_NORM}> {{
            y = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{ {CONV} p = {NORMALIZE} }},
                else_branch = else_graph () => ({AFTER} q) {{ t = Conv (x, w) q = Relu (t) }}
            >
        }}"""
    ),
    "convolutions in nested bodies": Text(
        f"""({X}, bool flag, bool other) => ({AFTER} y) <{W}, {W44}> {{
            {CONV}
            r = Relu (t)
            y = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{
                    t_nhwc = Conv (r, w44)
                    p = If (other) <
                        then_branch = inner_then () => ({AFTER} pp) {{ u = Conv (t_nhwc, w44) pp = Add (u, r) }},
                        else_branch = inner_else () => ({AFTER} qq) {{ qq = Neg (t_nhwc) }}
                    >
                }},
                else_branch = else_graph () => ({AFTER} q) {{ v = Conv (x, w) q = Sigmoid (v) }}
            >
        }}"""
    ),
    "a loop with convolutions": Text(
        f"""({X}) => ({AFTER} y, float[3,1,4,4,6] all) <{W}, {W44}, int64 three = {{3}}, bool yes = {{1}}> {{
            {CONV}
            y, all = Loop (three, yes, t) <
                body = body (int64 i, bool go, {AFTER} c) => (bool go_on, {AFTER} next, {AFTER} seen) {{
                    go_on = Identity (go)
                    a = Conv (c, w44) b = Relu (a) d = Conv (b, w44) next = Tanh (d)
                    e = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d) seen = Add (e, t)
                }}
            >
        }}"""
    ),
    "a scan with a convolution": Text(
        f"""(float[1,4,4,6] start, float[2,1,4,4,6] xs) => (float[1,4,4,6] last, float[2,1,4,6,4] all) <{W44}> {{
            last, all = Scan <
                num_scan_inputs = 1,
                body = body ({AFTER} c, {AFTER} x) => ({AFTER} n, float[1,4,6,4] o) {{
                    a = Conv (x, w44) n = Add (a, c) b = Relu (n) o = Transpose <perm = [0, 2, 3, 1]> (b)
                }}
            > (start, xs)
        }}"""
    ),
    "a body around an outer transpose": Text(
        f"""({X}, bool flag) => ({AFTER} y) <{W}, {numbers("k", 4, 1, 3, 3)}> {{
            {CONV}
            a = Transpose <perm = [0, 2, 3, 1]> (t)
            y = If (flag) <
                then_branch = then_graph () => ({AFTER} p) {{ p = Transpose <perm = [0, 3, 1, 2]> (a) }},
                else_branch = else_graph () => ({AFTER} q) {{
                    b = Relu (a) c = Transpose <perm = [0, 3, 1, 2]> (b)
                    q = Conv <pads = [1, 1, 1, 1], group = 4> (c, k)
                }}
            >
        }}"""
    ),
}
