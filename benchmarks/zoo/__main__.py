"""``python -m benchmarks.zoo``: takes every network of the zoo through the whole path and keeps the figures."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import records
from benchmarks.zoo.catalogue import NETWORKS, Entry, Network, Source, entries
from benchmarks.zoo.environment import interpreter, shipped
from benchmarks.zoo.processes import run
from benchmarks.zoo.rows import Row, Zoo
from layoutopt.backend.conversion import Backend
from layoutopt.outputs import make_directory
from layoutopt.results.provenance import Provenance

_MODEL = "model.onnx"
_TIMEOUT = 600.0  # seconds, of an export and of a conversion


def main() -> None:
    """Convert what was not converted yet, and keep the figures of all that ever was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description="Published networks, all the way.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME", help="networks (default: all)")
    parser.add_argument("--results", type=Path, default=Path("build/zoo"), help="where models and figures stay")
    parser.add_argument(
        "--backend", action="append", choices=[each.value for each in Backend], help="by this backend alone"
    )
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no further conversion after this long")
    parser.add_argument("--again", action="store_true", help="convert what was converted before, too")
    parser.add_argument("--failed", action="store_true", help="convert what failed before, too")
    parser.add_argument("--first", action="store_true", help="each network in its first export only")
    parser.add_argument("--keep", action="store_true", help="convert nothing, keep the figures of what was converted")
    options = parser.parse_args()
    results = options.results.resolve()
    if not options.keep:
        wanted = entries(tuple(options.names), turns=1 if options.first else None)
        tasks = [Task(entry, backend) for entry in wanted for backend in _backends(options.backend)]
        due = [task for task in tasks if task.is_due(results, again=options.again, failed=options.failed)]
        convert_all(due, results, seconds=options.seconds)
    before = Zoo.committed()
    rows = {**before.rows}
    for task in (Task(entry, backend) for entry in entries() for backend in Backend):
        if Row.done(task.directory(results)):
            rows[task.entry.key] = {
                **rows.get(task.entry.key, {}),
                task.backend.value: Row.load(task.directory(results)),
            }
    ordered = {entry.key: rows[entry.key] for entry in entries() if entry.key in rows}
    records.save(Zoo(ordered, before.earlier), Zoo.PATH)


def _backends(values: Sequence[str] | None) -> Sequence[Backend]:
    return [backend for backend in Backend if not values or backend.value in values]


@dataclass(frozen=True, slots=True)
class Task:
    """One row: an entry by one backend."""

    entry: Entry
    backend: Backend

    def directory(self, results: Path) -> Path:
        """Return where its .tflite and its figures are."""
        return self.entry.directory(results) / self.backend.value

    def is_due(self, results: Path, *, again: bool, failed: bool) -> bool:
        """Return whether to convert it: it was not yet, or is wanted again, or failed and is wanted again then."""
        directory = self.directory(results)
        return again or not Row.done(directory) or (failed and bool(Row.load(directory).error))


def convert_all(due: Sequence[Task], results: Path, *, seconds: float = math.inf) -> None:
    """Convert the entries and keep their rows, as long as ``seconds`` have not passed."""
    start = time.monotonic()
    done = []
    for task in due:
        if time.monotonic() - start > seconds:
            break
        row = converted(task, results)
        make_directory(task.directory(results))
        row.save(task.directory(results))
        done.append(task)
        told = f"{row.error or 'converted'}, {sum(row.seconds.values()):.0f} s"
        print(f"{task.entry.key}, {task.backend.value}: {told}", flush=True)
    if any(task.entry.network.source is Source.RAPIDOCR_ONNXRUNTIME for task in done):
        read = run(
            [interpreter(results / "venv"), "-m", "benchmarks.zoo.ocr", results],
            log=results / "ocr.log",
            timeout=_TIMEOUT,
        )
        print(f"PP-OCR: {read.error or 'read'}", flush=True)


def converted(task: Task, results: Path) -> Row:
    """Export an entry where that was not done, and convert it."""
    entry, directory = task.entry, task.entry.directory(results)
    model = directory / _MODEL
    if error := exported(entry, model, results):
        return Row(error=f"export: {error}", measured=Provenance.here())
    made = task.directory(results)
    make_directory(made)
    finished = run(
        [sys.executable, "-m", "benchmarks.zoo.worker", entry.key, task.backend.value, model, made],
        log=made / "convert.log",
        timeout=_TIMEOUT,
    )
    if finished.error:
        return Row(error=finished.error, memory=finished.memory, measured=Provenance.here())
    return replace(Row.load(made), memory=finished.memory)


def exported(entry: Entry, model: Path, results: Path) -> str:
    """Write the model of an entry where that was not done, and return why there is none; nothing where there is."""
    make_directory(model.parent)
    if entry.network.source.trained:
        shutil.copyfile(shipped(results / "venv", entry.network.model), model)
        return ""
    failure = model.with_name("export.error")
    if not model.exists() and not failure.exists():
        finished = run(
            [interpreter(results / "venv"), "-m", "benchmarks.zoo.export", entry.key, model],
            log=model.with_name("export.log"),
            timeout=_TIMEOUT,
        )
        if finished.error:
            model.unlink(missing_ok=True)
            failure.write_text(finished.error)
    return failure.read_text() if failure.exists() else ""


def own_export(network: Network, results: Path) -> Path:
    """Return the .onnx file of a network in its own export, made where that was not done.

    Raises:
        RuntimeError: the network cannot be exported.
    """
    entry = Entry(network, network.exports[0])
    model = entry.directory(results) / _MODEL
    if error := exported(entry, model, results):
        raise RuntimeError(f"{network.name} cannot be exported: {error}")
    return model


if __name__ == "__main__":
    main()
