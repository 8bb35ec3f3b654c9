"""A file is written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import onnx_ir as ir
import pytest

from layoutopt.errors import (
    OutputError,
    PassFailedError,
)
from layoutopt.ir import io
from layoutopt.outputs import places
from tests.ir.files import model_of, names


def test_what_is_saved_can_be_loaded(tmp_path: Path) -> None:
    io.save(model_of(), tmp_path / "out.onnx")
    assert ir.to_proto(io.load(tmp_path / "out.onnx")) == ir.to_proto(model_of())
    assert names(tmp_path) == ["out.onnx"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_honours_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        io.save(model_of(), tmp_path / "out.onnx")
        assert os.umask(mask) == mask, "the umask was changed"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.onnx").stat().st_mode) == 0o666 & ~mask


def full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "function"), [(io, "write"), (Path, "replace"), (places, "_set_aside")], ids=["write", "replace", "aside"]
)
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, function: str
) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr(owner, function, full)
    with pytest.raises(OutputError, match=r"out\.onnx: cannot be written \(No space left on device\)"):
        io.save(model_of(), path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out.onnx"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        io.save(model_of(), tmp_path / "out.onnx")
    assert names(tmp_path) == []


def test_a_model_over_two_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "MAX_BYTES", 10)
    with pytest.raises(OutputError, match="over 2 GiB without its weights"):
        io.save(model_of(), tmp_path / "out.onnx")
    assert names(tmp_path) == []


def test_no_directory_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        io.save(model_of(), tmp_path / "missing" / "out.onnx")


def test_recorded_orders_round_trip(tmp_path: Path) -> None:
    model = model_of()
    model.metadata_props["author"] = "somebody"
    orders = {"x": (0, 2, 3, 1), "layoutopt.order.y": (0, 2, 1), "a.b/c:0": (0, 2, 3, 4, 1)}
    io.record_orders(model, orders)
    io.save(model, tmp_path / "out.onnx")
    assert io.recorded_orders(io.load(tmp_path / "out.onnx")) == orders


def test_check_full_names_the_fault() -> None:
    model = model_of()
    io.check_full(model)
    model.graph.outputs[0].shape = ir.Shape([1, 3, 4, 5])
    with pytest.raises(PassFailedError, match="the optimized model is not valid"):
        io.check_full(model)
