"""The comparison with other converters: what is judged, timed, kept and written. No other converter is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers import conversion
from benchmarks.peers.catalogue import FLOOR, OURS, PEERS, Peer
from benchmarks.peers.conversion import convert_all
from benchmarks.peers.figures import (
    FIGURES,
    SUMMARY,
    TFLITE,
    TIMES,
    Figures,
    Network,
    Outcome,
    Summary,
    Times,
    Timing,
    Verdict,
    networks,
)
from benchmarks.peers.judge import judged
from benchmarks.peers.page import page
from benchmarks.peers.reasons import REASONS
from benchmarks.peers.timing import models, time_all, timed
from benchmarks.zoo.processes import ROOT, Finished
from benchmarks.zoo.rows import Memory
from layoutopt.backend.litert.transposes import Transpose, write_transpose
from layoutopt.ir.verify import Reference
from tests.harness import model_of

PAGE = Path(__file__).parents[1] / "docs" / "peers.md"
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


def _times(**ratios: tuple[float, float, float]) -> Times:
    timings = {
        name.replace("_", "-"): Timing(10 * ratio, ratio, low, high) for name, (ratio, low, high) in ratios.items()
    }
    return Times("2026-01-01", 7, timings)


TIMES_OF_ALL = _times(
    layoutopt=(1.0, 0.98, 1.03),
    litert_torch=(0.9, 0.88, 0.93),
    onnx2tf_2=(1.44, 1.4, 1.5),
    nobuco=(0.985, 0.981, 0.995),
)


# --- the judge -------------------------------------------------------------------------------------------------------


def _reference(perm: str) -> Reference:
    text = f"g (float[1, 4, 4, 6] x) => (float[1, 4, 6, 4] y) {{ y = Transpose<perm = [{perm}]>(x) }}"
    return Reference(model_of(text))


@pytest.mark.tflite
def test_a_result_that_computes_the_same_is_right(tmp_path: Path) -> None:
    write_transpose(Transpose((1, 4, 4, 6), (0, 1, 3, 2), 32), tmp_path / TFLITE)
    found = judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE)
    assert (found.outcome, found.max_abs_error, found.transposes, found.bytes_moved) == (Outcome.RIGHT, 0.0, 1, 4 * 96)


@pytest.mark.tflite
def test_a_result_with_channels_last_is_right(tmp_path: Path) -> None:
    write_transpose(Transpose((1, 4, 6, 4), (0, 2, 1, 3), 32), tmp_path / TFLITE)  # H and W trade places
    assert judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE).outcome is Outcome.RIGHT


@pytest.mark.tflite
def test_a_result_that_computes_something_else_is_wrong_and_not_timed(tmp_path: Path) -> None:
    directory = tmp_path / OURS
    directory.mkdir()
    write_transpose(Transpose((1, 4, 4, 6), (0, 2, 3, 1), 32), directory / TFLITE)  # of the same shape
    found = judged(_reference("0, 1, 3, 2"), directory / TFLITE)
    assert found.outcome is Outcome.WRONG
    assert found.relative_error is not None
    assert found.relative_error > 0.1
    found.save(directory / FIGURES)
    assert not models(tmp_path)
    RIGHT.save(directory / FIGURES)
    assert models(tmp_path) == {OURS: directory / TFLITE}


@pytest.mark.tflite
def test_a_result_with_another_interface_does_not_run(tmp_path: Path) -> None:
    write_transpose(Transpose((1, 9, 4, 6), (0, 1, 3, 2), 32), tmp_path / TFLITE)
    found = judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE)
    assert found.outcome is Outcome.NOT_LOADED
    assert "[1, 9, 4, 6]" in found.error


def test_a_broken_file_does_not_run(tmp_path: Path) -> None:
    (tmp_path / TFLITE).write_bytes(b"no flatbuffer at all")
    assert judged(_reference("0, 1, 3, 2"), tmp_path / TFLITE).outcome is Outcome.NOT_LOADED


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
            RIGHT.save(Path(arguments[2]))
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
    found = Figures.load(directory / FIGURES)
    assert (found.outcome, found.error) == (Outcome.FAILED, "ValueError: benchmarks/models/yolo.py:7: no such layer")
    assert not (directory / TFLITE).exists()


def test_a_new_result_makes_the_times_of_its_network_void(tmp_path: Path, programs: Programs) -> None:
    convert_all(PEER, Path("python"), ["vgg11", "vit_4"], tmp_path, again=False)
    for name in ("vgg11", "vit_4"):
        TIMES_OF_ALL.save(tmp_path / name / TIMES)
    convert_all(PEER, Path("python"), ["vgg11"], tmp_path, again=True)
    assert not (tmp_path / "vgg11" / TIMES).exists()
    assert Times.load(tmp_path / "vit_4" / TIMES) == TIMES_OF_ALL


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.tflite
def test_a_model_that_moves_more_is_slower(tmp_path: Path) -> None:
    paths = {OURS: tmp_path / "small.tflite", PEER.name: tmp_path / "large.tflite"}
    for path, size in zip(paths.values(), (64, 640), strict=True):
        write_transpose(Transpose((1, size, size, 8), (0, 3, 1, 2), 32), path)
    times = timed(paths, loads=3, rounds=2)
    assert times.loads == 3
    assert times.verdict(PEER.name) is Verdict.SLOWER
    assert times.timings[PEER.name].low > 5
    assert times.timings[OURS].ratio < 2  # of ours, loaded twice


@pytest.mark.tflite
def test_only_networks_that_changed_are_timed(tmp_path: Path) -> None:
    directory = tmp_path / "vgg11" / OURS
    directory.mkdir(parents=True)
    write_transpose(Transpose((2, 3), (1, 0), 32), directory / TFLITE)
    RIGHT.save(directory / FIGURES)
    TIMES_OF_ALL.save(tmp_path / "vgg11" / TIMES)
    time_all(["vgg11"], tmp_path, again=False)
    assert Times.load(tmp_path / "vgg11" / TIMES) == TIMES_OF_ALL
    time_all(["vgg11"], tmp_path, again=True)
    assert set(Times.load(tmp_path / "vgg11" / TIMES).timings) == {OURS}


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("litert-torch", Verdict.FASTER),
        ("onnx2tf-2", Verdict.SLOWER),
        ("nobuco", Verdict.TIE),  # below 1, and within what ours differs from itself
        (OURS, Verdict.TIE),
    ],
)
def test_a_difference_within_noise_is_a_tie(name: str, verdict: Verdict) -> None:
    assert TIMES_OF_ALL.verdict(name) is verdict


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def summary() -> Summary:
    figures = {OURS: RIGHT, "onnx2tf-1": WRONG, "onnx2tf-2": RIGHT, "litert-torch": RIGHT, "nobuco": RIGHT}
    other = _times(layoutopt=(1.0, 0.99, 1.01), onnx2tf_2=(1.0, 0.99, 1.01))
    return Summary(
        "A machine",
        {"onnx2tf-2": {"onnx2tf": "2.0"}},
        {
            "vgg11": Network(figures, TIMES_OF_ALL),
            "vit_4": Network({OURS: RIGHT, "onnx2tf-2": RIGHT, "litert-torch": FAILED}, other),
        },
    )


def test_a_summary_comes_back_as_it_was_saved(tmp_path: Path, summary: Summary) -> None:
    summary.save(tmp_path / "summary.json")
    assert Summary.load(tmp_path / "summary.json") == summary


def _cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_tells_every_latency_beside_ours(summary: Summary) -> None:
    text = "\n".join(page(summary))
    assert _cells(text, "network") == ["network", "onnx2tf-1", "onnx2tf-2", "litert-torch", "nobuco"]
    assert _cells(text, "vgg11")[1:] == [
        *("wrong", "**1.44 (1.40 to 1.50)**", "**0.90 (0.88 to 0.93)**", "0.98 (0.98 to 0.99)")
    ]
    assert _cells(text, "vit_4")[1:] == ["-", "1.00 (0.99 to 1.01)", "failed", "-"]
    assert _cells(text, "**mean**")[1:] == ["-", "1.20 (n = 2)", "0.90 (n = 1)", "0.98 (n = 1)"]
    assert "0.95 on average" in text  # the geometric mean of 0.9 and 1.0


def test_the_page_tells_errors_and_costs(summary: Summary) -> None:
    text = "\n".join(page(summary))
    right = ["70", "3", "1", "2.50 MB", "2.0e-06", "5.0e-07", "1.0e-13"]
    assert _cells(text, "onnx2tf-2")[1:] == [*right, "14.40", "**1.44 (1.40 to 1.50)**", "12", "1.50 GB"]
    assert _cells(text, "onnx2tf-1: wrong")[5:] == ["3.0e-01", "1.0e-01", "1.0e-02", "-", "-", "12", "1.50 GB"]
    assert _cells(text, "litert-torch: failed")[1:9] == ["-"] * 8
    assert "- litert-torch failed: `KeyError: no such operator`" in text
    assert "- **onnx2tf-2** (onnx2tf 2.0): " in text


def test_the_page_says_where_another_is_faster(summary: Summary) -> None:
    lines = list(page(summary))
    said = [line for line in lines if line.startswith("- **v")]
    assert len(said) == 1
    assert said[0].startswith("- **vgg11**: litert-torch at 0.90 (0.88 to 0.93). ")
    even = replace(summary, networks={"vit_4": summary.networks["vit_4"]})
    assert "Nowhere beyond noise, on the 1 networks that were timed." in list(page(even))


# --- what is kept in the repository ----------------------------------------------------------------------------------


def test_the_page_is_that_of_the_figures() -> None:
    assert PAGE.read_text() == "\n".join(page(Summary.load(SUMMARY))) + "\n"


def test_every_network_where_another_is_faster_has_its_reason() -> None:
    found = Summary.load(SUMMARY).networks
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
