"""The part between tensors: it computes what the whole does there, and what is wrong with a cut is told in a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt.boundary import Boundary
from layoutopt.boundary.cut import cut
from layoutopt.boundary.suggestion import suggest_cut
from layoutopt.cli import app
from layoutopt.errors import UnsupportedOperatorError, UsageError
from layoutopt.ir.io import save
from layoutopt.ir.verify import run_onnx
from tests.boundary.networks import FLOAT, classifier, constant, detector, floats, model, node, picture

X = np.random.default_rng(1).standard_normal((1, 3, 16, 16)).astype(np.float32)


def names(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def test_both_parts_compute_together_what_the_whole_does() -> None:
    (whole,) = run_onnx(classifier(), {"image": X}).values()
    first, told = cut(classifier(), [], ["act"])
    assert names(first.graph.outputs) == ["act_out"]
    assert told == ("Removed: 1 of 3 operators: Conv.", "Removed: outputs scores.")
    (middle,) = run_onnx(first, {"image": X}).values()
    second, told = cut(classifier(), ["act_out"], [])
    assert names(second.graph.inputs) == ["act_out"]
    assert told[-1] == "Removed: inputs image."
    assert np.array_equal(run_onnx(second, {"act_out": middle})["scores"], whole)
    assert set(second.graph.initializers) == {"head_weights"}


def test_a_body_keeps_what_it_reads_from_around_it() -> None:
    x, flag = picture(1, 4), ir.val("flag", ir.DataType.BOOL, ())
    bias = floats("around", 1, 4)
    doubled = node("Add", [x, x], "double")
    doubled.outputs[0].dtype, doubled.outputs[0].shape = FLOAT, ir.Shape([1, 4])
    branches = []
    for at, operand in enumerate((doubled.outputs[0], bias)):
        inner = node("Add", [doubled.outputs[0], operand], f"inner{at}")
        inner.outputs[0].dtype, inner.outputs[0].shape = FLOAT, ir.Shape([1, 4])
        branches.append(ir.Graph([], inner.outputs, nodes=[inner], name=f"body{at}"))
    chosen = ir.node("If", [flag], {"then_branch": branches[0], "else_branch": branches[1]}, name="if")
    chosen.outputs[0].name, chosen.outputs[0].dtype, chosen.outputs[0].shape = "chosen", FLOAT, ir.Shape([1, 4])
    last = node("Neg", [chosen.outputs[0]], "last")
    last.outputs[0].dtype, last.outputs[0].shape = FLOAT, ir.Shape([1, 4])
    made = model([x, flag], last.outputs, [doubled, chosen, last], bias)
    row = np.arange(4, dtype=np.float32)[None]
    with pytest.raises(UsageError, match="'inner0' is inside a body"):
        cut(made.clone(), [], ["inner0"])
    with pytest.raises(UsageError, match="also need image"):
        cut(made.clone(), ["flag"], ["chosen"])
    part, _ = cut(made, ["double", "flag"], ["if"])
    for value in (True, False):
        found = run_onnx(part, {"double_out": row, "flag": np.array(value)})["chosen"]
        assert np.array_equal(found, row + (row if value else bias.const_value.numpy()))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("inputs", "outputs", "message", "hint"),
    [
        ([], ["acts"], "there is no tensor or node 'acts'", "Did you mean act"),
        ([], ["head_weights"], "'head_weights' is a constant", "layoutopt tensors"),
        ([], ["scores", "scores"], "'scores' is given twice", ""),
        ([], ["head", "scores"], "'scores' is given also as 'head'", ""),
        ([], ["image"], "'image' is an input", ""),
        (["act"], ["act"], "'act_out' is an input", ""),
        (["act"], ["stem"], "--inputs act_out: the outputs also need image", "--inputs act_out,image"),
        (["image", "act"], [], "reads image", "Leave it out"),
    ],
)
def test_a_wrong_cut_is_told(inputs: list[str], outputs: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        cut(classifier(), inputs, outputs)
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert hint in error.value.hint


def test_a_name_of_two_nodes_names_neither() -> None:
    made = classifier()
    for each in made.graph:
        each.name = "same"
    with pytest.raises(UsageError, match="names several things") as error:
        cut(made, [], ["same"])
    assert "'act_out'" in error.value.hint


def test_an_unknown_tail_is_named_with_the_cut_that_works(tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    save(detector(), path)
    with pytest.raises(UnsupportedOperatorError) as error:
        layoutopt.optimize(path, convert=False)
    options = error.value.hint.rpartition(": ")[2]
    assert options == "--outputs scores"
    done = CliRunner().invoke(app, ["optimize", str(path), *options.split(), "--backend", "direct", "--no-baseline"])
    assert done.exit_code == 0, done.output
    assert "Removed: 1 of 4 operators: Suppress." in done.stdout


def test_a_tail_without_a_lowering_is_named_likewise() -> None:
    made = classifier()
    regions = constant("regions", np.array([[0, 0, 0, 4, 4]], np.float32))
    tail = node("MaxRoiPool", [made.graph.outputs[0], regions], "tail", pooled_shape=[2, 2])
    tail.outputs[0].dtype, tail.outputs[0].shape = FLOAT, ir.Shape([1, 5, 2, 2])
    made.graph.register_initializer(regions)
    made.graph.append(tail)
    made.graph.outputs[0] = tail.outputs[0]
    with pytest.raises(UnsupportedOperatorError, match="MaxRoiPool") as error:
        layoutopt.optimize(made, backend="direct", baseline=False)
    assert error.value.nodes == ("tail",)
    assert error.value.hint.endswith("To take the part without them: --outputs scores")
    boundary = Boundary(outputs=["scores"])
    assert layoutopt.optimize(made, backend="direct", baseline=False, boundary=boundary).optimized.operators == 3


def test_what_cannot_be_converted_at_the_begin_becomes_inputs() -> None:
    x = picture()
    strange = node("Decode", [x], "decode", domain="plugins")
    strange.outputs[0].dtype, strange.outputs[0].shape = FLOAT, ir.Shape([1, 3, 16, 16])
    weights = floats("weights", 8, 3, 3, 3)
    conv = node("Conv", [strange.outputs[0], weights], "conv")
    conv.outputs[0].dtype, conv.outputs[0].shape = FLOAT, ir.Shape([1, 8, 14, 14])
    assert suggest_cut(model([x], conv.outputs, [strange, conv], weights), ["decode"]) == "--inputs decode_out"
    assert suggest_cut(classifier(), ["nobody"]) == ""


def test_sizes_alone_are_no_outputs_of_a_cut() -> None:
    made = classifier()
    graph = made.graph
    size = node("Shape", [graph.outputs[0]], "size")
    tail = node("Suppress", [graph.outputs[0], size.outputs[0]], "tail", domain="plugins")
    graph.extend([size, tail])
    graph.outputs[0] = tail.outputs[0]
    assert suggest_cut(made, ["tail"]) == "--outputs scores"


def test_the_shell_completes_names(tmp_path: Path) -> None:
    save(detector(), tmp_path / "model.onnx")
    words = f"layoutopt optimize {tmp_path / 'model.onnx'} --outputs stem_out,sc"
    environment = {"_LAYOUTOPT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "4"}
    completed = CliRunner().invoke(app, [], prog_name="layoutopt", env=environment)
    assert completed.stdout.split() == ["stem_out,scores"]


@pytest.mark.parametrize("make", [classifier, detector])
def test_tensors_are_listed(make: Callable[[], ir.Model], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(make(), path)
    found = CliRunner().invoke(app, ["tensors", str(path), "--filter", "act", "--json", "-"])
    assert found.exit_code == 0, found.output
    (row,) = json.loads(found.stdout)
    assert row == {
        "name": "act_out",
        "shape": [1, 8, 8, 8],
        "dtype": "float32",
        "operator": "Relu",
        "node": "act",
        "readers": ["Conv"],
        "is_output": False,
    }
    shown = CliRunner().invoke(app, ["tensors", str(path), "--filter", "*_out"])
    assert "[1, 8, 8, 8]" in shown.stdout
    assert "scores" not in shown.stdout
    assert CliRunner().invoke(app, ["tensors", str(path), "--filter", "nothing"]).exit_code == 2
