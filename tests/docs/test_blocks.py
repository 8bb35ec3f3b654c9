"""Every block of code on every page does what the page says: it is run, or it stands here why it is not."""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib.util
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from _pytest.mark import ParameterSet
from typer.testing import CliRunner

import layoutopt
from layoutopt.cli import app
from layoutopt.layout.costs.calibration import Grid
from tests import fake_adb
from tests.detectors import network
from tests.docs.pages import PAGES, ROOT, Block, blocks, looks_like
from tests.docs.test_pages import known_options

LANGUAGES = ("bash", "console", "python", "text", "yaml", "{toctree}", "{eval-rst}")
"""All that a fence may say. A `text` shows what something prints; the last two are read by the site generator. Of
`yaml`, which others read, our commands must have the options that it gives them."""

QUOTED = {"adding-an-operator.md": ("layoutopt/layout/rules/table.py", "layoutopt/lowering/activations.py")}
"""Pages whose Python is part of files of ours, and is compared with them: it makes no sense by itself."""

MODULES = ("benchmarks.models",)
"""Programs that are run. All others (`python -m benchmarks.zoo`) take minutes, or write into the repository: it is
checked that they exist and know their options."""

SMALLER: dict[str, dict[str, list[str]]] = {
    "optimize": {"--force": []},  # a page shows several ways to do a thing; their outputs have the same names
    "benchmark": {"--rounds": ["3"], "--seconds": ["0"]},
    "report": {"--force": [], "--no-benchmark": []},
    "demo": {"--force": [], "--resolution": ["32"], "--width": ["0.25"], "--no-benchmark": []},
}
"""Options, with their values, that make a command quick; a line that sets one of them is left alone there."""

SEVERAL = {"--backend": ["direct"]}
"""The same for `optimize` with several models: each has a process of its own, where TensorFlow starts anew."""

OUTPUTS = ("-o", "--output", "--tflite", "--saved-model", "--json", "--results")
GRID = Grid((2, 8), (8, 64), (3584, 28672), (4, 16), (4, 16), 2)
PRELUDE = "from pathlib import Path"
WITH_TORCH = """
import torch
module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 1)).eval()
"""
"""What Python on a page may take for granted: `Path`; where it speaks of them, `torch` and the `module` of a reader."""

NEEDS = {
    "onnx_tf": re.compile(
        r"--saved-model|saved_model=|--allow-flex|--backend onnx-tf|ONNX_TF|Handlers|benchmark .*--quantize \S*int8"
    ),
    "torch": re.compile(r"\btorch\b|\bmodule\b|benchmarks\.models|docs\.tools"),
}
"""What code of a page speaks of that needs an extra, by its mark."""


def marked(page: Path) -> ParameterSet:
    """A page as a parameter, with the marks that it needs."""
    code = "\n".join(block.code for block in blocks(page) if block.language in ("bash", "console", "python"))
    marks = [getattr(pytest.mark, extra) for extra, words in NEEDS.items() if words.search(code)]
    return pytest.param(page, marks=marks, id=page.name)


def sample(shape: str, source: str = "input", result: str = "output") -> onnx.ModelProto:
    """A network of two convolutions whose input is of this shape."""
    body = f"c = Conv <pads = [1, 1, 1, 1]> ({source}, w) features = Relu (c) {result} = Conv (features, v)"
    graph = f"g (float[{shape}] {source}) => (float[n, 4, h, k] {result}) {{ {body} }}"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}')
    rng = np.random.default_rng(0)
    for name, weights in (("w", (8, 3, 3, 3)), ("v", (4, 8, 1, 1))):
        array = rng.standard_normal(weights).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def quantized(directory: Path) -> Path:
    """The same, as ONNX Runtime's quantizer leaves it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Inputs(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [np.random.default_rng(0).random((1, 3, 32, 32), np.float32)]

        def get_next(self) -> dict[str, object] | None:
            return {"input": self.left.pop()} if self.left else None

    source, target = directory / "float.onnx", directory / "quantized.onnx"
    onnx.save(sample("1, 3, 32, 32"), source)
    quantize_static(source, target, Inputs(), weight_type=QuantType.QInt8, activation_type=QuantType.QInt8)
    return target


def model_for(name: str, arguments: list[str], directory: Path) -> Path:
    """The model that a command on a page is about: one that has the names and the sizes that its options speak of."""
    line, path = " ".join(arguments), directory / "model.onnx"
    if "int8" in name:
        return quantized(directory)
    if "detector" in name:
        onnx.save(network(), path)
        return path
    if "image=" in line or "image:" in line:
        onnx.save(sample("1, 3, 32, 32", "image", "mask"), path)
    elif "--shape" in line or "height" in line:
        onnx.save(sample("1, 3, height, width"), path)
    else:
        onnx.save(sample("1, 3, 32, 32"), path)
    return path


class Reader:
    """Somebody who does what a page says, line by line, in a directory of their own.

    Args:
        directory: an empty one.
        samples: files that a command may ask for, by suffix; those that it names and nobody made are copies of them.
    """

    def __init__(self, directory: Path, samples: dict[str, Path]) -> None:
        self._directory = directory
        self._samples = samples
        self._names: dict[str, object] = {}
        exec(PRELUDE, self._names)

    def follow(self, page: Path, block: Block) -> None:
        """Runs one block of code."""
        with contextlib.chdir(self._directory):
            if block.language == "python":
                for name in re.findall(r'(?:output|tflite|saved_model)=Path\("(.+?)"\)', block.code):
                    Path(name).unlink(missing_ok=True)  # as --force does for commands
                if NEEDS["torch"].search(block.code) and "torch" not in self._names:
                    exec(WITH_TORCH, self._names)
                code = "\n" * (block.line - 1) + block.code  # a traceback names the line of the page
                exec(compile(code, str(page), "exec"), self._names)
            elif block.language == "console":
                self._converse(block.code)
            elif block.language == "bash":
                for line in block.code.replace("\\\n", "").splitlines():
                    self._type(line)

    def _converse(self, text: str) -> None:
        """Commands behind ``$``, and what they print, where ``...`` stands for anything."""
        for said in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = said.partition("\n")
            printed = "\n".join(line.rstrip() for line in self._type(command).splitlines()) + "\n"
            if expected.strip() and not doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS):
                raise AssertionError(f"`{command}` printed\n{printed}")

    def _type(self, line: str) -> str:
        """Runs one line of shell, or checks what cannot be run; what it printed."""
        words = shlex.split(line, comments=True)
        if not words:
            return ""
        runners: dict[str, Callable[[list[str]], str]] = {
            "adb": self._adb,
            "layoutopt": self._layoutopt,
            "make": self._make,
            "pip": self._pip,
            "python": self._python,
        }
        assert words[0] in runners, f"a line starts with one of {', '.join(runners)}: {line}"
        return runners[words[0]](words[1:])

    def _layoutopt(self, arguments: list[str]) -> str:
        smaller = SMALLER.get(arguments[0], {})
        if arguments[0] == "optimize" and any(word.endswith(".onnx") for word in arguments[2:3]):
            smaller = smaller | SEVERAL
        for name, value in smaller.items():
            arguments += [] if name in arguments else [name, *value]
        for before, name in zip(["", *arguments], arguments, strict=False):
            if before not in OUTPUTS and not name.startswith("-"):
                self._provide(name, arguments)
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "132"})
        assert result.exit_code == 0, f"layoutopt {shlex.join(arguments)}: {result.output}"
        return result.stdout

    def _provide(self, name: str, arguments: list[str]) -> None:
        """Sees that an input of this name is there, if it is a file at all."""
        suffix = Path(name).suffix
        if name.endswith("benchmark_model"):
            fake_adb.program_for(Path(name))
        if name.endswith("/") and not Path(name).exists():
            Path(name).mkdir()
            shutil.copy(self._samples[".jpg"], name)
        if suffix == ".onnx" and (name == "model.onnx" or not Path(name).exists()):
            shutil.copy(model_for(name, arguments, self._samples[suffix]), name)
        elif suffix in self._samples and not Path(name).exists():
            shutil.copy(self._samples[suffix], name)

    def _adb(self, arguments: list[str]) -> str:
        """Run on the phone that `phone` attaches."""
        for name in arguments:
            if not name.startswith(("/", "-")):
                self._provide(name, arguments)
        return subprocess.run(["adb", *arguments], capture_output=True, text=True, check=True).stdout

    def _make(self, arguments: list[str]) -> str:
        """Not run: `make demo` and `make test` set up environments. The target must be one."""
        return run(["make", "-n", *arguments])

    def _pip(self, arguments: list[str]) -> str:
        """Not run: it would change the environment. The extras must be ours, and pins those that are tested."""
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        pins = (ROOT / "constraints.txt").read_text().splitlines()
        for word in arguments[1:]:
            name, _, extra = word.rstrip("]").partition("[")
            known = word in pins or (name == "layoutopt" and (not extra or extra in extras))
            assert word.startswith("-") or known, f"pip install {word}"
        return ""

    def _python(self, arguments: list[str]) -> str:
        assert arguments[0] == "-m", f"python {shlex.join(arguments)}"
        module, options = arguments[1], arguments[2:]
        if module not in MODULES:
            assert importlib.util.find_spec(module), f"there is no {module}"
            said = help_of(module)
            missing = [each for each in options if each.startswith("-") and each not in said]
            assert not missing, f"python -m {module} does not know {missing}"
            return ""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", arguments[1:])
            runpy.run_module(module, run_name="__main__")
        return ""


def run(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@functools.cache
def help_of(module: str) -> str:
    """What a program says of its options; several pages name some."""
    return run([sys.executable, "-m", module, "--help"])


@pytest.fixture(scope="module", autouse=True)
def no_browser() -> Iterator[None]:
    """No page is opened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.launch", lambda _page: 0)
        yield


@pytest.fixture(scope="module", autouse=True)
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A phone is attached, of the name that a page gives it."""
    with pytest.MonkeyPatch.context() as patch:
        sdk = fake_adb.install(tmp_path_factory.mktemp("sdk"), **{"39111FDJH00": fake_adb.FakePhone()})
        patch.setenv("PATH", str(sdk), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each kind that a page may speak of; for models a directory to make them in."""
    from PIL import Image

    directory = tmp_path_factory.mktemp("samples")
    onnx.save(sample("1, 3, 32, 32"), directory / "model.onnx")
    np.savez(directory / "data.npz", input=np.random.default_rng(0).random((1, 3, 32, 32), np.float32))
    (directory / "classes.txt").write_text("cat\ndog\nowl\ncow\n")
    Image.new("RGB", (40, 30), "teal").save(directory / "photo.jpg")
    report = layoutopt.optimize(directory / "model.onnx", tflite=directory / "model.tflite", baseline=False)
    (directory / "report.json").write_text(json.dumps(report.to_json()))
    (directory / "reports.jsonl").write_text(json.dumps(report.to_json()))
    return {".onnx": directory} | {path.suffix: path for path in directory.iterdir() if path.suffix != ".onnx"}


@pytest.fixture(scope="module", autouse=True)
def coarse_times(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Transposes have been timed, on a coarse grid, as are those that a page times; the user's table is left alone.

    Samples are short: nobody looks at the times.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("layoutopt.backend.litert.runtime.SAMPLE_SECONDS", 0.001)
        patch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("layoutopt.workflows.calibrate.QUICK", GRID)
        patch.setattr("layoutopt.workflows.calibrate.FULL", GRID)
        layoutopt.calibrate()
        yield


@pytest.fixture
def reader(tmp_path: Path, samples: dict[str, Path]) -> Reader:
    return Reader(tmp_path, samples)


def check(page: Path, reader: Reader) -> None:
    """Holds all blocks of a page to what they say."""
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: {block.language or 'no language'}"
        if block.language == "text":
            assert looks_like(block.code) == "text", f"{where}: this is {looks_like(block.code)}, not text"
        elif block.language == "python" and page.name in QUOTED:
            files = QUOTED[page.name]
            assert any(block.code in (ROOT / name).read_text() for name in files), f"{where}: in none of {files}"
        elif block.language == "yaml":
            for command in re.findall(r"(layoutopt .*)", block.code):
                unknown = {word for word in shlex.split(command) if word.startswith("--")} - known_options(command)
                assert not unknown, f"{where}: {unknown}"
        else:
            reader.follow(page, block)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_blocks_do_what_the_page_says(page: Path, reader: Reader) -> None:
    check(page, reader)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nlayoutopt explain model.onnx --magic\n```", "--magic"),
        ("```bash\nlayoutopt compare model.onnx before.tflite --tolerance 0\n```", "differs from the original"),
        ("```console\n$ layoutopt count model.onnx\n3 operators\n```", "printed"),
        ("```python\nassert layoutopt\n```", "layoutopt"),
        ("```bash\ncurl\n```", "a line starts with one of"),
        ("```bash\nmake coffee\n```", "make"),
        ("```bash\npip install 'layoutopt[coffee]'\n```", "coffee"),
        ("```bash\npython -m benchmarks.zoo --coffee\n```", "--coffee"),
        ("```\nlayoutopt passes\n```", "no language"),
        ("```text\nlayoutopt passes\n```", "this is bash, not text"),
        ("```yaml\n- run: layoutopt diff a b --magic\n```", "--magic"),
        ("Indented:\n\n    layoutopt passes --magic\n", "--magic"),
    ],
)
def test_wrong_blocks_are_found(text: str, message: str, reader: Reader, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises((AssertionError, NameError, subprocess.CalledProcessError), match=message):
        check(page, reader)
