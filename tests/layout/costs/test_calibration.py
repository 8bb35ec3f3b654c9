"""What is measured, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layoutopt.errors import CalibrationError, OutputError
from layoutopt.layout.costs.calibration import (
    FULL,
    QUICK,
    Calibration,
    Grid,
    Machine,
    Probe,
    calibration_path,
    load_costs,
    tabulate,
)
from layoutopt.layout.costs.movement import BytesMoved, Family, MeasuredTime
from layoutopt.options import Objective


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pretended(probe: Probe) -> float:
    """Nanoseconds on a machine whose pieces and tiles take as long whatever is in them."""
    pieces = probe.size / {Family.BYTES: 1, Family.WORDS: 4}.get(probe.movement.family, probe.movement.extent)
    return pieces / probe.movement.extent + 20 * (probe.movement.blocks - 1)


def calibration(grid: Grid = QUICK, threads: int = 1) -> Calibration:
    probes = grid.probes()
    return Calibration(Machine.here(threads), tabulate(probes, [pretended(each) for each in probes], 40.0))


@pytest.mark.parametrize("grid", [FULL, QUICK])
def test_probes_are_what_the_grid_asks_for(grid: Grid) -> None:
    probes = grid.probes()
    assert len(set(probes)) == len(probes)
    assert all(1 not in probe.shape and probe.size in grid.sizes for probe in probes)
    single = {(probe.movement.family, probe.movement.extent) for probe in probes if probe.movement.blocks == 1}
    tiled = {(family, tile) for family in (Family.BYTES, Family.WORDS) for tile in grid.tiles}
    assert single == tiled | {(Family.PIECES, piece) for piece in grid.pieces}
    many = [probe.movement for probe in probes if probe.movement.blocks > 1]
    assert {movement.family for movement in many} == {Family.BYTES, Family.WORDS}


@pytest.mark.parametrize("grid", [FULL, QUICK])
def test_a_table_tells_what_went_into_it(grid: Grid) -> None:
    table = calibration(grid).table
    for probe in grid.probes():
        assert table.at(probe.movement, probe.size) == pytest.approx(pretended(probe))
    assert table.blocks == {Family.BYTES: pytest.approx(20), Family.WORDS: pytest.approx(20), Family.PIECES: 0}


def test_blocks_are_never_cheaper_than_nothing() -> None:
    probes = QUICK.probes()
    assert set(tabulate(probes, [1.0] * len(probes), 0.0).blocks.values()) == {0.0}


def test_what_is_saved_is_loaded(directory: Path) -> None:
    one, two = calibration(QUICK), calibration(FULL, threads=2)
    assert one.save() == directory / "transposes-1.json"
    assert two.save() == directory / "transposes-2.json"
    assert Calibration.load(1) == one
    assert Calibration.load(2) == two
    assert load_costs(Objective.TIME) == MeasuredTime(one.table)
    assert load_costs(Objective.TIME, threads=2) == MeasuredTime(two.table)
    assert sorted(path.name for path in directory.iterdir()) == ["transposes-1.json", "transposes-2.json"]


def test_bytes_need_no_calibration() -> None:
    assert load_costs(Objective.BYTES) == BytesMoved()


def test_time_needs_a_calibration() -> None:
    with pytest.raises(CalibrationError, match="not been measured") as caught:
        load_costs(Objective.TIME)
    assert caught.value.hint == "Run: layoutopt calibrate."
    calibration().save()
    with pytest.raises(CalibrationError) as caught:
        load_costs(Objective.TIME, threads=3)
    assert caught.value.hint == "Run: layoutopt calibrate --threads 3."


def _set(*keys: str | int, to: object) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        (_set("machine", "processor", to="Another"), "processor 'Another'"),
        (_set("machine", "runtime", to="0.1"), "runtime '0.1'"),
        (_set("machine", "threads", to=8), "threads 8"),
        (_set("format", to=0), "format 0"),
        (_set("table", to=[]), "not a table"),
        (_set("table", "blocks", to=[1]), "not a table"),
        (_set("table", "curves", to=[]), "not all families"),
        (_set("table", "curves", 0, "family", to="bits"), "'bits'"),
        (_set("table", "curves", 0, "sizes", to=[1]), "sizes"),
        (_set("table", "curves", 0, "nanoseconds", 0, to="fast"), "not a table"),
        (_set("table", "curves", 0, "nanoseconds", 0, to=-1), "not positive"),
        (_set("table", "overhead", to=float("nan")), "negative"),
    ],
)
def test_a_foreign_or_broken_table_is_refused(change: Callable[[Any], None], blamed: str) -> None:
    path = calibration().save()
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(CalibrationError, match=blamed) as caught:
        load_costs(Objective.TIME)
    assert str(path) in caught.value.message
    assert caught.value.hint == "Run: layoutopt calibrate."


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe"])
def test_a_file_that_is_no_table_is_refused(content: bytes) -> None:
    calibration().save().write_bytes(content)
    with pytest.raises(CalibrationError, match="not a table"):
        load_costs(Objective.TIME)


def test_a_file_that_cannot_be_read_is_told() -> None:
    calibration_path(1).mkdir(parents=True)
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_costs(Objective.TIME)


def test_a_directory_that_cannot_be_made_is_told(directory: Path) -> None:
    directory.write_text("in the way")
    with pytest.raises(OutputError, match="cache"):
        calibration().save()


def test_without_the_variable_the_user_has_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAYOUTOPT_CACHE_DIR")
    path = calibration_path(1)
    assert path.is_absolute()
    assert path.parent.name.lower() == "layoutopt"


def test_the_machine_has_a_name() -> None:
    assert Machine.here(1) == Machine.here(1)
    assert Machine.here(1).processor
