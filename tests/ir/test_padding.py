"""Padding as an operator of its own: the model computes the same, and no strided window is left with padding."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from layoutopt.ir.padding import spell_out_padding
from layoutopt.passes import DEFAULT_PIPELINE
from layoutopt.pipeline.manager import PassManager
from tests.graphs.text import numbers
from tests.harness import check_equal, model_of

STRIDED = "pads = [1, 0, 2, 1], strides = [2, 3]"
POOL = f"kernel_shape = [3, 3], {STRIDED}"


def padded(model: ir.Model) -> ir.Model:
    copy = model.clone()
    spell_out_padding(copy)
    return copy


@pytest.mark.parametrize(
    "node",
    [f"Conv <{STRIDED}> (x, w)", f"MaxPool <{POOL}> (x)", f"AveragePool <{POOL}, count_include_pad = 1> (x)"],
)
@pytest.mark.parametrize("optimized", [False, True])
def test_strided_windows_get_a_pad(node: str, optimized: bool) -> None:
    model = model_of(f"g (float[2,3,9,10] x) => (float y) <{numbers('w', 4, 3, 3, 3)}> {{ y = {node} }}")
    if optimized:
        model = PassManager(DEFAULT_PIPELINE).run(model).model
    result = padded(model)
    pad, window = [node for node in result.graph if node.op_type != "Transpose"]
    assert pad.op_type == "Pad"
    assert not any(window.attributes.get_ints("pads"))
    check_equal(model, result)


@pytest.mark.parametrize(
    "node",
    [
        "Conv <pads = [1, 1, 1, 1]> (x, w)",
        "Conv <strides = [2, 2]> (x, w)",
        'Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w)',
        f"AveragePool <{POOL}> (x)",
        f"MaxPool <{POOL}, ceil_mode = 1> (x)",
        f"ConvTranspose <{STRIDED}> (x, v)",
    ],
)
def test_other_windows_stay(node: str) -> None:
    constants = f"{numbers('w', 4, 3, 3, 3)}, {numbers('v', 3, 4, 3, 3)}"
    model = model_of(f"g (float[2,3,9,10] x) => (float y) <{constants}> {{ y = {node} }}")
    assert len(list(padded(model).graph)) == 1
