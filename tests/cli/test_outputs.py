"""Every output of every command, aimed at every input and at every other output: nothing changes."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnx.external_data_helper
import onnx_ir as ir
import pytest
from typer.models import OptionInfo
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.cli import app
from layoutopt.ir.io import save
from tests.harness import model_of

COMMANDS: Mapping[str, tuple[list[str], list[str]]] = {
    "optimize": (
        ["model.onnx"],
        ["-o", "--tflite", "--saved-model", "--json", "--output-dir", "--dump-dir"],
    ),
    "optimize --no-baseline": (
        ["model.onnx", "--metadata", "metadata.json", "--labels", "labels.txt"],
        ["-o", "--tflite", "--json"],
    ),
    "optimize --jobs 1": (["model.onnx", "--results", "results.jsonl"], ["-o", "--tflite", "--json"]),
    "optimize --quantize int8": (
        ["model.onnx", "--calibration", "samples.npz", "--load-ranges", "ranges.json", "--input", "input.npz"],
        ["-o", "--tflite", "--save-ranges", "--json"],
    ),
    "explain": (["model.onnx"], ["--json"]),
    "report": (["model.onnx"], ["-o", "--json", "--model-explorer"]),
    "count": (["model.onnx", "lite.tflite"], ["--json"]),
    "check": (["lite.tflite", "--target", "gpu"], ["--json"]),
    "diff": (["before.json", "after.json"], ["--json"]),
    "tensors": (["model.onnx"], ["--json"]),
    "compare": (["model.onnx", "lite.tflite", "--input", "input.npz"], ["--json"]),
    "benchmark": (["lite.tflite", "model.onnx", "--rounds", "1", "--seconds", "0"], ["--json", "--csv"]),
    "calibrate": ([], ["--json"]),
    "passes": ([], ["--json"]),
    "demo": ([], ["--json", "-d"]),
}
"""The arguments of each command, and its options that name what is written."""

READ = {"--input", "--adb", "--calibration", "--load-ranges", "--metadata", "--results"}
"""The options that name what is read, or added to."""

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
    np.savez(directory / "samples.npz", x=np.ones((4, 3, 8, 8), np.float32))
    for name in ("ranges.json", "metadata.json", "before.json", "after.json"):
        (directory / name).write_text("{}")
    (directory / "labels.txt").write_text("a\nb\nc\nd\n")
    (directory / "results.jsonl").write_text("")
    (directory / "other.txt").write_text("precious")
    return directory


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in Path().rglob("*")}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def options_with_paths(callback: Callable[..., object]) -> Iterator[set[str]]:
    """The names of each option of a command that is a path, and of --json."""
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        kind, *more = get_args(parameter.annotation) or (parameter.annotation,)
        for option in more:
            if isinstance(option, OptionInfo) and (Path in (kind, *get_args(kind)) or parameter.name == "json"):
                yield {each for each in (option.default, *(option.param_decls or ())) if isinstance(each, str)}


def test_every_option_that_names_an_output_is_tried() -> None:
    seen = set()
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        tried = {option for key, (_, options) in COMMANDS.items() if key.split()[0] == name for option in options}
        for names in options_with_paths(command.callback):
            assert names & (tried | READ), f"{name} {names}"
            seen |= names
    assert {each for _, options in COMMANDS.values() for each in options} | READ <= seen


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
    result = invoke(*command.split(), *COMMANDS[command][0], option, name, *more, *["--force"] * force)
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


@pytest.mark.parametrize("option", ["-o", "--tflite", "--json", "--save-ranges"])
@pytest.mark.parametrize("name", ["samples/0.png", "link.png"])
def test_no_sample_in_a_folder_is_overwritten(option: str, name: str) -> None:
    Path("samples").mkdir()
    for number in range(2):
        Path("samples", f"{number}.png").write_bytes(b"precious")
    Path("link.png").hardlink_to("samples/0.png")
    before = contents()
    arguments = ("optimize", "model.onnx", "--quantize", "int8", "--calibration", "samples", option, name, "--force")
    result = invoke(*arguments)
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
    result = invoke(*command.split(), *COMMANDS[command][0], one, "new", other, "./new", "--force")
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
