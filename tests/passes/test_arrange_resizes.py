"""Resizes of any axes become resizes of N, C, spatial..., which the target has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layoutopt.layout.rules.applicability import objection
from layoutopt.passes import DEFAULT_PIPELINE, ArrangeResizes
from layoutopt.pipeline.manager import PassManager
from tests.conversion_cases import Case, CaseRunner, floats
from tests.harness import check_pass, model_of, transposes

LINEAR, NEAREST = 'mode = "linear"', 'mode = "nearest"'
SHAPES = {
    "an image without a batch": ((5, 6, 3), (8, 8, 3), LINEAR),
    "a batch of channels-last images": ((2, 5, 6, 3), (2, 10, 9, 3), LINEAR),
    "channels and no batch": ((3, 5, 6), (3, 8, 8), LINEAR),
    "a sequence with channels last": ((2, 7, 3), (2, 14, 3), NEAREST),
    "a sequence without a batch": ((7, 3), (4, 3), LINEAR),
    "channels alone": ((2, 4, 3, 3), (2, 8, 3, 3), NEAREST),
    "the batch, too": ((2, 4, 3, 5), (4, 2, 6, 5), LINEAR),
    "a vector": ((7,), (11,), LINEAR),
    "a volume with channels last": ((1, 3, 4, 5, 2), (1, 6, 8, 5, 2), LINEAR),
    "six axes": ((1, 2, 2, 3, 4, 2), (1, 2, 2, 6, 6, 2), LINEAR),
    "nothing": ((2, 3), (2, 3), LINEAR),
    "cubic": ((5, 6, 3), (8, 8, 3), 'mode = "cubic"'),
}

BEYOND_ONNX_RUNTIME = ("the batch, too", "a vector", "a volume with channels last", "six axes", "cubic")
"""What the test by the reference evaluator stands for alone."""


def text(shape: tuple[int, ...], out: tuple[int, ...], attributes: str) -> str:
    old, new = (",".join(map(str, sizes)) for sizes in (shape, out))
    return (
        f"g (float[{old}] x) => (float[{new}] y) <int64[{len(out)}] s = {{{new}}}> "
        f"{{ y = Resize <{attributes}> (x, , , s) }}"
    )


@pytest.mark.parametrize("name", SHAPES)
def test_computes_the_same(name: str) -> None:
    result = check_pass(ArrangeResizes(), model_of(text(*SHAPES[name])), execute=name not in BEYOND_ONNX_RUNTIME)
    for node in result.model.graph:
        if node.op_type == "Resize":
            source, target = node.inputs[0], node.outputs[0]
            assert source is not None
            assert source.shape is not None
            assert target.shape is not None
            assert source.shape[:2] == target.shape[:2]
            assert len(source.shape) in (3, 4, 5)


def test_what_the_target_has_stays() -> None:
    assert not ArrangeResizes()(model_of(text((1, 3, 4, 5), (1, 3, 8, 5), LINEAR))).modified


def test_no_transpose_where_channels_are_last() -> None:
    model = PassManager(DEFAULT_PIPELINE).run(model_of(text(*SHAPES["a batch of channels-last images"]))).model
    assert transposes(model) == 0


@pytest.mark.parametrize(
    ("nodes", "opset"),
    [
        ("y = Upsample <scales = [1.0, 2.0, 3.0, 1.0]> (x)", 7),
        ("s = Constant <value = float[4] {1, 2, 3, 1}> () y = Upsample (x, s)", 9),
        ("s = Constant <value = float[4] {1, 2, 3, 1}> () y = Resize (x, s)", 10),
        ("s = Constant <value = float[2] {2, 3}> () y = Resize <axes = [1, 2]> (x, , s)", 18),
    ],
)
def test_scales_of_every_version(nodes: str, opset: int) -> None:
    model = model_of(f"g (float[1,3,2,3] x) => (float[1,6,6,3] y) {{ {nodes} }}", opset=opset)
    check_pass(ArrangeResizes(), model)


def test_sizes_that_are_not_known_have_no_layout() -> None:
    """The pass leaves it, and the rule knows that the target has no such Resize."""
    graph = "g (float[1,4,5,3] x, int64[4] s) => (float[1,8,5,3] y) { y = Resize (x, , , s) }"
    model = model_of(graph)
    node = model.graph[0]
    assert objection(node, 17) == "it changes the batch or the channels"


@pytest.mark.parametrize("name", SHAPES)
def test_without_the_pass_litert_computes_it_too(name: str, tmp_path: Path) -> None:
    shape, out, attributes = SHAPES[name]
    if shape == out:
        attributes += ', keep_aspect_ratio_policy = "stretch"'
    sizes = {"s": np.array(out)}
    CaseRunner(tmp_path).check(
        Case(f"y = Resize<{attributes}>(x, , , s)", {"x": floats(*shape)}, sizes, reference=True)
    )
