"""TRANSPOSE by itself: what is written runs, is right, and takes longer where there is more to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.litert.operator_times import Transpose, time_operators, write_operator
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.errors import UsageError


@pytest.mark.parametrize(("bits", "dtype"), [(32, np.float32), (8, np.int8)])
def test_what_is_written_transposes(tmp_path: Path, bits: int, dtype: type[np.generic]) -> None:
    write_operator(Transpose((2, 3, 4), (2, 0, 1), bits), tmp_path / "t.tflite", copies=3)
    x = np.arange(24).astype(dtype).reshape(2, 3, 4)
    results = run_tflite(tmp_path / "t.tflite", {"x0": x})
    assert sorted(results) == ["y0", "y1", "y2"]
    assert all(np.array_equal(result, x.transpose(2, 0, 1)) for result in results.values())
    counts = count_tflite(tmp_path / "t.tflite")
    assert (counts.transposes, counts.operators, counts.bytes_moved) == (3, 3, 3 * 24 * bits // 8)


def test_times_are_in_order() -> None:
    told: list[tuple[int, int]] = []
    small, large = (Transpose((size, size), (1, 0), 32) for size in (32, 1024))
    pairs = Transpose((512, 512, 2), (1, 0, 2), 32)
    times = time_operators([small, large, pairs], rounds=3, progress=lambda done, total: told.append((done, total)))
    assert len(times.nanoseconds) == 3
    assert 0 < times.overhead < 10_000
    assert 20 * times.nanoseconds[0] < times.nanoseconds[1]  # a thousand times the bytes
    assert 20 * times.nanoseconds[0] < times.nanoseconds[2]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_threads_are_refused() -> None:
    with pytest.raises(UsageError, match="threads"):
        time_operators([Transpose((2, 3), (1, 0), 32)], threads=0)
