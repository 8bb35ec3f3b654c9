"""A convolution behind an upsampling is computed in front of it where that is the same and cheaper."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.layout.costs.arithmetic import multiplications
from layoutopt.passes import ConvolveBeforeUpsampling, RecognizeActivations
from tests.rewrites import check_rewrite, check_untouched, network, normal, operators

ALWAYS = ConvolveBeforeUpsampling(always=True)
NEAREST = 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'
MODES = (
    NEAREST,
    'mode = "nearest"',
    'mode = "nearest", coordinate_transformation_mode = "pytorch_half_pixel", nearest_mode = "round_prefer_ceil"',
    'mode = "nearest", coordinate_transformation_mode = "align_corners"',
    'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "ceil"',
    'mode = "linear"',
    'mode = "linear", coordinate_transformation_mode = "align_corners"',
    'mode = "cubic"',
    'mode = "cubic", exclude_outside = 1',
)


def upsampled(
    conv: str = "pads = [1,1,1,1]",
    resize: str = NEAREST,
    scale: tuple[float, float] = (2, 2),
    kernel: tuple[int, ...] = (3, 3),
    size: str = "4,5",
    groups: int = 1,
) -> ir.Model:
    text = f"""g (float[2,4,{size}] x) => (y) {{
        u = Resize <{resize}> (x, , scales) y = Conv <{conv}> (u, w, b)
    }}"""
    weights = normal(6, 4 // groups, *kernel)
    return network(text, scales=np.array([1.0, 1.0, *scale]), w=weights, b=normal(6))


def test_three_taps_become_two_for_each_phase() -> None:
    model = upsampled()
    result = check_rewrite(ALWAYS, model)
    assert operators(result) == ["Conv", "DepthToSpace", "Slice"]
    conv = result.graph[0]
    assert conv.inputs[1] is not None
    assert conv.inputs[1].const_value is not None
    assert conv.inputs[1].const_value.shape.numpy() == (24, 4, 2, 2)
    # One row and one column more than the picture has: (4 + 1) (5 + 1) 2 2 4 24 products in place of 8 10 3 3 4 6.
    assert (multiplications(model), multiplications(result)) == (2 * 17280, 2 * 11520)


@settings(max_examples=60)
@given(
    st.sampled_from(MODES),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(*[st.integers(0, 2)] * 4),
    st.sampled_from([(2, 2), (3, 3), (4, 4), (2, 3), (1, 2), (2.5, 2), (1.5, 1.5)]),
)
def test_any_kernel_and_padding(
    mode: str, kernel: tuple[int, int], pads: tuple[int, ...], scale: tuple[float, float]
) -> None:
    check_rewrite(ALWAYS, upsampled(f"pads = {list(pads)}", mode, scale, kernel), tolerance=tolerance(mode, scale))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [(2, 2), (1.5, 2.5)])
def test_one_pixel_commutes_with_every_mode(mode: str, scale: tuple[float, float]) -> None:
    model = upsampled("strides = [1,1]", mode, scale, (1, 1))
    assert operators(check_rewrite(ALWAYS, model, tolerance=tolerance(mode, scale))) == ["Conv", "Resize"]


def tolerance(mode: str, scale: tuple[float, float]) -> float:
    """ONNX's evaluator rounds the coefficients of cubic to float32, so that they do not quite sum to 1."""
    return 1e-5 if "cubic" in mode and any(factor % 1 for factor in scale) else 1e-12


def test_sizes_in_place_of_scales() -> None:
    text = f"g (float[1,4,4,5] x) => (y) {{ u = Resize <{NEAREST}> (x, , , sizes) y = Conv (u, w) }}"
    result = check_rewrite(ALWAYS, network(text, sizes=[1, 4, 8, 15], w=normal(3, 4, 1, 1)))
    assert operators(result) == ["Conv", "Resize"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(NEAREST, ["Conv", "Relu", "Resize"]), ('mode = "linear"', ["Conv", "Resize", "Relu"])],
)
def test_activations_go_in_front_of_nearest_alone(mode: str, expected: list[str]) -> None:
    text = f"g (float[1,4,4,5] x) => (y) {{ u = Resize <{mode}> (x, , scales) c = Conv (u, w) y = Relu (c) }}"
    result = check_rewrite(ALWAYS, network(text, scales=[1.0, 1.0, 2.0, 2.0], w=normal(3, 4, 1, 1)))
    assert operators(result) == expected


def test_an_activation_stays_with_its_convolution() -> None:
    text = f"""g (float[1,4,4,5] x) => (y) {{
        u = Resize <{NEAREST}> (x, , scales) c = Conv <pads = [1,1,1,1]> (u, w) y = Clip (c, low, high)
    }}"""
    model = network(text, scales=[1.0, 1.0, 2.0, 2.0], w=normal(3, 4, 3, 3), low=0.0, high=6.0)
    assert operators(check_rewrite(ALWAYS, model)) == ["Conv", "Clip", "DepthToSpace", "Slice"]


def test_factor_and_term_per_channel_go_in_front() -> None:
    text = """g (float[1,4,4,5] x) => (y) {
        u = Resize <mode = "linear"> (x, , scales) f = Mul (u, m) y = Add (a, f)
    }"""
    model = network(text, scales=[1.0, 1.0, 2.0, 2.0], m=normal(4, 1, 1), a=normal(4, 1, 1, seed=1))
    assert operators(check_rewrite(ALWAYS, model)) == ["Mul", "Add", "Resize"]


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("parts", ["u, z", "z, u", "z, u, x2, v", "u, v"])
def test_the_parts_of_a_concat(kernel: int, parts: str) -> None:
    text = f"""g (float[1,4,4,5] x, float[1,2,4,5] k, float[1,3,8,10] z, float[1,1,8,10] x2) => (y) {{
        u = Resize <{NEAREST}> (x, , scales) v = Resize <{NEAREST}> (k, , scales)
        j = Concat <axis = -3> ({parts}) y = Conv <pads = [{",".join([str(kernel // 2)] * 4)}]> (j, w, b)
    }}"""
    channels = sum({"u": 4, "v": 2, "z": 3, "x2": 1}[part] for part in parts.split(", "))
    model = network(text, scales=[1.0, 1.0, 2.0, 2.0], w=normal(5, channels, kernel, kernel), b=normal(5))
    result = check_rewrite(ALWAYS, model)
    assert operators(result).count("Add") == (parts != "u, v")
    assert operators(result).count("Conv") == 1 + (parts != "u, v")
    assert operators(result).count("Concat") == (parts in ("z, u, x2, v", "u, v")) + (parts == "z, u, x2, v")


@pytest.mark.parametrize(
    "model",
    [
        upsampled("pads = [1,1,1,1], strides = [2,2]"),
        upsampled("pads = [2,2,2,2], dilations = [2,2]"),
        upsampled("pads = [1,1,1,1], group = 2", groups=2),
        upsampled(resize='mode = "linear"'),
        upsampled(resize='mode = "nearest", coordinate_transformation_mode = "align_corners"'),
        upsampled(scale=(1, 2)),
        upsampled(scale=(2.5, 2.5)),
        upsampled("strides = [1,1]", scale=(0.5, 0.5), kernel=(1, 1)),
        upsampled("pads = [1,1,1,1]", kernel=(1, 1), resize='mode = "linear"'),
        upsampled("strides = [2,2]", kernel=(1, 1), resize='mode = "linear"'),
    ],
    ids=["stride", "dilation", "group", "linear", "corners", "one axis", "fraction", "smaller", "border", "pixels"],
)
def test_what_does_not_commute_stays(model: ir.Model) -> None:
    check_untouched(ALWAYS, model)


def test_what_lies_outside_of_the_picture_for_a_crop_is_no_sum_of_pixels() -> None:
    text = """g (float[1,4,4,4] x) => (y) {
        u = Resize <mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize"> (x, roi, scales)
        y = Conv (u, w)
    }"""
    roi = np.array([0.0, 0, 0, 0, 1, 1, 1.5, 1.5])
    check_untouched(ALWAYS, network(text, roi=roi, scales=[1.0, 1.0, 2.0, 2.0], w=normal(3, 4, 1, 1)))


def test_a_function_that_others_need_in_large_stays() -> None:
    text = f"""g (float[1,4,4,5] x) => (y, z) {{
        u = Resize <{NEAREST}> (x, , scales) y = Relu (u) z = Neg (u)
    }}"""
    check_untouched(ALWAYS, network(text, scales=[1.0, 1.0, 2.0, 2.0]))


def test_constants_that_differ_over_the_picture_stay() -> None:
    text = f"g (float[1,4,4,5] x) => (y) {{ u = Resize <{NEAREST}> (x, , scales) y = Mul (u, m) }}"
    check_untouched(ALWAYS, network(text, scales=[1.0, 1.0, 2.0, 2.0], m=normal(8, 1)))


def test_small_pictures_gain_nothing() -> None:
    check_untouched(ConvolveBeforeUpsampling(), upsampled())


@pytest.mark.parametrize(("before", "behind", "changes"), [(64, 64, True), (32, 4, True), (4, 32, False)])
def test_it_is_done_where_it_is_cheaper(before: int, behind: int, changes: bool) -> None:
    text = f"""g (float[1,{before},64,64] x) => (y) {{
        u = Resize <{NEAREST}> (x, , scales) y = Conv <pads = [1,1,1,1]> (u, w)
    }}"""
    model = network(text, scales=[1.0, 1.0, 2.0, 2.0], w=normal(behind, before, 3, 3))
    assert ConvolveBeforeUpsampling()(model).modified == changes


def _two_readers(second: str) -> ir.Model:
    """Two Convs of one pixel, as necks of detectors have them, or one and something else, of one Concat."""
    text = f"""g (float[1,64,20,20] x, float[1,64,40,40] z) => (y, v) {{
        u = Resize <{NEAREST}> (x, , scales) j = Concat <axis = 1> (u, z) y = Conv (j, w) v = {second}
    }}"""
    return network(text, scales=np.array([1.0, 1.0, 2.0, 2.0]), w=normal(32, 128, 1, 1), k=normal(32, 128, 1, 1))


def test_convs_share_what_all_of_them_read() -> None:
    result = check_rewrite(ConvolveBeforeUpsampling(), _two_readers("Conv (j, k)"))
    assert "Concat" not in operators(result)
    assert operators(result).count("Resize") == 2
    check_untouched(ConvolveBeforeUpsampling(), _two_readers("Relu (j)"))


def test_an_activation_of_the_dialect_is_computed_before_the_upsampling() -> None:
    text = f"g (float[1,4,8,8] x) => (y) {{ u = Resize <{NEAREST}> (x, , scales) {MISH} }}"
    model = RecognizeActivations()(network(text, scales=np.array([1.0, 1.0, 2.0, 2.0]))).model
    assert operators(check_rewrite(ALWAYS, model)) == ["Mish", "Resize"]


MISH = "s = Softplus (u) t = Tanh (s) y = Mul (u, t)"
