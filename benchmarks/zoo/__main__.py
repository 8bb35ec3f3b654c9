"""``python -m benchmarks.zoo``: takes every network of the zoo through the whole path and keeps the figures."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import records
from benchmarks.zoo.catalogue import NETWORKS, Entry, Source, entries
from benchmarks.zoo.environment import interpreter, shipped
from benchmarks.zoo.processes import run
from benchmarks.zoo.rows import Row, Zoo
from layoutopt.outputs import make_directory
from layoutopt.results.provenance import Provenance

_MODEL = "model.onnx"
_TIMEOUT = 600.0  # seconds, of an export and of a conversion


def main() -> None:
    """Converts what was not converted yet, and keeps the figures of all that ever was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description="Published networks, all the way.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME", help="networks (default: all)")
    parser.add_argument("--results", type=Path, default=Path("build/zoo"), help="where models and figures stay")
    parser.add_argument("--again", action="store_true", help="convert what was converted before, too")
    parser.add_argument("--failed", action="store_true", help="convert what failed before, too")
    parser.add_argument("--first", action="store_true", help="each network in its first export only")
    parser.add_argument("--keep", action="store_true", help="convert nothing, keep the figures of what was converted")
    options = parser.parse_args()
    results = options.results.resolve()
    if not options.keep:
        wanted = [*entries(tuple(options.names), turns=1 if options.first else None)]
        convert_all(
            [entry for entry in wanted if is_due(entry, results, again=options.again, failed=options.failed)], results
        )
    directories = {entry.key: entry.directory(results) for entry in entries()}
    rows = {key: Row.load(directory) for key, directory in directories.items() if Row.done(directory)}
    records.save(Zoo(rows, Provenance.here()), Zoo.PATH)


def is_due(entry: Entry, results: Path, *, again: bool, failed: bool) -> bool:
    """Whether an entry is to be converted: it was not yet, or shall be again, or failed and shall then be again."""
    directory = entry.directory(results)
    return again or not Row.done(directory) or (failed and bool(Row.load(directory).error))


def convert_all(due: Sequence[Entry], results: Path) -> None:
    """Converts the entries and keeps their rows."""
    for entry in due:
        row = converted(entry, results)
        row.save(entry.directory(results))
        print(f"{entry.key}: {row.error or 'converted'}, {sum(row.seconds.values()):.0f} s", flush=True)
    if any(entry.network.source is Source.RAPIDOCR_ONNXRUNTIME for entry in due):
        read = run(
            [interpreter(results / "venv"), "-m", "benchmarks.zoo.ocr", results],
            log=results / "ocr.log",
            timeout=_TIMEOUT,
        )
        print(f"PP-OCR: {read.error or 'read'}", flush=True)


def converted(entry: Entry, results: Path) -> Row:
    """Exports an entry where that was not done, and converts it."""
    directory = entry.directory(results)
    make_directory(directory)
    model = directory / _MODEL
    if entry.network.source.trained:
        shutil.copyfile(shipped(results / "venv", entry.network.model), model)
    elif not model.exists():
        python = interpreter(results / "venv")
        exported = run(
            [python, "-m", "benchmarks.zoo.export", entry.key, model], log=directory / "export.log", timeout=_TIMEOUT
        )
        if exported.error:
            model.unlink(missing_ok=True)
            return Row(error=f"export: {exported.error}")
    finished = run(
        [sys.executable, "-m", "benchmarks.zoo.worker", entry.key, model, directory],
        log=directory / "convert.log",
        timeout=_TIMEOUT,
    )
    if finished.error:
        return Row(error=finished.error, memory=finished.memory)
    return replace(Row.load(directory), memory=finished.memory)


if __name__ == "__main__":
    main()
