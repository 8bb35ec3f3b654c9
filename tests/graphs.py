"""Hand-written graphs: everything that has ever tripped a layout pass, each as small as it can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from tests.harness import model_of


@dataclass(frozen=True)
class Text:
    """A graph as text.

    Attributes:
        text: of the graph, without the header.
        opset: of the model.
        listed: names of the initializers that are inputs as well.
    """

    text: str
    opset: int = 17
    listed: tuple[str, ...] = ()

    def model(self) -> ir.Model:
        model = model_of(f"g {self.text}", opset=self.opset)
        for name in self.listed:
            model.graph.inputs.append(model.graph.initializers[name])
        return model


def numbers(name: str, *shape: int) -> str:
    """The text of an initializer in which no two elements are alike."""
    size = int(np.prod(shape))
    values = np.random.default_rng(size).permutation(size) / 5 - 1.1
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(f'{value:.4f}' for value in values)}}}"


W = numbers("w", 4, 3, 1, 1)
W44 = numbers("w44", 4, 4, 1, 1)
IMAGE = "float[1,3,4,6]"
X = f"{IMAGE} x"
AFTER = "float[1,4,4,6]"
CONV = "t = Conv (x, w)"
BATCH_NORM = f"{numbers('gamma', 4)}, {numbers('beta', 4)}, {numbers('mean', 4)}, float[4] var = {{0.5, 1.0, 2.0, 0.1}}"
NORMALIZE = "BatchNormalization (t, gamma, beta, mean, var)"
GROUP_NORM = (
    f"{numbers('gamma', 4)}, {numbers('beta', 4)}, {numbers('scale', 4, 1, 1)}, {numbers('shift', 4, 1, 1)}, "
    "float[2] one = {1, 1}, float[2] zero = {0, 0}, int64[3] groups = {0, 2, -1}, int64[4] whole = {2, 4, 4, 6}"
)
GROUPED = "r = Reshape (t, groups) n = InstanceNormalization (r, one, zero)"

STEPS = "float s = {0.25}, uint8 o = {3}, float fine = {0.125}"
QUANTIZED = "q = QuantizeLinear (x, s, o)"

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
    "a pad of one to four that is cut in two": Text(
        f"""(float[1,3,5] x) => (float[2,3,3,5] y) <{numbers("k", 3, 2, 1, 1)}, int64[6] pads = {{1, 0, 0, 2, 0, 0}},
            int64[4] cut = {{2, 2, 3, 5}}> {{ a = Pad (x, pads) b = Reshape (a, cut) y = Conv (b, k) }}"""
    ),
    "a concat of ones that is cut in two": Text(
        f"""(float[1,3,16] x, float[1,3,16] z) => (float[2,3,3,16] y) <{numbers("k", 3, 2, 1, 1)},
            int64[4] cut = {{2, 2, 3, 16}}> {{
            a = Concat <axis = 0> (x, z, z, x) b = Reshape (a, cut) y = Conv (b, k)
        }}"""
    ),
    "a convolution behind a reshape of a transpose": Text(
        f"""(float[2,3,1,2] x) => (float[2,3,1,2] y) <{numbers("k", 3, 3, 1, 1)}, int64[4] cut = {{2, 3, 1, 2}}> {{
            a = Transpose <perm = [1, 0, 2, 3]> (x) b = Reshape (a, cut) y = Conv (b, k)
        }}"""
    ),
    "transposes around a reshape that divide nowhere": Text(
        """(float[2,2,3] x) => (float[6,2] y) <int64[2] cut = {2, 6}> {
            r = Relu (x) a = Transpose <perm = [2, 0, 1]> (r) b = Reshape (a, cut) y = Transpose (b)
        }"""
    ),
    "a transpose of ones behind one that is read": Text(
        """(float[1,1,4,3] x) => (float[1,3,4,4] y) {
            a = Transpose <perm = [0, 3, 2, 1]> (x) b = Transpose <perm = [0, 1, 3, 2]> (a) y = MatMul (a, b)
        }"""
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
    "transposes at both ends": Text(
        f"(float[1,4,6,3] x) => (float[1,4,6,4] y) <{W}> {{ a = Transpose <perm = [0, 3, 1, 2]> (x) b = Conv (a, w) "
        "c = Relu (b) y = Transpose <perm = [0, 2, 3, 1]> (c) }"
    ),
    "transpose without perm": Text(
        "(float[2,3,4] x) => (float[2,3,4] y) { a = Transpose (x) b = Relu (a) y = Transpose (b) }"
    ),
    "transposes that share a source": Text(
        "(float[2,3,4] x) => (float[2,3,4] y, float[4,3,2] a, float[4,3,2] c) "
        "{ a = Transpose (x) y = Transpose (a) b = Transpose (x) c = Relu (b) }"
    ),
    "a transpose dies, its twin lives": Text(
        "(float[2,3,4] x) => (float[2,3,4] y, float[4,3,2] c) { a = Transpose (x) r = Transpose (a) "
        "y = Relu (r) b = Transpose (x) c = Relu (b) }"
    ),
    "transposes merge to one that moves nothing": Text(
        "(float[1,4,1,6] x) => (float[4,6,1,1] y) { a = Transpose <perm = [3, 1, 0, 2]> (x) "
        "b = Transpose <perm = [1, 0, 2, 3]> (a) y = Relu (b) }"
    ),
    "reshapes merge to nothing": Text(
        "(float[2,12] x) => (float[2,12] y) { p = Constant <value = int64[3] {2, 3, 4}> () "
        "q = Constant <value = int64[2] {2, 12}> () "
        "a = Reshape (x, p) b = Reshape (a, q) y = Relu (b) }"
    ),
    "a reshape around a transpose of ones": Text(
        "(float[2,12] x) => (float[24] y) { p = Constant <value = int64[3] {2, 1, 12}> () "
        "q = Constant <value = int64[1] {24}> () "
        "a = Reshape (x, p) t = Transpose <perm = [1, 0, 2]> (a) b = Reshape (t, q) y = Relu (b) }"
    ),
    "twins under a merge": Text(
        "(float[2,3,4] x) => (float[3,4,2] y, float[3,4,2] z) { a = Transpose <perm = [2, 1, 0]> (x) "
        "b = Transpose <perm = [1, 0, 2]> (a) "
        "y = Relu (b) c = Transpose <perm = [1, 2, 0]> (x) z = Neg (c) }"
    ),
    "dead transposes": Text("(float[2,3] x) => (float[2,3] y) { a = Transpose (x) b = Transpose (a) y = Relu (x) }"),
    "rank 3": Text("(float[1,3,8] x) => (float[1,8,3] y) { a = Relu (x) y = Transpose <perm = [0, 2, 1]> (a) }"),
    "rank 5": Text(
        "(float[1,3,2,4,5] x) => (float[1,3,2,4,5] y) { a = Transpose <perm = [0, 2, 3, 4, 1]> (x) b = Sigmoid (a) "
        "y = Transpose <perm = [0, 4, 1, 2, 3]> (b) }"
    ),
    "a transpose of rank 8": Text(
        "(float[2,2,2,2,2,2,2,2] x) => (float[2,2,2,2,2,2,2,2] y) { a = Relu (x) "
        "t = Transpose <perm = [7, 5, 3, 1, 6, 4, 2, 0]> (a) y = Neg (t) }"
    ),
    "Conv of rank 3": Text(
        f"(float[1,3,8] x) => (float[1,2,8] y) <{numbers('w1', 2, 3, 1)}> {{ t = Conv (x, w1) y = Relu (t) }}"
    ),
    "Conv of rank 5": Text(
        f"(float[1,3,2,4,5] x) => (float[1,2,2,4,5] y) <{numbers('w3', 2, 3, 1, 1, 1)}> {{ "
        f"t = Conv (x, w3) y = Relu (t) }}"
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
    "batch normalization under a convolution": Text(
        f"({X}) => ({AFTER} y) <{W}, {BATCH_NORM}> {{ {CONV} y = {NORMALIZE} }}"
    ),
    "batch normalization of a value that is read twice": Text(
        f"({X}) => ({AFTER} y) <{W}, {BATCH_NORM}> {{ {CONV} n = {NORMALIZE} y = Add (n, t) }}"
    ),
    "batch normalization of an output": Text(
        f"({X}) => ({AFTER} y, {AFTER} t) <{W}, {BATCH_NORM}> {{ {CONV} y = {NORMALIZE} }}"
    ),
    "batch normalization under a transposed convolution": Text(
        f"(float[1,4,3,3] x) => (float[1,4,6,6] y) <{numbers('u', 4, 2, 2, 2)}, {numbers('b', 4)}, {BATCH_NORM}> "
        f"{{ t = ConvTranspose <group = 2, strides = [2, 2]> (x, u, b) y = {NORMALIZE} }}"
    ),
    "batch normalization of an input of rank 2": Text(
        f"(float[3,4] t) => (float[3,4] y) <{BATCH_NORM}> {{ y = {NORMALIZE} }}"
    ),
    "batch normalization with statistics from outside": Text(
        f"({X}, float[4] gamma) => ({AFTER} y) <{W}, {numbers('beta', 4)}, {numbers('mean', 4)}, "
        f"float[4] var = {{0.5, 1.0, 2.0, 0.1}}> {{ {CONV} y = {NORMALIZE} }}"
    ),
    "batch normalization of half precision": Text(
        f"(float16[1,4,3,3] t) => (float16[1,4,3,3] y) <{BATCH_NORM}> {{ y = {NORMALIZE} }}"
    ),
    "instance normalization": Text(
        f"({X}) => ({AFTER} y) <{W}, {GROUP_NORM}> {{ {CONV} n = InstanceNormalization (t, gamma, beta) y = Relu (n) }}"
    ),
    "group normalization": Text(
        f"({X}) => ({AFTER} y) <{W}, {GROUP_NORM}> "
        f"{{ {CONV} y = GroupNormalization <num_groups = 2> (t, gamma, beta) }}",
        opset=21,
    ),
    "group normalization as it is exported": Text(
        f"""(float[2,3,4,6] x) => (float[2,4,4,6] y) <{W}, {GROUP_NORM}> {{
            {CONV} {GROUPED} z = Reshape (n, whole) a = Mul (z, scale) y = Add (shift, a)
        }}"""
    ),
    "group normalization that is read before its shift": Text(
        f"""(float[2,3,4,6] x) => (float[2,4,4,6] y, float[2,4,4,6] a) <{W}, {GROUP_NORM}> {{
            {CONV} {GROUPED} z = Reshape (n, whole) a = Mul (z, scale) y = Add (a, shift)
        }}"""
    ),
    "group normalization that is read in its groups": Text(
        f"""(float[2,3,4,6] x) => (float[2,4,4,6] y, float[2,2,48] n) <{W}, {GROUP_NORM}> {{
            {CONV} {GROUPED} y = Reshape (n, whole)
        }}"""
    ),
    "instance normalization with a scale per column": Text(
        f"({X}) => ({AFTER} y) <{W}, {GROUP_NORM}, {numbers('row', 6)}> "
        f"{{ {CONV} n = InstanceNormalization (t, gamma, beta) y = Mul (n, row) }}"
    ),
    "instance normalization with a scale from outside": Text(
        f"({X}, float[4] gamma) => ({AFTER} y) <{W}, {numbers('beta', 4)}> "
        f"{{ {CONV} y = InstanceNormalization (t, gamma, beta) }}"
    ),
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
