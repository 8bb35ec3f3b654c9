"""Several models on a Dask cluster."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt import errors
from layoutopt.cli import app
from tests.fleet.cluster import Cluster
from tests.fleet.runs import arguments, invoke, lines, save

HAS_DASK = importlib.util.find_spec("distributed") is not None


@pytest.mark.skipif(HAS_DASK, reason="distributed is there")
def test_dask_is_an_extra(models: list[Path], tmp_path: Path) -> None:
    result = invoke(models, tmp_path, "--dask", "tcp://localhost:1")
    assert result.exit_code == errors.MissingExtraError.exit_code
    assert "layoutopt[dask]" in result.stderr


@pytest.mark.dask
@pytest.mark.skipif(not HAS_DASK, reason="needs distributed")
def test_a_worker_that_is_killed_loses_nothing(cluster: Cluster, models: list[Path], tmp_path: Path) -> None:
    more = [*models, *(save(tmp_path / "in" / f"{name}.onnx", 8) for name in "def")]
    results, near = tmp_path / "r.jsonl", [Path("in", path.name) for path in more]  # the workers start elsewhere
    command = [
        sys.executable,
        "-m",
        "layoutopt",
        *arguments(near, Path(), "--dask", cluster.address, "--results", "r.jsonl"),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as run:
        while not (results.exists() and len(lines(results)) > 2) and run.poll() is None:
            time.sleep(0.02)
        os.kill(cluster.workers[0], signal.SIGKILL)
        told = run.communicate()
    assert "already computed" not in cluster.log.read_text()  # which would be done twice
    assert run.returncode == 0, told
    assert sorted(row["model"] for row in lines(results)) == sorted(map(str, near))
    apart = tmp_path / "local"
    assert invoke(more, apart).exit_code == 0
    for path in (apart / "out").glob("*.tflite"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.dask
@pytest.mark.skipif(not HAS_DASK, reason="needs distributed")
def test_workers_that_cannot_do_it_are_named_before_anything_starts(
    cluster: Cluster,
    models: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from layoutopt.fleet import executors

    with monkeypatch.context() as patch:
        patch.setattr(executors, "__version__", "99")
        result = invoke(models, tmp_path, "--dask", cluster.address)
    assert result.exit_code == errors.UsageError.exit_code
    assert result.stderr.count(f"has layoutopt {layoutopt.__version__}, and this is 99") == 2
    gone = Path("/proc/self/root/nowhere")
    monkeypatch.setattr(Path, "cwd", lambda: gone)
    assert f"does not see {gone}" in invoke(models, tmp_path, "--dask", cluster.address).stderr


@pytest.mark.dask
@pytest.mark.skipif(not HAS_DASK, reason="needs distributed")
def test_a_scheduler_that_dies_is_one_line(cluster: Cluster, models: list[Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    command = [
        sys.executable,
        "-m",
        "layoutopt",
        *arguments(models, tmp_path, "--dask", cluster.address, "--results", results),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not (results.exists() and results.stat().st_size) and run.poll() is None:
            time.sleep(0.02)
        cluster.process.kill()
        told = run.communicate(timeout=120)[1]
    assert run.returncode == errors.LayoutoptError.exit_code, told
    assert "scheduler has stopped" in told
    result = CliRunner().invoke(app, arguments(models, tmp_path, "--dask", cluster.address, "--results", results))
    assert result.exit_code == errors.UsageError.exit_code
    assert "no scheduler answers" in result.stderr
    assert invoke(models, tmp_path, "--results", results).exit_code == 0
    assert sorted(row["model"] for row in lines(results)) == sorted(map(str, models))
