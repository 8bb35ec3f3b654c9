"""Some of ONNX's backend node tests give what the committed figures say of them: every fourth by the direct backend."""

from __future__ import annotations

import pytest

from benchmarks import records
from benchmarks.conformance.cases import cases
from benchmarks.conformance.figures import RESULTS, Conformance
from benchmarks.conformance.judge import judge
from benchmarks.conformance.verdicts import Route, Status, Verdict
from docs.tools.conformance import page

ALWAYS = (
    "test_affine_grid_3d",
    "test_linear_attention_fp16",
    "test_maxpool_2d_uint8",
    "test_not_2d",
    "test_resize_upsample_sizes_nearest",
    "test_upsample_nearest",
)
"""Tests that no other test stands for: branches, float16 in a loop, 8-bit pools, an old opset, sizes at run time."""


def check_sample(route: Route, step: int) -> None:
    """Judge every so manieth test, and those of ``ALWAYS``."""
    missed = {
        name
        for each in records.load(Conformance, RESULTS).complaints
        if each.route == route.value
        for name in each.tests
    }
    found = {name: judge(name, route) for name in (*ALWAYS, *list(cases())[::step])}
    expected = {name: Status.UNSUPPORTED if name in missed else Status.PASSED for name in found}
    assert {name: verdict for name, verdict in found.items() if verdict.status is not expected[name]} == {}


@pytest.mark.filterwarnings("ignore")  # numpy's, about the overflows that some tests are about
def test_a_sample_of_the_direct_backend_is_as_the_figures_say() -> None:
    check_sample(Route.DIRECT, 4)


@pytest.mark.onnx_tf
@pytest.mark.filterwarnings("ignore")
def test_a_sample_through_onnx_tf_is_as_the_figures_say() -> None:
    check_sample(Route.ONNX_TF, 40)


def test_the_figures_are_of_all_tests_without_a_wrong_one() -> None:
    figures = records.load(Conformance, RESULTS)
    assert figures.tests == len(cases())
    for route in (Route.DIRECT, Route.ONNX_TF):
        assert set(figures.totals(route)) == {Status.PASSED.value, Status.UNSUPPORTED.value}
    assert figures.lost == ()


@pytest.mark.onnx_tf
def test_what_the_page_tells() -> None:
    ours = {
        "test_abs": Verdict(Status.PASSED),
        "test_mvn": Verdict(Status.UNSUPPORTED, "a | b"),
        "test_mvn_expanded": Verdict(Status.PASSED),
    }
    plain = {**dict.fromkeys(ours, Verdict(Status.FAILED)), "test_mvn": Verdict(Status.PASSED)}
    through_onnx_tf = dict.fromkeys(ours, Verdict(Status.PASSED))
    text = page(Conformance.of({Route.DIRECT: ours, Route.ONNX_TF: through_onnx_tf, Route.PLAIN: plain}))
    assert "| passed | 2 | 3 | 1 |\n| unsupported | 1 | 0 | 0 |\n| failed | 0 | 0 | 2 |" in text
    assert "layoutopt does not: `test_mvn`." in text
    assert "| MeanVarianceNormalization | 2 | 1 | 1 |  |  | 2 | 1 |" in text
    assert "| MeanVarianceNormalization | direct | a \\| b | `test_mvn` |" in text
