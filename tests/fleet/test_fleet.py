"""Several models in one call: what is told of each, and what a run that was ended goes on with."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layoutopt import errors
from layoutopt.fleet import worker
from layoutopt.fleet.journal import open_journal, read_rows
from layoutopt.fleet.row import Row
from layoutopt.fleet.task import Task, digest, task_key
from tests.fleet.runs import QUICK, arguments, invoke, lines, save


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
    return Task(str(model), str(out), written, QUICK, "key", str(report))


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


def test_a_full_disk_is_one_row(models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/scratch/x")

    task = Task(str(models[0]), str(tmp_path), (str(tmp_path / "a.onnx"),), QUICK, "key", None)
    monkeypatch.setattr(worker, "scratch", full)
    assert worker.run_task(task).error == "/scratch/x: No space left on device"
    row = worker.run_on_worker(task)
    assert row.error == f"on {platform.node()}: /scratch/x: No space left on device"
    assert row.exit_code == errors.OutputError.exit_code
    assert not row.is_done


@pytest.mark.skipif(os.name != "posix", reason="terminals of Unix")
def test_a_terminal_shows_how_many_are_done(models: list[Path], tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "layoutopt", *arguments(models[:2], tmp_path, "--results", tmp_path / "r.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as run:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of it
            while part := os.read(ours, 4096):
                shown += part
        assert run.stdout is not None
        rows = run.stdout.read().decode()
    os.close(ours)
    assert run.returncode == 0, shown
    assert [text in shown.decode() for text in ("0/2", "1/2")] == [True, True]
    assert rows.splitlines()[-1] == "2 done; 0 failed"  # which the bar is not mixed with
