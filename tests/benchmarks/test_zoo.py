"""The zoo's own logic: what is due, what is kept, what is measured, what is written. No network is run here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import records
from benchmarks.zoo.__main__ import Task
from benchmarks.zoo.catalogue import EXPORTS, NETWORKS, Entry, entries
from benchmarks.zoo.processes import run
from benchmarks.zoo.rows import Memory, Row, Tensor, Zoo, difference, in_one_line, worst
from docs.tools.reasons.zoo import REASONS
from docs.tools.zoo import page, summary
from layoutopt.backend.conversion import Backend
from layoutopt.errors import ConversionError, UnsupportedOperatorError
from layoutopt.ir.verify import OutputDifference
from layoutopt.results.provenance import Provenance

SMALL = OutputDifference("small", max_abs_error=1e-6, mse=1e-14, variance=1e-6, relative_error=1e-5)
LARGE = OutputDifference("large", max_abs_error=1e-3, mse=1e-10, variance=1e4, relative_error=1e-7)
CONVERTED = Row(
    opset=17,
    parameters=2_500_000,
    weights=10_000_000,
    transposes=3,
    operators=69,
    histogram={"CONV_2D": 66, "TRANSPOSE": 3},
    operands=(Tensor("x", "x", channels_last=True),),
    outputs=(LARGE, SMALL),
    seconds={"fold-constants": 1.0, "layoutopt: TFLite converter": 3.0},
    memory=Memory(parent=1 << 29, child=1 << 30, together=3 << 29),
)
HERE = Provenance("a processor", 2, "a system", "2020-01-01", {"onnx": "1.0"})
FAILED = Row(error="UnsupportedOperatorError: no handler")


def both(row: Row, other: Row | None = None) -> dict[str, Row]:
    """The rows of an entry by both backends, alike where ``other`` is not given."""
    return {"direct": replace(row, measured=HERE), "onnx-tf": replace(other or row, measured=HERE)}


@pytest.fixture
def entry() -> Entry:
    return next(entries(("resnet18",)))


def _kept(task: Task, row: Row, results: Path) -> None:
    directory = task.directory(results)
    directory.mkdir(parents=True)
    row.save(directory)


def test_a_row_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    CONVERTED.save(tmp_path)
    assert Row.load(tmp_path) == CONVERTED


@pytest.mark.parametrize(
    ("row", "again", "failed", "due"),
    [
        (None, False, False, True),
        (CONVERTED, False, False, False),
        (CONVERTED, False, True, False),
        (CONVERTED, True, False, True),
        (FAILED, False, False, False),
        (FAILED, False, True, True),
    ],
)
def test_a_run_goes_on_where_the_last_one_ended(
    entry: Entry, tmp_path: Path, row: Row | None, again: bool, failed: bool, due: bool
) -> None:
    task, other = (Task(entry, backend) for backend in Backend)
    if row is not None:
        _kept(task, row, tmp_path)
    assert task.is_due(tmp_path, again=again, failed=failed) is due
    assert other.is_due(tmp_path, again=again, failed=failed)


def test_every_network_comes_once_before_any_comes_twice() -> None:
    names = [entry.network.name for entry in entries()]
    assert set(names[: len(NETWORKS)]) == set(NETWORKS)


def test_each_entry_has_a_directory_of_its_own() -> None:
    keys = [entry.key for entry in entries()]
    assert len(set(keys)) == len(keys)


def test_the_catalogue_is_as_wide_as_promised() -> None:
    exported = [entry.export for entry in entries()]
    assert len(NETWORKS) >= 40
    assert set(EXPORTS) <= set(exported)
    assert sum(network.everywhere for network in NETWORKS.values()) >= 12


def test_the_first_exports_of_all_networks_take_all_forms() -> None:
    assert set(EXPORTS) <= {entry.export for entry in entries(turns=1)}


def test_the_worst_output_is_the_one_with_the_largest_error_for_its_variance() -> None:
    assert worst((LARGE, SMALL)) is SMALL


def test_the_page_shows_what_was_converted_and_says_why_the_rest_was_not(entry: Entry) -> None:
    other = next(entries(("vgg16",)))
    zoo = Zoo({entry.key: both(CONVERTED), other.key: both(FAILED)})
    lines = "\n".join(page(zoo)).splitlines()
    (row,) = (line for line in lines if line.startswith("| resnet18 | torchvision"))
    assert "| 2.5 M | **3** | 69 | 1.0e-06 | 1.0e-14 | 1.0e-06 | 1.0e-08 |" in row
    assert lines.count(f"- {other.key}: {FAILED.error}") == 1
    (stages,) = (line for line in lines if line.startswith("| resnet18 | onnx-tf | 10.00 MB"))
    assert stages.endswith("| 536.87 MB | 1.07 GB | 1.61 GB |")
    assert "| 25% |" in stages  # passes, 1 s of 4
    assert "| 75% |" in stages  # the converter


def test_the_page_shows_both_backends_where_they_differ(entry: Entry) -> None:
    more = replace(CONVERTED, operators=70, histogram={"CONV_2D": 66, "TRANSPOSE": 3, "RELU": 1})
    zoo = Zoo({entry.key: both(more, CONVERTED)})
    text = "\n".join(page(zoo))
    assert "| **3** | 70, 69 |" in text
    assert f"- {entry.key}: +1 RELU. The cause is not known." in text


def test_what_an_earlier_version_has_run_is_marked_until_it_is_run_again(entry: Entry) -> None:
    earlier = {entry.key: replace(CONVERTED, operators=77)}
    text = "\n".join(page(Zoo({}, earlier)))
    assert "| resnet18 \u2020 | torchvision" in text
    assert "Networks marked with" in text
    assert "1 more were run with an earlier version only." in text
    text = "\n".join(page(Zoo({entry.key: both(CONVERTED)}, earlier)))
    assert "\u2020" not in text
    assert "| 77 |" not in text


def test_differences_are_of_operators_and_of_failures() -> None:
    less = replace(CONVERTED, histogram={"CONV_2D": 67})
    assert difference(CONVERTED, CONVERTED) == ""
    assert difference(CONVERTED, less) == "+3 TRANSPOSE, -1 CONV_2D"
    assert difference(FAILED, FAILED) == ""
    assert difference(FAILED, CONVERTED) == "only by onnx-tf"
    assert difference(CONVERTED, FAILED) == "only by direct"


@pytest.mark.skipif(not Zoo.PATH.exists(), reason="nothing was measured yet")
def test_every_difference_in_the_committed_figures_has_a_reason() -> None:
    zoo = Zoo.committed()
    assert zoo.differences.keys() == REASONS.keys()
    for key, of in zoo.rows.items():
        assert of.keys() == {backend.value for backend in Backend}, key


def test_the_page_names_the_networks_that_are_unsteady_by_themselves(entry: Entry) -> None:
    assert "change by one rounding" not in "\n".join(page(Zoo({entry.key: both(CONVERTED)})))
    text = "\n".join(page(Zoo({entry.key: both(replace(CONVERTED, unsteadiness=1.2e-4))})))
    assert (
        f"change by one rounding\nin float32; their tolerance is four times that change:\n\n- {entry.key}: by 1.2e-04\n"
        in text
    )


def test_the_tables_are_as_wide_as_their_headings(entry: Entry) -> None:
    article = next(entries(("linknet_resnet34",)))
    widths: list[int] = []
    for line in "\n".join(page(Zoo({article.key: both(CONVERTED), entry.key: both(FAILED)}))).splitlines():
        widths = [*widths, line.count("|")] if line.startswith("|") else _one_width(widths)
    _one_width(widths)


def test_all_rows_come_back_as_they_were_saved(entry: Entry, tmp_path: Path) -> None:
    zoo = Zoo({entry.key: both(CONVERTED)}, {"other": FAILED})
    records.save(zoo, tmp_path / "zoo.json")
    assert records.load(Zoo, tmp_path / "zoo.json") == zoo


def _one_width(widths: Sequence[int]) -> list[int]:
    assert len(set(widths)) <= 1
    return []


def test_the_summary_counts_what_each_backend_has_converted() -> None:
    first, second, *_ = entries(("unet_resnet34",))
    (other,) = entries(("resnet18",))
    rows = {first.key: both(CONVERTED), second.key: both(FAILED, CONVERTED), other.key: both(CONVERTED)}
    said = summary(Zoo(rows))
    assert said.startswith("2 networks in 3 exports")
    assert "3 with both backends: converted were 2 of them by direct, 3 of them by onnx-tf." in said
    assert "Operators differ in 1 of them." in said


def test_an_error_is_told_in_one_line_with_the_nodes_that_it_lists() -> None:
    listed = UnsupportedOperatorError("no handler for these nodes:\n  a: Foo\n  b: Bar")
    assert in_one_line(listed) == "UnsupportedOperatorError: no handler for these nodes: a: Foo; b: Bar"
    assert in_one_line(ConversionError("trace", "it died\nof this")) == "ConversionError: trace: it died"


_PARENT = """
import subprocess, sys
child = "held = bytearray(60 << 20); import time; time.sleep(1)"
subprocess.run([sys.executable, "-c", child])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_of_a_process_and_of_its_child_is_watched(tmp_path: Path) -> None:
    finished = run([sys.executable, "-c", _PARENT], log=tmp_path / "log", timeout=60)
    assert not finished.error
    assert finished.memory.child > 60 << 20
    assert 0 < finished.memory.parent < 60 << 20
    assert finished.memory.together > finished.memory.child


def test_a_process_that_fails_gives_its_last_line(tmp_path: Path) -> None:
    finished = run([sys.executable, "-c", "import sys; sys.exit('out of luck')"], log=tmp_path / "log", timeout=60)
    assert finished.error == "out of luck"


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    finished = run([sys.executable, "-c", "import time; time.sleep(60)"], log=tmp_path / "log", timeout=0.2)
    assert finished.error == "took more than 0 s"
    assert finished.seconds < 30


@pytest.mark.torch
def test_random_weights_keep_activations_in_range_and_leave_no_branch_out() -> None:
    import torch
    from torch import nn

    from benchmarks.zoo.weights import randomise

    class Block(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.branch = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
            nn.init.zeros_(self.branch[1].weight)  # as packages let branches start

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.branch(x)

    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3), *(Block(16) for _ in range(8)), nn.Flatten(), nn.Linear(16 * 36, 10))
    nn.init.zeros_(module[-1].weight)  # as packages let heads start
    pictures = torch.randn(16, 3, 8, 8) * 5 + 2
    randomise(module.eval(), pictures)
    with torch.no_grad():
        assert float(module(pictures).std()) == pytest.approx(1, rel=0.3)
    assert not any(layer.training for layer in module.modules())
    assert all(float(block.branch[1].weight.detach().min()) > 0.05 for block in module if isinstance(block, Block))
    assert {norm.momentum for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)} == {0.1}
