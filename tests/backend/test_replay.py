"""Every operator of LiteRT, replayed in TensorFlow and converted: the same operators, and the same numbers.

The judge of the numbers is LiteRT, which runs the recorded graph as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert import runtime
from layoutopt.backend.litert.graph import read_graph
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.tfl.opset import OPSET
from tests.backend.recorded import CASES, Array, floats
from tests.backend.replaying import FOREIGN

pytestmark = pytest.mark.onnx_tf

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all cases converted, by a process of its own: TensorFlow warns while it is imported."""
    folder = tmp_path_factory.mktemp("replayed")
    command = [sys.executable, "-m", "tests.backend.replaying", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{i}-{case.code}" for i, case in enumerate(CASES)])
def test_converted_is_what_was_recorded(number: int, converted: Path, tmp_path: Path) -> None:
    case, path = CASES[number], converted / f"{number}.tflite"
    assert path.exists(), (converted / f"{number}.txt").read_text()
    assert dict(count_tflite(path).histogram) == dict(case.operators()), case.why
    recorded = tmp_path / "recorded.tflite"
    write_tflite(case.model(), recorded)
    inputs = dict(zip(case.input_names, case.arrays, strict=True))
    expected: Mapping[str, Array] = runtime.run_tflite(recorded, inputs)
    found: Mapping[str, Array] = runtime.run_tflite(path, inputs)
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        assert (found[name].dtype, found[name].shape) == (wanted.dtype, wanted.shape), name
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-6)


def test_every_operator_has_a_spelling_and_a_case(converted: Path) -> None:
    assert set((converted / "operators.txt").read_text().split()) == set(OPSET)
    assert {case.code for case in CASES} == set(OPSET)


def test_tensors_bear_the_names_of_their_nodes(converted: Path) -> None:
    number = next(i for i, case in enumerate(CASES) if "LOG" in case.operators() and "SIN" in case.operators())
    graph = read_graph(converted / f"{number}.tflite")
    names = {graph.tensors[index].name for node in graph.nodes for index in node.outputs}
    assert names == {"stage/node_1/Exp", "stage/node_1/Sin", "y.0"}


def test_an_operator_of_onnx_is_handed_to_onnx_tf(converted: Path) -> None:
    x = floats(2, 3, 4, 5)
    found = runtime.run_tflite(converted / "MeanVarianceNormalization.tflite", {"x": x})["y"]
    text = "g (float[2,3,4,5] x) => (float[2,3,4,5] y) { a = Neg (x) b = MeanVarianceNormalization (a) y = Abs (b) }"
    opsets = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(onnx.parser.parse_graph(text), opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(np.asarray(found), session.run(None, {"x": x})[0], rtol=0, atol=1e-5)


def test_an_operator_of_onnx_may_need_tensorflow_at_run_time(converted: Path) -> None:
    assert count_tflite(converted / "RandomNormalLike.tflite").histogram["FlexRandomStandardNormal"] == 1


@pytest.mark.parametrize("name", FOREIGN)
def test_an_operator_of_onnx_is_refused_where_nobody_computes_it(name: str, converted: Path) -> None:
    refusal = (converted / f"{name}-refused.txt").read_text()
    assert f"UnsupportedOperatorError: node strange ({name})" in refusal
