"""The figures of rewrites to fewer multiplications on published networks."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records
from benchmarks.peers.catalogue import OURS
from benchmarks.published import EXACT, PEER, Network, Published
from docs.tools.markdown import table
from layoutopt.backend.litert.latency import Speedup, Verdict


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Published, Published.PATH)
    heads = ("network", "multiplications", "ms", "`--exact`", "onnx2tf", "gain", "over onnx2tf", "max abs error", "MSE")
    rows = [(name, *_cells(network)) for name, network in found.networks.items()]
    return {
        "published-table": table(heads, rows),
        "published-measured": f"{found.measured.machine}, {found.measured.date}",
    }


def _cells(network: Network) -> tuple[str, ...]:
    products, times = network.products, network.times
    ours = network.figures[OURS]
    latencies = {label: f"{latency.median_ms:.2f}" for label, latency in times.latencies.items()}
    gains = {label: gain(speedup) for label, speedup in times.speedups.items()}
    return (
        f"{products.before / 1e6:.0f} M to {products.after / 1e6:.0f} M",
        *(latencies.get(label, "-") for label in (OURS, EXACT, PEER)),
        *(gains.get(label, "-") for label in (EXACT, PEER)),
        f"{ours.max_abs_error:.1e}",
        f"{ours.mse:.1e}",
    )


def gain(speedup: Speedup) -> str:
    """Return a speedup, bold where it is beyond noise, with the verdict where there is no difference."""
    text = f"{speedup.of_medians:.2f}x"
    if speedup.verdict is Verdict.FASTER:
        return f"**{text}**"
    return text if speedup.verdict is Verdict.SLOWER else f"{text}, {speedup.verdict.value}"
