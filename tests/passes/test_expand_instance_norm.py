"""Instance and group normalization become moments per channel, one Mul and one Add."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from layoutopt.passes import DEFAULT_PIPELINE, ExpandInstanceNorm
from layoutopt.pipeline.manager import PassManager
from tests.graphs import GRAPHS, GROUP_NORM, GROUPED
from tests.harness import check_pass, in_type, model_of, transposes

MOMENTS = ["ReduceMean", "Sub", "Mul", "ReduceMean"]
AFFINE = ["Add", "Pow", "Mul", "Mul", "Sub"]
OF_CHANNELS = [*MOMENTS, *AFFINE, "Mul", "Add"]
OF_GROUPS = [
    *MOMENTS, "Reshape", "ReduceMean", "Sub", "Mul", "Reshape", "Add", "ReduceMean",
    *AFFINE, "Reshape", "Mul", "Reshape", "Add",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("instance normalization", ["Conv", *OF_CHANNELS, "Relu"]),
        ("group normalization", ["Conv", *OF_GROUPS]),
        ("group normalization as it is exported", ["Conv", *OF_GROUPS]),
        ("group normalization that is read before its shift", ["Conv", *OF_GROUPS, "Add"]),
        ("group normalization that is read in its groups", ["Conv", "Reshape", *OF_CHANNELS, "Reshape"]),
        ("instance normalization with a scale per column", ["Conv", *OF_CHANNELS, "Mul"]),
        ("instance normalization with a scale from outside", ["Conv", "InstanceNormalization"]),
    ],
)
def test_into_what_it_is_expanded(name: str, expected: list[str]) -> None:
    result = check_pass(ExpandInstanceNorm(), GRAPHS[name].model())
    assert [node.op_type for node in result.model.graph] == expected


@pytest.mark.parametrize("name", ["group normalization", "group normalization as it is exported"])
def test_nothing_is_left_to_transpose(name: str) -> None:
    assert transposes(PassManager(DEFAULT_PIPELINE).run(GRAPHS[name].model()).model) == 0


@pytest.mark.parametrize("opset", [8, 13, 18])
def test_every_opset(opset: int) -> None:
    text = f"g (float[2,4,4,6] t) => (float[2,4,4,6] y) <{GROUP_NORM}> {{ {GROUPED} y = Reshape (n, whole) }}"
    result = check_pass(ExpandInstanceNorm(), model_of(text, opset=opset))
    assert [node.op_type for node in result.model.graph] == OF_GROUPS


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
@pytest.mark.parametrize("name", ["group normalization", "group normalization as it is exported"])
def test_halves_are_computed_in_float32_and_need_no_transpose_either(name: str, dtype: ir.DataType) -> None:
    model = PassManager(DEFAULT_PIPELINE).run(in_type(GRAPHS[name].model(), dtype)).model
    assert transposes(model) == 0
    assert "InstanceNormalization" not in {node.op_type for node in model.graph}
    assert model.graph.outputs[0].dtype is dtype
