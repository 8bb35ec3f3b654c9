"""What is measured, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layoutopt.errors import CalibrationError, OutputError
from layoutopt.layout.costs.calibration import (
    FORMS,
    FULL,
    JOINED,
    JOINED_ROWS,
    QUICK,
    TYPICAL,
    Calibration,
    Grid,
    Machine,
    Probe,
    built_in,
    calibration_path,
    load_costs,
    tabulate_pieces,
    tabulate_products,
    tabulate_transposes,
)
from layoutopt.layout.costs.movement import Family
from layoutopt.layout.costs.objectives import FewestBytes, LeastTime, OperatorTimes
from layoutopt.layout.costs.products import MatrixProducts
from layoutopt.options import Objective


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pretended(probe: Probe) -> float:
    """Nanoseconds on a machine whose pieces and tiles take as long whatever is in them."""
    pieces = probe.size / {Family.BYTES: 1, Family.WORDS: 4}.get(probe.movement.family, probe.movement.extent)
    return pieces / probe.movement.extent + 20 * (probe.movement.blocks - 1)


def multiplying(product: MatrixProducts) -> float:
    """Nanoseconds on a machine that packs the right matrices, and starts a product, the slower the more there are."""
    starts, reading, packing, turning = product.overheads
    return product.multiplications / 50 + 100 * starts + 0.02 * reading + 2 * packing + 3 * turning


def joining(floats: int) -> float:
    """Nanoseconds of a CONCATENATION on a machine that takes 5 for each short piece, and 1 for each element."""
    return 2 * JOINED_ROWS * (floats + (5 if floats < 8 else 0))


def calibration(grid: Grid = QUICK, threads: int = 1) -> Calibration:
    probes = grid.probes()
    times = OperatorTimes(
        tabulate_transposes(probes, [pretended(each) for each in probes], [pretended(each) for each in TYPICAL], 40.0),
        tabulate_products(grid, [multiplying(each) for each in grid.products()], [multiplying(each) for each in FORMS]),
        tabulate_pieces([joining(floats) for floats in JOINED]),
    )
    return Calibration(Machine.here(threads), times)


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
    table = calibration(grid).times.transposes
    for probe in grid.probes():
        assert table.at(probe.movement, probe.size) == pytest.approx(table.typical * pretended(probe))
    assert table.blocks == {Family.BYTES: pytest.approx(20), Family.WORDS: pytest.approx(20), Family.PIECES: 0}


def test_blocks_are_never_cheaper_than_nothing() -> None:
    probes = QUICK.probes()
    table = tabulate_transposes(probes, [1.0] * len(probes), [1.0] * len(TYPICAL), 0.0)
    assert set(table.blocks.values()) == {0.0}


def test_what_is_saved_is_loaded(directory: Path) -> None:
    one, two = calibration(QUICK), calibration(FULL, threads=2)
    assert one.save() == directory / "times-1.json"
    assert two.save() == directory / "times-2.json"
    assert Calibration.load(1) == one
    assert Calibration.load(2) == two
    assert load_costs(Objective.TIME) == LeastTime(one.times)
    assert load_costs(Objective.TIME, threads=2) == LeastTime(two.times)
    assert sorted(path.name for path in directory.iterdir()) == ["times-1.json", "times-2.json"]


def test_bytes_need_no_calibration() -> None:
    assert load_costs(Objective.BYTES) == FewestBytes(built_in().times)


def test_time_needs_no_calibration() -> None:
    """The table that comes with layoutopt serves where none was measured."""
    assert load_costs(Objective.TIME) == LeastTime(built_in().times)
    calibration().save()
    assert load_costs(Objective.TIME, threads=3) == LeastTime(built_in().times)


def test_times_of_products_are_found_again() -> None:
    times = calibration(FULL).times.products
    for product in FORMS:
        assert times.nanoseconds(product) == pytest.approx(multiplying(product), rel=0.15)


def test_times_of_pieces_are_found_again() -> None:
    pieces = calibration().times.pieces
    assert [round(pieces.at(4 * floats)) for floats in (1, 2, 4, 8, 16, 1000)] == [5, 5, 5, 0, 0, 0]


@pytest.mark.parametrize(("key", "to"), [("processor", "Another"), ("runtime", "0.1"), ("threads", 8)])
def test_a_table_of_another_machine_is_not_taken(key: str, to: object) -> None:
    path = calibration().save()
    data = json.loads(path.read_text())
    data["machine"][key] = to
    path.write_text(json.dumps(data))
    assert Calibration.load(1) == built_in()


def _set(*keys: str | int, to: object) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "blamed"),
    [
        (_set("format", to=0), "format 0"),
        (_set("times", to=[]), "not a table"),
        (_set("times", "transposes", "blocks", to=[1]), "not a table"),
        (_set("times", "transposes", "curves", to=[]), "not all families"),
        (_set("times", "transposes", "curves", 0, "family", to="bits"), "'bits'"),
        (_set("times", "transposes", "curves", 0, "sizes", to=[1]), "sizes"),
        (_set("times", "transposes", "curves", 0, "nanoseconds", 0, to="fast"), "not a table"),
        (_set("times", "transposes", "curves", 0, "nanoseconds", 0, to=-1), "not positive"),
        (_set("times", "transposes", "overhead", to=float("nan")), "negative"),
        (_set("times", "products", "rates", to=[[1.0]]), "rates for"),
        (_set("times", "products", "packing", to=-1), "negative"),
        (_set("times", "pieces", "sizes", to=[4]), "pieces"),
    ],
)
def test_a_broken_table_is_refused(change: Callable[[Any], None], blamed: str) -> None:
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
