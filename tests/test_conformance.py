"""Every twentieth of ONNX's backend node tests gives what the committed figures say of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import records
from benchmarks.conformance import RESULTS, Conformance, Status, Verdict, cases, judge, page
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import Handlers

_EACH = 20
ALWAYS = (
    "test_affine_grid_3d",
    "test_linear_attention_fp16",
    "test_maxpool_2d_uint8",
    "test_not_2d",
    "test_resize_upsample_sizes_nearest",
    "test_upsample_nearest",
)
"""Tests that no other test stands for: branches, float16 in a loop, 8-bit pools, an old opset, sizes at run time."""


@pytest.fixture(scope="module")
def one_child() -> Iterator[None]:
    with kept_alive():
        yield


@pytest.mark.tflite
@pytest.mark.filterwarnings("ignore")  # numpy's, about the overflows that some tests are about
@pytest.mark.usefixtures("one_child")
def test_a_sample_is_as_the_figures_say() -> None:
    unsupported = {name for each in records.load(Conformance, RESULTS).complaints for name in each.tests}
    found = {name: judge(name, Handlers.LAYOUTOPT) for name in (*ALWAYS, *list(cases())[::_EACH])}
    expected = {name: Status.UNSUPPORTED if name in unsupported else Status.PASSED for name in found}
    assert {name: verdict for name, verdict in found.items() if verdict.status is not expected[name]} == {}


def test_the_figures_are_of_all_tests_without_a_wrong_one() -> None:
    figures = records.load(Conformance, RESULTS)
    assert figures.tests == len(cases())
    assert set(figures.totals.ours) == {Status.PASSED.value, Status.UNSUPPORTED.value}
    assert figures.lost == ()


@pytest.mark.tflite
def test_what_the_page_tells() -> None:
    ours = {
        "test_abs": Verdict(Status.PASSED),
        "test_mvn": Verdict(Status.UNSUPPORTED, "a | b"),
        "test_mvn_expanded": Verdict(Status.PASSED),
    }
    plain = {**dict.fromkeys(ours, Verdict(Status.FAILED)), "test_mvn": Verdict(Status.PASSED)}
    text = page(Conformance.of(ours, plain))
    assert "| passed | 2 | 1 |\n| unsupported | 1 | 0 |\n| failed | 0 | 2 |\n| wrong | 0 | 0 |" in text
    assert "layoutopt does not: `test_mvn`." in text
    assert "| MeanVarianceNormalization | 2 | 1 | 1 |  |  | 1 |" in text
    assert "| MeanVarianceNormalization | a \\| b | `test_mvn` |" in text
