"""The result of `layoutopt.benchmark`: frozen data, ready for JSON and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass

from layoutopt.backend.litert.latency import Latency, Noise, Speedup
from layoutopt.backend.litert.profile import OperatorTime
from layoutopt.backend.litert.runtime import Setting
from layoutopt.ir.counts import Counts
from layoutopt.options import Clock
from layoutopt.results.result import Json, Result, to_json


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One model of a benchmark under one setting.

    Attributes:
        name: the file, with what was made of it where it is an .onnx.
        setting: how LiteRT runs it.
        latency: the samples.
        speedup: latency of the first row of the same setting over that of this one.
        counts: what is in the .tflite.
        file_size: bytes of the .tflite.
        memory: bytes that loading and running it takes; None where it was not measured.
        operators: the time of each operator; empty where it was not measured.
    """

    name: str
    setting: Setting
    latency: Latency
    speedup: Speedup
    counts: Counts
    file_size: int
    memory: int | None = None
    operators: tuple[OperatorTime, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return plain lists, dicts, numbers and text, with the statistics of the samples."""
        return {
            "name": self.name,
            "threads": self.setting.threads,
            "xnnpack": self.setting.xnnpack,
            "gpu": self.setting.gpu,
            "latency_ms": self.latency.median_ms,
            "latency_min_ms": self.latency.minimum_ms,
            "latency_p90_ms": self.latency.p90_ms,
            "speedup": to_json(self.speedup),
            "samples_ms": to_json(self.latency.samples),
            "counts": to_json(self.counts),
            "file_size": self.file_size,
            "memory": self.memory,
            "operators": to_json(self.operators),
        }


@dataclass(frozen=True, slots=True)
class Control:
    """The first model of a setting against a second copy of itself: what this run makes of no difference at all.

    Attributes:
        setting: which.
        noise: what the copies seemed to differ in.
    """

    setting: Setting
    noise: Noise


@dataclass(frozen=True, slots=True)
class BenchmarkReport(Result):
    """Latencies that were measured in one interleaved run.

    Attributes:
        rows: one per model and setting; each is compared with the first of its setting.
        controls: one per setting.
        clock: what the times are of.
        rounds: samples of each row.
        machine: processor, cores and system; of a phone, its model, processor and Android's version.
        date: of the run, ISO 8601.
        notes: what the user should know.
        versions: of the packages that took part.
    """

    rows: tuple[BenchmarkRow, ...]
    controls: tuple[Control, ...]
    clock: Clock
    rounds: int
    machine: str
    date: str
    notes: tuple[str, ...]
    versions: Mapping[str, str]

    def to_json(self) -> Json:
        """Return plain lists, dicts, numbers and text."""
        controls = [
            {"threads": each.setting.threads, "xnnpack": each.setting.xnnpack, "gpu": each.setting.gpu}
            | {"low": each.noise.low, "high": each.noise.high, "floor": each.noise.floor, "quiet": each.noise.is_quiet}
            for each in self.controls
        ]
        rest = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return to_json({**rest, "rows": [row.to_json() for row in self.rows], "controls": controls})

    def to_csv(self) -> str:
        """Return one line per row, with a heading; what was not measured is left empty."""
        floors = {each.setting: each.noise.floor for each in self.controls}
        lines = [self._line(row, floors[row.setting]) for row in self.rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return text.getvalue()

    def _line(self, row: BenchmarkRow, floor: float) -> dict[str, object]:
        return {
            "name": row.name,
            "threads": row.setting.threads,
            "xnnpack": "on" if row.setting.xnnpack else "off",
            "gpu": "on" if row.setting.gpu else "off",
            "median_ms": f"{row.latency.median_ms:.4f}",
            "minimum_ms": f"{row.latency.minimum_ms:.4f}",
            "p90_ms": f"{row.latency.p90_ms:.4f}",
            "speedup": f"{row.speedup.median_of_rounds:.4f}",
            "low": f"{row.speedup.low:.4f}",
            "high": f"{row.speedup.high:.4f}",
            "verdict": row.speedup.verdict.value,
            "noise_floor": f"{floor:.4f}",
            "operators": row.counts.operators,
            "transposes": row.counts.transposes,
            "bytes_moved": row.counts.bytes_moved,
            "file_size": row.file_size,
            "memory": row.memory,
            "rounds": self.rounds,
            "clock": self.clock.value,
            "machine": self.machine,
            "date": self.date,
            **{name: self.versions.get(name, "") for name in ("layoutopt", "ai-edge-litert")},
        }
