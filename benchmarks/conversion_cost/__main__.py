"""``python -m benchmarks.conversion_cost``: measures, and keeps the figures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import records
from benchmarks.conversion_cost.figures import ConversionCost, Runs, Subject
from benchmarks.conversion_cost.processes import Cost, Failed, watch
from benchmarks.conversion_cost.subjects import SUBJECTS
from benchmarks.conversion_cost.ways import PEER, Runner, Way
from benchmarks.zoo.processes import ROOT
from layoutopt.ir.io import load
from layoutopt.outputs import make_directory
from layoutopt.results.provenance import Provenance

_MESSAGE = 200  # characters


def main() -> None:
    """Measure the models that are asked for, and keep the figures of each as soon as it has some."""
    options = _options()
    root = options.models.resolve()
    ways = [way for way in Way if not options.way or way.value in options.way]
    runner = Runner(
        root / f"scratch-{os.getpid()}", _onnx2tf(options) if Way.ONNX2TF in ways else None, options.timeout
    )
    known = ConversionCost.committed().subjects if ConversionCost.PATH.exists() else {}
    smallest = made(next(iter(SUBJECTS)), root)
    for way in ways:  # compiles what is imported, and fills the caches of the system
        _attempt(runner, way, smallest)
    for name in options.names or SUBJECTS:
        measured = subject(name, made(name, root), runner, ways, rounds=options.rounds)
        before = known[name].runs if name in known else {}
        known = {**known, name: Subject(measured.size, measured.nodes, {**before, **measured.runs}, measured.measured)}
        ordered = {name: known[name] for name in SUBJECTS if name in known}
        records.save(ConversionCost(ordered, PEER.versions()), options.output)


def _onnx2tf(options: argparse.Namespace) -> Path:
    """Return the Python of onnx2tf's environment, which is made where there is none."""
    pythons = {"3.12": options.python312} if options.python312 else {}
    found = PEER.interpreter(options.peers.resolve() / "venv", pythons)
    if found is None:
        sys.exit("There is no python3.12 on the path. Give one with --python3.12.")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conversion_cost", description="What a conversion costs."
    )
    parser.add_argument("names", nargs="*", choices=[*SUBJECTS, []], metavar="NAME", help="models (default: all)")
    parser.add_argument("--way", action="append", choices=[way.value for way in Way], help="measure this way alone")
    parser.add_argument("--rounds", type=int, default=3, help="conversions each way (default: 3)")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for one conversion (default: 1800)")
    parser.add_argument("--models", type=Path, default=Path("build/conversion_cost"), help="where models stay")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where environments stay")
    parser.add_argument("--output", type=Path, default=ConversionCost.PATH, help="where the figures go")
    parser.add_argument("--python3.12", dest="python312", type=Path, help="where onnx2tf gets its Python from")
    return parser.parse_args()


def made(name: str, root: Path) -> Path:
    """Return the file of a model, which is written once."""
    path = root / name / "model.onnx"
    if not path.exists():
        print(f"{name}: export", flush=True)
        make_directory(path.parent)
        command = [sys.executable, "-m", "benchmarks.conversion_cost.subjects", name, str(path)]
        watch(command, ROOT, log=path.with_name("export.log"), timeout=3600.0, environment={**os.environ})
    return path


def subject(name: str, model: Path, runner: Runner, ways: Sequence[Way], *, rounds: int) -> Subject:
    """Convert a model every way in turns: A B C, then B C A, and so on; what has failed once is not tried again."""
    costs: dict[Way, list[Cost]] = {way: [] for way in ways}
    errors: dict[Way, str] = {}
    for turn in range(rounds):
        for step in range(len(ways)):
            way = ways[(turn + step) % len(ways)]
            if way in errors:
                continue
            found = _attempt(runner, way, model)
            if isinstance(found, Cost):
                costs[way].append(found)
            else:
                errors[way] = found
            print(f"{name}, {way.value}: {_told(found)}", flush=True)
    size = sum(path.stat().st_size for path in model.parent.glob(f"{model.name}*"))
    nodes = sum(1 for _ in load(model).graph.all_nodes())
    runs = {way.value: Runs(tuple(costs[way]), errors.get(way, "")) for way in ways}
    return Subject(size, nodes, runs, Provenance.here())


def _attempt(runner: Runner, way: Way, model: Path) -> Cost | str:
    """Return what a conversion takes, or what it says where it fails."""
    try:
        return runner.run(way, model)
    except Failed as error:
        return str(error).replace(str(ROOT), "")[:_MESSAGE]


def _told(found: Cost | str) -> str:
    if isinstance(found, str):
        return found
    return f"{found.processor:.1f} s, {found.together / 1e9:.2f} GB, the largest {found.largest / 1e9:.2f} GB"


if __name__ == "__main__":
    main()
