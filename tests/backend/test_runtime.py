from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.litert.latency import Latency
from layoutopt.backend.litert.runtime import Setting, Subject, measure, run_tflite
from layoutopt.errors import ConversionError, InvalidModelError, ModelNotFoundError, UsageError


def ramp(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_run_goes_by_the_names_of_the_signature(files: Path) -> None:
    a, b = ramp(2, 3), 10 * ramp(2, 3)
    results = run_tflite(files / "two.tflite", {"a": a, "b": b}, threads=2)
    assert set(results) == {"y", "z"}
    assert np.array_equal(results["y"], a + 2 * b)
    assert np.array_equal(results["z"], a - b)


def test_run_without_a_signature_goes_by_tensor_names(files: Path) -> None:
    from layoutopt.backend.litert.inspect import signature_of

    path = files / "unsigned.tflite"
    signature = signature_of(path)
    first, second = (tensor.name for tensor in signature.inputs)
    (result,) = run_tflite(path, {first: 10 * ramp(2, 3), second: ramp(2, 3)}).values()
    assert np.array_equal(np.abs(result), 9 * ramp(2, 3))
    with pytest.raises(UsageError, match="inputs"):
        run_tflite(path, {"nobody": ramp(2, 3)})


def test_dynamic_inputs_take_the_shape_of_the_array(files: Path) -> None:
    for rows in (1, 5):
        results = run_tflite(files / "dynamic.tflite", {"x": ramp(rows, 3)})
        assert np.array_equal(results["y"], 2 * ramp(rows, 3))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": ramp(2, 3)},
        {"a": ramp(2, 3), "b": ramp(3, 2)},
        {"a": ramp(2, 3), "b": ramp(2, 3).astype(np.float64)},
        {"a": ramp(2, 3), "b": ramp(2, 3)[0]},
    ],
)
def test_wrong_inputs_are_refused(files: Path, inputs: Mapping[str, np.ndarray]) -> None:
    with pytest.raises(UsageError, match=r"two\.tflite") as caught:
        run_tflite(files / "two.tflite", inputs)
    assert caught.value.hint


def test_no_threads_are_refused(files: Path) -> None:
    with pytest.raises(UsageError, match="threads"):
        measure([files / "small.tflite"], threads=0)


def test_what_litert_cannot_run_is_said_in_its_words(files: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConversionError, match=r"flex\.tflite.*Flex") as caught:
        run_tflite(files / "flex.tflite", {"x": ramp(2)})
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


CHATTER = """
    import pathlib, sys
    import numpy as np
    from layoutopt.backend.litert.runtime import measure, run_tflite

    path, verbose = pathlib.Path(sys.argv[1]), len(sys.argv) > 2
    measure([path], rounds=1, verbose=verbose)
    run_tflite(path, {"x": np.zeros((1, 16, 16, 4), np.float32)}, verbose=verbose)
    print("still there", file=sys.stderr)
"""


def test_litert_keeps_quiet_unless_asked(files: Path) -> None:
    def stderr(*options: str) -> str:
        # In a process of its own: LiteRT says each thing once per process.
        command = [sys.executable, "-c", textwrap.dedent(CHATTER), str(files / "small.tflite"), *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stderr

    assert stderr() == "still there\n"
    assert "INFO" in stderr("--verbose")


def test_measure_takes_one_sample_of_each_model_per_round(files: Path) -> None:
    told: list[tuple[int, int]] = []
    models = [files / "small.tflite", files / "large.tflite", files / "small.tflite"]
    latencies = measure(models, rounds=7, warmup=1, progress=lambda done, total: told.append((done, total)))
    assert [len(latency.samples) for latency in latencies] == [7, 7, 7]
    assert all(sample > 0 for latency in latencies for sample in latency.samples)
    assert told == [(done, 7) for done in range(1, 8)]
    # Sixteen times the work.
    assert latencies[0].speedup_over(latencies[1]).of_minima > 4
    assert 0.5 < latencies[0].speedup_over(latencies[2]).of_minima < 2


def test_measure_feeds_every_type(files: Path) -> None:
    (latency,) = measure([files / "types.tflite"], rounds=2)
    assert latency.minimum_ms > 0
    (latency,) = measure([files / "dynamic.tflite"], rounds=2)
    assert latency.minimum_ms > 0


@pytest.mark.parametrize(("models", "rounds"), [([], 3), (["small.tflite"], 0)])
def test_nothing_to_measure(files: Path, models: list[str], rounds: int) -> None:
    with pytest.raises(UsageError, match="Nothing to measure"):
        measure([files / name for name in models], rounds=rounds)


def test_bad_files_are_refused_before_litert_sees_them(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        measure([tmp_path / "none.tflite"])
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"not a model at all")
    with pytest.raises(InvalidModelError):
        run_tflite(bad, {})


class Schedule:
    """A clock by which the n-th sample takes the n-th of the given milliseconds."""

    def __init__(self, durations: Iterable[float]) -> None:
        self.durations, self.now, self.running = iter(durations), 0.0, False

    def __call__(self) -> float:
        if self.running:
            self.now += next(self.durations) / 1e3
        self.running = not self.running
        return self.now


def test_models_take_turns_and_each_sample_is_its_own(files: Path) -> None:
    warm = [20.0, 20.0, 20.0, 20.0]  # two inferences of each model, long enough for a sample each
    latencies = measure(
        [files / "small.tflite", files / "small.tflite"],
        rounds=3,
        warmup=0,
        clock=Schedule([*warm, 11, 21, 22, 12, 13, 23]),
    )
    assert latencies[0].samples == pytest.approx((11, 12, 13))
    assert latencies[1].samples == pytest.approx((21, 22, 23))


def test_a_fast_model_runs_several_times_for_a_sample(files: Path) -> None:
    # 4 ms at warm-up, so 3 inferences make the 10 ms of a sample.
    (latency,) = measure([files / "small.tflite"], rounds=1, warmup=0, clock=Schedule([5, 4, 12]))
    assert latency.samples == pytest.approx((4,))


def test_rounds_go_on_while_there_is_more_to_learn(files: Path) -> None:
    asked: list[int] = []

    def more(latencies: tuple[Latency, ...]) -> bool:
        asked.append(len(latencies[0].samples))
        return len(asked) < 3

    (latency,) = measure([files / "small.tflite"], rounds=5, more=more, clock=Schedule(itertools.repeat(20.0)))
    assert asked == [5, 15, 25]
    assert len(latency.samples) == 25


def test_settings_are_of_each_model(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert import interpreter

    made: list[tuple[object, object]] = []
    genuine = interpreter.Interpreter

    def spy(**options: object) -> object:
        made.append((options["num_threads"], options["experimental_op_resolver_type"]))
        return genuine(**options)

    monkeypatch.setattr(interpreter, "Interpreter", spy)
    path = files / "small.tflite"
    measure([path, Subject(path, Setting(2, xnnpack=False))], rounds=1)
    kinds = interpreter.OpResolverType
    assert made == [(1, kinds.AUTO), (2, kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES)]


def test_settings_in_words() -> None:
    assert str(Setting()) == "1 thread, with XNNPACK"
    assert str(Setting(4, xnnpack=False)) == "4 threads, without XNNPACK"
