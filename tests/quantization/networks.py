"""Small float networks of LiteRT's operators, with samples, for the tests of quantization."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layoutopt.options import Int8, RangeMethod
from layoutopt.quantization.building import QuantizedGraph, Settings
from layoutopt.quantization.calibrator import Calibrator
from layoutopt.quantization.observing import Samples
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites import simplify

Array = npt.NDArray[Any]


def weights(seed: int, *shape: int) -> Array:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)


def classifier(x: Value) -> Value:
    """A stem, a block with depthwise convolution and a shortcut, an average and a product."""
    a = tfl.relu6(tfl.conv_2d(x, weights(1, 16, 3, 3, 3), weights(2, 16)))
    b = tfl.relu(tfl.depthwise_conv_2d(a, weights(3, 1, 3, 3, 16) * 5, weights(4, 16), padding="SAME"))
    c = tfl.conv_2d(b, weights(5, 16, 1, 1, 16), weights(6, 16)) + a
    return tfl.fully_connected(tfl.mean(c, (1, 2)), weights(7, 10, 16), weights(8, 10))


def detector(x: Value) -> Value:
    """Boxes of hundreds of pixels and scores from 0 to 1, joined in one output."""
    a = tfl.relu(tfl.conv_2d(x, weights(1, 16, 3, 3, 3), weights(2, 16)))
    boxes = tfl.conv_2d(a, weights(3, 4, 1, 1, 16)) * 200.0
    scores = tfl.logistic(tfl.conv_2d(a, weights(4, 6, 1, 1, 16)))
    return tfl.concatenation([boxes, scores], 3)


def faint(x: Value) -> Value:
    """Scores of which all are far less than a 256th."""
    a = tfl.relu(tfl.conv_2d(x, weights(1, 16, 3, 3, 3), weights(2, 16)))
    return tfl.logistic(tfl.conv_2d(a, weights(3, 6, 1, 1, 16), np.full(6, -9, np.float32)))


def anchored(x: Value) -> Value:
    """Numbers from 0 to 1 of which some become boxes, and the others are scores as they are."""
    boxes, scores = tfl.split(faint(x), 2, 3)
    return tfl.concatenation([boxes * 300.0, scores], 3)


def swishing(x: Value) -> Value:
    """Activations that have slow int8 kernels, and a gate between 0 and 1."""
    a = tfl.hard_swish(tfl.conv_2d(x, weights(1, 16, 3, 3, 3), weights(2, 16)))
    gate = tfl.minimum(tfl.relu(tfl.conv_2d(a, weights(3, 16, 1, 1, 16)) * 0.2 + 0.5), 1.0)
    return tfl.conv_2d(a * gate, weights(4, 8, 1, 1, 16), weights(5, 8))


def sinking(x: Value) -> Value:
    """A layer that reaches far below what HARD_SWISH, which alone reads it, tells apart."""
    a = tfl.hard_swish(tfl.conv_2d(x, weights(1, 64, 3, 3, 3), np.linspace(-60, 0, 64, dtype=np.float32)))
    return tfl.conv_2d(tfl.hard_swish(tfl.conv_2d(a, weights(2, 64, 1, 1, 64))), weights(3, 8, 1, 1, 64))


def exponential(x: Value) -> Value:
    """An operator that computes with integers only where all have to."""
    return tfl.exp(tfl.conv_2d(x, weights(1, 4, 3, 3, 3)))


def wavy(x: Value) -> Value:
    """An operator that LiteRT has no int8 kernel of."""
    return tfl.sin(tfl.conv_2d(x, weights(1, 4, 3, 3, 3)))


def normalizing(x: Value) -> Value:
    """A normalization by the mean and the variance of each channel, and functions that are tables in int8."""
    a = tfl.conv_2d(x, weights(1, 16, 3, 3, 3), weights(2, 16))
    mean = tfl.mean(a, (1, 2), keep_dims=True)
    variance = tfl.mean(tfl.squared_difference(a, mean), (1, 2), keep_dims=True)
    b = (a - mean) * tfl.rsqrt(variance + np.float32(1e-3))
    c = tfl.sqrt(tfl.abs_(b)) + tfl.log(tfl.exp(b * 0.3) + 1.0)
    return tfl.conv_2d(tfl.square(c) * 0.25 + c, weights(3, 8, 1, 1, 16), weights(4, 8))


Network = Callable[[Value], Value]


def model(network: Network, *, size: int = 12) -> Model:
    graph = Graph([Value(DType.FLOAT32, (1, size, size, 3), name="x")])
    with tfl.recording(graph), tfl.scope("node"):
        graph.outputs = [network(graph.inputs[0])]
    for at, operation in enumerate(graph.operations):
        operation.scope = f"{operation.code.lower()}_{at}"
    simplify(graph)
    return Model(graph, ["x"], ["y"])


@dataclass(frozen=True, slots=True)
class Pictures:
    """Random smooth pictures: ``count`` from ``first`` on."""

    first: int
    count: int
    size: int = 12

    def __call__(self) -> Iterator[list[Array]]:
        for seed in range(self.first, self.first + self.count):
            rng = np.random.default_rng(seed)
            picture = np.cumsum(rng.standard_normal((1, self.size, self.size, 3)), 1) * rng.uniform(0.2, 1)
            yield [picture.astype(np.float32)]


def parted(calibration: Samples, choosing: Samples, judging: Samples) -> tuple[Samples, Samples, Samples, Samples]:
    """Return the samples that a Calibrator takes; recipes are compared on all that do not judge."""
    return calibration, choosing, lambda: chain(calibration(), choosing()), judging


def calibrated(
    network: Network, scratch: Path, *, size: int = 12, judging: Pictures | None = None, **settings: Any
) -> tuple[Model, QuantizedGraph]:
    real = model(network, size=size)
    asked = Settings(**{"ranges": RangeMethod.MINMAX, **settings})
    samples = parted(Pictures(0, 12, size), Pictures(100, 6, size), judging or Pictures(200, 6, size))
    return real, Calibrator(real, asked, *samples, scratch).run()


FULL: Mapping[str, Any] = {"int8": Int8.FULL}
