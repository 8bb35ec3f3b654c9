"""The whole graph at once: golden graphs, and what must never happen to an interface."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import onnx
import onnx_ir as ir
import pytest

from layoutopt.errors import CalibrationError, LayoutoptError, PassFailedError, UsageError
from layoutopt.ir.io import recorded_orders
from layoutopt.layout.costs.calibration import Calibration, Machine
from layoutopt.layout.costs.movement import Curve, Family, TimeTable
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import RULES
from layoutopt.layout.rules.variants import Edit, PhysicalLayouts
from layoutopt.options import Io, Layouts, Objective, TensorLayout
from layoutopt.passes import PropagateLayout
from layoutopt.passes.propagate_layout import LayoutResult, Scope
from layoutopt.pipeline.manager import PassManager
from tests.graphs import GRAPHS, Text, W
from tests.harness import check_golden, check_pass, only_transposes, total_bytes, transposes


@pytest.mark.parametrize(
    ("pass_", "case"),
    [
        (PropagateLayout(), "propagate_layout.free"),
        (PropagateLayout(io=Io.KEEP), "propagate_layout.keep"),
        (PropagateLayout(), "propagate_layout.cheapest"),
        (PropagateLayout(), "propagate_layout.views"),
        (PropagateLayout(scope=Scope.OPERATOR), "propagate_layout.operator"),
    ],
)
def test_golden(pass_: PropagateLayout, case: str) -> None:
    check_golden(pass_, case)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("one value as two outputs", 0),
        ("an input that is an output", 0),
        ("one value twice in a node", 0),
        ("a value and its transpose", 1),
        ("a body reads a channels-last value", 1),
        ("a constant read in two layouts", 1),
        ("transposes at both ends", 0),
        ("transpose without perm", 0),
        ("rank 3", 0),
        ("rank 5", 0),
        ("Conv of rank 3", 0),
        ("Conv of rank 5", 0),
        ("indices of a pool", 1),
        ("classifier head", 0),
        ("squeeze and excite", 0),
        ("squeeze and excite by matrices", 0),
        ("concat of mixed layouts", 0),
        ("softmax over channels", 0),
        ("a transpose of rank 8", 2),
        ("symbolic batch", 1),
    ],
)
def test_how_many_transposes_are_left(name: str, left: int) -> None:
    result = check_pass(PropagateLayout(), GRAPHS[name].model(), execute=name != "symbolic batch")
    assert transposes(result.model) == left


@pytest.mark.parametrize("name", ["symbolic batch", "strings"])
def test_what_is_pinned_is_not_touched(name: str) -> None:
    """Not wrong, not half done: not at all."""
    assert not check_pass(PropagateLayout(), GRAPHS[name].model(), execute=False).modified


def test_softmax_over_rows_pays_inside_or_outside() -> None:
    """Channels-last has the rows in the middle: moving them costs the same as two Transposes, and never more."""
    result = check_pass(PropagateLayout(objective=Objective.BYTES), GRAPHS["softmax over rows"].model())
    assert isinstance(result, LayoutResult)
    assert result.assignment is not None
    assert result.assignment.cost == total_bytes(result.model) == 4 * 4 * 6 * 4


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("convolutions in nested bodies", 8),
        ("a loop with convolutions", 4),
        ("a scan with a convolution", 3),
        ("a body around an outer transpose", 2),
        ("a body with a convolution of its own", 4),
    ],
)
def test_bodies_are_solved_by_themselves(name: str, left: int) -> None:
    """No operator that the target runs in channels-last only stays behind, and a body reads and writes natural."""
    result = check_pass(PropagateLayout(), GRAPHS[name].model())
    assert not {node.op_type for node in result.model.graph.all_nodes()} & {"Conv", "MaxPool"}
    assert transposes(result.model) == left


@pytest.mark.parametrize("io", Io)
def test_only_free_interfaces_are_recorded(io: Io) -> None:
    result = PropagateLayout(io=io)(GRAPHS["squeeze and excite"].model())
    expected = {"x": (0, 2, 3, 1), "y": (0, 2, 3, 1)} if io is Io.FREE else {}
    assert recorded_orders(result.model) == expected


def pinned(io: Io = Io.FREE, **layouts: TensorLayout) -> PropagateLayout:
    return PropagateLayout(io=io, layouts=Layouts.of(layouts))


@pytest.mark.parametrize(
    ("pass_", "recorded", "left"),
    [
        (pinned(x=TensorLayout.NCHW), {"y"}, 1),
        (pinned(y=TensorLayout.NATURAL), {"x"}, 1),
        (pinned(Io.KEEP, x=TensorLayout.NHWC), {"x"}, 1),
        (pinned(Io.KEEP, y=TensorLayout.CHANNELS_LAST), {"y"}, 1),
        (pinned(Io.KEEP, x=TensorLayout.FREE, y=TensorLayout.FREE), {"x", "y"}, 0),
        (pinned(Io.KEEP), set(), 2),
    ],
)
def test_layouts_by_name(pass_: PropagateLayout, recorded: set[str], left: int) -> None:
    result = check_pass(pass_, GRAPHS["squeeze and excite"].model())
    assert recorded_orders(result.model) == dict.fromkeys(recorded, (0, 2, 3, 1))
    assert transposes(result.model) == left


def test_channels_last_is_given_where_it_only_costs() -> None:
    """A caller who has NHWC has it, whatever the graph would like."""
    places = ",".join(map(str, range(120)))
    graph = Text(
        f"(float[2,3,4,5] x) => (float[2,3,4,5] y) <int64[2,3,4,5] places = {{{places}}}> "
        "{ y = MaxUnpool <kernel_shape = [1, 1]> (x, places) }"
    )
    result = check_pass(pinned(x=TensorLayout.NHWC), graph.model())
    assert recorded_orders(result.model)["x"] == (0, 2, 3, 1)
    assert transposes(result.model) == 1


@pytest.mark.parametrize(
    ("name", "layouts", "message", "hint"),
    [
        ("squeeze and excite", {"z": TensorLayout.NHWC}, "--layout z: there is no such input or output", "Outputs: y."),
        ("squeeze and excite", {"x": TensorLayout.NWC}, r"--layout x=nwc: its shape is \[1,3,4,6\]", "nhwc"),
        ("nothing to do", {"y": TensorLayout.CHANNELS_LAST}, "--layout y=channels-last: its shape is", "natural"),
        ("unknown rank", {"shape": TensorLayout.FREE}, "--layout shape=free: its shape is not known", "natural"),
        ("initializers listed as inputs", {"w": TensorLayout.NHWC}, "--layout w=nhwc: it has a constant value", ""),
        ("an initializer as an output", {"k": TensorLayout.NHWC}, "--layout k=nhwc: it has a constant value", ""),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(
    name: str, layouts: dict[str, TensorLayout], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        PropagateLayout(layouts=Layouts.of(layouts)).plan(GRAPHS[name].model())
    assert hint in error.value.hint


def test_what_an_earlier_run_did_stays() -> None:
    model = PropagateLayout()(GRAPHS["squeeze and excite"].model()).model
    for layout in (TensorLayout.NHWC, TensorLayout.FREE):
        assert not pinned(x=layout)(model).modified
    with pytest.raises(UsageError, match="optimize the original"):
        pinned(x=TensorLayout.NCHW)(model)


def test_time_can_be_what_shall_be_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path))
    model = GRAPHS["squeeze and excite"].model()
    before = ir.to_proto(model)
    (tmp_path / "times-3.json").write_text("")
    with pytest.raises(CalibrationError, match="not a table") as caught:
        PropagateLayout(objective=Objective.TIME, threads=3)(model)
    assert caught.value.hint == "Run: layoutopt calibrate --threads 3."
    assert ir.to_proto(model) == before
    curves = tuple(Curve(family, 8, (1,), (2.0,)) for family in Family)
    Calibration(Machine.here(1), only_transposes(TimeTable(1000, dict.fromkeys(Family, 0.0), curves))).save()
    result = PropagateLayout(Io.KEEP, objective=Objective.TIME)(model)
    assert isinstance(result, LayoutResult)
    assert result.assignment is not None
    assert result.assignment.cost == 2000 + 2 * (3 + 4) * 4 * 6 * 4  # two operators, two nanoseconds for each byte


def test_a_default_that_a_caller_can_set_keeps_its_layout() -> None:
    model = GRAPHS["initializers listed as inputs"].model()
    result = PropagateLayout()(model).model
    assert set(recorded_orders(result)) <= {"x", "y"}
    for value in result.graph.inputs:
        if value.is_initializer():
            assert value.const_value is not None
            assert value.shape == value.const_value.shape


def test_a_second_plan_finds_what_two_views_can_share() -> None:
    """One Transpose of ``x`` serves the output that is one, and everybody behind another."""
    result = check_pass(PropagateLayout(), GRAPHS["transposes that share a source"].model())
    assert transposes(result.model) == 1


def strange(nodes: str, *, output: str = "float[1,4,4,6] y") -> ir.Model:
    """A model that no checker has seen."""
    text = f"g (float[1,3,4,6] x, float[1,4,4,6] t) => ({output}) <{W}> {{ {nodes} }}"
    return ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'))


@pytest.mark.parametrize(
    ("nodes", "blamed"),
    [
        ("y = Conv <group = 5> (x, w)", "Conv 'y'"),
        ("[culprit] y = MatMul (t)", "MatMul 'culprit'"),
        ("[culprit] y = DepthToSpace <blocksize = 3> (t)", "DepthToSpace 'culprit'"),
    ],
)
def test_a_node_that_makes_no_sense_is_named(nodes: str, blamed: str) -> None:
    model = strange(nodes)
    before = ir.to_proto(model)
    with pytest.raises(LayoutoptError, match=blamed):
        PropagateLayout().plans(model)
    assert ir.to_proto(model) == before, "planning changed the model"


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Softmax <axis = 1.5> (t)",
        "y = Softmax <axis = 7> (t)",
        'y = Conv <group = "one"> (x, w)',
        "y = ReduceMean <axes = [9], keepdims = 0> (t)",
        'y = Transpose <perm = "back"> (t)',
        "y = Transpose <perm = [0, 1]> (t)",
        "y = Transpose <perm = [0, 1, 1, 3]> (t)",
        "y = Transpose <perm = [0, 1, -1, 2]> (t)",
        "y = Transpose <perm = [0, 1, 3, 2]> (t)",
        "y = Reshape (x, unknown)",
    ],
)
def test_a_view_that_is_none_is_pinned(nodes: str) -> None:
    """Its permutation is none, or does not lead to the shape that the model tells."""
    model = strange(nodes)
    (plan,) = PropagateLayout().plans(model).values()
    assert not plan.views


def test_a_rule_that_raises_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
        raise ZeroDivisionError("half-way")

    monkeypatch.setitem(cast("dict[str, LayoutRule]", RULES), "HardSigmoid", LayoutRule(remaps=(raises,)))
    model = GRAPHS["squeeze and excite"].model()
    before = ir.to_proto(model)
    with pytest.raises(PassFailedError, match=r"HardSigmoid 's': ZeroDivisionError: half-way"):
        PassManager([PropagateLayout()]).run(model)
    assert ir.to_proto(model) == before
