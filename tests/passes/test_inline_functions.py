"""Function calls become what the functions are made of; ONNX's own tests say what that has to compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.reference
import onnx_ir as ir
import pytest

from benchmarks.conformance.cases import cases
from layoutopt.ir import dialect
from layoutopt.ir.verify import run_onnx
from layoutopt.passes import InlineFunctions, PropagateLayout
from layoutopt.passes.inline_functions import EXPANDED
from tests.harness import check_golden, check_pass, model_of

CASES = (
    "test_affine_grid_2d",
    "test_attention_4d",
    "test_attention_4d_attn_mask_bool",
    "test_attention_4d_diff_heads_with_past_and_present",
    "test_attention_4d_with_qk_matmul_bias",
    "test_center_crop_pad_crop_and_pad",
    "test_nllloss_NCd1_weight_ii",
    "test_rotary_embedding_interleaved",
    "test_sce_NCd1d2d3_none_no_weight_negative_ii_log_prob",
    "test_sce_mean",
)
"""Bodies that depend on attributes, on operands that are left out, on results that nobody asks for, and on types."""


@pytest.mark.parametrize("name", CASES)
def test_bodies_of_operators(name: str) -> None:
    case = cases()[name]
    result = check_pass(InlineFunctions(), ir.from_proto(case.model), execute=False)
    assert result.modified
    assert not [node for node in result.model.graph if node.op_type in EXPANDED]
    assert set(result.model.opset_imports) == {""}
    (inputs, outputs), *_ = case.data
    found = run_onnx(result.model, inputs)
    for output, expected in outputs.items():
        _check_close(found[output], np.asarray(expected))


def _check_close(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_golden() -> None:
    check_golden(InlineFunctions(), "inline_functions.local")


def test_the_dialect_stays() -> None:
    text = "g (float[1,2,4,4] x, float[3,2,1,1] w) => (float y) { y = Conv (x, w) }"
    model = PropagateLayout()(model_of(text)).model
    assert [node.domain for node in model.graph] == [dialect.DOMAIN]
    assert not check_pass(InlineFunctions(), model).modified


def test_bodies_inside_of_a_branch() -> None:
    text = """g (bool c, float[2,3] x) => (float[2,3] y) {
        y = If (c) <
            then_branch = a () => (float[2,3] t) { one = Constant <value = int32 {1}> () k = CastLike (x, one)
                                                    t = CastLike (k, x) },
            else_branch = b () => (float[2,3] e) { e = Neg (x) }
        >
    }"""
    result = check_pass(InlineFunctions(), model_of(text, opset=19))
    assert [node.op_type for node in result.model.graph.all_nodes()].count("Cast") == 2


def test_newer_operators_than_onnx_runtime_knows() -> None:
    """SwiGLU is judged by ONNX's own evaluator: ONNX Runtime has no Swish of this opset."""
    case = next(case for name, case in cases().items() if "swiglu" in name and "expanded" not in name)
    result = check_pass(InlineFunctions(), ir.from_proto(case.model), execute=False)
    evaluator = onnx.reference.ReferenceEvaluator(ir.to_proto(result.model))
    (inputs, outputs), *_ = case.data
    found = evaluator.run(None, dict(inputs))
    assert isinstance(found, list)
    for each, expected in zip(found, outputs.values(), strict=True):
        _check_close(np.asarray(each), np.asarray(expected))
