"""Transposes and Reshapes merge, cancel and fold until nothing is left to do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, permute
from layoutopt.passes import CancelTransposes
from tests.graphs import GRAPHS
from tests.harness import check_golden, check_pass, model_of


@pytest.mark.parametrize("case", ["cancel", "merge", "ones", "constant", "duplicates"])
def test_golden(case: str) -> None:
    check_golden(CancelTransposes(), f"cancel_transposes.{case}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("two outputs cancel to one value", ["Conv", "Identity"]),
        ("an output cancels to an input", ["Identity"]),
        ("a transpose dies, its twin lives", ["Transpose", "Relu", "Relu"]),
        ("transposes merge to one that moves nothing", ["Reshape", "Relu"]),
        ("reshapes merge to nothing", ["Relu"]),
        ("a reshape around a transpose of ones", ["Reshape", "Relu"]),
        ("twins under a merge", ["Transpose", "Relu", "Neg"]),
        ("dead transposes", ["Relu"]),
        ("unknown rank", ["Conv", "Reshape", "Relu", "Constant", "Reshape"]),
        ("a body reads a transpose", ["Conv", "Transpose", "If"]),
        ("a transpose of ones behind one that is read", ["Transpose", "Reshape", "MatMul"]),
    ],
)
def test_what_is_left(name: str, expected: list[str]) -> None:
    result = check_pass(CancelTransposes(), GRAPHS[name].model(), execute=name != "unknown rank")
    assert sorted(node.op_type for node in result.model.graph) == sorted(expected)


@settings(max_examples=60)
@given(
    st.integers(1, 5).flatmap(lambda rank: st.lists(st.permutations(range(rank)).map(tuple), min_size=1, max_size=4))
)
def test_a_chain_becomes_one_node_or_none(perms: list[Perm]) -> None:
    shape = tuple(range(2, 2 + len(perms[0])))
    lines, sizes = [], shape
    for index, perm in enumerate(perms):
        lines.append(f"v{index + 1} = Transpose <perm = {list(perm)}> (v{index})")
        sizes = permute(sizes, perm)
    text = f"""g (float[{",".join(map(str, shape))}] v0) => (float[{",".join(map(str, sizes))}] y) {{
        {" ".join(lines)} y = Relu (v{len(perms)})
    }}"""
    result = check_pass(CancelTransposes(), model_of(text))
    assert len(result.model.graph) == (1 if sizes == shape else 2)
