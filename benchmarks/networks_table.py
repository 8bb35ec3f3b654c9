"""The benchmark networks with the layouts chosen, beside plain onnx-tf and the per-operator layout.

Each network is exported and converted three ways; models stay in a directory, and are made again only where what they
are made from has changed. Then the models of each network are timed against each other, and what was measured of all
networks goes to ``benchmarks/results/networks.json``, from which `docs.tools.generate` makes the page and the README.

::

    python -m benchmarks.networks_table [--models build/networks] [--convert] [NAME ...]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx_ir as ir

import layoutopt
from benchmarks import models, records
from benchmarks.networks import OPSET, Copies, Networks, Row, stripes
from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.backend.litert.runtime import measure
from layoutopt.errors import ConversionError, UnsupportedOperatorError
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.io import load, save
from layoutopt.ir.verify import Reference
from layoutopt.options import TOLERANCE, Io
from layoutopt.outputs import make_directory
from layoutopt.passes import FoldConstants, PropagateLayout, default_pipeline
from layoutopt.pipeline.manager import PassManager, PipelineResult
from layoutopt.results.optimize import ModelKind, ModelStats
from layoutopt.results.provenance import Provenance
from layoutopt.workflows.conversion import Converter, path_in, per_operator
from layoutopt.workflows.options import RunContext

ROUNDS = 20

_PACKAGE = Path(layoutopt.__file__).parent
_EXPORTS = (Path(models.__file__).parent,)
_CONVERSIONS = (_PACKAGE / "backend" / "onnx_tf", _PACKAGE / "lowering", _PACKAGE / "tfl")


@dataclass(frozen=True, slots=True)
class Kept:
    """The models of one network in a directory, and what they were made from.

    Attributes:
        exported: digest of what the export depends on.
        converted: digest of what the conversions depend on, the exported model included.
        forms: what became of it.
    """

    exported: str
    converted: str = ""
    forms: tuple[ModelStats, ...] = ()

    @classmethod
    def load(cls, directory: Path) -> Kept:
        """Return what was saved there; nothing that can be used where nothing was."""
        path = directory / "kept.json"
        return records.load(cls, path) if path.exists() else cls("")

    def save(self, directory: Path) -> None:
        """Save it there."""
        records.save(self, directory / "kept.json")


@dataclass(frozen=True, slots=True)
class Graphs:
    """One network as it is converted.

    Attributes:
        folded: to plain onnx-tf.
        left_in: with transposes around every layout-bound operator.
        chosen: with the layouts chosen.
        kept: the same where inputs and outputs keep their layouts.
    """

    folded: ir.Model
    left_in: ir.Model
    chosen: PipelineResult
    kept: PipelineResult

    @classmethod
    def of(cls, original: ir.Model) -> Graphs:
        """Return all that is made of an exported network before it is converted."""
        folded = FoldConstants()(original.clone()).model
        return cls(folded, per_operator(folded.clone()), optimized(original, Io.FREE), optimized(original, Io.KEEP))

    def digest(self) -> str:
        """Return a digest of what the conversions depend on."""
        found = _digest(_CONVERSIONS, "onnx-tf", "tensorflow", "tensorflow-cpu")
        for model in (self.folded, self.left_in, self.chosen.model):
            found.update(ir.to_proto(model).SerializeToString(deterministic=True))
        return found.hexdigest()


def main() -> None:
    """Convert what has changed, time everything, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks_table", description="What networks become.")
    parser.add_argument("names", nargs="*", choices=[*models.NETWORKS, []], help="networks (default: all)")
    parser.add_argument("--models", type=Path, default=Path("build/networks"), help="where models stay")
    parser.add_argument("--convert", action="store_true", help="convert what has changed, and time nothing")
    options = parser.parse_args()
    chosen = options.names or [*models.NETWORKS]
    rows = {name: converted(name, options.models / name) for name in chosen}
    if options.convert:
        return
    known = Networks.committed().rows if options.names else {}
    rows = {**known, **{name: timed(name, options.models / name, row) for name, row in rows.items()}}
    records.save(Networks({name: rows[name] for name in models.NETWORKS if name in rows}), Networks.PATH)


def converted(name: str, directory: Path, *, small: bool = False) -> Row:
    """Export and convert a network every way, as far as that was not done; the models stay in ``directory``."""
    make_directory(directory)
    _say(name, "layouts")
    original = exported(name, directory, small=small)
    graphs, kept = Graphs.of(original), Kept.load(directory)
    if kept.converted != (digest := graphs.digest()):
        context = RunContext.of(partial(_say, name))
        converter = Converter(directory, context, Reference(original), TOLERANCE, Quantize.NONE, False, Backend.ONNX_TF)
        kept = replace(kept, converted=digest, forms=tuple(_forms(graphs, converter)))
        kept.save(directory)
    assignment = graphs.chosen.assignment
    return Row(
        kept.forms,
        {form.kind.value: stripes(path_in(directory, form.kind)) for form in kept.forms},
        left_in=_copies(graphs.left_in),
        chosen=_copies(graphs.chosen.model),
        kept=_copies(graphs.kept.model),
        proved=assignment is not None and assignment.proved_optimal,
        measured=Provenance.here(),
    )


def timed(name: str, directory: Path, row: Row) -> Row:
    """Return the row with the latencies of the models in ``directory``, one thread each.

    By the clock of the thread, since that of the wall tells as much of the other processes as of the models.
    """
    _say(name, "benchmark")
    paths = [path_in(directory, form.kind) for form in row.forms]
    latencies = measure(paths, rounds=ROUNDS, clock=time.thread_time)
    forms = tuple(form.timed(latency) for form, latency in zip(row.forms, latencies, strict=True))
    return replace(row, forms=forms, measured=Provenance.here())


def exported(name: str, directory: Path, *, small: bool) -> ir.Model:
    """Return the network as PyTorch exports it, from the file of last time if nothing has changed.

    The weights depend on statistics of random batches, which nobody promises to be the same to the last bit each time.
    """
    path, digest = directory / "original.onnx", _digest(_EXPORTS, "torch", "onnxscript").hexdigest()
    kept = Kept.load(directory)
    if kept.exported != digest or not path.exists():
        _say(name, "export")
        save(models.export(models.NETWORKS[name], opset=OPSET, small=small), path)
        replace(kept, exported=digest).save(directory)
    return load(path)


def _forms(graphs: Graphs, converter: Converter) -> Iterator[ModelStats]:
    """Yield each way's .tflite: that of plain onnx-tf only where it can convert the network."""
    with contextlib.suppress(ConversionError, UnsupportedOperatorError):
        yield converter.run(ModelKind.PLAIN, graphs.folded).stats
    yield converter.run(ModelKind.PER_OPERATOR, graphs.left_in).stats
    yield converter.run(ModelKind.LAYOUTOPT, graphs.chosen.model).stats


def optimized(original: ir.Model, io: Io) -> PipelineResult:
    """Return the network with its layouts chosen."""
    return PassManager(default_pipeline(PropagateLayout(io=io))).run(original.clone())


def _copies(model: ir.Model) -> Copies:
    counts = count_onnx(model)
    return Copies(counts.transposes, counts.bytes_moved)


def _digest(sources: tuple[Path, ...], *packages: str) -> hashlib._Hash:
    """Return a digest of the source files at these places and of the versions of packages."""
    found = hashlib.sha256()
    for place in sources:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            found.update(path.read_bytes())
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            found.update(f"{name} {version(name)}\n".encode())
    return found


def _say(name: str, stage: str) -> None:
    print(f"{name}: {stage}", flush=True)


if __name__ == "__main__":
    main()
