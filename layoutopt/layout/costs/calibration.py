"""Which transposes to time, and where the times are kept: one file per number of threads, good for one machine."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path

from layoutopt.errors import CalibrationError
from layoutopt.ir.perm import Perm
from layoutopt.layout.costs.movement import BytesMoved, Costs, Curve, Family, MeasuredTime, Movement, TimeTable
from layoutopt.options import Objective
from layoutopt.outputs import make_directory, replacing

_FORMAT = 1
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
        """A matrix of ``tile`` rows and ``size`` bytes."""
        return cls((tile, size * 8 // bits // tile), (1, 0), bits)

    @classmethod
    def blocks(cls, bits: int, tile: int, size: int) -> Probe:
        """Square matrices of ``tile`` rows, of ``size`` bytes together."""
        return cls((size * 8 // bits // tile**2, tile, tile), (0, 2, 1), bits)

    @classmethod
    def pieces(cls, piece: int, size: int) -> Probe:
        """A matrix whose elements are runs of ``piece`` bytes."""
        return cls((_ROWS, size // piece // _ROWS, piece // 4), (1, 0, 2), 32)

    @property
    def movement(self) -> Movement:
        """The way in which it moves data."""
        return Movement.of(self.shape, self.perm, self.bits)

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return prod(self.shape) * self.bits // 8


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured.

    Attributes:
        tiles: widths of the tiles.
        pieces: bytes of the pieces that are moved one by one.
        sizes: bytes of the tensors.
        rounds: samples of each; the fastest counts.
    """

    tiles: tuple[int, ...]
    pieces: tuple[int, ...]
    sizes: tuple[int, ...]
    rounds: int

    def probes(self) -> tuple[Probe, ...]:
        """Every movement of a single block at every size, and one tensor of many blocks for each width."""
        widths = (8, 32)
        return (
            *(Probe.matrix(bits, tile, size) for bits in widths for tile in self.tiles for size in self.sizes),
            *(Probe.pieces(piece, size) for piece in self.pieces for size in self.sizes),
            *(Probe.blocks(bits, self.tiles[0], self.sizes[0]) for bits in widths),
        )


FULL = Grid((2, 4, 8, 16, 32), (8, 16, 32, 64, 128), tuple(_ROWS**2 << n for n in range(7, 18, 2)), 25)
"""Half a minute on a quiet machine, and 300 MB while it is measured."""

QUICK = Grid((2, 8, 32), (8, 32, 128), tuple(_ROWS**2 << n for n in (7, 11, 15)), 3)
"""A few seconds."""


def tabulate(probes: Sequence[Probe], nanoseconds: Sequence[float], overhead: float) -> TimeTable:
    """The table of what was measured.

    Args:
        probes: as `Grid.probes` gives them.
        nanoseconds: of each, without the overhead.
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
    return dataclasses.replace(table, blocks={**table.blocks, **blocks})


@dataclass(frozen=True, slots=True)
class Machine:
    """What measured times depend on.

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
        """This machine."""
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
        table: the times.
    """

    machine: Machine
    table: TimeTable

    def save(self) -> Path:
        """Writes the file that `load` reads, and returns its path.

        Raises:
            OutputError: it cannot be written.
        """
        path = calibration_path(self.machine.threads)
        make_directory(path.parent)
        with replacing(path) as beside:
            beside.write_text(json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=1))
        return path

    @classmethod
    def load(cls, threads: int) -> Calibration:
        """What `layoutopt calibrate` measured here.

        Args:
            threads: of XNNPACK.

        Raises:
            CalibrationError: it was never run, or not on this machine, or its file is broken.
        """
        path = calibration_path(threads)
        hint = "Run: layoutopt calibrate" + (f" --threads {threads}." if threads != 1 else ".")
        try:
            found = cls._parse(path.read_text())
        except FileNotFoundError:
            raise CalibrationError("Times have not been measured on this machine.", hint=hint) from None
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(f"{path}: not a table of times ({error!r})", hint=hint) from None
        for field in dataclasses.fields(Machine):
            there, here = getattr(found.machine, field.name), getattr(Machine.here(threads), field.name)
            if there != here:
                raise CalibrationError(f"{path}: measured with {field.name} {there!r}; here it is {here!r}", hint=hint)
        return found

    @classmethod
    def _parse(cls, text: str) -> Calibration:
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']}")
        curves = tuple(
            Curve(Family(each["family"]), each["extent"], tuple(each["sizes"]), tuple(each["nanoseconds"]))
            for each in data["table"]["curves"]
        )
        blocks = {Family(name): time for name, time in data["table"]["blocks"].items()}
        return cls(Machine(**data["machine"]), TimeTable(data["table"]["overhead"], blocks, curves))


def load_costs(objective: Objective, *, threads: int = 1) -> Costs:
    """The costs of an objective.

    Args:
        objective: what shall be small.
        threads: of XNNPACK; bytes do not depend on it.

    Raises:
        CalibrationError: there are no times of this machine.
    """
    return BytesMoved() if objective is Objective.BYTES else MeasuredTime(Calibration.load(threads).table)


def calibration_path(threads: int) -> Path:
    """The file of the times with ``threads``, in ``$LAYOUTOPT_CACHE_DIR`` or the user's directory for layoutopt."""
    from typer import get_app_dir  # knows the place on every system

    directory = os.environ.get("LAYOUTOPT_CACHE_DIR") or get_app_dir("layoutopt", roaming=False)
    return Path(directory) / f"transposes-{threads}.json"


def processor() -> str:
    """The model of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
