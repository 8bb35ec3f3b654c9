"""Runs a float graph on samples and gathers the statistics of its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.quantization.copying import copy_graph
from layoutopt.quantization.operators import is_real
from layoutopt.quantization.running import TfliteSession
from layoutopt.quantization.saturation import reader_limits
from layoutopt.quantization.statistics import Statistics
from layoutopt.tfl.dtypes import Array
from layoutopt.tfl.graph import Graph, Model, Value

_MAX_BYTES = 1 << 28
"""The bytes of what a graph computes that are kept at once; larger graphs are observed part by part."""

Samples = Callable[[], Iterator[Sequence[Array]]]
"""Iterates over samples again each time: an array for each input of the graph."""


def observe(graph: Graph, samples: Samples, scratch: Path, *, verbose: bool = False) -> dict[Value, Statistics]:
    """Return the statistics of the float inputs and of all float results of the main graph.

    What no reader tells apart counts as one number.

    Args:
        graph: stays as it is.
        samples: at least one.
        scratch: directory for .tflite files.
        verbose: let through what LiteRT writes to stderr.
    """
    found = {value: Statistics() for value in graph.inputs if is_real(value)}
    for sample in samples():
        for value, array in zip(graph.inputs, sample, strict=True):
            if value in found:
                found[value].add(array)
    for part in _parts(graph):
        found |= _observe_part(graph, part, samples, scratch / "observed.tflite", verbose=verbose)
    return found


def _parts(graph: Graph) -> Iterator[list[Value]]:
    """Iterate over the results of a graph in groups of bounded size."""
    part: list[Value] = []
    size = 0
    for operation in graph.operations:
        for result in filter(is_real, operation.results):
            if part and size + result.size_in_bytes > _MAX_BYTES:
                yield part
                part, size = [], 0
            part.append(result)
            size += result.size_in_bytes
    if part:
        yield part


def _observe_part(
    graph: Graph, values: Sequence[Value], samples: Samples, path: Path, *, verbose: bool
) -> dict[Value, Statistics]:
    copy, copies = copy_graph(graph)
    copy.outputs = [copies[value] for value in values]
    names = [f"input_{at}" for at in range(len(copy.inputs))], [f"value_{at}" for at in range(len(values))]
    write_tflite(Model(copy, *names), path)
    found = {value: Statistics() for value in values}
    limits = reader_limits(graph)
    runner = TfliteSession(path, next(samples()), verbose=verbose)
    for outputs in runner.outputs(samples()):
        for value, array in zip(values, outputs, strict=True):
            found[value].add(np.clip(array, *limits[value]) if value in limits else array)
    return found
