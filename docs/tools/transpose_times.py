"""The errors of the two costs of a copy, bytes and measured time, against what transposes take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.transpose_times import RESULTS, Accuracy, Known, TransposeTimes
from docs.tools.markdown import table

_KNOWN = ("transpose", "size", "takes", "GB/s", "`time` says")
_DRAWN = ("random transposes", "cost", "off by, median", "9 in 10 within", "wrong about pairs")


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(TransposeTimes, RESULTS)
    times = {
        width: [each.took for each in found.known if each.name.startswith("int8") == width] for width in (False, True)
    }
    fastest = min(times[False])
    return {
        "transposes-known": table(_KNOWN, map(_known_cells, found.known)),
        "transposes-drawn": table(_DRAWN, map(_drawn_cells, found.drawn)),
        "transposes-span": f"{max(times[False]) / fastest:.0f} times as long as it might in float32, and "
        f"{max(times[True]) / fastest:.0f} times in int8",
        "transposes-overhead": f"about {found.overhead:.0f} ns on this machine",
        "transposes-measured": f"{found.measured.machine}, {found.measured.date}, LiteRT "
        f"{found.measured.versions['ai-edge-litert']} with XNNPACK, one thread",
    }


def _known_cells(known: Known) -> Sequence[str]:
    return (
        known.name,
        f"{known.size / 1e6:.2f} MB",
        f"{known.took / 1e3:.0f} µs",
        f"{known.size / known.took:.1f}",
        f"{known.told / 1e3:.0f} µs",
    )


def _drawn_cells(drawn: Accuracy) -> Sequence[str]:
    return (
        f"{drawn.count} of {drawn.bits} bits",
        drawn.objective.value,
        *(f"{factor:.2f}x" for factor in (drawn.median, drawn.most)),
        f"{drawn.misled:.0%}",
    )
