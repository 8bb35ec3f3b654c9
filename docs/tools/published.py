"""The figures of rewrites to fewer multiplications on published networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.peers.catalogue import OURS, WINOGRAD
from benchmarks.published import EXACT, OTHERS, PEER, Network, OnnxTimes, Published
from docs.tools.markdown import table
from layoutopt.backend.litert.latency import Speedup, Verdict


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Published, Published.PATH)
    runs = sorted({f"{each.measured.machine}, {each.measured.date}" for each in found.networks.values()})
    heads = ("network", "ms", "without", "gain", "over onnx2tf", "file", "max abs error", "MSE")
    by_winograd = [(name, *_by_winograd(each)) for name, each in found.networks.items() if WINOGRAD in each.figures]
    onnx = [(name, *_in_onnx(each, each.onnx)) for name, each in found.networks.items() if each.onnx]
    return {
        "published-table": compared(found.networks),
        "published-converters": converters(found.networks),
        "published-winograd": table(heads, by_winograd),
        "published-onnx": table(
            ("network", "as exported", "`--exact`", "ms", "over the original", "gain", "passes", "conversion"), onnx
        ),
        "published-measured": " and ".join(runs),
    }


def compared(networks: Mapping[str, Network]) -> str:
    """Return the table of the networks, with columns for the converters that any of them was timed with."""
    others = _timed(networks)
    names = [OTHERS[each].packages[0] for each in others]
    heads = (
        *("network", "multiplications", "ms", "`--exact`", *names),
        *("gain", *(f"over {name}" for name in names), "max abs error", "MSE"),
    )
    return table(heads, [(name, *_cells(network, others)) for name, network in networks.items()])


def converters(networks: Mapping[str, Network]) -> str:
    """Return the converters that any network was timed with beside ours, with their versions, in words."""
    packages = [(OTHERS[each].packages[0], OTHERS[each].versions()) for each in _timed(networks)]
    return " and ".join(f"{name} {versions[name]}" for name, versions in packages)


def _timed(networks: Mapping[str, Network]) -> list[str]:
    return [each for each in OTHERS if any(each in network.times.latencies for network in networks.values())]


def _cells(network: Network, others: Sequence[str]) -> tuple[str, ...]:
    products, times = network.products, network.times
    ours = network.figures[OURS]
    latencies = {label: f"{latency.median_ms:.2f}" for label, latency in times.latencies.items()}
    gains = {label: gain(speedup) for label, speedup in times.speedups.items()}
    return (
        f"{products.before / 1e6:.0f} M to {products.after / 1e6:.0f} M",
        *(latencies.get(label, "-") for label in (OURS, EXACT, *others)),
        *(gains.get(label, "-") for label in (EXACT, *others)),
        f"{ours.max_abs_error:.1e}",
        f"{ours.mse:.1e}",
    )


def _by_winograd(network: Network) -> tuple[str, ...]:
    """Return how a network fares with Winograd's algorithms, beside the same without them and beside onnx2tf's."""
    latencies, noise, figures = network.times.latencies, network.times.noise, network.figures[WINOGRAD]
    mine = latencies[WINOGRAD]
    gains = [gain(mine.speedup_over(latencies[each], noise)) if each in latencies else "-" for each in (OURS, PEER)]
    sizes = " to ".join(f"{network.sizes[each] / 1e6:.1f}" for each in (OURS, WINOGRAD))
    return (
        *(f"{latencies[each].median_ms:.2f}" for each in (WINOGRAD, OURS)),
        *gains,
        f"{sizes} MB",
        f"{figures.max_abs_error:.1e}",
        f"{figures.mse:.1e}",
    )


def _in_onnx(network: Network, times: OnnxTimes) -> tuple[str, ...]:
    """Return the times of the .onnx files, and what the passes take of the time of the conversion."""
    cost = network.cost
    seconds = (f"{cost.rewrites:.2f} s", f"{cost.whole:.1f} s") if cost else ("-", "-")
    milliseconds = (f"{each.median_ms:.1f}" for each in (times.original, times.exact, times.ours))
    return *milliseconds, gain(times.over_original), gain(times.speedup), *seconds


def gain(speedup: Speedup) -> str:
    """Return a speedup, bold where it is beyond noise, with the verdict where there is no difference."""
    text = f"{speedup.of_medians:.2f}x"
    if speedup.verdict is Verdict.FASTER:
        return f"**{text}**"
    return text if speedup.verdict is Verdict.SLOWER else f"{text}, {speedup.verdict.value}"
