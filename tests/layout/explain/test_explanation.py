"""Explanations: every transpose that is left is listed, with the bytes that it moves and the operators that insist."""

from __future__ import annotations

import json
from pathlib import Path

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import layoutopt
from layoutopt.cli import app
from layoutopt.errors import UsageError
from layoutopt.ir.counts import bytes_transposed, count_onnx
from layoutopt.ir.io import normalize, save
from layoutopt.layout.costs.calibration import Calibration, Machine
from layoutopt.layout.costs.movement import Curve, Family, TimeTable
from layoutopt.layout.explain.explainer import explain
from layoutopt.layout.explain.explanation import Copy
from layoutopt.layout.solver.problem import Solver
from layoutopt.options import Io, Objective, TensorLayout
from layoutopt.passes import PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import PassManager
from layoutopt.results.explain import ExplainReport
from tests.graphs import AFTER, CONV, GRAPHS, W44, Text, W, X
from tests.harness import only_transposes
from tests.networks import random_models

PLACES = f"int64[1,4,4,6] places = {{{','.join(map(str, range(96)))}}}"

UNDONE = "convolutions in nested bodies"
"""Here a transpose in a body undoes one around it, which no plan sees, and cleaning up removes it."""

STATIC = [name for name in GRAPHS if name not in ("symbolic batch", "unknown rank", "strings")]


def optimized(model: ir.Model, io: Io, objective: Objective) -> ir.Model:
    """What the default pipeline makes of ``model``."""
    return PassManager(default_pipeline(PropagateLayout(io, objective=objective))).run(model).model


@pytest.mark.parametrize("objective", Objective)
@pytest.mark.parametrize("io", Io)
@pytest.mark.parametrize("name", STATIC)
def test_all_that_moves_is_listed(name: str, io: Io, objective: Objective) -> None:
    report = layoutopt.explain(GRAPHS[name].model(), io=io, objective=objective)
    found = report.explanation
    costs = [(each.part, each.cost) for each in found.copies] + [(each.part, each.cost) for each in found.inside]
    assert report.layout.cost == sum(cost for _, cost in costs)
    assert not (found.kept and report.layout.proved_optimal)
    for part in found.parts:
        assert sum(cost for number, cost in costs if number == part.part) == part.cost
        assert (part.proved, part.lower_bound) == (True, part.cost)
        assert part.max_flow == (part.cost if part.solver is Solver.CUT else None)
    result = optimized(normalize(GRAPHS[name].model()), io, objective)
    left = sorted(size for node in result.graph.all_nodes() if (size := bytes_transposed(node)))
    listed = sorted([size for each in found.copies for size in [each.size] * each.transposes])
    if name == UNDONE:
        assert len(left) == len(listed) - 1
    else:
        assert left == listed
    assert len(left) == count_onnx(result).transposes


@settings(max_examples=40)
@given(random_models(steps=8), st.sampled_from(Io))
def test_the_costs_of_random_graphs_add_up(model: ir.Model, io: Io) -> None:
    plan = PropagateLayout(io).plan(model)
    found = explain(model.opset_imports[""], {model.graph: plan})
    assert sum(each.cost for each in found.copies) + sum(each.cost for each in found.inside) == plan.assignment.cost
    for copy in found.copies:
        for side in (copy.written, copy.read):
            assert side.layout
            assert side.ends
            assert side.why
        assert copy.written.layout != copy.read.layout


def only_copy(report: ExplainReport, value: str) -> Copy:
    (copy,) = (each for each in report.explanation.copies if each.value == value)
    return copy


def test_both_sides_lead_to_whoever_insists() -> None:
    text = (
        f"({X}) => ({AFTER} y) <{W}, {PLACES}> {{ {CONV} "
        "r = Relu (t) n = Neg (r) y = MaxUnpool <kernel_shape = [1, 1]> (n, places) }"
    )
    report = layoutopt.explain(Text(text).model(), io=Io.FREE, objective=Objective.BYTES)
    (copy,) = report.explanation.copies
    assert (copy.shape, copy.dtype, copy.size, copy.cost) == ((1, 4, 4, 6), "float32", 384, 384)
    assert (copy.written.layout, copy.read.layout) == ("NHWC", "NCHW")
    sides = {side.needed_by.split()[0]: side for side in (copy.written, copy.read)}
    assert sides["Conv"].why == "TFLite runs Conv channels-last only"
    assert sides["MaxUnpool"].why == "its indices count in the natural layout"
    steps = [each.split()[0] for side in (copy.written, copy.read) for each in side.through]
    assert sorted(steps) == ["Neg", "Relu"]
    (part,) = report.explanation.parts
    assert (part.solver, part.choices, part.max_flow) == (Solver.CUT, 2, 384)
    (missing,) = report.missing
    assert (missing.operator, missing.count, missing.beside, missing.gain) == ("MaxUnpool", 1, 384, 384)


@pytest.mark.parametrize(
    ("name", "value", "needed_by", "why"),
    [
        ("squeeze and excite", "x", "input x", "its layout is kept"),
        ("squeeze and excite", "t", "output y", "its layout is kept"),
        ("a body reads a channels-last value", "t", "Add Add_4", "in a body of If, Loop or Scan, which sees values"),
        ("indices of a pool", "t", "MaxPool MaxPool_1", "its further results count in the natural layout"),
        ("softmax over rows", "t", "Softmax Softmax_1", "costs more inside: TFLite runs it on the last axis only"),
        ("a value and its transpose", "t", "Conv Conv_0", "TFLite runs Conv channels-last only"),
    ],
)
def test_reasons(name: str, value: str, needed_by: str, why: str) -> None:
    copy = only_copy(layoutopt.explain(GRAPHS[name].model(), io=Io.KEEP), value)
    side = copy.written if value == "x" else copy.read
    assert side.needed_by == needed_by
    assert why in side.why


def test_short_pieces_are_a_reason_by_time() -> None:
    report = layoutopt.explain(GRAPHS["concat of mixed layouts"].model(), io=Io.KEEP, objective=Objective.TIME)
    side = only_copy(report, "t").read
    assert side.needed_by == "Concat Concat_2"
    assert "costs more inside: the pieces that it joins or cuts are short" in side.why


@given(random_models())
@settings(max_examples=20)
def test_each_objective_is_the_best_by_its_own_measure(model: ir.Model) -> None:
    """And what it costs by its own measure is what the solver says."""
    reports = {each: layoutopt.explain(model, io=Io.KEEP, objective=each) for each in Objective}
    by_bytes, by_time = (next(c for c in reports[each].choices if c.objective is each) for each in Objective)
    assert reports[Objective.BYTES].layout.cost == by_bytes.bytes_moved <= by_time.bytes_moved
    assert reports[Objective.TIME].layout.cost == by_time.predicted_ns <= by_bytes.predicted_ns
    assert reports[Objective.BYTES].choices == reports[Objective.TIME].choices


def test_what_layouts_were_asked_for_insists() -> None:
    layouts = {"x": TensorLayout.NHWC, "y": TensorLayout.NCHW}
    copy = only_copy(layoutopt.explain(normalization(), layouts=layouts), "x")
    assert (copy.written.needed_by, copy.written.why) == ("input x", "its layout was asked for")


def normalization() -> ir.Model:
    text = f"({AFTER} x) => ({AFTER} y) <{PLACES}> {{ y = MaxUnpool <kernel_shape = [1, 1]> (x, places) }}"
    return Text(text).model()


def test_what_operators_move_inside_is_listed() -> None:
    text = f"({X}) => ({AFTER} y) <{W}, {W44}> {{ {CONV} s = Softmax <axis = 2> (t) y = Conv (s, w44) }}"
    report = layoutopt.explain(Text(text).model(), objective=Objective.BYTES)
    (inside,) = report.explanation.inside
    assert (inside.operator, inside.cost) == ("Softmax Softmax_1", 768)
    assert inside.why == "TFLite runs it on the last axis only"


def test_a_copy_of_too_many_axes_tells_its_transposes() -> None:
    (copy,) = layoutopt.explain(GRAPHS["a transpose of rank 8"].model(), objective="bytes").explanation.copies
    assert (copy.size, copy.cost, copy.transposes) == (1024, 2048, 2)


def test_transposes_of_unknown_size_are_told() -> None:
    text = f"({X}, bool[1] k) => (float y) {{ p = Compress <axis = 2> (x, k) y = Transpose <perm = [0, 2, 3, 1]> (p) }}"
    report = layoutopt.explain(Text(text).model())
    (kept,) = report.explanation.kept
    assert (kept.operator, kept.why) == ("Transpose Transpose_1", "its shape is not known")
    assert (report.layout.unpriced, report.layout.proved_optimal) == (1, False)


def test_nothing_to_explain() -> None:
    report = layoutopt.explain(GRAPHS["squeeze and excite"].model())
    assert (report.layout.cost, report.layout_sensitive, report.missing) == (0, 3, ())
    found = report.explanation
    assert [*found.copies, *found.inside, *found.kept, *found.parts] == []


def test_time_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path))
    curves = tuple(Curve(family, 8, (1,), (2.0,)) for family in Family)
    Calibration(Machine.here(1), only_transposes(TimeTable(1000, dict.fromkeys(Family, 0.0), curves))).save()
    report = layoutopt.explain(GRAPHS["squeeze and excite"].model(), io=Io.KEEP, objective=Objective.TIME)
    assert report.layout.unit == "ns"
    assert [(each.size, each.cost) for each in report.explanation.copies] == [(384, 1768), (288, 1576)]


def test_the_model_stays_as_it_is() -> None:
    model = GRAPHS["squeeze and excite"].model()
    before = ir.to_proto(model)
    layoutopt.explain(model, io=Io.KEEP)
    assert ir.to_proto(model) == before
    with pytest.raises(UsageError, match="--layout z"):
        layoutopt.explain(model, layouts={"z": TensorLayout.FREE})


KEPT = """1. t 1x4x4x6 float32, 384 B: NHWC -> NCHW
├── written as NHWC by Conv Conv_0
│   └── Conv Conv_0: TFLite runs Conv channels-last only
└── read as NCHW by MaxPool MaxPool_1
    └── MaxPool MaxPool_1: its further results count in the natural layout
2. x 1x3x4x6 float32, 288 B: NCHW -> NHWC
├── written as NCHW by input x
│   └── input x: its layout is kept
└── read as NHWC by Conv Conv_0
    └── Conv Conv_0: TFLite runs Conv channels-last only
Layout: 672 B moved per inference, proved: no choice of layouts moves fewer (lower bound 672 B)
By bytes: 2 TRANSPOSE, 672 B moved, 0.9 µs predicted
By time: 2 TRANSPOSE, 672 B moved, 0.9 µs predicted
  no choice: t, x, 672 B under any layouts
"""


def test_the_command_prints_trees(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(GRAPHS["indices of a pool"].model(), path)
    result = CliRunner().invoke(app, ["explain", str(path), "--io", "keep", "--objective", "bytes"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(KEPT)
    assert "What a layout rule could save at most" in result.stdout
    data = json.loads(CliRunner().invoke(app, ["explain", str(path), "--layout", "x=nchw", "--json", "-"]).stdout)
    assert [each["value"] for each in data["explanation"]["copies"]] == ["t", "x"]
    assert data["missing"][0]["operator"] == "MaxPool"


def test_the_command_proves_by_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(GRAPHS["squeeze and excite"].model(), path)
    result = CliRunner().invoke(app, ["explain", str(path), "--io", "keep", "--objective", "bytes"])
    assert (
        "part 1, 2 choices, minimum cut: a flow of 384 B saturates the cut through t, which costs 384 B"
        in result.stdout
    )
    assert "through Mul Mul_6 to output y: its layout is kept" in result.stdout
    free = CliRunner().invoke(app, ["explain", str(path)])
    assert "No transpose is needed: everything runs in the layout of the 3 layout-sensitive operator(s)" in free.stdout
