"""Sizes that are known at run time only: nothing is guessed, and whatever size comes, the result is the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from layoutopt.ir.verify import run_onnx
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants
from tests.graphs import BATCH_NORM, CONV, NORMALIZE, W44, W, numbers
from tests.harness import check_pass, model_of

HEAD = f"<{W}, {W44}, {numbers('g', 4, 2)}, int64[3] rows = {{0, 4, -1}}, int64[2] parts = {{3, 4}}"
BODIES = {
    "a residual block": f"{CONV} r = Relu (t) u = Conv (r, w44) y = Add (u, t)",
    "a classifier": f"{CONV} p = GlobalAveragePool (t) f = Flatten (p) y = MatMul (f, g)",
    "attention": f"{CONV} r = Reshape (t, rows) s = Transpose <perm = [0, 2, 1]> (r) q = MatMul (s, r) "
    "z = Softmax <axis = -1> (q) y = MatMul (r, z)",
    "transposes": "a = Transpose <perm = [0, 2, 3, 1]> (x) b = Relu (a) c = Transpose <perm = [0, 3, 1, 2]> (b) "
    "t = Conv (c, w) e = Transpose <perm = [0, 3, 1, 2]> (t) y = Transpose <perm = [0, 1, 3, 2]> (e)",
    "shapes at run time": f"{CONV} k = Shape (t) r = Reshape (t, rows) n = Sigmoid (r) y = Reshape (n, k)",
    "joining and cutting": f"{CONV} a = Concat <axis = 1> (t, x) b, c = Split <axis = 1> (a, parts) "
    "y = Concat <axis = 1> (c, b)",
    "normalization": f"{CONV} n = {NORMALIZE} i = InstanceNormalization (n, gamma, beta) y = Relu (i)",
}
SHAPES = ("N,3,4,6", "1,3,H,W", "N,3,H,W", "2,3,H,6")


def check_sizes(name: str, shape: str, passes: tuple[ir.passes.PassBase, ...]) -> None:
    text = f"g (float[{shape}] x) => (float y) {HEAD}, {BATCH_NORM}> {{ {BODIES[name]} }}"
    current = model = model_of(text)
    for pass_ in passes:
        current = check_pass(pass_, current, execute=False).model
    for sizes in ((1, 3, 4, 6), (2, 3, 4, 6), (2, 3, 5, 6), (1, 3, 3, 9)):
        if all(str(size) == asked or asked.isalpha() for size, asked in zip(sizes, shape.split(","), strict=True)):
            array = np.random.default_rng(0).standard_normal(sizes).astype(np.float32)
            np.testing.assert_allclose(_run(current, array), _run(model, array), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", BODIES)
def test_any_size_gives_the_same(name: str, shape: str) -> None:
    check_sizes(name, shape, (FoldConstants(simplify=False), *DEFAULT_PIPELINE[2:]))


@pytest.mark.parametrize("name", BODIES)
def test_any_size_gives_the_same_through_onnxsim(name: str) -> None:
    check_sizes(name, "N,3,H,W", DEFAULT_PIPELINE)


def _run(model: ir.Model, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    (result,) = run_onnx(model, {"x": array}).values()
    return result.astype(np.float64)
