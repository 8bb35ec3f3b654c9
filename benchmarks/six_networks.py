"""The table of six networks: baseline beside optimized, with free and with kept inputs and outputs.

::

    python -m benchmarks.six_networks [-o docs/six-networks.md] [--exporter dynamo] [--small] [NAME ...]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import layoutopt
from benchmarks.models import NETWORKS, export
from layoutopt.options import Exporter, Io
from layoutopt.report.results import Form, OptimizeReport
from layoutopt.report.tables import size

_SIX = ("mobilenet_v2", "resnet50", "mobilenet_v3_large", "efficientnet_like", "unet_bilinear", "yolo_head")
_COLUMNS = (
    "network",
    "baseline",
    "operators",
    "TRANSPOSE",
    "bytes moved",
    "TRANSPOSE, I/O kept",
    "PAD",
    "latency (1 thread)",
    "speedup",
    "MSE",
    "max abs error",
)


def main() -> None:
    """Runs the networks one after the other and writes the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.six_networks", description="The table of six networks.")
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], help="networks (default: the six)")
    parser.add_argument("-o", "--output", type=Path, help="the Markdown file to write (default: stdout)")
    parser.add_argument("--exporter", type=Exporter, choices=list(Exporter), default=Exporter.LEGACY)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("--small", action="store_true", help="the small variants")
    options = parser.parse_args()
    rows, versions = [], {}
    for name in options.names or _SIX:
        print(f"{name} ...", flush=True)
        model = export(NETWORKS[name], exporter=options.exporter, opset=options.opset, small=options.small)
        free = layoutopt.optimize(model, io=Io.FREE, benchmark=True)
        kept = layoutopt.optimize(model, io=Io.KEEP, baseline=False)
        rows.append(_row(name, free, kept))
        versions = dict(free.versions)
    text = "\n".join(_page(rows, versions, options.exporter, options.opset)) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text)


def _row(name: str, free: OptimizeReport, kept: OptimizeReport) -> tuple[str, ...]:
    before, after = free.baseline, free.optimized
    if before is None or free.speedup is None or free.layout is None:
        raise SystemExit(f"{name}: no baseline: {free.notes}")
    proof = "proved" if free.layout.proved_optimal else "not proved"
    return (
        name,
        before.kind.value,
        f"{before.operators} → {after.operators}",
        f"{before.transposes} → **{after.transposes}** ({proof})",
        f"{size(before.bytes_moved)} → {size(after.bytes_moved)}",
        str(kept.optimized.transposes),
        f"{before.pads} → {after.pads}",
        f"{_latency(before)} → {_latency(after)}",
        f"**{free.speedup.of_medians:.2f}x** ({free.speedup.of_minima:.2f}x by minima)",
        f"{before.mse:.1e} → {after.mse:.1e}",
        f"{before.max_abs_error:.1e} → {after.max_abs_error:.1e}",
    )


def _latency(form: Form) -> str:
    return f"{form.latency_ms:.2f} ms"


def _page(rows: Sequence[Sequence[str]], versions: dict[str, str], exporter: Exporter, opset: int) -> Iterator[str]:
    yield "# Six networks"
    yield ""
    yield "Baseline (onnxsim, plain onnx-tf, default TFLite converter) → layoutopt, both measured in one interleaved"
    yield "run on LiteRT with XNNPACK. Random weights; errors are against ONNX Runtime on the original, outputs have"
    yield "about unit variance (those of the YOLO head are pixels). Made by `make benchmark`."
    yield ""
    for row in (_COLUMNS, ("---",) * len(_COLUMNS), *rows):
        yield "| " + " | ".join(row) + " |"
    yield ""
    yield f"Exported by PyTorch's {exporter.value} exporter, opset {opset}. {_machine()}, {datetime.date.today()}."
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in versions.items()) + "."


def _machine() -> str:
    names = [line for line in _cpu_lines() if line.startswith("model name")]
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def _cpu_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


if __name__ == "__main__":
    main()
