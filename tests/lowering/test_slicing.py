"""Lowerings of slices, gathers and scatters, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import CaseRunner, indices, nchw

CASES = {
    "split": nchw("y, z = Split<axis=-1>(x)", "SPLIT"),
    "split sizes": nchw("y, z = Split<axis=-1>(x,p)", "SPLIT_V", p=indices(3, 5)),
    "split 11": nchw("y, z = Split<axis=1,split=[2,4]>(x)", "SPLIT_V", opset=11),
    "split 18": nchw("y, z = Split<axis=2,num_outputs=2>(x)", "SPLIT", opset=18),
    "slice": nchw("y = Slice(x,b,e,a)", "SLICE", b=indices(1, -6), e=indices(4, 2**62), a=indices(1, 2)),
    "slice steps": nchw(
        "y = Slice(x,b,e,a,t)", "STRIDED_SLICE", b=indices(0), e=indices(-1), a=indices(2), t=indices(2)
    ),
    "slice back": nchw(
        "y = Slice(x,b,e,a,t)",
        "REVERSE_V2 STRIDED_SLICE",
        b=indices(-1),
        e=indices(-(2**62)),
        a=indices(2),
        t=indices(-2),
    ),
    "slice halves": nchw(
        "y = Slice(x,m,e,a) z = Slice(x,b,m,a)", "SPLIT", b=indices(0), m=indices(4), e=indices(2**62), a=indices(-1)
    ),
    "slice parts": nchw(
        "y = Slice(x,b,m,a) z = Slice(x,m,e,a)",
        "SLICE SLICE",
        b=indices(0),
        m=indices(3),
        e=indices(2**62),
        a=indices(-1),
    ),
    "slice overlap": nchw(
        "y = Slice(x,b,m,a) z = Slice(x,n,e,a)",
        "SLICE SLICE",
        b=indices(0),
        m=indices(5),
        n=indices(3),
        e=indices(8),
        a=indices(2),
    ),
    "slice nothing": nchw("a = Slice(x,b,e) y = Relu(a)", "RELU", b=indices(0), e=indices(2**62)),
    "pad": nchw("y = Pad(x,p)", "PAD", p=indices(0, 2, 3, 0, 0, 1)),
    "pad value": nchw("y = Pad(x,p,v)", "PADV2", p=indices(0, 2, 3, 0, 0, 1), v=np.float32(1.5)),
    "pad 18": nchw("y = Pad(x,p,,a)", "PAD", opset=18, p=indices(3, 2), a=indices(2)),
    "pad cut": nchw("y = Pad(x,p)", "SLICE PAD", p=indices(0, -1, 2, 0, 0, -1)),
    "pad reflect": nchw(
        'y = Pad<mode="reflect">(x,p)',
        "SLICE REVERSE_V2 CONCATENATION SLICE REVERSE_V2 SLICE CONCATENATION",
        p=indices(0, 2, 3, 0, 0, 1),
    ),
    "pad edge": nchw(
        'y = Pad<mode="edge">(x,p)', "SLICE CONCATENATION SLICE CONCATENATION", p=indices(0, 0, 3, 0, 1, 0)
    ),
    "gather": nchw("y = Gather<axis=1>(x,n)", "GATHER", n=indices(0, -1, 3)),
    "gather one": nchw("y = Gather<axis=1>(x,n)", "SLICE RESHAPE", n=np.int64(-2)),
    "gather range": nchw("y = Gather<axis=1>(x,n)", "SLICE RESHAPE", n=np.array([[1, 2], [3, -2]], np.int64)),
    "gather steps": nchw("y = Gather<axis=1>(x,n)", "STRIDED_SLICE", n=indices(1, 3, 5)),
    "gather all": nchw("y = Gather<axis=1>(x,n)", "RESHAPE", n=np.arange(6).reshape(2, 3)),
    "gather nd": nchw("y = GatherND(x,n)", "GATHER_ND", n=np.array([[0, 1], [1, -1]], np.int64)),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
