"""Models that are broken in every way that came to mind: a documented exit code and one clear line for each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from typer.testing import CliRunner, Result

import layoutopt
from layoutopt import errors
from layoutopt.cli import app

INVALID = errors.InvalidModelError.exit_code
UNSUPPORTED = errors.UnsupportedOperatorError.exit_code


def model(
    *nodes: onnx.NodeProto,
    x: list[int],
    y: list[int] | None,
    kind: int = TensorProto.FLOAT,
    opset: int = 17,
    **weights: list[int] | np.ndarray,
) -> onnx.ModelProto:
    """A model from ``x`` to ``y``; lists are weights of int64."""
    graph = make_graph(
        list(nodes),
        "g",
        [make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [make_tensor_value_info("y", kind, y)],
        [numpy_helper.from_array(np.asarray(weight), name) for name, weight in weights.items()],
    )
    return make_model(graph, opset_imports=[make_opsetid("", opset)], ir_version=8)


def tensor(entries: Mapping[str, object], dims: tuple[int, ...] = (4,)) -> TensorProto:
    """One whose data are elsewhere."""
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        made.external_data.add(key=key, value=str(value))
    return made


def external(entries: Mapping[str, object], dims: tuple[int, ...] = (4,)) -> onnx.ModelProto:
    made = model(make_node("Add", ["x", "w"], ["y"], name="add"), x=[4], y=[4])
    made.graph.initializer.append(tensor(entries, dims))
    return made


def external_in_attribute(entries: Mapping[str, object]) -> onnx.ModelProto:
    constant = make_node("Constant", [], ["w"], value=tensor(entries))
    return model(constant, make_node("Add", ["x", "w"], ["y"]), x=[4], y=[4])


def changed(made: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    change(made)
    return made


RELU = make_node("Relu", ["x"], ["y"], name="relu")
SHAPE = [1, 3, 8, 8]
KERNEL = np.zeros((4, 3, 3, 3), np.float32)


def relu() -> onnx.ModelProto:
    return model(RELU, x=SHAPE, y=SHAPE)


def spelled(old: bytes, new: bytes) -> bytes:
    return relu().SerializeToString().replace(old, new)


EXTERNAL: Mapping[str, dict[str, object]] = {
    "beyond the end": {"location": "w.bin", "offset": 100, "length": 16},
    "negative": {"location": "w.bin", "offset": -8, "length": 16},
    "huge": {"location": "w.bin", "length": 2**62},
    "no number": {"location": "w.bin", "offset": "abc"},
    "a folder": {"location": "."},
    "missing": {"location": "none.bin"},
    "the model itself": {"location": "model.onnx", "length": 10**9},
}
INVALID_MODELS: Mapping[str, onnx.ModelProto | bytes] = {
    **{f"external data: {name}": external(entries) for name, entries in EXTERNAL.items()},
    **{f"external data of an attribute: {name}": external_in_attribute(each) for name, each in EXTERNAL.items()},
    "external data of a huge shape": external({"location": "w.bin"}, (2**40, 2**40)),
    "type of an input": changed(relu(), lambda made: setattr(made.graph.input[0].type.tensor_type, "elem_type", 99)),
    "type of a weight": changed(
        model(make_node("Add", ["x", "w"], ["y"]), x=[4], y=[4], w=np.zeros(4, np.float32)),
        lambda made: setattr(made.graph.initializer[0], "data_type", 77),
    ),
    "type of a Cast": model(make_node("Cast", ["x"], ["y"], to=99), x=SHAPE, y=SHAPE),
    "name of a node that is not UTF-8": spelled(b"relu", b"re\xffu"),
    "operator that is not UTF-8": spelled(b"Relu", b"Re\xffu"),
    "an axis twice": model(make_node("Transpose", ["x"], ["y"], perm=[0, 0, 1, 1]), x=SHAPE, y=[1, 1, 3, 3]),
    "an axis too few": model(make_node("Transpose", ["x"], ["y"], perm=[0, 1]), x=SHAPE, y=None),
    "an axis that is not there": model(make_node("Transpose", ["x"], ["y"], perm=[0, 1, 2, 9]), x=SHAPE, y=SHAPE),
    **{
        f"axis of {op}": model(make_node(op, ["x"], ["y"], axis=9), x=SHAPE, y=None, kind=kind)
        for op, kind in {"Softmax": 1, "Flatten": 1, "ArgMax": 7, "LogSoftmax": 1, "Hardmax": 1}.items()
    },
    "axis of Concat": model(make_node("Concat", ["x", "x"], ["y"], axis=9), x=SHAPE, y=None),
    "axis of Gather": model(make_node("Gather", ["x", "i"], ["y"], axis=9), x=SHAPE, y=None, i=[0]),
    "axis of Squeeze": model(make_node("Squeeze", ["x", "i"], ["y"]), x=SHAPE, y=None, i=[9]),
    "axis of Unsqueeze": model(make_node("Unsqueeze", ["x", "i"], ["y"]), x=SHAPE, y=None, i=[1, 1]),
    "axis of ReduceMean": model(make_node("ReduceMean", ["x"], ["y"], axes=[7]), x=SHAPE, y=None, opset=13),
    "index of Gather": model(make_node("Gather", ["x", "i"], ["y"], axis=1), x=SHAPE, y=[1, 1, 8, 8], i=[9]),
    "stated type": model(RELU, x=SHAPE, y=SHAPE, kind=TensorProto.INT64),
    "Reshape that does not fit": model(make_node("Reshape", ["x", "s"], ["y"]), x=SHAPE, y=None, s=[5, 5]),
    "channels of Conv": model(make_node("Conv", ["x", "w"], ["y"]), x=[1, 5, 8, 8], y=None, w=KERNEL),
    "rank 100": model(RELU, x=[1] * 100, y=[1] * 100),
    "huge sizes": model(RELU, x=[2**31, 2**31], y=[2**31, 2**31]),
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("layoutopt.backend.conversion.missing_for_onnx_tf", lambda: ["tensorflow"])
    monkeypatch.chdir(tmp_path)
    Path("w.bin").write_bytes(bytes(16))


def run(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """A process of its own, of the package that is tested wherever it is started."""
    return subprocess.run(
        [sys.executable, "-m", "layoutopt", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(layoutopt.__file__).parent.parent)},
    )


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def write(made: onnx.ModelProto | bytes) -> None:
    Path("model.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())


@pytest.mark.parametrize("name", INVALID_MODELS)
def test_a_broken_model_is_told_so(name: str) -> None:
    write(INVALID_MODELS[name])
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    result = invoke("optimize", "model.onnx", "--no-baseline")
    assert result.exit_code in (INVALID, UNSUPPORTED), result.output
    assert "model.onnx" in result.stderr or "the model" in result.stderr or "input" in result.stderr
    for command in ("explain", "count"):
        other = invoke(command, "model.onnx")
        assert other.exit_code in (0, INVALID, UNSUPPORTED), other.output
    for said in (result.stderr, other.stderr):
        assert "Traceback" not in said
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("command", ["optimize", "explain", "report", "count", "benchmark"])
def test_what_is_no_file_is_told_so(command: str) -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for path, blamed in ((".", "a directory"), ("folder", "a directory"), ("pipe", "not a plain file")):
        result = invoke(command, path)
        assert result.exit_code == INVALID, result.output
        assert blamed in result.stderr
    assert invoke(command, "nobody.onnx").exit_code == errors.ModelNotFoundError.exit_code


@pytest.mark.parametrize("command", ["optimize", "report"])
def test_a_negative_seed_is_a_wrong_option(command: str) -> None:
    write(relu())
    result = invoke(command, "model.onnx", "--seed", "-1")
    assert result.exit_code == errors.UsageError.exit_code


def test_text_of_a_model_steers_no_terminal() -> None:
    name = "x\x1b[31m[/b]\u202e"
    made = model(make_node("Conv", [name, "w"], ["y"], name="n\x1b[2J"), x=SHAPE, y=[1, 4, 6, 6], w=KERNEL)
    made.graph.input[0].name = name
    write(made)
    for arguments in (("optimize", "--no-baseline"), ("explain", "--io", "keep"), ("count",)):
        result = invoke(arguments[0], "model.onnx", *arguments[1:])
        assert result.exit_code == 0, result.output
        assert not {"\x1b", "\u202e"} & set(result.output)
    made.graph.node[0].op_type = "Frob\x1b]0;evil\x07[red]"
    write(made)
    result = invoke("optimize", "model.onnx", "--force")
    assert result.exit_code == UNSUPPORTED
    assert r"Frob\x1b]0;evil\x07[red]" in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [("passes",), ("passes", "--json", "-")])
def test_a_full_standard_output_is_told_so(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        result = run(*arguments, stdout=full)
    assert result.returncode == errors.OutputError.exit_code
    assert result.stderr == "error: standard output: cannot be written (No space left on device)\n"


def test_noise_of_other_libraries_needs_verbose() -> None:
    write(INVALID_MODELS["index of Gather"])
    result = run("explain", "model.onnx")
    lines = [line for line in result.stderr.splitlines() if not line.endswith(" s")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
