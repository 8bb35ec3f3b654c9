"""What is read from Vela, and that no network is worse for its NPU than another's conversion of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import records, vela

SAID = """
Warning (supported operators) operator: SQRT, ofm: 'v1'
Reason: Unsupported opType

CPU operators = 2 (4.0%)
   CPU: Passthrough = v1 (outputs [1, 1, 1, 8])
NPU operators = 48 (96.0%)
"""


def fake(folder: Path, said: str, code: int = 0) -> Path:
    """A command that says this, and leaves a summary in the folder after --output-dir."""
    (folder / "said.txt").write_text(said)
    command = folder / "vela"
    summary = "network,cycles_npu,cycles_total\\nm,900.0,1234.0\\n"
    command.write_text(f'#!/bin/sh\nprintf "{summary}" > "$3/m_summary_x.csv"\ncat {folder}/said.txt\nexit {code}\n')
    command.chmod(0o755)
    return command


def test_what_vela_says_is_read(tmp_path: Path) -> None:
    row = vela.compiled("m", "layoutopt", tmp_path / "m.tflite", tmp_path, fake(tmp_path, SAID))
    assert row == vela.Row("m", "layoutopt", npu=48, cpu=2, cycles=1234, left=("SQRT",))


def test_a_failure_is_a_result(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="vela: Error: no such operator"):
        vela.compiled("m", "layoutopt", tmp_path / "m.tflite", tmp_path, fake(tmp_path, "Error: no such operator\n", 1))


def test_no_network_leaves_the_npu_that_another_converter_keeps_there() -> None:
    found = records.load(vela.Figures, vela.RESULTS)
    by = {(row.network, row.way): row for row in found.rows}
    for name in {row.network for row in found.rows}:
        ours, theirs = by[name, "layoutopt"], by[name, "onnx2tf"]
        assert not ours.failure, name
        if not theirs.failure:
            assert ours.npu / (ours.npu + ours.cpu) >= theirs.npu / (theirs.npu + theirs.cpu), name
            same = by[name, "layoutopt, per tensor"] if theirs.per_tensor else ours  # which compresses as theirs
            assert same.cycles <= theirs.cycles, name
