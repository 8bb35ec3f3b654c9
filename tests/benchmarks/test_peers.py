"""The comparison with other converters: what is judged, timed, kept and written. No other converter is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import records
from benchmarks.peers import conversion
from benchmarks.peers.catalogue import FLOOR, OURS, PEERS, WINOGRAD, Peer
from benchmarks.peers.conversion import convert_all
from benchmarks.peers.figures import (
    FIGURES,
    TFLITE,
    TIMES,
    Figures,
    Network,
    Outcome,
    Summary,
    Times,
    lacking,
    networks,
    over_the_best,
    right_files,
    tell,
)
from benchmarks.peers.judge import judged
from benchmarks.peers.timing import time_all, timed
from benchmarks.zoo.processes import ROOT, Finished
from benchmarks.zoo.rows import Memory
from docs.tools.peers import page
from docs.tools.reasons.peers import REASONS
from layoutopt.backend.litert.latency import Latency, Verdict
from layoutopt.backend.litert.operator_times import Transpose, write_operator
from layoutopt.ir.verify import Reference
from layoutopt.results.provenance import Provenance
from tests.harness import model_of

PEER = PEERS["litert-torch"]
RIGHT = Figures(
    Outcome.RIGHT,
    operators=70,
    transposes=3,
    gathers=1,
    bytes_moved=2_500_000,
    max_abs_error=2e-6,
    mse=1e-13,
    relative_error=5e-7,
    seconds=30.0,
    processor=12.0,
    memory=1_500_000_000,
)
WRONG = replace(RIGHT, outcome=Outcome.WRONG, max_abs_error=0.3, relative_error=0.1, mse=1e-2)
FAILED = Figures(Outcome.FAILED, "KeyError: no such operator")


LOADS = (1.0, 1.04, 0.98, 1.0, 1.02, 0.97, 1.01)
"""What becomes of the latencies of a load, of all models alike."""


def _times(noise: float = 0.002, **ratios: float) -> Times:
    """Times of converters whose results take so many times as long as ours, give or take ``noise``."""
    shaken = [noise * sign for sign in (1, -1, 0, 1, -1, 0, 0)]
    ours = Latency(tuple(10 * load for load in LOADS))
    control = Latency(tuple(10 * load * (1 + by) for load, by in zip(LOADS, shaken, strict=True)))
    others = {
        name.replace("_", "-"): Latency(tuple(10 * load * (ratio + by) for load, by in zip(LOADS, shaken, strict=True)))
        for name, ratio in ratios.items()
    }
    return Times.today({OURS: ours, **others}, control)


TIMES_OF_ALL = _times(litert_torch=0.9, onnx2tf_2=1.44, nobuco=0.995)


# --- the judge -------------------------------------------------------------------------------------------------------


def _reference(perm: str) -> Reference:
    text = f"g (float[1, 4, 4, 6] x) => (float[1, 4, 6, 4] y) {{ y = Transpose<perm = [{perm}]>(x) }}"
    return Reference(model_of(text))


def test_a_result_that_computes_the_same_is_right(tmp_path: Path) -> None:
    write_operator(Transpose((1, 4, 4, 6), (0, 1, 3, 2), 32), tmp_path / TFLITE)
    found = judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE)
    assert (found.outcome, found.max_abs_error, found.transposes, found.bytes_moved) == (Outcome.RIGHT, 0.0, 1, 4 * 96)


def test_a_result_with_channels_last_is_right(tmp_path: Path) -> None:
    write_operator(Transpose((1, 4, 6, 4), (0, 2, 1, 3), 32), tmp_path / TFLITE)  # H and W trade places
    assert judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE).outcome is Outcome.RIGHT


def test_a_result_that_computes_something_else_is_wrong_and_not_timed(tmp_path: Path) -> None:
    directory = tmp_path / OURS
    directory.mkdir()
    write_operator(Transpose((1, 4, 4, 6), (0, 2, 3, 1), 32), directory / TFLITE)  # of the same shape
    found = judged(_reference("0, 1, 3, 2"), directory / TFLITE)
    assert found.outcome is Outcome.WRONG
    assert found.relative_error is not None
    assert found.relative_error > 0.1
    records.save(found, directory / FIGURES)
    assert not right_files(tmp_path, PEERS)
    records.save(RIGHT, directory / FIGURES)
    assert right_files(tmp_path, PEERS) == {OURS: directory / TFLITE}


def test_a_result_with_another_interface_does_not_run(tmp_path: Path) -> None:
    write_operator(Transpose((1, 9, 4, 6), (0, 1, 3, 2), 32), tmp_path / TFLITE)
    found = judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE)
    assert found.outcome is Outcome.NOT_LOADED
    assert "[1, 9, 4, 6]" in found.error


def test_a_broken_file_does_not_run(tmp_path: Path) -> None:
    (tmp_path / TFLITE).write_bytes(b"no flatbuffer at all")
    assert judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE).outcome is Outcome.NOT_LOADED


# --- the best of the others ------------------------------------------------------------------------------------------


def test_the_fastest_of_the_others_counts_and_keras_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        "one": Network({}, _times(litert_torch=1.5, onnx2tf_2=1.2, Keras=0.5)),
        "two": Network({}, _times(litert_torch=0.9, onnx2tf_2=1.44)),
        "three": Network({}, None),
    }
    best = over_the_best(found)
    assert {name: round(each.median_of_rounds, 2) for name, each in best.items()} == {"one": 1.2, "two": 0.9}
    tell(found)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "over the best other converter: 1.04, geometric mean of 2; slower: two"


def test_ours_with_an_option_is_no_other_converter(capsys: pytest.CaptureFixture[str]) -> None:
    times = _times(litert_torch=1.5)
    faster = Latency(tuple(each / 2 for each in times.latencies[OURS].samples))
    both = Times.today({**times.latencies, WINOGRAD: faster}, times.latencies[OURS])
    found = {"one": Network({}, both)}
    assert round(over_the_best(found)["one"].median_of_rounds, 2) == 1.5
    assert round(over_the_best(found, WINOGRAD)["one"].median_of_rounds, 2) == 3.0
    assert not found["one"].faster
    tell(found)
    assert capsys.readouterr().out.splitlines()[-1] == "layoutopt --winograd: 3.00, geometric mean of 1"


def test_figures_of_fewer_converters_are_not_kept() -> None:
    before = {"one": Network({OURS: RIGHT, PEER.name: RIGHT}, None), "two": Network({OURS: RIGHT}, None)}
    assert lacking({"one": Network({OURS: RIGHT}, None), "two": before["two"]}, before) == ["one"]
    assert lacking({"one": before["one"]}, before) == ["two"]
    assert not lacking(before, before)


# --- resuming --------------------------------------------------------------------------------------------------------


class Programs:
    """Stands in for the processes: a converter copies what it gets, or fails, and the judge finds it right."""

    def __init__(self) -> None:
        self.converted: list[str] = []
        self.error = ""

    def __call__(self, command: Sequence[str | Path], *, log: Path, timeout: float) -> Finished:
        program, arguments = str(command[2]), command[3:]
        if program.endswith(PEER.program):
            self.converted.append(str(arguments[0]))
            if not self.error:
                Path(arguments[2]).write_bytes(b"TFL3")
            return Finished(self.error, Memory(together=1 << 30), seconds=9.0, processor=4.0)
        if program.endswith("judge"):
            records.save(RIGHT, Path(arguments[2]))
        return Finished("", Memory(), 1.0, 1.0)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs()
    monkeypatch.setattr(conversion, "run", found)
    return found


def test_what_was_converted_is_not_converted_again(tmp_path: Path, programs: Programs) -> None:
    python = Path("python")
    convert_all(PEER, python, ["vgg11"], tmp_path, again=False)
    convert_all(PEER, python, ["vgg11", "vit_4"], tmp_path, again=False)
    assert programs.converted == ["vgg11", "vit_4"]
    convert_all(PEER, python, ["vgg11"], tmp_path, again=True)
    assert programs.converted == ["vgg11", "vit_4", "vgg11"]
    kept = networks(tmp_path, ["vgg11", "vit_4", "yolov8"])
    assert list(kept) == ["vgg11", "vit_4"]
    expected = replace(RIGHT, seconds=9.0, processor=4.0, memory=1 << 30)
    assert kept["vit_4"] == Network({PEER.name: expected}, None)


def test_a_failure_is_kept_with_its_reason_and_leaves_no_file(tmp_path: Path, programs: Programs) -> None:
    convert_all(PEER, Path("python"), ["vgg11"], tmp_path, again=False)
    programs.error = f"ValueError: {ROOT}/benchmarks/models/yolo.py:7: no such layer"
    convert_all(PEER, Path("python"), ["vgg11"], tmp_path, again=True)
    directory = tmp_path / "vgg11" / PEER.name
    found = records.load(Figures, directory / FIGURES)
    assert (found.outcome, found.error) == (Outcome.FAILED, "ValueError: benchmarks/models/yolo.py:7: no such layer")
    assert not (directory / TFLITE).exists()


def test_a_new_result_makes_the_times_of_its_network_void(tmp_path: Path, programs: Programs) -> None:
    convert_all(PEER, Path("python"), ["vgg11", "vit_4"], tmp_path, again=False)
    for name in ("vgg11", "vit_4"):
        records.save(TIMES_OF_ALL, tmp_path / name / TIMES)
    convert_all(PEER, Path("python"), ["vgg11"], tmp_path, again=True)
    assert not (tmp_path / "vgg11" / TIMES).exists()
    assert records.load(Times, tmp_path / "vit_4" / TIMES) == TIMES_OF_ALL


# --- times -----------------------------------------------------------------------------------------------------------


def test_a_model_that_moves_more_is_slower(tmp_path: Path) -> None:
    paths = {OURS: tmp_path / "small.tflite", PEER.name: tmp_path / "large.tflite"}
    for path, size in zip(paths.values(), (64, 640), strict=True):
        write_operator(Transpose((1, size, size, 8), (0, 3, 1, 2), 32), path)
    times = timed(paths, loads=3, rounds=2)
    assert {name: len(latency.samples) for name, latency in times.latencies.items()} == {OURS: 3, PEER.name: 3}
    assert times.speedups[PEER.name].verdict is Verdict.FASTER
    assert times.speedups[PEER.name].low > 5
    assert times.noise.high < 2  # of ours, loaded twice


def test_only_networks_that_changed_are_timed(tmp_path: Path) -> None:
    directory = tmp_path / "vgg11" / OURS
    directory.mkdir(parents=True)
    write_operator(Transpose((2, 3), (1, 0), 32), directory / TFLITE)
    records.save(RIGHT, directory / FIGURES)
    records.save(TIMES_OF_ALL, tmp_path / "vgg11" / TIMES)
    time_all(["vgg11"], tmp_path, again=False)
    assert records.load(Times, tmp_path / "vgg11" / TIMES) == TIMES_OF_ALL
    time_all(["vgg11"], tmp_path, again=True)
    assert set(records.load(Times, tmp_path / "vgg11" / TIMES).latencies) == {OURS}


@pytest.mark.parametrize(
    ("noise", "ratio", "verdict"),
    [
        (0.002, 0.9, Verdict.SLOWER),
        (0.002, 1.44, Verdict.FASTER),
        (0.002, 0.995, Verdict.WITHIN_NOISE),  # below 1, and closer to it than any difference
        (0.02, 0.97, Verdict.WITHIN_NOISE),  # and within what ours differs from itself
        (0.1, 0.97, Verdict.TOO_NOISY),
    ],
)
def test_ours_is_called_faster_or_slower_beyond_noise_only(noise: float, ratio: float, verdict: Verdict) -> None:
    network = Network({}, _times(noise, nobuco=ratio))
    assert network.times is not None
    assert network.times.speedups["nobuco"].verdict is verdict
    assert list(network.faster) == (["nobuco"] if verdict is Verdict.SLOWER else [])


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def summary() -> Summary:
    figures = {OURS: RIGHT, "onnx2tf-1": WRONG, "onnx2tf-2": RIGHT, "litert-torch": RIGHT, "nobuco": RIGHT}
    other = _times(0.1, onnx2tf_2=1.0)
    return Summary(
        Provenance("A machine", 2, "Linux", "2026-01-01", {}),
        {"onnx2tf-2": {"onnx2tf": "2.0"}},
        {
            "vgg11": Network(figures, TIMES_OF_ALL),
            "vit_4": Network({OURS: RIGHT, "onnx2tf-2": RIGHT, "litert-torch": FAILED}, other),
        },
    )


def test_a_summary_comes_back_as_it_was_saved(tmp_path: Path, summary: Summary) -> None:
    records.save(summary, tmp_path / "summary.json")
    assert records.load(Summary, tmp_path / "summary.json") == summary


def _cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_tells_every_latency_beside_ours(summary: Summary) -> None:
    text = "\n".join(page(summary))
    assert _cells(text, "network") == ["network", "onnx2tf-1", "onnx2tf-2", "litert-torch", "nobuco"]
    assert _cells(text, "vgg11")[1:] == [
        *("wrong", "**1.44 (1.44 to 1.44)**", "**0.90 (0.90 to 0.90)**", "0.99 (0.99 to 1.00)")
    ]
    assert _cells(text, "vit_4")[1:] == ["-", "*1.00 (0.90 to 1.10)*", "failed", "-"]
    assert _cells(text, "**mean**")[1:] == ["-", "1.20 (n = 2)", "0.90 (n = 1)", "0.99 (n = 1)"]
    assert "0.95 on average" in text  # the geometric mean of 0.9 and 1.0


def test_the_page_tells_errors_and_costs(summary: Summary) -> None:
    text = "\n".join(page(summary))
    right = ["70", "3", "1", "2.50 MB", "2.0e-06", "5.0e-07", "1.0e-13"]
    assert _cells(text, "onnx2tf-2")[1:] == [*right, "14.42", "**1.44 (1.44 to 1.44)**", "12", "1.50 GB"]
    assert _cells(text, "onnx2tf-1: wrong")[5:] == ["3.0e-01", "1.0e-01", "1.0e-02", "-", "-", "12", "1.50 GB"]
    assert _cells(text, "litert-torch: failed")[1:9] == ["-"] * 8
    assert "- litert-torch failed: `KeyError: no such operator`" in text
    assert "- **onnx2tf-2** (onnx2tf 2.0): " in text


def test_the_page_says_where_another_is_faster(summary: Summary) -> None:
    lines = list(page(summary))
    said = [line for line in lines if line.startswith("- **v")]
    assert len(said) == 1
    assert said[0].startswith("- **vgg11**: litert-torch at 0.90 (0.90 to 0.90). ")
    even = replace(summary, networks={"vit_4": summary.networks["vit_4"]})
    assert "Nowhere beyond noise, on the 1 networks that were timed." in list(page(even))


# --- what is kept in the repository ----------------------------------------------------------------------------------


def test_every_network_where_another_is_faster_has_its_reason() -> None:
    found = Summary.committed().networks
    assert not {name for name, network in found.items() if network.faster} - set(REASONS)


@pytest.mark.parametrize("peer", [peer for peer in PEERS.values() if peer.requirements], ids=lambda peer: peer.name)
def test_what_a_peer_is_installed_from_is_pinned(peer: Peer) -> None:
    lines = [line for line in peer.path.read_text().splitlines() if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines)
    assert set(peer.versions()) == set(peer.packages)


def test_every_peer_has_its_program() -> None:
    programs = Path(conversion.__file__).with_name("converters")
    assert all((programs / f"{peer.program}.py").exists() for peer in PEERS.values())
    assert next(iter(PEERS)) == OURS
    assert FLOOR in PEERS
