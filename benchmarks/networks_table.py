"""The table of all networks: what is left with the layouts chosen, beside plain onnx-tf and the transposes left in.

Each network is converted three ways, once: figures and models stay in a directory. Every run times the models of each
network against each other and writes the page of all networks that were ever converted.

::

    python -m benchmarks.networks_table [-o docs/networks.md] [--results build/networks] [--again] [NAME ...]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import onnx_ir as ir

from benchmarks.models import NETWORKS, export
from layoutopt.backend.litert.converter import Quantize
from layoutopt.backend.litert.runtime import measure
from layoutopt.errors import ConversionError, UnsupportedOperatorError
from layoutopt.forms import Artifact, HandOff, sandwich
from layoutopt.ir.counts import count_onnx
from layoutopt.ir.io import make_directory
from layoutopt.ir.verify import Reference
from layoutopt.options import TOLERANCE, Io
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants, PropagateLayout
from layoutopt.pipeline.manager import PassManager, PipelineResult
from layoutopt.report.results import Form, Kind, to_json, versions
from layoutopt.report.tables import size

FEWEST = {
    **dict.fromkeys(("mobilenet_v2", "resnet50", "resnext50", "unet_plus_plus"), "0 (all)"),
    "mobilenet_v3_large": "0 (onnx2tf 1.29, litert-torch, TinyNN, nobuco)",
    "shufflenet_v2": "17 (TinyNN)",
    "rrdb_nearest": "0 (onnx2tf 2.6, litert-torch, nobuco)",
    "rrdb_pixel_shuffle": "0 and 2 GATHER (onnx2tf 2.6); 2 (nobuco)",
    "vgg11": "1 (all but nobuco)",
    "convnext_tiny": "1 (all but onnxsim)",
    "vit_4": "10 (nobuco)",
    "swin_4": "12 and 13 GATHER (onnx2tf 2.6); 17 (nobuco)",
    "yolo_head": "3 (onnx2tf 2.6, TinyNN)",
    "yolov8": "3 (onnx2tf 2.6, litert-torch, TinyNN)",
    "unet_transposed": "0 (nobuco)",
}
"""The fewest TRANSPOSE that another converter leaves in a network of the same design, measured once, with channels-last
inputs and outputs asked for: onnx2tf 2.6 and 1.29, litert-torch, TinyNN, nobuco, onnxsim; no TensorFlow operators."""

OPSET, ROUNDS = 17, 20
_FIGURES = "figures.json"


@dataclass(frozen=True, slots=True)
class Copies:
    """The Transposes of an ONNX graph.

    Attributes:
        count: how many.
        size: bytes that they write.
    """

    count: int
    size: int

    @classmethod
    def of(cls, model: ir.Model) -> Copies:
        """Those of ``model``."""
        counts = count_onnx(model)
        return cls(counts.transposes, counts.bytes_moved)


@dataclass(frozen=True, slots=True)
class Row:
    """One network.

    Attributes:
        forms: the .tflite files, each once: plain onnx-tf where it can convert the network, our handlers with the
            transposes around every operator left in, and the layouts chosen.
        left_in: copies of the second.
        chosen: copies of the third.
        kept: copies where inputs and outputs keep their layouts.
        proved: whether no other layouts cost fewer bytes.
        measured: the day of the last benchmark.
    """

    forms: tuple[Form, ...]
    left_in: Copies
    chosen: Copies
    kept: Copies
    proved: bool
    measured: str = ""

    @classmethod
    def load(cls, directory: Path) -> Row:
        """The row that was saved in ``directory``."""
        found = json.loads((directory / _FIGURES).read_text())
        forms = tuple(Form(**{**form, "kind": Kind(form["kind"])}) for form in found["forms"])
        copies = {name: Copies(**found[name]) for name in ("left_in", "chosen", "kept")}
        return cls(**{**found, **copies, "forms": forms})

    def save(self, directory: Path) -> None:
        """Saves the row in ``directory``."""
        (directory / _FIGURES).write_text(json.dumps(to_json(self), indent=2) + "\n")

    def form(self, kind: Kind) -> Form | None:
        """The form of that kind, if it could be had."""
        return next((form for form in self.forms if form.kind is kind), None)


def main() -> None:
    """Converts what was not converted yet, times it, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks_table", description="The table of networks.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], help="networks (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown file to write (default: stdout)")
    parser.add_argument("--results", type=Path, default=Path("build/networks"), help="where models and figures stay")
    parser.add_argument("--again", action="store_true", help="convert what was converted before, too")
    parser.add_argument("--small", action="store_true", help="the small variants")
    options = parser.parse_args()
    directories = {name: options.results / name for name in NETWORKS}
    for name in options.names or NETWORKS:
        if options.again or not (directories[name] / _FIGURES).exists():
            converted(name, directories[name], small=options.small).save(directories[name])
        _say(name, "benchmark")
        timed(directories[name]).save(directories[name])
    done = {name: Row.load(path) for name, path in directories.items() if (path / _FIGURES).exists()}
    text = "\n".join(_page(done)) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text)


# --- measuring -------------------------------------------------------------------------------------------------------


def converted(name: str, directory: Path, *, small: bool) -> Row:
    """Converts a network every way; the models stay in ``directory``."""
    _say(name, "export")
    original = export(NETWORKS[name], opset=OPSET, small=small)
    make_directory(directory)
    hand_off = HandOff(directory, Reference(original), TOLERANCE, Quantize.NONE, False, False, partial(_say, name))
    folded = FoldConstants()(original).model
    left_in, chosen = sandwich(folded.clone()), _chosen(original, Io.FREE)
    artifacts = (
        *_plain(folded, hand_off),
        hand_off.run(Kind.SANDWICH, left_in),
        hand_off.run(Kind.LAYOUTOPT, chosen.model),
    )
    return Row(
        tuple(artifact.form for artifact in artifacts),
        Copies.of(left_in),
        Copies.of(chosen.model),
        Copies.of(_chosen(original, Io.KEEP).model),
        chosen.assignment is not None and chosen.assignment.proved_optimal,
    )


def timed(directory: Path) -> Row:
    """The row in ``directory`` with the latencies of its models, one thread each.

    By the clock of the thread, since that of the wall tells as much of the other processes as of the models.
    """
    row = Row.load(directory)
    paths = [HandOff.path(directory, form.kind) for form in row.forms]
    latencies = measure(paths, rounds=ROUNDS, clock=time.thread_time)
    forms = tuple(form.timed(latency) for form, latency in zip(row.forms, latencies, strict=True))
    return replace(row, forms=forms, measured=str(datetime.date.today()))


def _plain(folded: ir.Model, hand_off: HandOff) -> Iterator[Artifact]:
    """What plain onnx-tf makes of a network, if anything."""
    with contextlib.suppress(ConversionError, UnsupportedOperatorError):
        yield hand_off.run(Kind.PLAIN, folded)


def _chosen(original: ir.Model, io: Io) -> PipelineResult:
    """The network with its layouts chosen."""
    passes = [PropagateLayout(io=io) if isinstance(each, PropagateLayout) else each for each in DEFAULT_PIPELINE]
    return PassManager(passes).run(original.clone())


def _say(name: str, stage: str) -> None:
    print(f"{name}: {stage}", flush=True)


# --- the page --------------------------------------------------------------------------------------------------------

_KINDS = (Kind.PLAIN, Kind.SANDWICH, Kind.LAYOUTOPT)
_LAYOUTS = ("network", "left in", "chosen", "proved", "inputs and outputs kept")
_OPERATORS = (
    *("network", "plain onnx-tf", "left in", "layoutopt", "elsewhere"),
    *("GATHER", "PAD", "all operators"),
)
_SPEED = (
    *("network", "plain onnx-tf", "left in", "layoutopt", "over plain onnx-tf", "over left in"),
    *("MSE", "max abs error"),
)


_INTRODUCTION = """\
# All networks

The networks of `benchmarks/models` at full size, with random weights. Made by `make benchmark`.

## The layouts

Bytes that the Transposes of the ONNX graph write, and how many these are. *Left in* has transposes of its own around
every layout-bound operator, *chosen* has the layouts that layoutopt chooses. *Proved*: no other layouts cost less. The
last column is for those who keep the NCHW interface.
"""
_ON_OPERATORS = """
## The operators

TRANSPOSE in the .tflite: of plain onnx-tf 1.10 where it can convert the network, of our handlers on *left in* (the
TFLite converter folds some), and of layoutopt. *Elsewhere* is the fewest that another converter leaves in a network of
the same design, not in this very file: the best of onnx2tf 2.6 and 1.29, litert-torch, TinyNN, nobuco and onnxsim,
channels-last inputs and outputs asked for, none with operators of TensorFlow. Then come plain onnx-tf, or else
*left in*, → layoutopt.
"""
_ON_SPEED = """
## Speed and error

Medians on one XNNPACK thread of LiteRT, by the clock of the thread, which stands still while other processes run; the
forms of a network run in turns. The same handlers convert *left in* and layoutopt, so that *over left in* is what the
layouts alone bring; in brackets, the ratio of the minima. Errors are those of layoutopt's .tflite against ONNX Runtime
on the original; outputs have about unit variance, those of the two detectors are pixels.
"""


def _page(rows: Mapping[str, Row]) -> Iterator[str]:
    yield _INTRODUCTION
    yield from _table(_LAYOUTS, (_layouts(name, row) for name, row in rows.items()))
    yield _ON_OPERATORS
    yield from _table(_OPERATORS, (_operators(name, row) for name, row in rows.items()))
    yield _ON_SPEED
    yield from _table(_SPEED, (_speed(name, row) for name, row in rows.items()))
    yield ""
    days = sorted({row.measured for row in rows.values()})
    yield f"Exported by PyTorch's legacy exporter, opset {OPSET}. {machine()}, {' and '.join(days)}."
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in versions().items()) + "."


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (heading, ("---",) * len(heading), *rows):
        yield "| " + " | ".join(row) + " |"


def _layouts(name: str, row: Row) -> tuple[str, ...]:
    return (
        name,
        _moved(row.left_in),
        f"**{_moved(row.chosen)}**",
        "yes" if row.proved else "no",
        _moved(row.kept),
    )


def _operators(name: str, row: Row) -> tuple[str, ...]:
    plain, left_in, ours = (row.form(kind) for kind in _KINDS)
    before = plain or left_in
    return (
        name,
        str(plain.transposes) if plain else "-",
        str(left_in.transposes),
        f"**{ours.transposes}**",
        FEWEST.get(name, "not measured"),
        *(f"{was} → {now}" for was, now in zip(_others(before), _others(ours), strict=True)),
    )


def _others(form: Form) -> tuple[int, ...]:
    return form.histogram.get("GATHER", 0), form.pads, form.operators


def _speed(name: str, row: Row) -> tuple[str, ...]:
    plain, left_in, ours = (row.form(kind) for kind in _KINDS)
    return (
        name,
        *(_latency(form) for form in (plain, left_in, ours)),
        *(_speedup(form, ours) for form in (plain, left_in)),
        f"{ours.mse:.1e}",
        f"{ours.max_abs_error:.1e}",
    )


def _moved(copies: Copies) -> str:
    return f"{size(copies.size)} / {copies.count}" if copies.count else "0"


def _latency(form: Form | None) -> str:
    return f"{form.latency_ms:.2f} ms" if form else "-"


def _speedup(before: Form | None, after: Form) -> str:
    if before is None:
        return "-"
    medians, minima = before.latency_ms / after.latency_ms, before.latency_min_ms / after.latency_min_ms
    return f"**{medians:.2f}x** ({minima:.2f}x)"


def machine() -> str:
    """Processor, cores and system."""
    names = [line for line in _cpu_lines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def _cpu_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


if __name__ == "__main__":
    main()
