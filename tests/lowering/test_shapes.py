"""Lowerings that change shapes, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import CaseRunner, indices, nchw

CASES = {
    "concat": nchw("a = Relu(x) y = Concat<axis=-1>(x,a)", "RELU CONCATENATION"),
    "reshape": nchw("y = Reshape(x,t)", "RESHAPE", t=indices(0, -1, 2)),
    "reshape by shape": nchw(
        "s = Shape(x) n = Gather<axis=0>(s,zero) u = Unsqueeze(n,zero1) t = Concat<axis=0>(u,m) y = Reshape(x,t)",
        "RESHAPE",
        zero=np.int64(0),
        zero1=indices(0),
        m=indices(-1),
    ),
    "flatten": nchw("y = Flatten<axis=1>(x)", "RESHAPE"),
    "squeeze": nchw("y = Squeeze(x,a)", "RESHAPE", x=(1, 6, 1, 8), a=indices(0)),
    "squeeze 11": nchw("y = Squeeze<axes=[0]>(x)", "RESHAPE", opset=11, x=(1, 6, 1, 8)),
    "unsqueeze": nchw("y = Unsqueeze(x,a)", "RESHAPE", a=indices(0, -1)),
    "transpose": nchw("y = Transpose<perm=[2,0,1]>(x)", "TRANSPOSE"),
    "transpose of ones": nchw("y = Transpose<perm=[1,0,2]>(x)", "RESHAPE", x=(1, 6, 8)),
    "expand": nchw("y = Expand(x,t)", "MUL", x=(1, 6, 1), t=indices(3, 1, 4)),
    "tile": nchw("y = Tile(x,t)", "TILE", t=indices(1, 2, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
