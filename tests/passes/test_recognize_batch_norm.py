"""What is left per channel between channels-last operators is BatchNormalization, as ONNX Runtime has it in blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnx.inliner
import onnx_ir as ir
import pytest

from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.passes import DEFAULT_PIPELINE, EliminateDeadCode, RecognizeBatchNorm
from layoutopt.pipeline.manager import PassManager
from tests.graphs import numbers
from tests.harness import check_pass, model_of

BEFORE = tuple(each for each in DEFAULT_PIPELINE if not isinstance(each, (RecognizeBatchNorm, EliminateDeadCode)))
NORM = "BatchNormalization2D"
SIGNS = "float[4] gamma = {0.5, -1.5, 2, -0.25}"
"""Factors that no Relu lets through."""
PLAIN = "float[4] gamma = {1, 1, 1, 1}, float[4] mean = {0, 0, 0, 0}, float[4] var = {1, 1, 1, 1}"
NO_SHIFT = "float[4] beta = {0, 0, 0, 0}, float[4] mean = {0, 0, 0, 0}"
BETA, STATISTICS = numbers("beta", 4), f"{numbers('mean', 4)}, float[4] var = {{0.5, 1, 2, 0.1}}"


def dense(constants: str, norm: str = "n = BatchNormalization <epsilon = 0.001> (c, gamma, beta, mean, var)") -> str:
    """Two convolutions that a Concat joins, what ``norm`` makes ``n`` of their result ``c``, Relu and a convolution."""
    return (
        "g (float[1,3,6,6] x) => (float[1,4,6,6] y) "
        f"<{numbers('a', 2, 3, 1, 1)}, {numbers('b', 2, 2, 3, 3)}, {numbers('w', 4, 4, 3, 3)}, {constants}> "
        "{ t = Conv (x, a) u = Conv <pads = [1, 1, 1, 1]> (t, b) c = Concat <axis = 1> (t, u) "
        f"{norm} r = Relu (n) y = Conv <pads = [1, 1, 1, 1]> (r, w) }}"
    )


def before(text: str) -> ir.Model:
    """The model as all passes before leave it."""
    return PassManager(BEFORE).run(model_of(text)).model


def kinds(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize(
    ("constants", "left"),
    [
        (f"{SIGNS}, {BETA}, {STATISTICS}", {"Mul": 1, "Add": 1}),
        (f"{PLAIN}, {BETA}", {"Mul": 0, "Add": 1}),
        (f"{SIGNS}, {NO_SHIFT}, float[4] var = {{1, 1, 1, 1}}", {"Mul": 1, "Add": 1}),
    ],
    ids=["both", "a term", "a factor and zeros"],
)
def test_a_factor_or_a_term_or_both(constants: str, left: Mapping[str, int]) -> None:
    model = before(dense(constants))
    assert {each: kinds(model)[each] for each in left} == left
    found = kinds(check_pass(RecognizeBatchNorm(), model).model)
    assert (found[NORM], found["Mul"], found["Add"]) == (1, 0, 0)


def test_inlined_it_is_the_operator_between_transposes() -> None:
    """Those cancel with the ones of the convolutions."""
    model = PassManager(DEFAULT_PIPELINE).run(model_of(dense(f"{SIGNS}, {BETA}, {STATISTICS}"))).model
    nodes = onnx.inliner.inline_local_functions(ir.to_proto(model)).graph.node
    (at,) = (at for at, node in enumerate(nodes) if node.op_type == "BatchNormalization")
    assert [node.op_type for node in nodes[at - 1 : at + 2]] == ["Transpose", "BatchNormalization", "Transpose"]
    assert len(nodes[at].input) == 5
    assert list(nodes[at].output) == [nodes[at + 1].input[0]]


def test_those_of_as_many_channels_share_means_and_variances() -> None:
    """Two in a row, whose factors no Relu lets through."""
    norms = (
        "m = BatchNormalization (c, gamma, beta, mean, var) k = Relu (m) "
        "l = Conv (k, v) d = Add (l, c) n = BatchNormalization (d, gamma, beta, mean, var)"
    )
    text = dense(f"{numbers('v', 4, 4, 1, 1)}, {SIGNS}, {BETA}, {STATISTICS}", norms)
    model = check_pass(RecognizeBatchNorm(), before(text)).model
    first, second = (node for node in model.graph if node.op_type == NORM)
    assert first.inputs[3:] == second.inputs[3:]
    assert first.inputs[1] is not second.inputs[1]


@pytest.mark.parametrize(
    ("norm", "constants"),
    [
        ("n = Add (c, k)", "float k = {3}"),
        ("n = Add (c, k)", numbers("k", 1, 4, 6, 6)),
        ("n = Add (c, k)", numbers("k", 6, 1)),
        ("e = Relu (c) d = Add (e, k) n = Softmax <axis = 1> (d)", numbers("k", 1, 4, 1, 1)),
        ("e = Softmax <axis = 1> (c) n = Add (e, k)", numbers("k", 1, 4, 1, 1)),
    ],
    ids=["one number", "a number per element", "a number per row", "not read by one", "after no such operator"],
)
def test_left_alone(norm: str, constants: str) -> None:
    model = before(dense(constants, norm))
    assert kinds(model)["Add"] == 1
    assert not check_pass(RecognizeBatchNorm(), model).modified


def test_a_factor_alone() -> None:
    model = before(dense(numbers("s", 1, 4, 1, 1), "n = Div (c, s)"))
    found = kinds(check_pass(RecognizeBatchNorm(), model).model)
    assert (found[NORM], found["Div"]) == (1, 0)


def test_a_factor_that_is_read_twice_is_one_of_its_own() -> None:
    norm = "m = Mul (c, s) n = Add (m, k) z = Exp (m)"
    text = dense(f"{numbers('s', 1, 4, 1, 1)}, {numbers('k', 1, 4, 1, 1)}", norm).replace(
        "=> (float[1,4,6,6] y)", "=> (float[1,4,6,6] y, float[1,4,6,6] z)"
    )
    found = kinds(check_pass(RecognizeBatchNorm(), before(text)).model)
    assert (found[NORM], found["Mul"], found["Add"]) == (2, 0, 0)


def test_the_tflite_is_the_same_without(tmp_path: Path) -> None:
    model = before(dense(f"{SIGNS}, {BETA}, {STATISTICS}"))
    counts = []
    for each in (model, RecognizeBatchNorm()(model.clone()).model):
        convert_directly(each, tmp_path / "model.tflite")
        counts.append(count_tflite(tmp_path / "model.tflite").histogram)
    assert counts[0] == counts[1]
    assert counts[0]["MUL"] == counts[0]["ADD"] == 1
