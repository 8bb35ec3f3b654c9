"""``python -m benchmarks.zoo``: takes every network of the zoo through the whole path and writes the table."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.zoo.catalogue import NETWORKS, Entry, entries
from benchmarks.zoo.environment import interpreter, shipped
from benchmarks.zoo.processes import run
from benchmarks.zoo.rows import Row
from layoutopt.ir.io import make_directory

_MODEL = "model.onnx"
_TIMEOUT = 600.0  # seconds, of an export and of a conversion


def main() -> None:
    """Converts what was not converted yet, and writes the table of all that ever was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description="Published networks, all the way.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], metavar="NAME", help="networks (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown file to write (default: stdout)")
    parser.add_argument("--results", type=Path, default=Path("build/zoo"), help="where models and figures stay")
    parser.add_argument("--again", action="store_true", help="convert what was converted before, too")
    parser.add_argument("--failed", action="store_true", help="convert what failed before, too")
    options = parser.parse_args()
    results = options.results.resolve()
    for entry in entries(tuple(options.names)):
        directory = entry.directory(results)
        if options.again or not Row.done(directory) or (options.failed and Row.load(directory).error):
            row = converted(entry, results)
            row.save(directory)
            print(f"{entry.key}: {row.error or 'converted'}, {sum(row.seconds.values()):.0f} s", flush=True)


def converted(entry: Entry, results: Path) -> Row:
    """Exports an entry where that was not done, and converts it."""
    directory = entry.directory(results)
    make_directory(directory)
    model = directory / _MODEL
    if entry.network.source.trained:
        shutil.copyfile(shipped(results / "venv", entry.network.model), model)
    elif not model.exists():
        python = interpreter(results / "venv")
        exported = run([python, "-m", "benchmarks.zoo.export", entry.key, model], log=directory / "export.log", timeout=_TIMEOUT)
        if exported.error:
            model.unlink(missing_ok=True)
            return Row(error=f"export: {exported.error}")
    finished = run(
        [sys.executable, "-m", "benchmarks.zoo.worker", entry.key, model, directory], log=directory / "convert.log", timeout=_TIMEOUT
    )
    if finished.error:
        return Row(error=finished.error, memory=finished.memory)
    return replace(Row.load(directory), memory=finished.memory)


if __name__ == "__main__":
    main()
