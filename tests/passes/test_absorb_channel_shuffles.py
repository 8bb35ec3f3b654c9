"""Channel shuffles go into the weights behind them, in contiguous runs, wherever nobody needs their result as it is."""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir
import pytest
from hypothesis import given, settings

from layoutopt.passes import AbsorbChannelShuffles, EliminateDeadCode, FoldBatchNorm, FoldConstants
from layoutopt.pipeline.manager import PassManager
from tests.harness import check_equal, check_golden, check_pass, model_of
from tests.network_steps import CHANNEL_STEPS
from tests.networks import random_models

FROM_6 = "float[1,6,2,3]"
CONV = "float[2,6,1,1] w = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6}"
SHAPES = "int64[5] cut = {1, 2, 3, 2, 3}, int64[4] join = {1, 6, 2, 3}"
SHUFFLE = "a = Reshape (x, cut) b = Transpose <perm = [0, 2, 1, 3, 4]> (a) s = Reshape (b, join)"
INDICES = "int64[6] indices = {0, 3, 1, 4, -4, 5}"


def left(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in check_pass(AbsorbChannelShuffles(), model).model.graph)


def shuffled(behind: str, outputs: str, constants: str = CONV) -> Counter[str]:
    """What is left of a shuffle of six channels with ``behind`` behind it."""
    return left(model_of(f"g ({FROM_6} x) => ({outputs}) <{SHAPES}, {constants}> {{ {SHUFFLE} {behind} }}"))


@pytest.mark.parametrize("case", ["unit", "carried"])
def test_golden(case: str) -> None:
    check_golden(AbsorbChannelShuffles(), f"absorb_channel_shuffles.{case}")


def test_a_shuffle_before_a_convolution() -> None:
    assert shuffled("y = Conv (s, w)", "float[1,2,2,3] y") == {"Conv": 1}


@pytest.mark.parametrize(
    "route",
    [
        "s = Gather <axis = 1> (x, indices)",
        "s = Gather <axis = -3> (x, indices)",
        "p, q = Split <axis = 1> (x, halves) r = Gather <axis = 1> (q, three) s = Concat <axis = 1> (r, p)",
        "r = Gather <axis = 1> (x, indices) s = Slice (r, last, first, one, back)",
    ],
)
def test_gathers(route: str) -> None:
    constants = (
        f"{CONV}, {INDICES}, int64[2] halves = {{3, 3}}, int64[3] three = {{2, 0, 1}}, int64[1] last = {{-1}}, "
        "int64[1] first = {-9}, int64[1] one = {1}, int64[1] back = {-1}"
    )
    model = model_of(f"g ({FROM_6} x) => (float[1,2,2,3] y) <{constants}> {{ {route} y = Conv (s, w) }}")
    assert left(model) in ({"Conv": 1}, {"Split": 1, "Concat": 1, "Conv": 1})


@pytest.mark.parametrize(
    ("behind", "shape"),
    [
        ("c = Relu (s)", "2,3"),
        ("c = LeakyRelu (s)", "2,3"),
        ('c = Clip (s, "", scalar)', "2,3"),
        ("c = Mul (s, scalar)", "2,3"),
        ("c = Sub (six, s)", "2,3"),
        ("c = PRelu (s, six)", "2,3"),
        ("c = Mul (row, s)", "2,3"),
        ("c = MaxPool <kernel_shape = [1, 2]> (s)", "2,2"),
        ("c = AveragePool <kernel_shape = [2, 1]> (s)", "1,3"),
        ("c = GlobalAveragePool (s)", "1,1"),
        ("c = Conv <group = 6> (s, d)", "2,3"),
        ("c = Conv <group = 6> (s, d, e)", "2,3"),
    ],
)
def test_what_carries_a_shuffle_on(behind: str, shape: str) -> None:
    constants = (
        f"{CONV}, float scalar = {{0.5}}, float[6,1,1] six = {{1, 2, 3, 4, 5, 6}}, float[3] row = {{1, 2, 3}}, "
        "float[6,1,1,1] d = {1, 2, 3, 4, 5, 6}, float[6] e = {6, 5, 4, 3, 2, 1}"
    )
    found = shuffled(f"{behind} y = Conv (c, w)", f"float[1,2,{shape}] y", constants)
    assert not {"Reshape", "Transpose"} & set(found)
    assert found.total() == 2


@pytest.mark.parametrize(
    ("behind", "outputs"),
    [
        ("y = Identity (s)", f"{FROM_6} y"),
        ("y = Conv (s, w)", f"float[1,2,2,3] y, {FROM_6} s"),
        ("y = Conv (s, w) z = Softmax <axis = 1> (s)", f"float[1,2,2,3] y, {FROM_6} z"),
        ("r = Relu (s) t = Add (r, x) y = Conv (t, w)", "float[1,2,2,3] y"),
        ("r = Add (s, s) y = Conv (r, w)", "float[1,2,2,3] y"),
        ("y = Conv <group = 2> (s, grouped)", "float[1,2,2,3] y"),
        ("r = Add (s, wide) y = Conv (r, w)", "float[4,2,2,3] y"),
        ("v = Mul (w, w) y = Conv (s, v)", "float[1,2,2,3] y"),
        ("r, i = MaxPool <kernel_shape = [1, 1]> (s) y = Conv (r, w)", "float[1,2,2,3] y, int64[1,6,2,3] i"),
        ("y = Conv (s, w) z = Relu (b)", "float[1,2,2,3] y, float[1,3,2,2,3] z"),
    ],
    ids=[
        *("an output", "also an output", "also a softmax", "a sum with another value", "a sum with itself"),
        *("groups", "a constant that widens", "weights that are computed", "indices of a pool", "read in between"),
    ],
)
def test_who_needs_the_order_keeps_it(behind: str, outputs: str) -> None:
    constants = f"{CONV}, float[2,3,1,1] grouped = {{1, 2, 3, 4, 5, 6}}, float[4,1,1,1] wide = {{1, 2, 3, 4}}"
    assert shuffled(behind, outputs, constants)["Transpose"] == 1


def test_a_part_that_must_stay_keeps_what_it_is_made_of() -> None:
    """The first shuffle is read through the second one, which is an output; the third is absorbed all the same."""
    text = f"""g ({FROM_6} x) => ({FROM_6} n, float[1,2,2,3] y) <{CONV}, {INDICES}> {{
        s = Gather <axis = 1> (x, indices) m = Gather <axis = 1> (s, indices) n = Relu (m)
        o = Gather <axis = 1> (n, indices) y = Conv (o, w)
    }}"""
    assert left(model_of(text)) == {"Gather": 2, "Relu": 1, "Conv": 1}


def test_without_a_shuffle_nothing_changes() -> None:
    text = f"""g ({FROM_6} x) => (float[1,2,2,3] y) <{CONV}, int64[2] halves = {{3, 3}}> {{
        p, q = Split <axis = 1> (x, halves) c = Concat <axis = 1> (q, p) r = Relu (c) y = Conv (r, w)
    }}"""
    result = check_pass(AbsorbChannelShuffles(), model_of(text))
    assert not result.modified


@pytest.mark.parametrize(("run", "absorbed"), [(1, False), (15, False), (16, True)])
def test_short_runs_of_one_source_are_not_worth_it(run: int, absorbed: bool) -> None:
    indices = [*range(3 * run, 4 * run), *range(run, 2 * run)]
    weights = ", ".join(str(number / 8) for number in range(2 * run))
    text = f"""g (float[1,{4 * run},2,2] x) => (float[1,1,2,2] y)
        <int64[{2 * run}] indices = {{{", ".join(map(str, indices))}}}, float[1,{2 * run},1,1] w = {{{weights}}}> {{
        g = Gather <axis = 1> (x, indices) y = Conv (g, w)
    }}"""
    assert left(model_of(text)) == ({"Split": 1, "Concat": 1, "Conv": 1} if absorbed else {"Gather": 1, "Conv": 1})


def test_shared_weights_get_one_constant_per_order() -> None:
    text = f"""g ({FROM_6} x) => (float[1,2,2,3] y, float[1,2,2,3] z, float[1,2,2,3] v)
        <{CONV}, {INDICES}, int64[6] back = {{5, 4, 3, 2, 1, 0}}> {{
        s = Gather <axis = 1> (x, indices) t = Gather <axis = 1> (x, back)
        y = Conv (s, w) z = Conv (t, w) r = Relu (s) v = Conv (r, w)
    }}"""
    result = check_pass(AbsorbChannelShuffles(), model_of(text)).model
    assert Counter(node.op_type for node in result.graph) == {"Conv": 3, "Relu": 1}
    first, second, third = (node.inputs[1] for node in result.graph if node.op_type == "Conv")
    assert first is third
    assert first is not second


def test_what_dies_on_the_way_is_still_there_for_others() -> None:
    """The depthwise convolution dies as the first reader behind it is done; the second one reads what it read."""
    text = f"""g ({FROM_6} x, {FROM_6} k) => (float[1,2,2,3] y, float[1,1,2,3] z)
        <{CONV}, int64[12] mixed = {{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}}, int64[1] no = {{0}}, int64[1] one = {{1}},
        int64[1] six = {{6}}, float[12,1,1,1] d = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
        float[1,12,1,1] v = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}> {{
        c = Concat <axis = 1> (x, k) s = Gather <axis = 1> (c, mixed) e = Conv <group = 12> (s, d)
        r = Relu (x) j = Concat <axis = 1> (r, e) h = Slice (j, no, six, one)
        y = Conv (h, w) z = Conv (s, v)
    }}"""
    assert left(model_of(text)) == {"Relu": 1, "Concat": 1, "Conv": 2}


def test_weights_that_a_caller_can_set_are_left_alone() -> None:
    model = model_of(f"g ({FROM_6} x) => (float[1,2,2,3] y) <{CONV}, {SHAPES}> {{ {SHUFFLE} y = Conv (s, w) }}")
    model.graph.inputs.append(model.graph.initializers["w"])
    assert left(model)["Transpose"] == 1


def test_a_body_that_reads_the_value_keeps_it() -> None:
    text = f"""g ({FROM_6} x, bool flag) => (float[1,2,2,3] y, {FROM_6} z) <{CONV}, {SHAPES}> {{
        {SHUFFLE} y = Conv (s, w)
        z = If (flag) <
            then_branch = then_graph () => ({FROM_6} p) {{ p = Relu (s) }},
            else_branch = else_graph () => ({FROM_6} q) {{ q = Neg (x) }}
        >
    }}"""
    assert left(model_of(text))["Transpose"] == 1


@pytest.mark.parametrize(
    ("indices", "weights"), [("[6] indices = {0, 3, 1, 4, 2, 5}", "w"), ("[3] indices = {4, 2, 3}", "v")]
)
def test_a_body_has_shuffles_of_its_own(indices: str, weights: str) -> None:
    text = f"""g ({FROM_6} x, bool flag) => (float[1,2,2,3] y)
        <{CONV}, float[2,3,1,1] v = {{1, 2, 3, 4, 5, 6}}, int64{indices}> {{
        y = If (flag) <
            then_branch = then_graph () => (float[1,2,2,3] p) {{
                s = Gather <axis = 1> (x, indices) p = Conv (s, {weights})
            }},
            else_branch = else_graph () => (float[1,2,2,3] q) {{ r = Relu (x) q = Conv (r, w) }}
        >
    }}"""
    result = check_pass(AbsorbChannelShuffles(), model_of(text)).model
    assert all(node.op_type != "Gather" for node in result.graph.all_nodes())


@pytest.mark.parametrize("opset", [11, 12, 13, 18])
def test_the_source_is_split_once(opset: int) -> None:
    """Two convolutions take one half each of a shuffle that does not align with the halves of its operand."""
    halves = "p, q = Split <axis = 1, split = [3, 3]> (s)" if opset < 13 else "p, q = Split <axis = 1> (s, halves)"
    text = f"""g ({FROM_6} x, {FROM_6} k) => (float[1,1,2,3] y, float[1,1,2,3] z)
        <int64[5] cut = {{1, 2, 6, 2, 3}}, int64[4] join = {{1, 12, 2, 3}}, int64[2] halves = {{3, 9}},
        float[1,3,1,1] w = {{1, 2, 3}}, float[1,9,1,1] v = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}> {{
        c = Concat <axis = 1> (x, k) a = Reshape (c, cut) b = Transpose <perm = [0, 2, 1, 3, 4]> (a)
        s = Reshape (b, join) {halves.replace("[3, 3]", "[3, 9]")} y = Conv (p, w) z = Conv (q, v)
    }}"""
    assert left(model_of(text, opset=opset)) == {"Split": 2, "Concat": 2, "Conv": 2}


def check_random(model: ir.Model) -> None:
    """Also with runs as short as they come, of which images of this size have more."""
    folded = check_pass(FoldConstants(simplify=False), model).model
    check_pass(AbsorbChannelShuffles(), folded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layoutopt.layout.analysis.channel_routes.MIN_RUN", 1)
        check_pass(AbsorbChannelShuffles(), folded)


@settings(max_examples=100)
@given(random_models(steps=12, kinds=CHANNEL_STEPS) | random_models(steps=12, kinds=CHANNEL_STEPS, closed=True))
def test_random(model: ir.Model) -> None:
    check_random(model)


@pytest.mark.long
@settings(max_examples=2000)
@given(random_models(steps=20, kinds=CHANNEL_STEPS, closed=True))
def test_random_long(model: ir.Model) -> None:
    check_random(model)


@pytest.mark.torch
def test_shufflenet_has_no_shuffle_left() -> None:
    """Halves of 58 are odd halves; each stage has blocks enough that runs shrink to a few channels."""
    import torch

    import layoutopt
    from benchmarks.models.networks import Variant, build
    from benchmarks.models.shufflenet import ShuffleNetV2

    variant = Variant(lambda: ShuffleNetV2(repeats=(4, 5), widths=(24, 116, 232, 64), classes=10), (1, 3, 64, 64))
    model = layoutopt.from_torch(build(variant), torch.zeros(variant.shape))
    folded = PassManager((FoldConstants(), FoldBatchNorm())).run(model).model
    assert sum(node.op_type == "Transpose" for node in folded.graph) == 9
    result = check_pass(AbsorbChannelShuffles(), folded).model
    result = check_pass(EliminateDeadCode(), result).model
    left = Counter(node.op_type for node in result.graph)
    assert not {"Gather", "Reshape", "Slice", "Transpose"} & set(left)
    assert (left["Split"], left["Concat"]) == (9, 9)
    check_equal(model, result)
