"""Every twentieth of ONNX's backend node tests gives what docs/conformance.md says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.conformance import Status, Verdict, cases, judge, page
from layoutopt.backend.litert.child import kept_alive
from layoutopt.backend.litert.converter import Handlers

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
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
def test_a_sample_is_as_the_page_says() -> None:
    _, refused = PAGE.read_text().split("## Not supported")
    unsupported = set(re.findall(r"`(test_\w+)`", refused))
    found = {name: judge(name, Handlers.LAYOUTOPT) for name in (*ALWAYS, *list(cases())[::_EACH])}
    expected = {name: Status.UNSUPPORTED if name in unsupported else Status.PASSED for name in found}
    assert {name: verdict for name, verdict in found.items() if verdict.status is not expected[name]} == {}


def test_the_page_is_about_all_tests_without_a_wrong_one() -> None:
    text = PAGE.read_text()
    assert f", {len(cases())} of\nthem in onnx" in text
    assert "| wrong | 0 | " in text
    assert "| failed | 0 | " in text
    assert "Tests that plain onnx-tf passes and layoutopt does not: none." in text


@pytest.mark.tflite
def test_what_the_page_tells() -> None:
    ours = {
        "test_abs": Verdict(Status.PASSED),
        "test_mvn": Verdict(Status.UNSUPPORTED, "a | b"),
        "test_mvn_expanded": Verdict(Status.PASSED),
    }
    plain = {**dict.fromkeys(ours, Verdict(Status.FAILED)), "test_mvn": Verdict(Status.PASSED)}
    text = page(ours, plain)
    assert "| passed | 2 | 1 |\n| unsupported | 1 | 0 |\n| failed | 0 | 2 |\n| wrong | 0 | 0 |" in text
    assert "layoutopt does not: `test_mvn`." in text
    assert "| MeanVarianceNormalization | 2 | 1 | 1 |  |  | 1 |" in text
    assert "| MeanVarianceNormalization | a \\| b | `test_mvn` |" in text
