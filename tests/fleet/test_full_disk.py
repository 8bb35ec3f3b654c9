"""Outputs, temporary files and results on a file system that is really full: one line a model, and the others go on."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layoutopt import errors
from tests.fleet.cluster import Cluster
from tests.fleet.runs import invoke, lines, save

HAS_DASK = importlib.util.find_spec("distributed") is not None
_SIZE = 300
"""KiB, in which a model of few channels has room, and one of many has not."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Gives a file system of its own so many KiB; called again, it becomes larger."""
    place = tmp_path / "disk"
    place.mkdir()

    def sized(kibibytes: int) -> Path:
        first = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs"]
        again = ["mount", "-o", f"remount,size={kibibytes}k"]
        command = [*(again if place.is_mount() else first), str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a file system")
        return place

    yield sized
    if place.is_mount():
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def mixed(models: list[Path]) -> list[Path]:
    """A large model between small ones."""
    return [models[0], save(models[0].with_name("large.onnx"), 3000), *models[1:]]


def _run(mixed: list[Path], place: Path, results: Path, *options: str) -> list[str]:
    """Return the names of the models that were done: all but the large one, and perhaps one that was written beside it.

    While the large one fills the disk, another one that is written at that moment has no room either.
    """
    told = (*options, "--results", str(results), "--output-dir", str(place))
    result = invoke(mixed, place.parent, *told)
    assert result.exit_code == errors.ModelsFailedError.exit_code, result.output
    rows = {Path(row["model"]).stem: row for row in lines(results)}
    done = sorted(name for name, row in rows.items() if row["report"])
    assert {*done} <= {*"abc"}
    assert len(done) >= 2
    assert result.output.count("No space left on device") == len(rows) - len(done)
    assert re.search(rf"{re.escape(str(place))}/\S*large\.(nhwc\.onnx|tflite): cannot be written", result.output)
    assert {row["exit_code"] for row in rows.values() if not row["report"]} == {errors.OutputError.exit_code}
    assert sorted(each.name for each in place.iterdir()) == [
        f"{name}{kind}" for name in done for kind in (".nhwc.onnx", ".tflite")
    ]
    return done


@pytest.mark.parametrize(
    "dask", [False, pytest.param(True, marks=[pytest.mark.dask, pytest.mark.skipif(not HAS_DASK, reason="no Dask")])]
)
def test_the_others_go_on_and_the_run_is_resumed(
    dask: bool, disk: Callable[[int], Path], mixed: list[Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options = ["--jobs", "2"]
    if dask:
        cluster: Cluster = request.getfixturevalue("cluster")
        options = ["--dask", cluster.address]
    results = tmp_path / "r.jsonl"
    done = _run(mixed, disk(_SIZE), results, *options)
    place = disk(10 * _SIZE)
    again = invoke(mixed, tmp_path, *options, "--results", str(results), "--output-dir", str(place))
    assert again.exit_code == 0, again.output
    assert f"4 done, {len(done)} of them before; 0 failed" in again.output
    assert len(list(place.iterdir())) == 8


def test_temporary_files_without_room(
    disk: Callable[[int], Path], mixed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = disk(_SIZE)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    result = invoke(mixed, tmp_path, "--jobs", "2")
    assert result.exit_code == errors.ModelsFailedError.exit_code, result.output
    failed = result.output.count("No space left on device")
    assert 1 <= failed <= 2  # the large one, and perhaps one beside it
    assert f"{4 - failed} done; {failed} failed" in result.output
    assert not list(place.iterdir())


def test_results_without_room_end_the_run_which_is_resumed(
    disk: Callable[[int], Path], mixed: list[Path], tmp_path: Path
) -> None:
    """Nothing could be told of what is done: the run ends in one line, before outputs without a report appear."""
    results = disk(16) / "r.jsonl"
    with contextlib.suppress(OSError), results.with_name("filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    result = invoke(mixed, tmp_path, "--jobs", "2", "--results", str(results))
    assert result.exit_code == errors.OutputError.exit_code
    assert f"--results {results}: cannot be written (No space left on device)" in result.stderr
    assert not (tmp_path / "out").exists()
    disk(10 * _SIZE)
    again = invoke(mixed, tmp_path, "--jobs", "2", "--results", str(results))
    assert again.exit_code == 0, again.output
    last = {Path(row["model"]).stem: row for row in lines(results)}
    assert sorted(last) == ["a", "b", "c", "large"]
    assert all(row["report"] for row in last.values())
    assert not results.with_name("r.jsonl.parts").exists()
