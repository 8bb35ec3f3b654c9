"""The page of the comparison, from the figures alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.peers.catalogue import FLOOR, OURS, PEERS
from benchmarks.peers.figures import Network, Outcome, Summary, Times, Timing, Verdict
from benchmarks.peers.reasons import REASONS
from layoutopt.options import TOLERANCE
from layoutopt.report.tables import size

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
cent. Medians over the loads, each of which counts by its fastest sample; in brackets the 95 % interval that resampling
the loads gives. **Bold**: a difference beyond noise, which is what ours differs from itself, loaded once more beside
itself; the rest are ties. The means are geometric, over the n networks that the converter gets right.
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


def page(summary: Summary) -> Iterator[str]:
    """The lines of the page."""
    yield _INTRODUCTION
    names = [name for name in PEERS if any(name in network.figures for network in summary.networks.values())]
    others = [name for name in names if name != OURS]
    yield from _table(("network", *others), _latencies(summary.networks, others))
    yield ""
    yield from _best(summary.networks)
    yield _ON_FASTER
    yield from _faster(summary.networks)
    yield _ON_NETWORKS
    for name, network in summary.networks.items():
        yield f"### {name}\n"
        yield from _table(_COLUMNS, (_row(each, network) for each in names if each in network.figures))
        yield from _failures(network)
        yield ""
    yield _ON_CONVERTERS
    yield from (f"- **{name}**{_versions(summary.versions.get(name, {}))}: {PEERS[name].settings}." for name in names)
    yield _ON_TINYNN
    days = sorted({network.times.day for network in summary.networks.values() if network.times})
    yield ", timed ".join((summary.machine, *([" and ".join(days)] if days else []))) + "."


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (heading, ("---",) * len(heading), *rows):
        yield "| " + " | ".join(row) + " |"


# --- latencies -------------------------------------------------------------------------------------------------------


def _latencies(networks: Mapping[str, Network], others: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for name, network in networks.items():
        yield (name, *(_latency(other, network) for other in others))
    yield ("**mean**", *(_mean([network.times for network in networks.values()], other) for other in others))


def _latency(name: str, network: Network) -> str:
    figures = network.figures.get(name)
    if figures is None:
        return "-"
    if figures.outcome is not Outcome.RIGHT:
        return str(figures.outcome.value)
    if network.times is None or name not in network.times.timings:
        return "not timed"
    text = _ratio(network.times.timings[name])
    return text if network.times.verdict(name) is Verdict.TIE else f"**{text}**"


def _ratio(timing: Timing) -> str:
    return f"{timing.ratio:.2f} ({timing.low:.2f} to {timing.high:.2f})"


def _mean(times: Sequence[Times | None], name: str) -> str:
    ratios = [each.timings[name].ratio for each in times if each is not None and name in each.timings]
    return f"{_geometric(ratios):.2f} (n = {len(ratios)})" if ratios else "-"


def _geometric(ratios: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))


def _best(networks: Mapping[str, Network]) -> Iterator[str]:
    """How the best of the other converters does on each network, all together."""
    best = [
        min(timing.ratio for name, timing in network.times.timings.items() if name not in (OURS, FLOOR))
        for network in networks.values()
        if network.times and set(network.times.timings) - {OURS, FLOOR}
    ]
    if best:
        yield f"The best of the other converters on each network, {FLOOR} left out: {_geometric(best):.2f} on average."


def _faster(networks: Mapping[str, Network]) -> Iterator[str]:
    timed = {name: network for name, network in networks.items() if network.times}
    for name, network in timed.items():
        if network.faster:
            yield f"- **{name}**: {_those(network)}. {REASONS.get(name, 'The cause is not known.')}"
    if not any(network.faster for network in timed.values()):
        yield f"Nowhere beyond noise, on the {len(timed)} networks that were timed."


def _those(network: Network) -> str:
    assert network.times is not None
    return ", ".join(f"{name} at {_ratio(network.times.timings[name])}" for name in network.faster)


# --- network by network ----------------------------------------------------------------------------------------------

_COLUMNS = (
    *("converter", "operators", "TRANSPOSE", "GATHER", "bytes moved", "max abs error", "relative", "MSE"),
    *("ms", "over ours", "CPU s", "memory"),
)


def _row(name: str, network: Network) -> tuple[str, ...]:
    figures = network.figures[name]
    counted = (figures.operators, figures.transposes, figures.gathers) if figures.operators else ("-",) * 3
    timing = network.times.timings.get(name) if network.times else None
    return (
        name if figures.outcome is Outcome.RIGHT else f"{name}: {figures.outcome.value}",
        *map(str, counted),
        size(figures.bytes_moved) if figures.operators else "-",
        *(map(_error, (figures.max_abs_error, figures.relative_error, figures.mse))),
        f"{timing.median_ms:.2f}" if timing else "-",
        _beside(name, network) if timing else "-",
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
