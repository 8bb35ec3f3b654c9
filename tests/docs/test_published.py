"""The tables of published networks show converters that these were timed with, and no others."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import records
from benchmarks.peers.catalogue import OURS
from benchmarks.published import PEER, TORCH, Network, Published
from docs.tools.published import compared, converters


def timed_with(network: Network, *others: str) -> Network:
    """Return a network with the latencies of ours, and the same for other converters."""
    ours = network.times.latencies[OURS]
    return replace(network, times=replace(network.times, latencies={OURS: ours, **dict.fromkeys(others, ours)}))


def test_a_converter_has_columns_once_a_network_was_timed_with_it() -> None:
    name, network = next(iter(records.load(Published, Published.PATH).networks.items()))
    one = {name: timed_with(network, PEER), "another": timed_with(network)}
    assert "onnx2tf" in compared(one)
    assert "litert-torch" not in compared(one)
    assert "litert-torch" not in converters(one)
    both = {**one, "another": timed_with(network, TORCH)}
    heading, _, first, second = ([cell.strip() for cell in row.split("|")] for row in compared(both).splitlines())
    at = heading.index("litert-torch")
    assert (first[at], second[at]) == ("-", second[heading.index("ms")])
    assert "over litert-torch" in heading
    assert converters(both).startswith("onnx2tf 2.")
    assert " and litert-torch 0." in converters(both)
