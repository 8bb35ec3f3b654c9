"""Graphs of transposes and reshapes that meet, merge and cancel."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs.text import (
    Text,
    W,
    numbers,
)

GRAPHS: Mapping[str, Text] = {
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
}
