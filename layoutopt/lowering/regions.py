"""RoiAlign: samples of each bin of a region, blended from their neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from layoutopt.lowering.node import Node, axis_size, lowers
from layoutopt.lowering.sampling import Tap, clamp, weighted
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value

_LEAST = float(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True)
class _Samples:
    """One sample of each bin along one axis.

    Attributes:
        taps: its two neighbours.
        there: 1 where the region has that many samples, else 0: (regions, 1, 1, 1).
    """

    taps: Sequence[Tap]
    there: Value


@dataclass(frozen=True, slots=True)
class _Bins:
    """The bins of each region along one axis.

    Attributes:
        number: of bins.
        size: of the picture.
        start: where each region starts, (regions, 1).
        extent: of a bin, (regions, 1).
        count: of the samples of a bin, (regions, 1).
        other: position among (regions, height, width) of the other axis of the bins.
    """

    number: int
    size: int
    start: Value
    extent: Value
    count: Value
    other: int

    def sample(self, index: Value) -> _Samples:
        """Return sample ``index`` of each bin of each region."""
        centres = self.start + self.extent * np.arange(self.number, dtype=np.float32)
        point = centres + (index + 0.5) * self.extent / tfl.maximum(self.count, 1)
        on = tfl.cast(tfl.logical_and(point >= -1.0, point <= float(self.size)), DType.FLOAT32)
        point = clamp(point, 0.0, self.size - 1.0)
        low = tfl.floor(point)
        far = point - low
        taps = ((low, (1 - far) * on), (tfl.minimum(low + 1, self.size - 1.0), far * on))
        there = tfl.cast(index < self.count, DType.FLOAT32)
        spread = [(tfl.expand_dims(each, self.other), tfl.expand_dims(weight, self.other)) for each, weight in taps]
        return _Samples(spread, tfl.reshape(there, (-1, 1, 1, 1)))


@lowers("RoiAlign")
def roi_align(node: Node) -> Value:
    """Lower RoiAlign to GATHERs of samples; in a WHILE where their number depends on the region."""
    batch, channels, height, width = node.shape
    high, wide = node.integer("output_height", 1), node.integer("output_width", 1)
    ratio, is_max = node.integer("sampling_ratio", 0), node.text("mode", "avg") == "max"
    starts, extents = _extents(node)
    bins = extents / np.array([wide, high], np.float32)
    counts = tfl.value_of(np.full((1, 2), ratio, np.float32)) if ratio > 0 else tfl.ceil(bins)
    rows = tfl.reshape(tfl.transpose(node.x, (0, 2, 3, 1)), (batch * height * width, channels))
    first = tfl.reshape(tfl.int32(node[2]) * (height * width), (-1, 1, 1))
    down = _Bins(high, height, starts[:, 1:], bins[:, 1:], counts[:, 1:], 2)
    along = _Bins(wide, width, starts[:, :1], bins[:, :1], counts[:, :1], 1)

    def read(y: _Samples, x: _Samples) -> Value:
        """Return one sample of each bin: (regions, high, wide, channels)."""
        found = weighted(rows, first, (height, width), (y.taps, x.taps))
        if not is_max:
            return reduce(tfl.add, found) * (y.there * x.there)
        return tfl.select_v2(y.there * x.there > 0, reduce(tfl.maximum, found), _LEAST)

    join = tfl.maximum if is_max else tfl.add
    if ratio > 0:
        samples = [[axis.sample(tfl.value_of(float(i))) for i in range(ratio)] for axis in (down, along)]
        total = reduce(join, [read(y, x) for y in samples[0] for x in samples[1]])
    else:
        wide_most, high_most = tfl.unpack(tfl.maximum(tfl.reduce_max(counts, 0), 0))  # of no regions too

        def step(index: Value, sofar: Value) -> tuple[Value, Value]:
            y = tfl.floor(index / wide_most)
            return index + 1, join(sofar, read(down.sample(y), along.sample(index - y * wide_most)))

        shape = tfl.pack([axis_size(node[1], 0), *map(tfl.value_of, (high, wide, channels))])
        start = (0.0, tfl.fill(shape, _LEAST if is_max else 0.0))
        total = tfl.while_(lambda index, _: index < wide_most * high_most, step, start)[1]
    number = tfl.reshape(tfl.reduce_prod(counts, 1), (-1, 1, 1, 1))
    y = tfl.select_v2(number > 0, total, 0.0) if is_max else total / tfl.maximum(number, 1)
    return tfl.transpose(y, [0, 3, 1, 2])


def _extents(node: Node) -> tuple[Value, Value]:
    """Return where each region starts, and how far it extends: (regions, 2), x before y."""
    modern = node.opset >= 16
    mode = node.text("coordinate_transformation_mode", "half_pixel" if modern else "output_half_pixel")
    shift = 0.5 if mode == "half_pixel" else 0.0
    regions = node[1] * node.number("spatial_scale", 1.0) - shift
    extents = regions[:, 2:] - regions[:, :2]
    return regions[:, :2], extents if shift else tfl.maximum(extents, 1.0)
