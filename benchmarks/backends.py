"""Both backends side by side: what each makes of the same optimized graph, and which of the two runs faster.

Each network is exported and optimized once, then converted by the direct backend and through onnx-tf. Models stay in a
directory. What was found goes to ``benchmarks/results/backends.json``, from which `docs.tools.generate` makes the page.

::

    python -m benchmarks.backends [--models build/networks] [NAME ...]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from benchmarks import models, records
from benchmarks.networks_table import exported, optimized
from layoutopt.backend.conversion import Backend, Quantize
from layoutopt.backend.litert.latency import Speedup
from layoutopt.backend.litert.runtime import Setting
from layoutopt.ir.verify import Reference
from layoutopt.options import TOLERANCE, Io
from layoutopt.outputs import make_directory
from layoutopt.results.optimize import ModelKind, ModelStats
from layoutopt.results.provenance import Provenance
from layoutopt.workflows.conversion import Converter
from layoutopt.workflows.latencies import Effort, time_together
from layoutopt.workflows.options import RunContext

_SECONDS = 6.0
"""For one pair of models, at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """One network.

    Attributes:
        forms: of each backend, by its value.
        partitions: parts of the graph that XNNPACK takes, likewise.
        speedup: of the direct backend's file over the other; None where they were not timed.
        measured: where and when.
    """

    forms: Mapping[str, ModelStats]
    partitions: Mapping[str, int]
    speedup: Speedup | None
    measured: Provenance

    def form(self, backend: Backend) -> ModelStats:
        """Return the form that a backend made."""
        return self.forms[backend.value]

    @property
    def difference(self) -> str:
        """The operators that only one of the files has: with + those of the direct backend's."""
        direct, other = (Counter(self.form(backend).histogram) for backend in (Backend.DIRECT, Backend.ONNX_TF))
        more = [f"+{count} {name}" for name, count in sorted((direct - other).items())]
        return ", ".join([*more, *(f"-{count} {name}" for name, count in sorted((other - direct).items()))])


@dataclass(frozen=True, slots=True)
class Backends:
    """The figures of all networks by name."""

    rows: Mapping[str, Row]

    PATH: ClassVar[Path] = records.committed("backends")


def main() -> None:
    """Convert and time the networks that are asked for, and keep the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backends", description="Both backends side by side.")
    parser.add_argument("names", nargs="*", choices=[*models.NETWORKS, []], help="networks (default: all)")
    parser.add_argument("--models", type=Path, default=Path("build/networks"), help="where models stay")
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for timing a network; 0 for none (default: 6)")
    options = parser.parse_args()
    known = dict(records.load(Backends, Backends.PATH).rows) if Backends.PATH.exists() else {}
    for name in options.names or models.NETWORKS:
        known[name] = compared(name, options.models / name, seconds=options.seconds)
        ordered = {name: known[name] for name in models.NETWORKS if name in known}
        records.save(Backends(ordered), Backends.PATH)


def compared(name: str, directory: Path, *, small: bool = False, seconds: float = _SECONDS) -> Row:
    """Convert one network both ways, judge both results by ONNX Runtime, and time them in turns.

    Args:
        name: of the network.
        directory: for its models.
        small: whether it is exported at a small size.
        seconds: for the timing; 0 for none.
    """
    make_directory(directory)
    original = exported(name, directory, small=small)
    reference, graph = Reference(original), optimized(original, Io.FREE).model
    forms: dict[str, ModelStats] = {}
    paths: list[Path] = []
    for backend in (Backend.ONNX_TF, Backend.DIRECT):
        context = RunContext.of(partial(_say, name, backend))
        scratch = directory / backend.value
        made = Converter(scratch, context, reference, TOLERANCE, Quantize.NONE, False, backend).run(
            ModelKind.LAYOUTOPT, graph.clone()
        )
        assert made.verification is not None
        reference.require(made.verification, f"{name} by {backend.value}")
        forms[backend.value], paths = made.stats, [*paths, made.path]
    partitions = {backend: partitions_of(path) for backend, path in zip(forms, paths, strict=True)}
    if not seconds:
        return Row(forms, partitions, None, Provenance.here())
    (group,) = time_together(paths, [Setting()], effort=Effort(seconds=seconds))
    timed = zip(forms.items(), group.latencies, strict=True)
    return Row(
        {name: form.timed(latency) for (name, form), latency in timed},
        partitions,
        group.speedups[1],
        Provenance.here(),
    )


def partitions_of(path: Path) -> int:
    """Return how many parts of a .tflite XNNPACK takes as one operator each."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())


def _say(name: str, backend: Backend, stage: str) -> None:
    print(f"{name}, {backend.value}: {stage}", flush=True)


if __name__ == "__main__":
    main()
