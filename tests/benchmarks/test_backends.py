"""What both backends make of the networks: the committed figures, and one small network anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import models, records
from benchmarks.backends import Backends, compared
from docs.tools.reasons.backends import REASONS
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.latency import Verdict


def test_every_difference_has_a_reason_and_no_network_is_slower() -> None:
    rows = records.load(Backends, Backends.PATH).rows
    assert set(rows) == set(models.NETWORKS)
    assert {name for name, row in rows.items() if row.difference} == set(REASONS)
    for name, row in rows.items():
        direct, other = row.form(Backend.DIRECT), row.form(Backend.ONNX_TF)
        assert direct.transposes <= other.transposes, name
        assert direct.bytes_moved <= other.bytes_moved, name
        assert row.speedup is None or row.speedup.verdict is not Verdict.SLOWER, name


@pytest.mark.onnx_tf
@pytest.mark.torch
def test_a_small_network_both_ways(tmp_path: Path) -> None:
    row = compared("mobilenet_v2", tmp_path, small=True, seconds=0)
    assert row.difference == ""
    assert row.partitions[Backend.DIRECT.value] == row.partitions[Backend.ONNX_TF.value] == 1
