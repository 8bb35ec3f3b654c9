"""What runs write: nothing over an input or another output, all of it or nothing, and no traces of a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from layoutopt.errors import OutputError, OutputExistsError
from layoutopt.outputs import Outputs, atomic_write, writing, writing_apart


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"precious")
    return path


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")
    }


def same(file: Path) -> Path:
    return file


def by_detour(file: Path) -> Path:
    return file.parent / "." / ".." / file.parent.name / file.name


def by_symlink(file: Path) -> Path:
    link = file.with_name("link.onnx")
    link.symlink_to(file)
    return link


def by_hard_link(file: Path) -> Path:
    link = file.with_name("hard.onnx")
    link.hardlink_to(file)
    return link


def by_linked_directory(file: Path) -> Path:
    link = file.parent / "elsewhere"
    link.symlink_to(file.parent)
    return link / file.name


WAYS = [same, by_detour, by_symlink, by_hard_link, by_linked_directory]


@pytest.mark.parametrize("way", WAYS)
def test_an_input_is_never_overwritten(file: Path, way: Callable[[Path], Path]) -> None:
    outputs = Outputs()
    outputs.protect(file)
    with pytest.raises(OutputError, match="is an input, which is never overwritten"):
        outputs.expect(way(file), force=True)


@pytest.mark.parametrize("way", [same, by_detour, by_linked_directory])
def test_two_outputs_have_two_places(tmp_path: Path, way: Callable[[Path], Path]) -> None:
    place = tmp_path / "new"
    outputs = Outputs()
    outputs.expect(place, "-o")
    with pytest.raises(OutputError, match=r"--json .*: is another output too, -o"):
        outputs.expect(way(place), "--json")
    outputs.discard()
    assert not [path for path in tmp_path.iterdir() if not path.is_symlink()]


def test_the_weights_beside_a_model_are_an_output_too(file: Path) -> None:
    data = file.with_name("out.onnx.data")
    data.touch()
    outputs = Outputs()
    with pytest.raises(OutputExistsError, match=r"out\.onnx\.data, where large weights go, exists already"):
        outputs.expect(file.with_name("out.onnx"), companion=".data")
    outputs.protect(data)
    with pytest.raises(OutputError, match=r"out\.onnx\.data, where large weights go, is an input"):
        outputs.expect(file.with_name("out.onnx"), companion=".data", force=True)


def test_an_existing_output_needs_force(file: Path) -> None:
    with pytest.raises(OutputExistsError, match="exists already") as error, writing() as outputs:
        outputs.expect(file)
    assert "--force" in error.value.hint
    with writing() as outputs:
        outputs.expect(file, force=True)
        outputs.write(file, "new")
        assert file.read_bytes() == b"precious"
    assert contents(file.parent) == {"model.onnx": b"new"}


def test_a_link_that_leads_nowhere_is_something_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError), writing() as outputs:
        outputs.expect(tmp_path / "link")


def test_outputs_appear_together_or_not_at_all(file: Path) -> None:
    directory = file.parent

    def run() -> None:
        with writing() as outputs:
            outputs.make_directory(directory / "made" / "deep")
            for path in (directory / "a", directory / "made" / "deep" / "b"):
                outputs.expect(path)
                outputs.write(path, "text")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert contents(directory) == {"model.onnx": b"precious"}


def test_what_is_in_place_already_goes_back_where_the_rest_cannot(file: Path) -> None:
    directory = file.parent
    outputs = Outputs()
    for path in (file, directory / "a", directory / "b"):
        outputs.expect(path, force=path == file)
        outputs.write(path, "text")
    (directory / "b").write_bytes(b"quicker")
    with pytest.raises(OutputExistsError, match="another run has written it meanwhile"):
        outputs.publish()
    assert contents(directory) == {"model.onnx": b"precious", "b": b"quicker"}


def test_one_of_two_runs_wins_before_any_work(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from layoutopt.outputs import writing; path = Path(sys.argv[1])\n"
    code += "with writing() as outputs:\n"
    code += " outputs.expect(path); print('mine', flush=True); input(); outputs.write(path, '1')"
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(OutputError, match="another run is writing it now"), writing() as outputs:
            outputs.expect(tmp_path / "out")
        other.communicate("\n")
    assert contents(tmp_path) == {"out": b"1"}


def test_what_a_killed_run_leaves_is_in_nobodys_way(file: Path) -> None:
    code = "import os, sys; from pathlib import Path; from layoutopt.outputs import Outputs; path = Path(sys.argv[1])\n"
    code += "outputs = Outputs(); outputs.expect(path, force=True); outputs.write(path, 'half')\n"
    code += f"os.kill(os.getpid(), {int(signal.SIGKILL)})"
    subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert len(contents(file.parent)) == 3
    with writing() as outputs:
        outputs.expect(file, force=True)
        outputs.write(file, "whole")
    assert contents(file.parent) == {"model.onnx": b"whole"}


def test_a_directory_only_takes_the_place_of_a_saved_model(tmp_path: Path) -> None:
    home, model = tmp_path / "home", tmp_path / "saved"
    home.mkdir()
    (home / "thesis.txt").touch()
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"old")
    with pytest.raises(OutputError, match="is no SavedModel"), writing() as outputs:
        outputs.expect(home, force=True, folder=True)
    made = tmp_path / "made"
    made.mkdir()
    (made / "saved_model.pb").write_bytes(b"new")
    with writing() as outputs:
        outputs.expect(model, force=True, folder=True)
        outputs.take(made, model)
    assert contents(model) == {"saved_model.pb": b"new"}
    with pytest.raises(OutputError, match="is an input"), writing(model / "assets.extra") as outputs:
        outputs.expect(model, force=True, folder=True)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "out", tmp_path / "file" / "out", tmp_path, Path(), tmp_path / "nul\0l"):
        with pytest.raises(OutputError), writing() as outputs:
            outputs.expect(path, force=True)
    with pytest.raises(OutputError, match="a file is there"), writing() as outputs:
        outputs.make_directory(tmp_path / "file")
    assert contents(tmp_path) == {"file": b""}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_devices_are_written_to_and_never_replaced() -> None:
    with atomic_write(Path(os.devnull)) as path:
        path.write_bytes(b"text")
    with pytest.raises(OutputError, match="No space left"), atomic_write(Path("/dev/full")) as path:
        path.write_bytes(b"text")
    assert Path(os.devnull).is_char_device()
    assert Path("/dev/full").is_char_device()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    full = pytest.importorskip("resource")
    soft, hard = full.getrlimit(full.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    full.setrlimit(full.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"), atomic_write(tmp_path / "out") as path:
            path.write_bytes(b"x" * 10_000)
    finally:
        full.setrlimit(full.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not contents(tmp_path)


def test_blocks_within_a_block_are_in_place_with_it(tmp_path: Path) -> None:
    with writing() as outer:
        outer.expect(tmp_path / "a")
        with writing() as inner:
            inner.expect(tmp_path / "b")
            inner.write(tmp_path / "b", "text")
        assert not (tmp_path / "b").exists()
        with writing_apart() as other:
            other.expect(tmp_path / "c")
            other.write(tmp_path / "c", "text")
        assert (tmp_path / "c").exists()
    assert contents(tmp_path) == {"b": b"text", "c": b"text"}
