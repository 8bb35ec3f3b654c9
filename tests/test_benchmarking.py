"""Benchmarks: what is compared with what, when enough is enough, and what comes out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import layoutopt
from layoutopt.backend.litert.latency import Latency, Noise, Verdict
from layoutopt.backend.litert.operator_times import Transpose, write_operator
from layoutopt.backend.litert.profile import OperatorTime
from layoutopt.backend.litert.runtime import Setting, Subject
from layoutopt.errors import ConversionError, UsageError
from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.ir.io import save
from layoutopt.options import Clock
from layoutopt.report.terminal import tables
from layoutopt.results.benchmark import BenchmarkReport
from layoutopt.workflows import benchmark as benchmarking
from layoutopt.workflows import latencies
from layoutopt.workflows.benchmark import Candidate, time_candidates
from layoutopt.workflows.latencies import Effort, time_together
from layoutopt.workflows.options import RunContext

NOBODY = Path("nobody.tflite")
SLOW, FAST = Path("slow.tflite"), Path("fast.tflite")
MILLISECONDS = {SLOW: 13.0, FAST: 10.0}


class Machine:
    """Stands in for `measure`: each model takes its time, off by ``spread``; two threads take half of it.

    Attributes:
        subjects: what was timed.
        rounds: how many rounds it took.
    """

    def __init__(self, spread: float) -> None:
        self.spread, self.subjects, self.rounds = spread, list[Subject](), 0

    def __call__(
        self,
        subjects: Sequence[Subject],
        *,
        rounds: int,
        more: Callable[[tuple[Latency, ...]], bool],
        seed: int,
        **_: object,
    ) -> tuple[Latency, ...]:
        self.subjects, rng = list(subjects), np.random.default_rng(seed)
        base = np.array([[MILLISECONDS[each.path] / each.setting.threads] for each in subjects])
        times = base * np.exp(self.spread * rng.standard_normal((len(subjects), 2000)))
        for self.rounds in range(rounds, 2000, 10):
            latencies = tuple(Latency(tuple(row[: self.rounds])) for row in times)
            if not more(latencies):
                break
        return latencies


def on(monkeypatch: pytest.MonkeyPatch, spread: float) -> Machine:
    machine = Machine(spread)
    monkeypatch.setattr(latencies, "measure", machine)
    return machine


def test_the_first_model_of_a_setting_is_timed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = on(monkeypatch, 0.01)
    settings = [Setting(1), Setting(2), Setting(1, xnnpack=False)]
    groups = time_together([SLOW, FAST], settings, effort=Effort())
    assert machine.subjects == [Subject(path, setting) for setting in settings for path in (SLOW, FAST, SLOW)]
    assert [group.setting for group in groups] == settings
    for group in groups:
        itself, other = group.speedups
        assert itself.median_of_rounds == 1.0
        assert other.median_of_rounds == pytest.approx(1.3, rel=0.02)
        assert other.verdict is Verdict.FASTER
        assert group.latencies[0].median_ms == pytest.approx(13 / group.setting.threads, rel=0.02)
        assert group.noise.is_quiet


def test_it_goes_on_until_the_intervals_are_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, noisy = on(monkeypatch, 0.001), on(monkeypatch, 0.06)
    monkeypatch.setattr(latencies, "measure", quiet)
    time_together([SLOW, FAST], [Setting()], effort=Effort(rounds=20))
    assert quiet.rounds == 20
    monkeypatch.setattr(latencies, "measure", noisy)
    (group,) = time_together([SLOW, FAST], [Setting()], effort=Effort(rounds=20, seconds=1e9))
    assert 100 < noisy.rounds < 1000
    assert group.is_settled
    assert max(group.noise.width, group.speedups[1].width) <= latencies.NARROW


def test_it_does_not_go_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = on(monkeypatch, 0.5)
    (group,) = time_together([SLOW, SLOW], [Setting()], effort=Effort(rounds=20, seconds=0))
    assert noisy.rounds == 20
    assert group.speedups[1].verdict is Verdict.TOO_NOISY


def test_the_clock_of_a_thread_is_for_one_thread() -> None:
    assert Effort().clock_for([Setting(1), Setting(1, xnnpack=False)]) is Clock.CPU
    assert Effort().clock_for([Setting(1), Setting(2)]) is Clock.WALL
    assert Effort(clock=Clock.WALL).clock_for([Setting(1)]) is Clock.WALL
    with pytest.raises(UsageError, match="--clock cpu"):
        Effort(clock=Clock.CPU).clock_for([Setting(1), Setting(2)])
    with pytest.raises(UsageError, match="--clock cpu"):
        layoutopt.benchmark([NOBODY], threads=2, clock=Clock.CPU)


def test_nothing_to_measure() -> None:
    with pytest.raises(UsageError, match="Nothing to measure"):
        layoutopt.benchmark([])
    with pytest.raises(UsageError, match="Nothing to measure"):
        time_together([NOBODY], [], effort=Effort())


def report(monkeypatch: pytest.MonkeyPatch, directory: Path, spread: float) -> BenchmarkReport:
    """A report of two real files with made-up times."""
    candidates = []
    for name, path in (("slow", SLOW), ("fast", FAST)):
        write_operator(Transpose((8, 16), (1, 0), 32), directory / path)
        monkeypatch.setitem(MILLISECONDS, directory / path, MILLISECONDS[path])
        candidates.append(Candidate(name, directory / path))
    on(monkeypatch, spread)
    monkeypatch.setattr(benchmarking, "memory_of", lambda *_, **__: 2_000_000)
    monkeypatch.setattr(
        benchmarking,
        "profile_subject",
        lambda *_, **__: (OperatorTime(0, "CONV_2D", 6000.0), OperatorTime(1, "TRANSPOSE", 2000.0)),
    )
    return time_candidates(
        candidates,
        [Setting(1), Setting(2)],
        effort=Effort(rounds=20, seconds=0),
        operators=True,
        memory=True,
        notes=["a note"],
        context=RunContext.of(None),
    )


def test_the_csv_has_a_line_per_model_and_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = report(monkeypatch, tmp_path, 0.01)
    lines = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [(line["name"], line["threads"], line["xnnpack"]) for line in lines] == [
        *(("slow", "1", "on"), ("fast", "1", "on")),
        *(("slow", "2", "on"), ("fast", "2", "on")),
    ]
    last, row = lines[-1], found.rows[-1]
    assert float(last["median_ms"]) == pytest.approx(row.latency.median_ms, abs=1e-4)
    assert float(last["low"]) < float(last["speedup"]) < float(last["high"])
    assert (last["verdict"], last["transposes"], last["memory"]) == ("faster", "1", "2000000")
    assert float(last["noise_floor"]) == pytest.approx(found.controls[1].noise.floor, abs=1e-4)
    assert last["clock"] == "wall"
    assert (last["date"], last["machine"]) == (found.date, found.machine)
    assert last["layoutopt"] == layoutopt.__version__


def test_the_json_has_all_that_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = report(monkeypatch, tmp_path, 0.01)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    row = data["rows"][1]
    assert row["samples_ms"] == list(found.rows[1].latency.samples)
    assert len(row["samples_ms"]) == data["rounds"] == 20
    assert row["latency_ms"] == pytest.approx(np.median(row["samples_ms"]))
    assert row["latency_p90_ms"] == pytest.approx(np.quantile(row["samples_ms"], 0.9))
    assert row["speedup"]["low"] < row["speedup"]["median_of_rounds"] < row["speedup"]["high"]
    assert row["speedup"]["verdict"] == "faster"
    assert row["operators"][1] == {"position": 1, "operator": "TRANSPOSE", "microseconds": 2000.0}
    assert data["controls"][0]["quiet"] is True
    assert (data["controls"][1]["threads"], data["controls"][1]["xnnpack"]) == (2, True)
    assert data["clock"] == "wall"
    assert {"machine", "date", "versions", "notes"} <= set(data)


def shown(found: BenchmarkReport) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    for each in tables.of_benchmark(found):
        console.print(each)
    return console.export_text()


def test_the_table_fits_and_says_it_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = shown(report(monkeypatch, tmp_path, 0.01))
    assert text.count("1.30x faster") + text.count("1.29x faster") + text.count("1.31x faster") == 2
    assert "2 threads, with XNNPACK" in text
    assert "wall clock" in text
    assert "Noise of this run" in text
    assert "1, 6.00 ms,  75%" in text
    assert "a note" in text
    assert "…" not in text
    assert "too noisy" not in text


def test_a_noisy_machine_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = report(monkeypatch, tmp_path, 0.4)
    assert "The machine is too noisy (1 thread, with XNNPACK)" in found.notes[1]
    assert "--seconds" in shown(found)
    assert not found.controls[0].noise.is_quiet


def test_what_cannot_be_profiled_is_timed_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConversionError("LiteRT", "its profiler is another one")

    write_operator(Transpose((8, 16), (1, 0), 32), tmp_path / "t.tflite")
    monkeypatch.setattr(benchmarking, "profile_subject", refuse)
    found = layoutopt.benchmark([tmp_path / "t.tflite"], rounds=2, seconds=0, profile=True)
    assert found.rows[0].latency.median_ms > 0
    assert any("has no profile: LiteRT: its profiler is another one" in note for note in found.notes)


def test_one_sample_is_no_number_that_json_does_not_know() -> None:
    speedup = Latency((1.0,)).speedup_over(Latency((2.0,)), Noise(0.0, float("inf")))
    assert speedup.verdict is Verdict.TOO_NOISY


@pytest.mark.long
@pytest.mark.onnx_tf
def test_from_an_onnx_file_to_all_its_forms(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    save(mobilenet_v2(resolution=32, width=0.25), model)
    found = layoutopt.benchmark(
        [model],
        threads=[1, 1],
        xnnpack=(True, False),
        quantize=[layoutopt.Quantize.NONE, layoutopt.Quantize.FLOAT16, layoutopt.Quantize.INT8],
        rounds=2,
        seconds=0,
        warmup=1,
    )
    names = [row.name.removeprefix(str(model)).strip() for row in found.rows]
    forms = ["plain onnx-tf", "layoutopt"]
    once = [f"({form}{weights})" for weights in ("", ", float16", ", int8") for form in forms]
    assert names == once * 2
    assert [row.setting.xnnpack for row in found.rows] == [True] * 6 + [False] * 6
    plain, ours, _, half, _, integer = found.rows[:6]
    assert (plain.counts.transposes > 30, ours.counts.transposes) == (True, 0)
    assert half.file_size < 0.6 * ours.file_size
    assert integer.file_size < 0.5 * ours.file_size
    assert integer.counts.histogram["QUANTIZE"] == 1  # the input alone: all else is in int8
    assert half.counts.histogram["DEQUANTIZE"] > 50
    assert json.dumps(found.to_json(), allow_nan=False)


def test_ranges_of_random_inputs_go_into_no_file(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    save(mobilenet_v2(resolution=32, width=0.25), model)
    for call in (layoutopt.optimize, layoutopt.convert):
        with pytest.raises(UsageError, match="needs samples"):
            call(model, tflite=tmp_path / "m.tflite", quantize=layoutopt.Quantize.INT8)
