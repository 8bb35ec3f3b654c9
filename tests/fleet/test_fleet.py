"""Several models in one call: what is told of each, what a run that was ended goes on with, and Dask."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from layoutopt import errors
from layoutopt.cli import app
from layoutopt.fleet import worker
from layoutopt.fleet.journal import open_journal, read_rows
from layoutopt.fleet.row import Row
from layoutopt.fleet.task import Task, digest, task_key

QUICK = ("--backend", "direct", "--no-baseline")


def save(path: Path, channels: int = 4) -> Path:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> '
        "g (float[1, 3, 8, 8] x) => (float[1, n, 8, 8] y) { c = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (c) }"
    )
    weights = np.random.default_rng(0).standard_normal((channels, 3, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, path)
    return path


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    return [save(folder / f"{name}.onnx", channels) for name, channels in (("a", 4), ("b", 5), ("c", 6))]


def arguments(models: Sequence[Path], out: Path, *options: str | Path) -> list[str]:
    return ["optimize", *map(str, models), "--output-dir", str(out / "out"), *QUICK, *map(str, options)]


def invoke(models: Sequence[Path], out: Path, *options: str | Path) -> Result:
    return CliRunner().invoke(app, arguments(models, out, *options))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_failure_is_a_row_and_the_others_are_done(models: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "in" / "bad.onnx"
    broken.write_bytes(b"nonsense")
    results, table = tmp_path / "r.jsonl", tmp_path / "all.json"
    options = ("--jobs", "2", "--results", results, "--json", table)
    result = invoke([models[0], broken, models[1]], tmp_path, *options)
    assert result.exit_code == errors.ModelsFailedError.exit_code, result.output
    assert "2 done; 1 failed" in result.stdout
    rows = {Path(row["model"]).name: row for row in lines(results)}
    assert rows.keys() == {"a.onnx", "b.onnx", "bad.onnx"}
    assert rows["bad.onnx"]["report"] is None
    assert rows["bad.onnx"]["exit_code"] == errors.InvalidModelError.exit_code
    assert "not an ONNX file" in rows["bad.onnx"]["error"]
    assert rows["a.onnx"]["report"]["optimized"]["max_abs_error"] < 1e-4
    one, failed, other = json.loads(table.read_text())
    assert (Path(one["tflite"]).name, failed["error"] != "", Path(other["tflite"]).name) == (
        "a.tflite",
        True,
        "b.tflite",
    )
    names = ["a.nhwc.onnx", "a.tflite", "b.nhwc.onnx", "b.tflite"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert not (tmp_path / "r.jsonl.parts").exists()

    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    save(broken)
    again = invoke([models[0], broken, models[1]], tmp_path, "--jobs", "2", "--results", results)
    assert again.exit_code == 0, again.output
    assert "3 done, 2 of them before; 0 failed" in again.stdout
    assert len(lines(results)) == 4
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_what_differs_in_content_or_options_is_done_again(models: list[Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    run = ("--no-tflite", "--results", results)
    assert invoke(models[:1], tmp_path, *run).exit_code == 0
    assert "1 of them before" in invoke(models[:1], tmp_path, *run, "--time-limit", "99").stdout
    assert invoke(models[:1], tmp_path, *run, "--io", "keep").exit_code == errors.OutputExistsError.exit_code
    assert "1 done; 0" in invoke(models[:1], tmp_path, *run, "--io", "keep", "--force").stdout
    save(models[0], 7)
    assert "1 done; 0" in invoke(models[:1], tmp_path, *run, "--force").stdout
    (tmp_path / "out" / "a.nhwc.onnx").unlink()
    assert "1 done; 0" in invoke(models[:1], tmp_path, *run).stdout
    assert len(lines(results)) == 4


def test_files_that_options_name_count_by_their_content(models: list[Path], tmp_path: Path) -> None:
    labels, moved = tmp_path / "labels.txt", tmp_path / "moved.npz"
    labels.write_text("a\nb\nc\nd\n")
    run = ("--verify", "none", "--force", "--results", tmp_path / "r.jsonl", "--labels", labels)
    assert "1 done; 0" in invoke(models[:1], tmp_path, *run).stdout
    assert "1 of them before" in invoke(models[:1], tmp_path, *run).stdout
    labels.write_text("a\nb\nc\ne\n")
    assert "of them before" not in invoke(models[:1], tmp_path, *run).stdout
    missing = invoke(models[:1], tmp_path, *run, "--input", moved)
    assert missing.exit_code == errors.UsageError.exit_code
    assert f"{moved}: cannot be read" in missing.stderr


def test_what_another_run_has_overwritten_is_done_again(models: list[Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    run = ("--no-tflite", "--force", "--results", results)
    for options, before in ((), 0), (("--io", "keep"), 0), ((), 0), ((), 1):
        said = invoke(models[:1], tmp_path, *run, *options).stdout
        assert ("1 of them before" in said) == bool(before), said
    parts = tmp_path / "r.jsonl.parts"
    parts.mkdir()
    (parts / "0.json").write_text("{}")  # of a run with other options that was killed
    invoke(models[:1], tmp_path, *run)
    assert not parts.exists()


def test_content_counts_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    one, other = tmp_path / "f" / "one", tmp_path / "f" / "two"
    one.write_bytes(b"a")
    other.write_bytes(b"b")
    seen = {digest([one]), digest([other]), digest([one, other]), digest([tmp_path / "f"])}
    other.write_bytes(b"a")
    assert digest([one]) == digest([other])
    seen |= {digest([tmp_path / "f"]), task_key("", ["x"], []), task_key("", [], ["x"]), task_key("x", [], [])}
    assert len(seen) == 8


def test_a_line_that_was_not_written_to_its_end_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    done, failed = Row("a.onnx", "1", 2.0, {"optimized": {}}), Row("b.onnx", "2", 1.0, None, "no", "try", 4)
    path.write_text(done.to_line() + failed.to_line()[:20])
    with open_journal(path) as journal:
        assert journal.rows == {"1": done}
        with pytest.raises(errors.OutputError, match="another run is writing it"), open_journal(path):
            pass
        journal.append(failed)
    assert read_rows(path) == [done, failed]


@pytest.mark.parametrize("content", ["{}\n", "[1, 2]\n", "text\n", '{"model": "a"}\n'])
def test_another_file_is_not_taken_for_results(content: str, models: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    result = invoke(models, tmp_path, "--results", path)
    assert result.exit_code == errors.UsageError.exit_code
    assert "line 1 is not a result" in result.stderr
    assert path.read_text() == content


def task_of(model: Path, out: Path, report: Path) -> Task:
    written = (str(out / "x.onnx"), str(out / "x.tflite"))
    options = ("--output", written[0], "--tflite", written[1], *QUICK)
    return Task(str(model), str(out), written, options, "key", str(report))


def test_what_a_killed_run_has_finished_is_taken(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(models[0], tmp_path, tmp_path / "part.json")
    first = worker.run_task(task)
    assert first.is_done, first
    monkeypatch.setattr(worker, "_run", lambda *_: pytest.fail("done twice"))
    assert worker.run_task(task).report == first.report
    monkeypatch.undo()

    # Killed while the outputs were put in their places: some are there, and no --force is needed for them.
    (tmp_path / "x.tflite").unlink()
    again = worker.run_task(task)
    assert again.is_done, again
    assert task.is_written
    (tmp_path / "part.json").unlink()
    assert worker.run_task(task).exit_code == errors.OutputExistsError.exit_code


def test_another_version_refuses(models: list[Path], tmp_path: Path) -> None:
    task = dataclasses.replace(task_of(models[0], tmp_path, tmp_path / "part.json"), version="0.0")
    assert "the caller 0.0" in worker.run_task(task).error


def test_memory_is_bounded_for_each(models: list[Path], tmp_path: Path) -> None:
    result = invoke(models[:2], tmp_path, "--memory-limit", "1MB", "--results", tmp_path / "r.jsonl")
    assert result.exit_code == errors.ModelsFailedError.exit_code
    assert {row["exit_code"] for row in lines(tmp_path / "r.jsonl")} == {errors.LimitError.exit_code}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jobs", "2", "--dask", "tcp://localhost:1"), "--jobs and --dask contradict"),
        (("--jobs", "2", "--benchmark"), "times one model at a time"),
        (("--jobs", "2", "--saved-model", "s"), "for one model"),
        (("--shape", "x"), "--shape x: cannot be read"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], said: str, models: list[Path], tmp_path: Path) -> None:
    result = invoke(models, tmp_path, *options)
    assert result.exit_code == errors.UsageError.exit_code
    assert said in result.stderr


def test_two_models_do_not_share_a_place(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    same = save(tmp_path / "other" / "a.onnx", 9)
    assert invoke(models[:1], tmp_path, "--no-tflite", "--results", tmp_path / "r.jsonl").exit_code == 0
    result = invoke([models[0], same], tmp_path, "--no-tflite", "--results", tmp_path / "r.jsonl", "--force")
    assert result.exit_code == errors.OutputError.exit_code
    assert "is another output too" in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_run_that_is_ended_goes_on(number: signal.Signals, models: list[Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    command = [sys.executable, "-m", "layoutopt", *arguments(models, tmp_path, "--results", results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not (results.exists() and results.stat().st_size) and run.poll() is None:
            time.sleep(0.02)
        run.send_signal(number)
        told = run.communicate()[1]
    if number is signal.SIGTERM:
        assert run.returncode == errors.SIGNALS["SIGTERM"]
        assert "of 3 models; what was done stays" in told
    assert _ends(str(tmp_path))
    first = lines(results)
    assert len(first) < 3
    result = invoke(models, tmp_path, "--results", results)
    assert result.exit_code == 0, result.output
    rows = lines(results)
    assert rows[: len(first)] == first
    assert sorted(row["model"] for row in rows) == sorted(map(str, models))
    names = [f"{model.stem}{end}" for model in models for end in (".nhwc.onnx", ".tflite")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def _ends(text: str) -> bool:
    """Whether no process is left that names ``text``, after a moment."""
    for _ in range(100):
        if not any(text in line for line in _command_lines()):
            return True
        time.sleep(0.05)
    return False


def _command_lines() -> Iterator[str]:
    own = {os.getpid(), os.getppid()}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if int(path.parent.name) not in own:
                yield path.read_bytes().decode(errors="replace")
        except OSError:
            continue


# --- Dask ------------------------------------------------------------------------------------------------------------

HAS_DASK = importlib.util.find_spec("distributed") is not None


@pytest.mark.skipif(HAS_DASK, reason="distributed is there")
def test_dask_is_an_extra(models: list[Path], tmp_path: Path) -> None:
    result = invoke(models, tmp_path, "--dask", "tcp://localhost:1")
    assert result.exit_code == errors.MissingExtraError.exit_code
    assert "layoutopt[dask]" in result.stderr


_CLUSTER = """
import sys, os, signal, threading, time
from pathlib import Path
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        pids = {name: worker.pid for name, worker in cluster.workers.items()}
        print(cluster.scheduler_address, *pids.values(), flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, list[int]]]:
    """A scheduler and two workers: the process, the address, and the processes that the workers run in."""
    script = tmp_path / "cluster.py"
    script.write_text(_CLUSTER)
    with (
        (tmp_path / "cluster.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process,
    ):
        assert process.stdout is not None
        address, *pids = process.stdout.readline().split()
        yield process, address, [int(pid) for pid in pids]
        process.kill()


@pytest.mark.dask
@pytest.mark.skipif(not HAS_DASK, reason="needs distributed")
def test_a_worker_that_is_killed_loses_nothing(
    cluster: tuple[subprocess.Popen[str], str, list[int]], models: list[Path], tmp_path: Path
) -> None:
    _, address, pids = cluster
    more = [*models, *(save(tmp_path / "in" / f"{name}.onnx", 8) for name in "def")]
    results, near = tmp_path / "r.jsonl", [Path("in", path.name) for path in more]  # the workers start elsewhere
    command = [sys.executable, "-m", "layoutopt", *arguments(near, Path(), "--dask", address, "--results", "r.jsonl")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as run:
        while not (results.exists() and len(lines(results)) > 2) and run.poll() is None:
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        told = run.communicate()
    assert "already computed" not in (tmp_path / "cluster.log").read_text()  # which would be done twice
    assert run.returncode == 0, told
    assert sorted(row["model"] for row in lines(results)) == sorted(map(str, near))
    apart = tmp_path / "local"
    assert invoke(more, apart).exit_code == 0
    for path in (apart / "out").glob("*.tflite"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.dask
@pytest.mark.skipif(not HAS_DASK, reason="needs distributed")
def test_a_scheduler_that_dies_is_one_line(
    cluster: tuple[subprocess.Popen[str], str, list[int]], models: list[Path], tmp_path: Path
) -> None:
    process, address, _ = cluster
    results = tmp_path / "r.jsonl"
    command = [sys.executable, "-m", "layoutopt", *arguments(models, tmp_path, "--dask", address, "--results", results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not (results.exists() and results.stat().st_size) and run.poll() is None:
            time.sleep(0.02)
        process.kill()
        told = run.communicate(timeout=120)[1]
    assert run.returncode == errors.LayoutoptError.exit_code, told
    assert "scheduler has stopped" in told
    result = CliRunner().invoke(app, arguments(models, tmp_path, "--dask", address, "--results", results))
    assert result.exit_code == errors.UsageError.exit_code
    assert "no scheduler answers" in result.stderr
    assert invoke(models, tmp_path, "--results", results).exit_code == 0
    assert sorted(row["model"] for row in lines(results)) == sorted(map(str, models))
