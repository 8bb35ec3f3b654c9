"""The operators to time, and the files of times: one per number of threads, good for one machine."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.errors import CalibrationError
from layoutopt.ir.perm import Perm
from layoutopt.layout.costs.movement import Curve, Family, Movement, TimeTable
from layoutopt.layout.costs.objectives import Costs, FewestBytes, LeastTime, OperatorTimes, PieceTimes
from layoutopt.layout.costs.products import MatrixProducts, ProductTimes
from layoutopt.options import Objective
from layoutopt.outputs import atomic_write, make_directory

_FORMAT = 2
_ROWS = 7  # sizes are 49 times a power of two, as in networks for 224x224: strides of a power of two are the slowest
_RUNTIME = "ai-edge-litert"


@dataclass(frozen=True, slots=True)
class Probe:
    """One Transpose to time.

    Attributes:
        shape: of the operand.
        perm: axis ``i`` of the result is axis ``perm[i]`` of the operand.
        bits: size of one element.
    """

    shape: tuple[int, ...]
    perm: Perm
    bits: int

    @classmethod
    def matrix(cls, bits: int, tile: int, size: int) -> Probe:
        """Return the transposition of a matrix of ``tile`` rows and ``size`` bytes."""
        return cls((tile, size * 8 // bits // tile), (1, 0), bits)

    @classmethod
    def blocks(cls, bits: int, tile: int, size: int) -> Probe:
        """Square matrices of ``tile`` rows, of ``size`` bytes together."""
        return cls((size * 8 // bits // tile**2, tile, tile), (0, 2, 1), bits)

    @classmethod
    def pieces(cls, piece: int, size: int) -> Probe:
        """Return the transposition of a matrix whose elements are runs of ``piece`` bytes."""
        return cls((_ROWS, size // piece // _ROWS, piece // 4), (1, 0, 2), 32)

    @property
    def movement(self) -> Movement:
        """Return the way in which it moves data."""
        return Movement.of(self.shape, self.perm, self.bits)

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return prod(self.shape) * self.bits // 8


@dataclass(frozen=True, slots=True)
class Grid:
    """The sizes that are measured.

    Attributes:
        tiles: widths of the tiles of transposes.
        pieces: bytes of the pieces that transposes move one by one.
        sizes: bytes of the tensors that are transposed.
        depths: lengths of the sums of products.
        columns: of products.
        rounds: samples of each; the fastest counts.
    """

    tiles: tuple[int, ...]
    pieces: tuple[int, ...]
    sizes: tuple[int, ...]
    depths: tuple[int, ...]
    columns: tuple[int, ...]
    rounds: int

    def probes(self) -> tuple[Probe, ...]:
        """Return every movement of a single block at every size, and one tensor of many blocks for each width."""
        widths = (8, 32)
        return (
            *(Probe.matrix(bits, tile, size) for bits in widths for tile in self.tiles for size in self.sizes),
            *(Probe.pieces(piece, size) for piece in self.pieces for size in self.sizes),
            *(Probe.blocks(bits, self.tiles[0], self.sizes[0]) for bits in widths),
        )

    def products(self) -> tuple[MatrixProducts, ...]:
        """Return products with one constant matrix, of every depth with every number of columns."""
        return tuple(
            MatrixProducts(
                1, min(20_000, max(64, _MULTIPLICATIONS // (depth * columns))), depth, columns, constant=True
            )
            for depth in self.depths
            for columns in self.columns
        )


_MULTIPLICATIONS = 8_000_000
"""Of each product that is timed, more or less."""

FORMS = tuple(
    form
    for count, rows, depth, columns in (
        (1, 16, 384, 768), (1, 49, 256, 512), (4, 196, 16, 196), (12, 196, 64, 196), (12, 196, 196, 64),
        (64, 49, 32, 49), (64, 49, 96, 32), (196, 16, 24, 24), (196, 16, 6, 16), (196, 16, 24, 6),
    )
    for form in (
        MatrixProducts(1, count * rows, depth, columns, constant=True),
        MatrixProducts(count, rows, depth, columns, count, constant=True),
        MatrixProducts(count, rows, depth, columns, count),
        MatrixProducts(count, rows, depth, columns, count, turned=count * rows * depth),
    )
)  # fmt: skip
"""Products of the sizes that attention has, in each form; the first of four is the one without any overhead."""

TYPICAL = (
    Probe((80, 3136), (1, 0), 32), Probe((3136, 80), (1, 0), 32), Probe((256, 784), (1, 0), 32),
    Probe((320, 12, 64), (1, 0, 2), 32), Probe((320, 12, 64), (1, 2, 0), 32), Probe((64, 3, 49, 32), (0, 2, 1, 3), 32),
    Probe((8, 7, 8, 672), (0, 2, 1, 3), 32), Probe((196, 4, 16, 6), (0, 2, 1, 3), 32),
    Probe((12, 197, 64), (0, 2, 1), 32),
)  # fmt: skip
"""Transposes that convolutions, attention and windows need."""

JOINED = (1, 2, 4, 8, 16, 64)
"""float32 elements of the pieces that are joined; the last is long enough to cost no more than its bytes."""

JOINED_ROWS = 1 << 15
"""Pieces of each operand that is joined."""

FULL = Grid(
    (2, 4, 8, 16, 32), (8, 16, 32, 64, 128), tuple(_ROWS**2 << n for n in range(7, 18, 2)),
    (4, 16, 64, 256, 1024), (1, 4, 16, 64, 256), 25,
)  # fmt: skip
"""Half a minute on a quiet machine, and 300 MB while it is measured."""

QUICK = Grid((2, 8, 32), (8, 32, 128), tuple(_ROWS**2 << n for n in (7, 11, 15)), (4, 64, 1024), (1, 16, 256), 3)
"""A few seconds."""


def tabulate_transposes(
    probes: Sequence[Probe], nanoseconds: Sequence[float], typical: Sequence[float], overhead: float
) -> TimeTable:
    """Return the table of what was measured.

    Args:
        probes: as `Grid.probes` gives them.
        nanoseconds: of each, without the overhead.
        typical: nanoseconds of each of `TYPICAL`, likewise.
        overhead: nanoseconds of an operator that has nothing to do.
    """
    points: dict[tuple[Family, int], dict[int, float]] = {}
    for probe, time in zip(probes, nanoseconds, strict=True):
        if probe.movement.blocks == 1:
            points.setdefault((probe.movement.family, probe.movement.extent), {})[probe.size] = time
    curves = (Curve(*key, tuple(found), tuple(found.values())) for key, found in points.items())
    table = TimeTable(overhead, dict.fromkeys(Family, 0.0), tuple(curves))
    blocks = {
        probe.movement.family: max(0.0, time - table.at(probe.movement, probe.size)) / (probe.movement.blocks - 1)
        for probe, time in zip(probes, nanoseconds, strict=True)
        if probe.movement.blocks > 1
    }
    table = dataclasses.replace(table, blocks={**table.blocks, **blocks})
    ratios = [time / table.at(probe.movement, probe.size) for probe, time in zip(TYPICAL, typical, strict=True)]
    return dataclasses.replace(table, typical=float(np.median(ratios)))


def tabulate_products(grid: Grid, rates: Sequence[float], forms: Sequence[float]) -> ProductTimes:
    """Return the times of products: rates as measured, and what forms take on top, fitted.

    The relative errors are made small, by non-negative least squares (Lawson and Hanson, 1974).

    Args:
        grid: of which `Grid.products` were timed.
        rates: nanoseconds of each of these.
        forms: nanoseconds of each of `FORMS`.
    """
    from scipy.optimize import nnls  # slow to import, and needed here only

    speeds = [each.multiplications / time for each, time in zip(grid.products(), rates, strict=True)]
    width = len(grid.columns)
    rows = tuple(tuple(speeds[at : at + width]) for at in range(0, len(speeds), width))
    least = [time for time in forms[::4] for _ in range(4)]
    terms = np.array([each.overheads for each in FORMS]) / np.array(forms)[:, None]
    found, _ = nnls(terms, 1 - np.array(least) / np.array(forms))
    return ProductTimes(grid.depths, grid.columns, rows, *(float(each) for each in found))


def tabulate_pieces(nanoseconds: Sequence[float]) -> PieceTimes:
    """Return the times of short pieces, of which the longest of `JOINED` take no time but that of their bytes.

    Args:
        nanoseconds: of a CONCATENATION of pieces of each length.
    """
    by_element = nanoseconds[-1] / JOINED[-1]
    extra = [
        max(0.0, time - by_element * size) / (2 * JOINED_ROWS) for size, time in zip(JOINED, nanoseconds, strict=True)
    ]
    return PieceTimes(tuple(4 * size for size in JOINED), tuple(extra))


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that measured times depend on.

    Attributes:
        processor: its model.
        runtime: version of LiteRT; empty where it is not installed.
        threads: of XNNPACK.
    """

    processor: str
    runtime: str
    threads: int

    @classmethod
    def here(cls, threads: int) -> Machine:
        """Describe this machine."""
        try:
            runtime = version(_RUNTIME)
        except PackageNotFoundError:
            runtime = ""
        return cls(processor(), runtime, threads)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Times, and where they were measured.

    Attributes:
        machine: where.
        times: of operators.
    """

    machine: Machine
    times: OperatorTimes

    def save(self) -> Path:
        """Write the file that `load` reads, and return its path.

        Raises:
            OutputError: it cannot be written.
        """
        path = calibration_path(self.machine.threads)
        make_directory(path.parent)
        with atomic_write(path) as beside:
            beside.write_text(json.dumps(self.as_json(), indent=1))
        return path

    def as_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {"format": _FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def load(cls, threads: int) -> Calibration:
        """Return what `layoutopt calibrate` measured here, or what was measured elsewhere and comes with layoutopt.

        Args:
            threads: of XNNPACK.

        Raises:
            CalibrationError: the file of this machine is broken.
        """
        path = calibration_path(threads)
        hint = "Run: layoutopt calibrate" + (f" --threads {threads}." if threads != 1 else ".")
        try:
            found = cls._parse(path.read_text())
        except FileNotFoundError:
            return built_in()
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(f"{path}: not a table of times ({error!r})", hint=hint) from None
        return found if found.machine == Machine.here(threads) else built_in()

    @classmethod
    def _parse(cls, text: str) -> Calibration:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']}")
        times = data["times"]
        curves = tuple(
            Curve(Family(each["family"]), each["extent"], tuple(each["sizes"]), tuple(each["nanoseconds"]))
            for each in times["transposes"]["curves"]
        )
        blocks = {Family(name): time for name, time in times["transposes"]["blocks"].items()}
        products = {name: _tuples(value) for name, value in times["products"].items()}
        pieces = {name: _tuples(value) for name, value in times["pieces"].items()}
        transposes = TimeTable(times["transposes"]["overhead"], blocks, curves, times["transposes"]["typical"])
        table = OperatorTimes(transposes, ProductTimes(**products), PieceTimes(**pieces))
        return cls(Machine(**data["machine"]), table)


def _tuples(value: Any) -> Any:
    """Return JSON with tuples for lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@cache
def built_in() -> Calibration:
    """Return the times that come with layoutopt, of one thread."""
    return Calibration._parse(Path(__file__).with_name("times.json").read_text())


def load_costs(objective: Objective, *, threads: int = 1) -> Costs:
    """Return the costs of an objective.

    Args:
        objective: what is minimized.
        threads: of XNNPACK; bytes do not depend on it.

    Raises:
        CalibrationError: the file of this machine's times is broken.
    """
    if objective is Objective.BYTES:
        return FewestBytes(built_in().times)
    return LeastTime(Calibration.load(threads).times)


def calibration_path(threads: int) -> Path:
    """Return the file of times for ``threads``, in ``$LAYOUTOPT_CACHE_DIR`` or the user's directory for layoutopt."""
    from typer import get_app_dir  # knows the place on every system

    directory = os.environ.get("LAYOUTOPT_CACHE_DIR") or get_app_dir("layoutopt", roaming=False)
    return Path(directory) / f"times-{threads}.json"


def processor() -> str:
    """Return the model of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
