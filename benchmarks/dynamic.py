"""The cost of a batch that stays open: the same networks with a batch of 4, static and dynamic.

Figures go to ``benchmarks/results/dynamic.json``.

::

    python -m benchmarks.dynamic
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import layoutopt
from benchmarks import records
from layoutopt.backend.litert.inspect import count_tflite
from layoutopt.backend.litert.runtime import measure
from layoutopt.results.provenance import Provenance

BATCH, ROUNDS = 4, 25
RESULTS = records.committed("dynamic")
NETWORKS = {
    "MobileNetV2, 224 pixels": ("mobilenet_v2", False),
    "ViT with 4 blocks, 224 pixels": ("vit_4", False),
    "U-Net with three ConvTranspose, GroupNorm, PReLU, 64 pixels": ("unet_transposed", True),
}
"""By what the page calls them: the name, and whether it is the small variant."""


@dataclass(frozen=True, slots=True)
class Form:
    """One .tflite.

    Attributes:
        operators: how many.
        milliseconds: of an inference, median.
    """

    operators: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One network, of fixed size and with an open batch."""

    static: Form
    dynamic: Form


@dataclass(frozen=True, slots=True)
class Dynamic:
    """All networks, by what the page calls them."""

    pairs: Mapping[str, Pair]
    measured: Provenance


def main() -> None:
    """Measure all networks and keep the figures."""
    pairs = {title: pair(*which) for title, which in NETWORKS.items()}
    records.save(Dynamic(pairs, Provenance.here()), RESULTS)


def pair(name: str, small: bool) -> Pair:
    """Convert and time one network."""
    from benchmarks.models import INPUT, export_open
    from benchmarks.models import NETWORKS as BUILT

    variant = BUILT[name].small if small else BUILT[name].full
    shapes = {INPUT: (BATCH, *variant.shape[1:])}
    original = export_open(variant, {0: "batch"})
    with tempfile.TemporaryDirectory() as directory:
        static, dynamic = (Path(directory) / f"{kind}.tflite" for kind in ("static", "dynamic"))
        for path, stays in ((static, ()), (dynamic, ("batch",))):
            layoutopt.optimize(
                original, tflite=path, shapes=shapes, dynamic=stays, baseline=False, progress=partial(print, flush=True)
            )
        latencies = measure((static, dynamic), rounds=ROUNDS, clock=time.thread_time)
        counts = (count_tflite(path) for path in (static, dynamic))
        return Pair(*(Form(each.operators, took.median_ms) for each, took in zip(counts, latencies, strict=True)))


if __name__ == "__main__":
    main()
