"""The page of the comparison, from the figures alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.markdown import table
from benchmarks.peers.catalogue import FLOOR, OURS, PEERS
from benchmarks.peers.figures import Network, Outcome, Summary
from benchmarks.peers.reasons import REASONS
from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.options import TOLERANCE
from layoutopt.report.terminal.tables import size

_INTRODUCTION = f"""\
# Beside other converters

The networks of `benchmarks/models` at full size with the same random weights, converted by layoutopt and by others,
each in an environment of its own, with channels-last inputs and outputs asked for and default options else. Made by
`make peers`, which goes on where it ended; the figures are in `benchmarks/results/peers.json`.

Every result runs once beside ONNX Runtime on the original ONNX file. One that is off by more than {TOLERANCE:g} of the
largest output is *wrong* and not timed; neither is one that needs TensorFlow at run time, or does not run at all.
*{FLOOR}* is the network written by hand in Keras: no converter had a layout to choose there.

## Latency beside ours

Latency over that of layoutopt's result: above 1, ours is faster. On one XNNPACK thread of LiteRT by the clock of the
thread, all models of a network in turns, loaded anew several times: where a model comes to lie in memory makes some per
cent. Each load counts by its fastest sample; the ratio is the median of those within each load, in brackets its 95 %
interval. **Bold** is a difference beyond noise, *italic* too noisy to tell, the rest are ties, as
[`layoutopt benchmark`](benchmark.md#what-is-called-a-difference) says it, with ours loaded once more beside itself as
the control. The means are geometric, over the n networks that the converter gets right.
"""
_ON_FASTER = """
## Where another is faster than ours
"""
_ON_NETWORKS = """
## Network by network

Bytes are those that the TRANSPOSEs write in one inference. Errors are against ONNX Runtime on the original: the largest
difference, that over the largest output, and the mean squared one. CPU seconds and memory are those of the conversion,
with all processes that take part; ours has its verification in them, others verify nothing or less.
"""
_ON_CONVERTERS = """
## The converters
"""
_ON_TINYNN = """
TinyNN is not among them: it is installed from its repository, not from the package index, where another project has its
name.
"""


def committed_page() -> str:
    """The page of the committed figures."""
    return "\n".join(page(Summary.committed())) + "\n"


def page(summary: Summary) -> Iterator[str]:
    """The lines of the page."""
    yield _INTRODUCTION
    names = [name for name in PEERS if any(name in network.figures for network in summary.networks.values())]
    others = [name for name in names if name != OURS]
    yield table(("network", *others), _latencies(summary.networks, others))
    yield ""
    yield from _best(summary.networks)
    yield _ON_FASTER
    yield from _faster(summary.networks)
    yield _ON_NETWORKS
    for name, network in summary.networks.items():
        yield f"### {name}\n"
        yield table(_COLUMNS, (_row(each, network) for each in names if each in network.figures))
        yield from _failures(network)
        yield ""
    yield _ON_CONVERTERS
    yield from (f"- **{name}**{_versions(summary.versions.get(name, {}))}: {PEERS[name].settings}." for name in names)
    yield _ON_TINYNN
    days = sorted({network.times.date for network in summary.networks.values() if network.times})
    yield ", timed ".join((summary.measured.machine, *([" and ".join(days)] if days else []))) + "."


# --- latencies -------------------------------------------------------------------------------------------------------


def _latencies(networks: Mapping[str, Network], others: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for name, network in networks.items():
        yield (name, *(_latency(other, network) for other in others))
    yield ("**mean**", *(_mean(networks.values(), other) for other in others))


def _latency(name: str, network: Network) -> str:
    figures = network.figures.get(name)
    if figures is None:
        return "-"
    if figures.outcome is not Outcome.RIGHT:
        return str(figures.outcome.value)
    if network.times is None or name not in network.times.speedups:
        return "not timed"
    speedup = network.times.speedups[name]
    mark = _MARKS[speedup.verdict]
    return f"{mark}{_ratio(speedup)}{mark}"


_MARKS = {Verdict.FASTER: "**", Verdict.SLOWER: "**", Verdict.TOO_NOISY: "*", Verdict.WITHIN_NOISE: ""}


def _ratio(speedup: Speedup) -> str:
    return f"{speedup.median_of_rounds:.2f} ({speedup.low:.2f} to {speedup.high:.2f})"


def _mean(networks: Iterable[Network], name: str) -> str:
    found = [network.times.speedups[name] for network in networks if network.times and name in network.times.speedups]
    return f"{_geometric(found):.2f} (n = {len(found)})" if found else "-"


def _geometric(speedups: Sequence[Speedup]) -> float:
    return statistics.geometric_mean(speedup.median_of_rounds for speedup in speedups)


def _best(networks: Mapping[str, Network]) -> Iterator[str]:
    """How the best of the other converters does on each network, all together."""
    of_converters = [
        [speedup for name, speedup in network.times.speedups.items() if name != FLOOR]
        for network in networks.values()
        if network.times
    ]
    best = [min(found, key=lambda speedup: speedup.median_of_rounds) for found in of_converters if found]
    if best:
        yield f"The best of the other converters on each network, {FLOOR} left out: {_geometric(best):.2f} on average."


def _faster(networks: Mapping[str, Network]) -> Iterator[str]:
    timed = {name: network for name, network in networks.items() if network.times}
    for name, network in timed.items():
        if faster := ", ".join(f"{other} at {_ratio(speedup)}" for other, speedup in network.faster.items()):
            yield f"- **{name}**: {faster}. {REASONS.get(name, 'The cause is not known.')}"
    if not any(network.faster for network in timed.values()):
        yield f"Nowhere beyond noise, on the {len(timed)} networks that were timed."


# --- network by network ----------------------------------------------------------------------------------------------

_COLUMNS = (
    *("converter", "operators", "TRANSPOSE", "GATHER", "bytes moved", "max abs error", "relative", "MSE"),
    *("ms", "over ours", "CPU s", "memory"),
)


def _row(name: str, network: Network) -> tuple[str, ...]:
    figures = network.figures[name]
    counted = (figures.operators, figures.transposes, figures.gathers) if figures.operators else ("-",) * 3
    latency = network.times.latencies.get(name) if network.times else None
    return (
        name if figures.outcome is Outcome.RIGHT else f"{name}: {figures.outcome.value}",
        *map(str, counted),
        size(figures.bytes_moved) if figures.operators else "-",
        *(map(_error, (figures.max_abs_error, figures.relative_error, figures.mse))),
        f"{latency.median_ms:.2f}" if latency else "-",
        _beside(name, network) if latency else "-",
        f"{figures.processor:.0f}",
        size(figures.memory),
    )


def _beside(name: str, network: Network) -> str:
    return "1" if name == OURS else _latency(name, network)


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _failures(network: Network) -> Iterator[str]:
    """What the converters said, of those that did not convert the network, or LiteRT of what they made."""
    failed = [(name, figures) for name, figures in network.figures.items() if figures.error]
    if failed:
        yield ""
    for name, figures in failed:
        said = figures.error.replace("`", "'")
        yield f"- {name} {figures.outcome.value}: `{said}`"


def _versions(versions: Mapping[str, str]) -> str:
    return f" ({', '.join(f'{name} {version}' for name, version in versions.items())})" if versions else ""
