"""Batch normalization is folded into the convolution above it where that is right, else into one Mul and one Add."""

from __future__ import annotations

import pytest

from layoutopt.passes import FoldBatchNorm
from tests.graphs import GRAPHS
from tests.graphs.text import BATCH_NORM, W
from tests.harness import check_golden, check_pass, model_of

NORM = "BatchNormalization"


def operators(text: str, *, opset: int = 17, execute: bool = True) -> list[str]:
    return [
        node.op_type for node in check_pass(FoldBatchNorm(), model_of(text, opset=opset), execute=execute).model.graph
    ]


@pytest.mark.parametrize("case", ["fold_batch_norm.absorb", "fold_batch_norm.multiply_add"])
def test_golden(case: str) -> None:
    check_golden(FoldBatchNorm(), case)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("batch normalization under a convolution", ["Conv"]),
        ("batch normalization under a transposed convolution", ["ConvTranspose"]),
        ("batch normalization of a value that is read twice", ["Conv", "Mul", "Add", "Add"]),
        ("batch normalization of an output", ["Conv", "Mul", "Add"]),
        ("batch normalization of an input of rank 2", ["Mul", "Add"]),
        ("batch normalization with statistics from outside", ["Conv", NORM]),
        ("a body normalizes an outer convolution", ["Conv", "If"]),
    ],
)
def test_into_what_it_is_folded(name: str, expected: list[str]) -> None:
    result = check_pass(FoldBatchNorm(), GRAPHS[name].model())
    assert [node.op_type for node in result.model.graph] == expected
    assert all(node.op_type != NORM for node in result.model.graph.all_nodes()) or NORM in expected


@pytest.mark.parametrize("opset", [8, 14, 15])
def test_every_opset(opset: int) -> None:
    text = (
        f"g (float[2,4,3,3] x) => (float[2,4,3,3] y) <{BATCH_NORM}> "
        f"{{ y = {NORM} <epsilon = 0.1> (x, gamma, beta, mean, var) }}"
    )
    assert operators(text, opset=opset) == ["Mul", "Add"]


def test_training_is_left_alone() -> None:
    text = f"""g (float[2,4,3,3] x) => (float[2,4,3,3] y) <{BATCH_NORM}> {{
        y, m, v = {NORM} <training_mode = 1> (x, gamma, beta, mean, var)
    }}"""
    assert operators(text, execute=False) == [NORM]


def test_statistics_per_element_are_left_alone() -> None:
    """What opset 7 calls ``spatial = 0``."""
    ones = "float[2,2] NAME = {1, 2, 3, 4}"
    statistics = ", ".join(ones.replace("NAME", name) for name in ("gamma", "beta", "mean", "var"))
    text = (
        f"g (float[1,2,2] x) => (float[1,2,2] y) <{statistics}> "
        f"{{ y = {NORM} <spatial = 0> (x, gamma, beta, mean, var) }}"
    )
    assert operators(text, opset=7, execute=False) == [NORM]


def test_weights_that_a_caller_can_set_are_left_alone() -> None:
    text = (
        f"g (float[1,3,4,6] x) => (float[1,4,4,6] y) <{W}, {BATCH_NORM}> {{ "
        f"t = Conv (x, w) y = {NORM} (t, gamma, beta, mean, var) }}"
    )
    model = model_of(text)
    model.graph.inputs.append(model.graph.initializers["w"])
    result = check_pass(FoldBatchNorm(), model).model
    assert [node.op_type for node in result.graph] == ["Conv", "Mul", "Add"]


def test_weights_that_two_convolutions_share_stay_for_the_other() -> None:
    text = f"""g (float[1,3,4,6] x) => (float[1,4,4,6] y, float[1,4,4,6] z) <{W}, {BATCH_NORM}> {{
        t = Conv (x, w) y = {NORM} (t, gamma, beta, mean, var) z = Conv (x, w)
    }}"""
    assert operators(text) == ["Conv", "Conv"]
