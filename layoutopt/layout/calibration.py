"""Which transposes to time, and where the times are kept: one file per number of threads, good for one machine."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from layoutopt.errors import CalibrationError, OutputError
from layoutopt.ir.perm import Perm
from layoutopt.layout.costs import BytesMoved, Costs, Curve, MeasuredTime, Movement, TimeTable
from layoutopt.options import Objective

_FORMAT = 1
_ROWS = 7  # sizes are 7 times a power of two, as in networks: a stride of a power of two is slower than any other
_RUNTIME = "ai-edge-litert"


@dataclass(frozen=True, slots=True)
class Grid:
    """What is measured: every movement at every size.

    Attributes:
        widths: bytes of the elements that are moved in tiles.
        tiles: for each width.
        pieces: bytes of the larger ones.
        sizes: bytes of the tensors.
        rounds: samples of each; the fastest counts.
    """

    widths: tuple[int, ...]
    tiles: tuple[int, ...]
    pieces: tuple[int, ...]
    sizes: tuple[int, ...]
    rounds: int

    def probes(self) -> tuple[Probe, ...]:
        """Movement by movement, sizes rising."""
        tiled = [Movement(width, tile) for width in self.widths for tile in self.tiles]
        return tuple(Probe(movement, size) for movement in (*tiled, *map(Movement, self.pieces)) for size in self.sizes)


FULL = Grid((1, 4), (2, 4, 8, 16, 32), (8, 16, 32, 64, 256), tuple(_ROWS << n for n in range(10, 21, 2)), 15)
"""Half a minute, and 300 MB while it is measured."""

QUICK = Grid((1, 4), (2, 8, 32), (8, 64, 256), tuple(_ROWS << n for n in (10, 14, 18)), 3)
"""A few seconds."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One Transpose to time.

    Attributes:
        movement: the way in which it shall move data.
        size: bytes of the tensor.
    """

    movement: Movement
    size: int

    @property
    def bits(self) -> int:
        """Size of one element."""
        return 8 if self.movement.piece == 1 else 32

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the operand: a matrix, whose elements are rows where pieces are large."""
        elements, tile = self.size * 8 // self.bits, self.movement.tile
        if tile:
            return (tile, elements // tile)
        run = self.movement.piece * 8 // self.bits
        return (_ROWS, elements // run // _ROWS, run)

    @property
    def perm(self) -> Perm:
        """Swaps rows and columns."""
        return (1, 0) if self.movement.tile else (1, 0, 2)


def tabulate(probes: Sequence[Probe], nanoseconds: Sequence[float], overhead: float) -> TimeTable:
    """The table of what was measured.

    Args:
        probes: as `Grid.probes` gives them.
        nanoseconds: of each, without the overhead.
        overhead: nanoseconds of an operator that has nothing to do.
    """
    points: dict[Movement, dict[int, float]] = {}
    for probe, time in zip(probes, nanoseconds, strict=True):
        points.setdefault(probe.movement, {})[probe.size] = time
    curves = (Curve(movement, tuple(found), tuple(found.values())) for movement, found in points.items())
    return TimeTable(overhead, tuple(curves))


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
        return cls(_processor(), runtime, threads)


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
        text = json.dumps({"format": _FORMAT, **dataclasses.asdict(self)}, indent=1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".new").write_text(text)
            path.with_suffix(".new").replace(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
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
        except (ValueError, KeyError, TypeError) as error:
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
            Curve(Movement(**curve["movement"]), tuple(curve["sizes"]), tuple(curve["nanoseconds"]))
            for curve in data["table"]["curves"]
        )
        return cls(Machine(**data["machine"]), TimeTable(float(data["table"]["overhead"]), curves))


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


def _processor() -> str:
    """The model of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
