"""Every output of every command, aimed at every input and at every other output: nothing changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnx.external_data_helper
import onnx_ir as ir
import pytest
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.cli import app
from layoutopt.ir.io import save
from tests.harness import model_of

COMMANDS: Mapping[str, tuple[list[str], list[str]]] = {
    "optimize": (["model.onnx"], ["-o", "--tflite", "--saved-model", "--json", "--output-dir", "--dump-dir"]),
    "explain": (["model.onnx"], ["--json"]),
    "report": (["model.onnx"], ["-o", "--json", "--model-explorer"]),
    "count": (["model.onnx", "lite.tflite"], ["--json"]),
    "tensors": (["model.onnx"], ["--json"]),
    "compare": (["model.onnx", "lite.tflite", "--input", "input.npz"], ["--json"]),
    "benchmark": (["lite.tflite", "model.onnx", "--rounds", "1", "--seconds", "0"], ["--json", "--csv"]),
    "calibrate": ([], ["--json"]),
    "passes": ([], ["--json"]),
    "demo": ([], ["--json", "-d"]),
}
"""The arguments of each command, and its options that name what is written."""

FOLDERS = {"--output-dir", "--dump-dir", "--model-explorer", "-d", "--saved-model"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: Path) -> None:
    monkeypatch.setattr("layoutopt.backend.conversion.missing_for_onnx_tf", lambda: ["tensorflow"])
    monkeypatch.setattr("layoutopt.backend.conversion.require_onnx_tf", lambda: None)
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with weights in another file, what it becomes, and an input."""
    directory = tmp_path_factory.mktemp("files")
    model = model_of(
        "g (float[1,3,8,8] x) => (float[1,4,8,8] y) <float[4,3,1,1] w = {" + "1," * 11 + "1}> { y = Conv(x, w) }"
    )
    convert_directly(model, directory / "lite.tflite")
    save(model, directory / "model.onnx")
    proto = onnx.load(directory / "model.onnx")
    weight = proto.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight), weight.name))
    onnx.external_data_helper.convert_model_to_external_data(proto, location="weights.bin", size_threshold=0)
    onnx.save(proto, directory / "model.onnx")
    assert (directory / "weights.bin").stat().st_size
    np.savez(directory / "input.npz", x=np.zeros((1, 3, 8, 8), np.float32))
    (directory / "other.txt").write_text("precious")
    return directory


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in Path().rglob("*")}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def aimed() -> Iterator[tuple[str, str, str, bool]]:
    """Each option of each command, at each file that the command reads, and at one of nobody, without --force."""
    for command, (arguments, options) in COMMANDS.items():
        read = [name for name in arguments if "." in name]
        read += ["weights.bin"] if "model.onnx" in arguments else []
        for option in options:
            yield from ((command, option, name, True) for name in read)
            yield command, option, "other.txt", False


@pytest.mark.parametrize(("command", "option", "name", "force"), list(aimed()))
def test_no_output_gets_onto_a_file_that_is_there(command: str, option: str, name: str, force: bool) -> None:
    before = contents()
    more = ["--dump-after", "all"] if option == "--dump-dir" else []
    result = invoke(command, *COMMANDS[command][0], option, name, *more, *["--force"] * force)
    assert result.exit_code in (errors.OutputError.exit_code, errors.OutputExistsError.exit_code), result.output
    assert name in result.stderr
    assert contents() == before


@pytest.mark.parametrize(
    "spelling", ["./model.onnx", "../{home}/model.onnx", "link.onnx", "hard.onnx", "there/model.onnx"]
)
@pytest.mark.parametrize(("command", "option"), [("optimize", "-o"), ("optimize", "--tflite"), ("count", "--json")])
def test_no_spelling_and_no_link_helps(command: str, option: str, spelling: str, tmp_path: Path) -> None:
    Path("link.onnx").symlink_to("model.onnx")
    Path("hard.onnx").hardlink_to("model.onnx")
    Path("there").symlink_to(tmp_path)
    before = contents()
    result = invoke(command, "model.onnx", option, spelling.format(home=tmp_path.name), "--force")
    assert result.exit_code == errors.OutputError.exit_code, result.output
    assert "is an input" in result.stderr
    assert contents() == before


PAIRS = [
    (command, one, other)
    for command, (_, options) in COMMANDS.items()
    for one, other in product(options, options)
    if one < other and not {one, other} & (FOLDERS - {"--saved-model"})
]


@pytest.mark.parametrize(("command", "one", "other"), PAIRS)
def test_no_two_outputs_share_a_place(command: str, one: str, other: str) -> None:
    before = contents()
    result = invoke(command, *COMMANDS[command][0], one, "new", other, "./new", "--force")
    assert result.exit_code == errors.OutputError.exit_code, result.output
    assert "is another output too" in result.stderr
    assert contents() == before


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        (("optimize", "model.onnx", "--output-dir", "out"), "model.tflite"),
        (("optimize", "model.onnx", "--output-dir", "new", "--dump-dir", "out", "--dump-after", "all"), "01-*.onnx"),
        (("report", "model.onnx", "--model-explorer", "out"), "after.layout.json"),
        (("report", "model.onnx", "--model-explorer", "out"), "before.tflite"),
        (("demo", "-d", "out"), "mobilenet_v2.nhwc.onnx"),
    ],
)
def test_no_file_of_a_folder_is_overwritten(arguments: tuple[str, ...], taken: str) -> None:
    Path("out").mkdir()
    Path("out", taken.replace("*", "inline-functions")).write_text("precious")
    before = contents()
    result = invoke(*arguments)
    assert result.exit_code == errors.OutputExistsError.exit_code, result.output
    assert contents() == before


def test_a_saved_model_takes_no_place_of_anything_else() -> None:
    Path("home").mkdir()
    Path("home", "thesis.txt").write_text("precious")
    before = contents()
    for place in ("home", "."):
        result = invoke("optimize", "model.onnx", "--saved-model", place, "--force")
        assert result.exit_code == errors.OutputError.exit_code, result.output
        assert contents() == before


def test_external_weights_of_bodies_are_inputs_too(tmp_path: Path) -> None:
    model = onnx.load("model.onnx", load_external_data=False)
    branch = onnx.helper.make_graph([], "b", [], [], [model.graph.initializer[0]])
    branch.initializer[0].external_data[0].value = "branch.bin"
    node = onnx.helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    onnx.save(model, "model.onnx")
    Path("branch.bin").write_bytes(b"precious")
    result = invoke("explain", "model.onnx", "--json", "branch.bin", "--force")
    assert result.exit_code == errors.OutputError.exit_code
    assert "is an input" in result.stderr


def test_results_over_2_gib_have_two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layoutopt.ir.io.MAX_BYTES", 100_000)
    monkeypatch.setattr("layoutopt.ir.weights.LARGE", 100_000)
    weight = ir.tensor(np.ones((8, 8, 64, 64), np.float32), name="w")
    model = model_of("g (float[1,8,64,64] x, float[8,8,64,64] w) => (float[1,8,1,1] y) { y = Conv(x, w) }")
    value = model.graph.inputs.pop()
    value.const_value = weight
    model.graph.register_initializer(value)
    save(model, Path("big.onnx"))
    assert Path("big.onnx.data").exists()
    before = contents()
    result = invoke("optimize", "big.onnx", "-o", "big.onnx.data", "--force")
    assert result.exit_code == errors.OutputError.exit_code, result.output
    Path("new.onnx.data").write_text("precious")
    result = invoke("optimize", "big.onnx", "-o", "new.onnx")
    assert result.exit_code == errors.OutputExistsError.exit_code, result.output
    assert contents() == {**before, "new.onnx.data": b"precious"}
