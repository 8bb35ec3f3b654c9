"""The figures of the objectives by which layouts are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.objectives import LABELS, Network, Objectives
from docs.tools.markdown import table
from docs.tools.published import gain

_OTHERS = LABELS[1:]
_HEADS = (
    "network",
    *(f"{label}: ms, TRANSPOSE, MB" for label in ("time", *_OTHERS)),
    *(f"over {label}" for label in _OTHERS),
)


def regions() -> Mapping[str, str]:
    """Return what pages show of them."""
    found = records.load(Objectives, Objectives.PATH)
    return {
        "objectives-table": table(_HEADS, [(name, *_cells(each)) for name, each in found.networks.items()]),
        "objectives-measured": f"{found.measured.machine}, {found.measured.date}",
    }


def _cells(network: Network) -> Sequence[str]:
    forms = (_form(network, label) for label in LABELS)
    speedups = network.times.speedups
    return (*forms, *(gain(speedups[label]) if label in speedups else "-" for label in _OTHERS))


def _form(network: Network, label: str) -> str:
    if label not in network.times.latencies:
        return "-"
    figures, latency = network.figures[label], network.times.latencies[label]
    return f"{latency.median_ms:.2f}, {figures.transposes}, {figures.bytes_moved / 1e6:.2f}"
