"""Benchmarks on a phone: what goes through adb, what is read from it, and one clear line for all that goes wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import layoutopt
from layoutopt import errors
from layoutopt.backend.litert.operator_times import Transpose, write_operator
from layoutopt.cli import app
from layoutopt.options import Clock, Phone
from layoutopt.results.benchmark import BenchmarkReport
from tests import fake_adb
from tests.fake_adb import FakePhone, left_on

Attach = Callable[..., Path]


@pytest.fixture
def attach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attach:
    """Attach phones by their serials, to an adb on the path."""

    def attached(**phones: FakePhone) -> Path:
        directory = fake_adb.install(tmp_path / "sdk", **phones)
        monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
        monkeypatch.delenv("ANDROID_SERIAL", raising=False)
        return directory

    return attached


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two models of different sizes."""
    paths = tmp_path / "slow.tflite", tmp_path / "fast.tflite"
    for path, count in zip(paths, (64, 8), strict=True):
        write_operator(Transpose((count, 16), (1, 0), 32), path)
        path.write_bytes(path.read_bytes() + b"\0" * count)  # a flatbuffer ends where it says so
    return paths


def times(models: tuple[Path, Path], slow: float = 13e3, fast: float = 10e3) -> dict[str, float]:
    return {str(path.stat().st_size): time for path, time in zip(models, (slow, fast), strict=True)}


def measured(models: tuple[Path, Path], tmp_path: Path, **options: object) -> BenchmarkReport:
    program = fake_adb.program_for(tmp_path / "benchmark_model")
    phone = Phone(program, **{name: options.pop(name) for name in ("serial", "gpu") if name in options})  # type: ignore[arg-type]
    return layoutopt.benchmark(models, phone=phone, **{"seconds": 0, **options})  # type: ignore[arg-type]


def test_times_come_from_the_phone(attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    sdk = attach(P7=FakePhone(microseconds=times(models)))
    found = measured(models, tmp_path, threads=(1, 2), xnnpack=(True, False), memory=True, rounds=5)
    assert [(row.name, row.setting.threads, row.setting.xnnpack) for row in found.rows] == [
        (str(model), threads, xnnpack) for xnnpack in (True, False) for threads in (1, 2) for model in models
    ]
    for row in found.rows:
        base = 13.0 if row.name == str(models[0]) else 10.0
        expected = base / row.setting.threads * (1 if row.setting.xnnpack else 3)
        assert expected <= row.latency.minimum_ms <= row.latency.median_ms <= 1.017 * expected
        assert len(row.latency.samples) == found.rounds == 5
        assert row.memory == int(4.25 * 2**20)
    assert [row.speedup.verdict.value for row in found.rows] == ["within noise", "faster"] * 4
    assert found.machine == "Acme Rocket 7, arm64-v8a, Android 16"
    assert found.clock is Clock.WALL
    assert len(found.versions["benchmark_model"]) == 12
    assert "ai-edge-litert" not in found.versions
    assert left_on(sdk) == []


def test_the_gpu_is_asked_for_and_its_share_told(attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    attach(P7=FakePhone(gpu="will be partially executed by the delegate w/ 3 delegate kernels."))
    found = measured(models, tmp_path, gpu=True, rounds=2)
    assert found.rows[0].latency.median_ms == pytest.approx(2.5, rel=0.02)
    assert str(found.rows[0].setting) == "GPU, 1 thread, with XNNPACK"
    assert f"{models[0]}: the GPU runs a part of it, cut into 3, and the CPU the rest." in found.notes
    attach(P7=FakePhone(gpu="will not be executed by the delegate."))
    assert f"{models[1]}: the GPU runs nothing of it." in measured(models, tmp_path, gpu=True, rounds=1).notes
    attach(P7=FakePhone())
    assert not any("the GPU runs" in note for note in measured(models, tmp_path, gpu=True, rounds=1).notes)


def test_one_inference_is_a_sample_too(attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    attach(P7=FakePhone(microseconds=times(models, 2e6, 1e6)))  # longer than a sample lasts
    found = measured(models, tmp_path, rounds=3, warmup=0)
    assert [row.latency.median_ms for row in found.rows] == pytest.approx([2e3, 1e3], rel=0.02)


def test_a_serial_chooses(
    attach: Attach, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(A=FakePhone(), B=FakePhone(microseconds=times(models, 5e3, 5e3)))
    assert measured(models, tmp_path, serial="B", rounds=1).rows[0].latency.minimum_ms == pytest.approx(5, rel=0.02)
    monkeypatch.setenv("ANDROID_SERIAL", "B")
    assert measured(models, tmp_path, rounds=1).rows[0].latency.minimum_ms == pytest.approx(5, rel=0.02)
    assert measured(models, tmp_path, serial="A", rounds=1).rows[0].latency.minimum_ms == pytest.approx(10, rel=0.02)


FAULTS: dict[str, tuple[dict[str, FakePhone], list[str], str]] = {
    "none": ({}, [], "no phone is attached"),
    "several": ({"A": FakePhone(), "B": FakePhone()}, [], "several phones are attached: A, B"),
    "another": ({"A": FakePhone()}, ["--serial", "C"], "phone C is not attached"),
    "unauthorized": ({"A": FakePhone("unauthorized")}, [], "phone A is not ready: unauthorized"),
    "offline": ({"A": FakePhone("offline")}, [], "phone A is not ready: offline"),
    "rights": ({"A": FakePhone("no permissions (udev)")}, [], "phone A is not ready: no permissions (udev)"),
    "full": ({"A": FakePhone(space=100)}, [], "phone A: no space is left for"),
    "processor": ({"A": FakePhone(abis="x86_64,x86")}, [], "is for arm64-v8a, and phone A runs x86_64,x86"),
    "crash": ({"A": FakePhone(ends="crash")}, [], "slow.tflite: benchmark_model died of SIGSEGV"),
    "fail": ({"A": FakePhone(ends="fail")}, [], "benchmark_model failed: Node number 3 (TRANSPOSE) failed to prepare."),
    "lost": ({"A": FakePhone(ends="lost")}, [], "phone A does not answer any more: closed"),
    "old": ({"A": FakePhone(unknown=("use_xnnpack",))}, [], "does not know --use_xnnpack=true"),
    "no GPU": ({"A": FakePhone(gpu=None)}, ["--gpu"], "benchmark_model did not use the GPU"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_line(fault: str, attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    phones, arguments, message = FAULTS[fault]
    sdk, program = attach(**phones), fake_adb.program_for(tmp_path / "benchmark_model")
    result = CliRunner().invoke(app, ["benchmark", *map(str, models), "--adb", str(program), *arguments])
    assert result.exit_code == errors.DeviceError.exit_code, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("A: pushing", "loading"))]
    assert message in lines[0]
    assert len(lines) <= 2, lines  # the error, and what to do
    assert left_on(sdk) == []


@pytest.mark.parametrize("program", ["missing", "script", "short"])
def test_what_is_no_program_for_android_is_refused(
    program: str, attach: Attach, models: tuple[Path, Path], tmp_path: Path
) -> None:
    sdk, path = attach(A=FakePhone()), tmp_path / program
    if program != "missing":
        path.write_bytes({"script": b"#!/bin/sh\necho not a program at all\n", "short": b"\x7fELF"}[program])
    with pytest.raises(errors.DeviceError, match=r"cannot be read|is not a program for Android"):
        layoutopt.benchmark(models, phone=Phone(path))
    assert left_on(sdk) == []


def test_without_adb(models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.DeviceError, match="adb is not on the path"):
        layoutopt.benchmark(models, phone=Phone(fake_adb.program_for(tmp_path / "b")))


def test_what_a_phone_cannot_measure_is_refused(models: tuple[Path, Path], tmp_path: Path) -> None:
    phone = Phone(tmp_path / "b")
    with pytest.raises(errors.UsageError, match="--clock cpu"):
        layoutopt.benchmark(models, phone=phone, clock=Clock.CPU)
    with pytest.raises(errors.UsageError, match="--profile"):
        layoutopt.benchmark(models, phone=phone, profile=True)
    result = CliRunner().invoke(app, ["benchmark", str(models[0]), "--gpu"])
    assert result.exit_code == errors.UsageError.exit_code
    assert "--adb PROGRAM" in result.stderr


def test_the_command_writes_what_it_does_here(attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    attach(P7=FakePhone(microseconds=times(models)))
    program, table = fake_adb.program_for(tmp_path / "benchmark_model"), tmp_path / "r.csv"
    arguments = [
        "--adb",
        str(program),
        "--gpu",
        "--seconds",
        "0",
        "--csv",
        str(table),
        "--json",
        str(tmp_path / "r.json"),
    ]
    result = CliRunner().invoke(app, ["benchmark", *map(str, models), *arguments], env={"COLUMNS": "132"})
    assert result.exit_code == 0, result.output
    assert "LiteRT, GPU, 1 thread, with XNNPACK: 10 rounds in turns, wall clock" in result.stdout
    assert "Measured on Acme Rocket 7, arm64-v8a, Android 16" in result.stdout
    data = json.loads((tmp_path / "r.json").read_text())
    assert [row["gpu"] for row in data["rows"]] == [True, True]
    assert data["controls"][0]["gpu"] is True
    slow, fast = csv.DictReader(table.read_text().splitlines())
    assert (slow["gpu"], fast["verdict"], fast["machine"]) == ("on", "faster", data["machine"])


def test_an_interrupted_run_leaves_nothing(attach: Attach, models: tuple[Path, Path], tmp_path: Path) -> None:
    sdk, program = attach(P7=FakePhone()), fake_adb.program_for(tmp_path / "benchmark_model")
    command = [
        sys.executable,
        "-m",
        "layoutopt",
        "benchmark",
        str(models[0]),
        "--adb",
        str(program),
        "--rounds",
        "9999",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            deadline = time.monotonic() + 60
            while not (sdk / "store" / "P7.calls").exists():
                assert time.monotonic() < deadline
                assert run.poll() is None
                time.sleep(0.02)
            assert left_on(sdk)
            run.send_signal(signal.SIGTERM)  # not SIGINT, which is ignored in the background of a shell
            assert run.wait(30) == errors.SIGNALS["SIGTERM"]
        finally:
            run.kill()
    assert left_on(sdk) == []
