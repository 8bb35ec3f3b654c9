"""What the wheel and the sdist hold: the passes as layoutopt.passes, and no package called passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save

ROOT = Path(__file__).parent.parent
PASSES = {path.name for path in (ROOT / "passes").glob("*.py")}
PARTS = {"__init__.py", "base.py"}
"""Files of the passes that hold none, but what passes share."""
SOURCES = ("layoutopt", "passes", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel and an sdist, built from a copy of the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        original = ROOT / name
        if original.is_dir():
            shutil.copytree(original, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif original.exists():
            shutil.copy2(original, source / name)
    target = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def wheel_names(built: Path) -> set[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_link_is_relative() -> None:
    """An absolute one would break every checkout but this."""
    link = ROOT / "layoutopt" / "passes"
    assert link.is_symlink()
    assert link.readlink() == Path("../passes")


def test_the_wheel_holds_every_module(built: Path) -> None:
    names = wheel_names(built)
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "layoutopt").rglob("*.py")}
    expected |= {f"layoutopt/passes/{name}" for name in PASSES} | {"layoutopt/py.typed"}
    expected |= {
        str(path.relative_to(ROOT)) for path in (ROOT / "layoutopt" / "report" / "html" / "templates").iterdir()
    }
    assert len(PASSES) > 5
    assert expected <= names


def test_the_wheel_leaks_nothing(built: Path) -> None:
    tops = {name.split("/")[0] for name in wheel_names(built)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"layoutopt"}


def test_the_sdist_builds_the_same(built: Path) -> None:
    """``build`` makes the wheel from the sdist, so all that it needs is there."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.split("/", 1)[1] for name in members.getnames() if "/" in name}
    assert {f"passes/{name}" for name in PASSES} <= names
    assert {"layoutopt/py.typed", "layoutopt/__init__.py", "pyproject.toml"} <= names


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip makes of the wheel: a directory to be on the path."""
    (wheel,) = built.glob("*.whl")
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_one_command_without_options_writes_both_files(installed: Path, tmp_path: Path) -> None:
    model = tmp_path / "demo.onnx"
    save(mobilenet_v2(resolution=32, width=0.25), model)
    done = subprocess.run(
        [sys.executable, "-m", "layoutopt", "optimize", "demo.onnx"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("demo.*")) == ["demo.nhwc.onnx", "demo.onnx", "demo.tflite"]
    assert "demo.nhwc.onnx" in done.stdout
    assert "demo.tflite" in done.stdout


def test_the_installed_wheel_imports(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys, layoutopt.passes; from layoutopt.pipeline.text import describe_passes; "
        "print(layoutopt.passes.__file__, len(describe_passes()), 'passes' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
    )
    file, count, leaked = done.stdout.split()
    assert Path(file) == installed / "layoutopt" / "passes" / "__init__.py"
    assert (int(count), leaked) == (len(PASSES - PARTS), "False")
