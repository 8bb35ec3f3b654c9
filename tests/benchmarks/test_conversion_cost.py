"""What conversions cost: processes are watched as they are, and the page tells what was measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import records
from benchmarks.conversion_cost import __main__ as measuring
from benchmarks.conversion_cost.figures import ConversionCost, Runs, Subject
from benchmarks.conversion_cost.processes import Cost, Failed, watch
from benchmarks.conversion_cost.subjects import SUBJECTS, products
from benchmarks.conversion_cost.ways import Runner, Way
from docs.tools.conversion_cost import page
from docs.tools.reasons.conversion_cost import REASONS
from layoutopt.ir.io import check_full, save
from layoutopt.ir.verify import random_inputs, run_onnx
from layoutopt.results.provenance import Provenance

MEGABYTE = 10**6


def watched(code: str, tmp_path: Path, *, timeout: float = 60, memory: int | None = None) -> Cost:
    command = [sys.executable, "-c", code]
    return watch(command, tmp_path, log=tmp_path / "log", timeout=timeout, environment={**os.environ}, memory=memory)


def test_all_processes_count(tmp_path: Path) -> None:
    inner = "import time\\nheld = bytearray(60_000_000)\\nstart = time.process_time()\\n"
    inner += "while time.process_time() < start + 0.5: pass"
    outer = f"import subprocess, sys\nheld = bytearray(50_000_000)\nsubprocess.run([sys.executable, '-c', '{inner}'])"
    cost = watched(outer, tmp_path)
    assert 0.5 < cost.processor < cost.seconds + 0.5
    assert 110 * MEGABYTE < cost.together < 190 * MEGABYTE
    assert 60 * MEGABYTE < cost.largest < 110 * MEGABYTE


def test_what_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no such model"):
        watched("import sys; sys.exit('no such model')", tmp_path)
    with pytest.raises(Failed, match="ended with 3"):
        watched("import sys; sys.exit(3)", tmp_path)
    with pytest.raises(Failed, match="more than 1 s"):
        watched("import time; time.sleep(60)", tmp_path, timeout=1)
    with pytest.raises(Failed, match="GB of memory"):
        watched("import time; held = bytearray(100_000_000); time.sleep(60)", tmp_path, memory=80 * MEGABYTE)


def test_ways_take_turns_and_a_failure_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Way] = []

    def cost(self: Runner, way: Way, model: Path) -> Cost:
        taken.append(way)
        if way is Way.ONNX_TF:
            raise Failed("too large")
        return Cost(float(len(taken)), 1, 1, 1.0)

    monkeypatch.setattr(Runner, "run", cost)
    path = tmp_path / "model.onnx"
    save(products(width=8, hidden=16, blocks=1), path)
    found = measuring.subject("products", path, Runner(tmp_path, path, 1.0), list(Way), rounds=2)
    assert taken == [Way.DIRECT, Way.ONNX_TF, Way.ONNX2TF, Way.ONNX2TF, Way.DIRECT]
    assert found.size == path.stat().st_size
    assert found.nodes == 7
    assert found.runs["onnx-tf"] == Runs((), "too large")
    direct = found.of(Way.DIRECT)
    assert direct is not None
    assert (direct.processor, direct.least_processor) == (3.0, 1.0)


def test_products_are_a_model() -> None:
    model = products(width=8, hidden=16, blocks=2)
    check_full(model)
    (output,) = run_onnx(model, random_inputs(model, 0)).values()
    assert output.shape == (1, 49, 8)
    assert 0.5 < float(np.std(output.astype(np.float64))) < 2


# --- the page ------------------------------------------------------------------------------------------------------


def runs(*processor: float, memory: int) -> Runs:
    return Runs(tuple(Cost(each, memory, memory, each) for each in processor))


HERE = Provenance("A machine", 2, "Linux", "2026-01-01", {})
SMALL = Subject(
    14 * MEGABYTE,
    170,
    {
        "direct": runs(2.0, 2.2, 2.1, memory=250 * MEGABYTE),
        "onnx-tf": runs(10.0, 12.0, 11.0, memory=800 * MEGABYTE),
        "onnx2tf": runs(3.0, 3.1, memory=200 * MEGABYTE),
    },
    HERE,
)
LARGE = Subject(3 * 10**9, 42, {"direct": runs(20.0, memory=5 * 10**9), "onnx-tf": Runs((), "over 2 GiB")}, HERE)


def test_the_page_tells_medians_minima_and_failures() -> None:
    lines = list(page(ConversionCost({"small": SMALL, "large": LARGE}, {"onnx2tf": "2.6"})))
    tables = [line for table in lines for line in table.splitlines() if line.startswith(("| small", "| large"))]
    assert tables == [
        "| small | 14.00 MB | 170 | 2.1 s (2.0 s) | 11.0 s (10.0 s) | 3.0 s (3.0 s) |",
        "| large | 3.00 GB | 42 | 20.0 s (20.0 s) | - | - |",
        "| small | 14.00 MB | 170 | 250.00 MB | 800.00 MB | 200.00 MB |",
        "| large | 3.00 GB | 42 | 5.00 GB | - | - |",
    ]
    assert "- large, onnx-tf: `over 2 GiB`" in lines
    assert "- **small**: memory. The cause is not known." in lines


def test_figures_come_back_as_they_were_saved(tmp_path: Path) -> None:
    figures = ConversionCost({"small": SMALL, "large": LARGE}, {"onnx2tf": "2.6"})
    records.save(figures, tmp_path / "cost.json")
    assert records.load(ConversionCost, tmp_path / "cost.json") == figures


@pytest.mark.skipif(not ConversionCost.PATH.exists(), reason="nothing was measured yet")
def test_where_the_direct_backend_takes_more_than_onnx2tf_has_a_reason() -> None:
    subjects = ConversionCost.committed().subjects
    assert subjects.keys() <= set(SUBJECTS)
    assert {name for name, subject in subjects.items() if subject.more} == set(REASONS)
    assert all(subject.of(Way.DIRECT) for subject in subjects.values())
