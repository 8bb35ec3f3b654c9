"""The page of the comparison, from the figures alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.peers.catalogue import FLOOR, OURS, PEERS, WINOGRAD
from benchmarks.peers.figures import Network, Outcome, Summary, mean_speedup, over_the_best
from docs.tools.markdown import table
from docs.tools.reasons.peers import REASONS
from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.options import TOLERANCE
from layoutopt.report.terminal.tables import format_size

_INTRODUCTION = f"""\
# Other converters

The benchmark networks at full size with the same random weights, converted by layoutopt and by other converters, each
in an environment of its own. All were asked for NHWC inputs and outputs, with default options otherwise.

Every result is compared with ONNX Runtime on the original ONNX file. A result that differs by more than {TOLERANCE:g}
of the largest output is *wrong* and not timed; neither is one that needs TensorFlow at run time or does not run.
*{FLOOR}* is the same network written by hand in Keras, where no layouts had to be chosen. *{WINOGRAD}* is ours with
[Winograd's algorithms](fewer-multiplications.md#winograds-algorithms): where its ratio is below 1, it is faster than
ours by default.

## Latency

The latency of each result divided by that of layoutopt's: above 1, ours is faster. All models of a network run in
turns on one thread of LiteRT with XNNPACK, in processor time. They are loaded again several times, since their place in
memory makes a few percent. Each load counts with its fastest sample; the ratio is the median over the loads, and its
95 % interval is in brackets. **Bold** is a difference beyond noise, *italic* too noisy to tell, and the rest are ties,
as [`layoutopt benchmark`](benchmark.md#what-is-called-a-difference) defines them, with a second copy of ours as the
control. Means are geometric, over the n networks that the converter gets right.
"""
_ON_FASTER = """
## Where another converter is faster
"""
_ON_NETWORKS = """
## Network by network

Bytes are those that the TRANSPOSEs write in one inference. Errors are against ONNX Runtime on the original: the largest
difference, the same divided by the largest output, and the mean of the squares. CPU seconds and memory are those of the
conversion with all its processes; ours includes verification, others verify nothing or less.
"""
_ON_CONVERTERS = """
## The converters
"""
_ON_TINYNN = """
TinyNN is missing because it can only be installed from its repository; another project has its name on PyPI.

Measured by `make peers`.
"""


def committed_page() -> str:
    """Return the page of the committed figures."""
    return "\n".join(page(Summary.committed())) + "\n"


def page(summary: Summary) -> Iterator[str]:
    """Yield the lines of the page."""
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
    return f"{mean_speedup(found):.2f} (n = {len(found)})" if found else "-"


def _best(networks: Mapping[str, Network]) -> Iterator[str]:
    """Yield how the best of the other converters does on each network, all together."""
    if best := over_the_best(networks):
        mean = mean_speedup(best.values())
        yield f"The best of the other converters on each network, {FLOOR} left out: {mean:.2f} on average."
    if best := over_the_best(networks, WINOGRAD):
        yield f"Its latency divided by that of `{WINOGRAD}`: {mean_speedup(best.values()):.2f} on average."


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
        format_size(figures.bytes_moved) if figures.operators else "-",
        *(map(_error, (figures.max_abs_error, figures.relative_error, figures.mse))),
        f"{latency.median_ms:.2f}" if latency else "-",
        _beside(name, network) if latency else "-",
        f"{figures.processor:.0f}",
        format_size(figures.memory),
    )


def _beside(name: str, network: Network) -> str:
    return "1" if name == OURS else _latency(name, network)


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _failures(network: Network) -> Iterator[str]:
    """Yield what the converters said, of those that did not convert the network, or LiteRT of what they made."""
    failed = [(name, figures) for name, figures in network.figures.items() if figures.error]
    if failed:
        yield ""
    for name, figures in failed:
        said = figures.error.replace("`", "'")
        yield f"- {name} {figures.outcome.value}: `{said}`"


def _versions(versions: Mapping[str, str]) -> str:
    return f" ({', '.join(f'{name} {version}' for name, version in versions.items())})" if versions else ""
