"""Metadata and labels in a .tflite: readable, checked, and without effect on what it computes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.backend.metadata import attach, metadata_of
from layoutopt.boundary import Boundary, Operator, Postprocess, Preprocess
from layoutopt.boundary.description import Description
from layoutopt.cli import app
from layoutopt.errors import UsageError
from layoutopt.ir.io import save
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.metadata import NAME, TENSOR_AXIS_LABELS, TENSOR_VALUE_LABELS, decoded, encoded
from tests.boundary.networks import classifier

LABELS = "cat\ndog\nowl\ncow\nbat\n"


def described(tmp_path: Path, description: Description, boundary: Boundary | None = None) -> Path:
    path = tmp_path / "a.tflite"
    layoutopt.optimize(
        classifier(),
        tflite=path,
        description=description,
        boundary=boundary,
        baseline=False,
        backend="direct",
        force=True,
    )
    return path


def labels(tmp_path: Path, text: str = LABELS) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    return path


def test_the_flatbuffer_comes_back() -> None:
    tensor = {
        "name": "image",
        "description": "a picture",
        "dimension_names": ["batch", "height"],
        "content": {"image": {"color_space": 2}},
        "process_units": [{"normalization": {"mean": [1.5, 2.5], "std": [0.5]}}],
        "stats": {"max": [255.0], "min": [0.0]},
        "associated_files": [{"name": "a.txt", "type": 2}, {"name": "b.txt", "description": "ö", "type": 3}],
    }
    fields = {
        "name": "n",
        "author": "a",
        "subgraph_metadata": [
            {"input_tensor_metadata": [tensor, {"name": "x"}], "output_tensor_metadata": [{"content": {"feature": {}}}]}
        ],
        "min_parser_version": "1.0.0",
    }
    data = encoded(fields)
    assert decoded(data) == fields
    with pytest.raises(ValueError, match="not a flatbuffer"):
        decoded(b"0123456789")
    for end in range(8, len(data), 7):  # cut off anywhere: an error of one kind, or what is still there
        try:
            decoded(data[:end])
        except ValueError:
            continue


def test_everything_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("trained on pictures")
    said = {
        "name": "Net",
        "author": "somebody",
        "license": "MIT",
        "inputs": {"image": {"description": "a picture"}},
        "outputs": {"scores": {"min": [0.0], "max": [1.0]}},
        "files": ["notes.md"],
    }
    (tmp_path / "model.json").write_text(json.dumps(said))
    boundary = Boundary(preprocess={"": Preprocess((0.5,), (0.5,), 1 / 255)})
    path = described(tmp_path, Description(tmp_path / "model.json", {"": labels(tmp_path)}), boundary)
    found = decoded(metadata_of(path)[NAME])
    graph = found["subgraph_metadata"][0]
    assert (found["name"], found["author"], found["license"]) == ("Net", "somebody", "MIT")
    assert found["associated_files"] == [{"name": "notes.md"}]
    assert graph["input_tensor_metadata"] == [
        {
            "name": "image",
            "description": "a picture",
            "dimension_names": ["batch", "height", "width", "channels"],
            "content": {"image": {"color_space": 1}},
            "process_units": [{"normalization": {"mean": [0.0], "std": [1.0]}}],
        }
    ]
    (output,) = graph["output_tensor_metadata"]
    assert output["associated_files"] == [{"name": "labels.txt", "type": TENSOR_AXIS_LABELS}]
    assert output["stats"] == {"min": [0.0], "max": [1.0]}
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["notes.md", "labels.txt"]
        assert archive.read("labels.txt").decode() == LABELS
        assert all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
    told = CliRunner().invoke(app, ["count", str(path)])
    assert "author: somebody" in told.stdout
    assert "labels in labels.txt" in told.stdout


def test_it_computes_the_same(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.tflite", tmp_path / "a.tflite"
    layoutopt.optimize(classifier(), tflite=plain, baseline=False, backend="direct")
    attach(plain, path, {"mine": b"1"}, {"a.txt": b"text"})
    attach(path, tmp_path / "b.tflite", {"mine": b"22"}, {})
    assert metadata_of(tmp_path / "b.tflite")["mine"] == b"22"
    x = np.random.default_rng(0).standard_normal((1, 16, 16, 3)).astype(np.float32)
    results = [run_tflite(each, {"image": x}, verbose=False)["scores"] for each in (plain, path, tmp_path / "b.tflite")]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_data_beside_the_flatbuffer_stay_whole(tmp_path: Path) -> None:
    graph = Graph([Value(DType.FLOAT32, (1, 4))])
    numbers = np.arange(4, dtype=np.float32)
    with tfl.recording(graph):
        graph.outputs = [graph.inputs[0] + numbers]
    write_tflite(Model(graph, ["x"], ["y"]), tmp_path / "a.tflite", data_after=True)
    attach(tmp_path / "a.tflite", tmp_path / "b.tflite", {"mine": b"1"}, {"a.txt": b"text"})
    found = run_tflite(tmp_path / "b.tflite", {"x": np.zeros((1, 4), np.float32)}, verbose=False)["y"]
    assert np.array_equal(found[0], numbers)


def test_labels_of_indices_name_values(tmp_path: Path) -> None:
    boundary = Boundary(postprocess={"": Postprocess(Operator.ARGMAX)})
    path = described(tmp_path, Description(labels={"scores": labels(tmp_path)}), boundary)
    (output,) = decoded(metadata_of(path)[NAME])["subgraph_metadata"][0]["output_tensor_metadata"]
    assert output["associated_files"][0]["type"] == TENSOR_VALUE_LABELS


def test_the_properties_of_ultralytics_go_along_first(tmp_path: Path) -> None:
    model = classifier()
    model.metadata_props.update({"task": "detect", "names": "{0: 'cat'}", "stride": "32"})
    path = tmp_path / "a.tflite"
    layoutopt.optimize(
        model, tflite=path, description=Description(labels={"": labels(tmp_path)}), baseline=False, backend="direct"
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "metadata.json"
        assert json.loads(archive.read("metadata.json")) == model.metadata_props


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"titel": "x"}, "there is no 'titel'"),
        ({"name": 3}, "name is no text"),
        ({"inputs": []}, "inputs is no object"),
        ({"inputs": {"image": {"size": 3}}}, "there is no 'size'"),
        ({"inputs": {"image": {"mean": 3}}}, "mean is no list of numbers"),
        ({"inputs": {"image": {"color": "cmyk"}}}, "color 'cmyk'"),
        ({"inputs": {"picture": {}}}, "inputs: there is no 'picture'"),
        ({"files": "a.txt"}, "files is no list"),
        ({"files": ["nowhere.txt"]}, "nowhere.txt: cannot be read"),
    ],
)
def test_wrong_metadata_is_told(metadata: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        described(tmp_path, Description(metadata))
    assert message in error.value.message
    assert not (tmp_path / "a.tflite").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("", "cat\ndog\n", "2 labels, and output 'scores' of [1, 8, 8, 5] has no axis of so many classes"),
        ("", "\n", "holds no labels"),
        ("boxes", LABELS, "there is no output 'boxes'"),
    ],
)
def test_labels_that_do_not_fit_are_told(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        described(tmp_path, Description(labels={name: labels(tmp_path, text)}))
    assert message in error.value.message


def test_wrong_files_end_in_one_line(tmp_path: Path) -> None:
    save(classifier(), tmp_path / "a.onnx")
    (tmp_path / "broken.json").write_text("{")
    for options in (["--metadata", "broken.json"], ["--labels", "nowhere.txt"], ["--labels", "a=b", "--labels", "a=c"]):
        options = [str(tmp_path / each) if "." in each else each for each in options]
        result = CliRunner().invoke(app, ["optimize", str(tmp_path / "a.onnx"), *options])
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: --")
    assert not list(tmp_path.glob("*.tflite"))


def test_no_output_gets_onto_the_labels(tmp_path: Path) -> None:
    save(classifier(), tmp_path / "a.onnx")
    path = labels(tmp_path)
    result = CliRunner().invoke(
        app, ["optimize", str(tmp_path / "a.onnx"), "--labels", str(path), "--tflite", str(path), "--force"]
    )
    assert "is an input" in result.stderr
    assert path.read_text() == LABELS
