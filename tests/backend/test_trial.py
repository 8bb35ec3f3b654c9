"""A .tflite that runs in a process of its own: the same results as here, and one clear error for what cannot run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.backend.litert.trial import run_in_child
from layoutopt.backend.process import run_alone
from layoutopt.errors import ConversionError, UsageError
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.recorder import one


@pytest.fixture(autouse=True)
def child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial has the child that users have."""
    monkeypatch.setattr("layoutopt.backend.litert.trial.run_alone", run_alone)


def written(directory: Path, model: Model) -> Path:
    write_tflite(model, directory / "model.tflite")
    return directory / "model.tflite"


def test_the_results_are_those_of_this_process(tmp_path: Path) -> None:
    """Of every rank, an empty one too, and under names that no file could have."""
    shapes, names = [(), (0, 3), (2, 3)], ["a/b", "..", "x:0 é"]
    graph = Graph([Value(DType.FLOAT32, shape) for shape in shapes] + [Value(DType.BOOL, (2,))])
    with tfl.recording(graph):
        graph.outputs = [*(value + 1.0 for value in graph.inputs[:3]), tfl.logical_not(graph.inputs[3])]
    path = written(tmp_path, Model(graph, [*names, "flag"], [*names, "y"]))
    rng = np.random.default_rng(0)
    inputs = {name: np.asarray(rng.random(shape), np.float32) for name, shape in zip(names, shapes, strict=True)}
    inputs["flag"] = np.array([True, False])
    found, expected = run_in_child(path, inputs), run_tflite(path, inputs)
    assert list(found) == list(expected) == [*names, "y"]
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        np.testing.assert_array_equal(found[name], array)


def test_random_inputs_will_do(files: Path) -> None:
    (found,) = run_in_child(files / "types.tflite").values()
    assert found.shape == (4,)
    assert found.dtype == np.dtype(np.float32)


def test_a_file_that_kills_its_process_is_one_clear_error(tmp_path: Path) -> None:
    graph = Graph([Value(DType.FLOAT32, (2,))])
    with tfl.recording(graph):
        axis = tfl.int32(0)
        graph.outputs = [one("SPLIT", axis, graph.inputs[0], results=[(DType.FLOAT32, (2,))], num_splits=0)]
    path = written(tmp_path, Model(graph, ["x"], ["y"]))
    with pytest.raises(ConversionError, match=r"^LiteRT: its process died of SIG\w+$"):
        run_in_child(path)


def test_what_litert_refuses_is_told_in_its_words(files: Path) -> None:
    with pytest.raises(ConversionError, match=r"^LiteRT: .*flex\.tflite: .*Flex") as caught:
        run_in_child(files / "flex.tflite")
    assert "Traceback" not in str(caught.value)
    assert caught.value.stage == "LiteRT"


def test_wrong_inputs_are_refused(files: Path) -> None:
    with pytest.raises(UsageError, match=r"two\.tflite"):
        run_in_child(files / "two.tflite", {"a": np.ones((2, 3), np.float32)})
