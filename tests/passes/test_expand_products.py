"""Gemm and Einsum become MatMul between what the choice of layouts sees through."""

from __future__ import annotations

import pytest

from layoutopt.passes import ExpandProducts
from tests.graphs import numbers
from tests.harness import check_pass, model_of

MATRICES = f"{numbers('m', 3, 4)}, {numbers('n', 4, 3)}, {numbers('c', 4)}, {numbers('full', 2, 4)}"
GEMM = ["MatMul", "Add"]


@pytest.mark.parametrize(
    ("body", "operators"),
    [
        ("y = Gemm (a, m, c)", GEMM),
        ("y = Gemm <transB = 1, alpha = 0.5, beta = -2.0> (a, n, c)", GEMM),
        ("y = Gemm <transA = 1> (t, m, full)", ["Transpose", *GEMM]),
        ("y = Gemm <transB = 1, alpha = 2.0> (a, k, c)", ["Transpose", "Mul", *GEMM]),
        ("y = Gemm <beta = 3.0> (a, m, z)", ["MatMul", "Mul", "Add"]),
        ('y = Einsum <equation = "ij,jk->ik"> (a, m)', ["MatMul"]),
        ('y = Einsum <equation = "ji, kj -> ik"> (t, n)', ["Transpose", "MatMul"]),
        ('y = Einsum <equation = "ij,jk->ki"> (a, m)', ["MatMul", "Transpose"]),
    ],
)
def test_into_what_it_is_expanded(body: str, operators: list[str]) -> None:
    text = f"g (float[2,3] a, float[3,2] t, float[4,3] k, float[1,4] z) => (float y) <{MATRICES}> {{ {body} }}"
    result = check_pass(ExpandProducts(), model_of(text))
    assert [node.op_type for node in result.model.graph] == operators


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bhid,bhjd->bhij", "2,3,4,5", "2,3,6,5"),
        ("bhij,bhjd->bihd", "2,3,4,6", "2,3,6,5"),
        ("nchw,ck->nkhw", "2,3,4,5", "3,6"),
        ("abc,de->abcde", "2,3,4", "5,6"),
        ("abc,cab->b", "2,3,4", "4,2,3"),
        ("ij,ij->", "2,3", "2,3"),
        ("ij,jk->i", "2,3", "3,4"),
        ("ii,ij->ij", "3,3", "3,4"),
        ("...ij,...jk->...ik", "2,3,4", "2,4,5"),
        ("ij,jk,kl->il", "2,3", "3,4"),
    ],
)
def test_any_equation_keeps_its_meaning(equation: str, left: str, right: str) -> None:
    operands = "a, b, b2" if equation.count(",") == 2 else "a, b"
    node = f'y = Einsum <equation = "{equation}"> ({operands})'
    text = f"g (float[{left}] a, float[{right}] b, float[4,5] b2) => (float y) {{ {node} }}"
    expanded = check_pass(ExpandProducts(), model_of(text)).modified
    assert expanded == (equation not in ("ij,ij->", "ij,jk->i", "ii,ij->ij", "...ij,...jk->...ik", "ij,jk,kl->il"))


def test_what_is_not_known_stays() -> None:
    text = f"g (float[N,3] a) => (float[N,4] y) <{MATRICES}> {{ y = Gemm (a, m, c) }}"
    assert not check_pass(ExpandProducts(), model_of(text), execute=False).modified
