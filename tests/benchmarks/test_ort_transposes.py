"""ONNX Runtime's own transpose optimizer as a rival: it never moves fewer bytes."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from hypothesis import given, settings

from benchmarks.studies.ort_transposes import Rivals, compare
from tests.graphs import AFTER, CONV, W44, W, X
from tests.harness import model_of
from tests.networks import random_models


@settings(max_examples=40)
@given(random_models())
def test_never_more_than_onnx_runtime(model: ir.Model) -> None:
    rivals = compare(model)
    assert rivals.ours <= rivals.theirs


@pytest.mark.long
@settings(max_examples=2000)
@given(random_models())
def test_never_more_than_onnx_runtime_long(model: ir.Model) -> None:
    rivals = compare(model)
    assert rivals.ours <= rivals.theirs


def test_the_rival_plays() -> None:
    """ONNX Runtime moves Transposes through a Relu and cancels them, but moves none through a convolution."""
    text = f"g ({X}) => ({AFTER} y) <{W}, {W44}> {{ {CONV} r = Relu (t) y = Conv (r, w44) }}"
    rivals = compare(model_of(text))
    ends, between = (3 + 4) * 4 * 6 * 4, 2 * 4 * 4 * 6 * 4
    assert rivals == Rivals(per_operator=ends + between, ours=ends, theirs=ends)
