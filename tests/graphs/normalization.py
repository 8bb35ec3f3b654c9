"""Graphs with batch, instance and group normalization."""

from __future__ import annotations

from collections.abc import Mapping

from tests.graphs.text import (
    AFTER,
    BATCH_NORM,
    CONV,
    GROUP_NORM,
    GROUPED,
    NORMALIZE,
    Text,
    W,
    X,
    numbers,
)

GRAPHS: Mapping[str, Text] = {
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
}
