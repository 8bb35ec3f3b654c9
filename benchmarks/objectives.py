"""Compares layouts chosen by predicted time with those of the fewest bytes, layouts per operator, and onnx2tf.

::

    python -m benchmarks.objectives [--zoo build/zoo] [--peers build/peers] [--results build/objectives] [NAME ...]
    python -m benchmarks.objectives --time-only

Every network is converted three times by the direct backend, and by onnx2tf where its environment is; all that is
right is timed in one interleaved run. What was converted before stays as it is; the figures of all of them go to
``benchmarks/results/objectives.json``. Timing wants a quiet machine.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import records
from benchmarks.peers.catalogue import OURS, PEERS
from benchmarks.peers.conversion import MODEL, convert_all, exported
from benchmarks.peers.figures import FIGURES, TFLITE, TIMES, Figures, Times, kept_figures, right_files
from benchmarks.peers.judge import judged
from benchmarks.peers.timing import timed
from benchmarks.zoo.__main__ import own_export
from benchmarks.zoo.catalogue import ATTENTION, NETWORKS
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.ir.io import load
from layoutopt.ir.verify import Reference
from layoutopt.options import Io, Objective
from layoutopt.outputs import make_directory
from layoutopt.passes import PropagateLayout, default_pipeline
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.manager import PassManager
from layoutopt.results.provenance import Provenance

BYTES, PER_OPERATOR, PEER = "bytes", "per operator", "onnx2tf-2"
CHOICES: Mapping[str, PropagateLayout] = {
    OURS: PropagateLayout(Io.FREE, objective=Objective.TIME),
    BYTES: PropagateLayout(Io.FREE, objective=Objective.BYTES),
    PER_OPERATOR: PropagateLayout(Io.KEEP, scope=Scope.OPERATOR),
}
LABELS = (*CHOICES, PEER)
_OWN = ("yolo_head", "shufflenet_v2", "vit_4", "vit_12", "swin_4", "swin_t")
NAMES = (*_OWN, "levit_128s", *(network.name for network in ATTENTION))
"""The networks where the objectives differ: of the benchmark's own, and published ones with attention."""


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        figures: what became of it, by the name of the choice or converter.
        times: of all that is right, in one run.
    """

    figures: Mapping[str, Figures]
    times: Times


@dataclass(frozen=True, slots=True)
class Objectives:
    """All that was measured.

    Attributes:
        measured: where and when.
        networks: by name.
    """

    PATH: ClassVar[Path] = records.committed("objectives")

    measured: Provenance
    networks: Mapping[str, Network]


def main() -> None:
    """Convert and time what was not yet, and keep the figures of all that ever was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--zoo", type=Path, default=Path("build/zoo"), help="where the zoo's environment is")
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where onnx2tf's environment is")
    parser.add_argument("--results", type=Path, default=Path("build/objectives"), help="where models stay")
    stages = parser.add_mutually_exclusive_group()
    stages.add_argument("--convert-only", action="store_true")
    stages.add_argument("--time-only", action="store_true", help="time all that was converted again")
    options = parser.parse_args()
    results = options.results.resolve()
    for name in options.names or NAMES:
        if not options.time_only:
            export(name, options.zoo.resolve(), results)
            convert(name, options.peers.resolve(), results)
        if not options.convert_only and (options.time_only or not (results / name / TIMES).exists()):
            records.save(timed(right_files(results / name, LABELS)), results / name / TIMES)
            _say(name, _kept(results / name).times)
    networks = {name: _kept(results / name) for name in NAMES if (results / name / TIMES).exists()}
    records.save(Objectives(networks=networks, measured=Provenance.here()), Objectives.PATH)


def export(name: str, zoo: Path, results: Path) -> None:
    """Export a network where that was not done."""
    path = results / name / MODEL
    if path.exists():
        return
    make_directory(path.parent)
    if name in _OWN:
        exported(name, results)
    else:
        shutil.copyfile(own_export(NETWORKS[name], zoo), path)


def convert(name: str, peers: Path, results: Path) -> None:
    """Convert a network in each of `CHOICES` and by onnx2tf, where that was not done, and judge what comes of it."""
    directory = results / name
    for label, propagate in CHOICES.items():
        if (directory / label / FIGURES).exists():
            continue
        make_directory(directory / label)
        model = load(directory / MODEL)
        convert_directly(PassManager(default_pipeline(propagate)).run(model).model, directory / label / TFLITE)
        records.save(
            judged(Reference(load(directory / MODEL)), directory / label / TFLITE), directory / label / FIGURES
        )
        (directory / TIMES).unlink(missing_ok=True)
    if python := PEERS[PEER].interpreter(peers / "venv", {}):
        convert_all(PEERS[PEER], python, (name,), results, again=False)


def _kept(directory: Path) -> Network:
    return Network(kept_figures(directory, LABELS), records.load(Times, directory / TIMES))


def _say(name: str, times: Times) -> None:
    over = (
        f"{speedup.of_medians:.2f}x over {label}, {speedup.verdict.value}" for label, speedup in times.speedups.items()
    )
    print(f"{name}: {'; '.join(over)}", flush=True)


if __name__ == "__main__":
    main()
