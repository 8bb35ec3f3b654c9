"""What detectors do with boxes: NON_MAX_SUPPRESSION_V4, and regions read by GATHER."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import tensorflow as tf

from layoutopt.backend.onnx_tf.handlers.indexing import to_int32
from layoutopt.backend.onnx_tf.handlers.node import Node, Operand, handles, permuted, reshaped, shape_of
from layoutopt.backend.onnx_tf.handlers.sampling import Tap, weighted

_MOST_PAIRS = 1024  # of a batch element and a class: each is operators of its own


@handles("NonMaxSuppression")
def non_max_suppression(node: Node) -> Operand:
    """NON_MAX_SUPPRESSION_V4 per batch element and class; what is not selected is dropped at run time."""
    (batch, count, _), classes = node.shape, shape_of(node[1])[1]
    pairs = batch * classes
    if pairs > _MOST_PAIRS:
        raise node.unsupported(f"{batch} batch elements of {classes} classes are more than {_MOST_PAIRS} pairs")
    most = _scalar(node, 2, 0, np.int64)
    slots = min(int(most), count) if isinstance(most, np.ndarray) else count
    if slots <= 0 or pairs == 0:
        return np.zeros((0, 3), np.int64)
    boxes = _corners(node.x) if node.integer("center_point_box", 0) else node.x
    # TFLite's kernel takes boxes of one score in no order: it gets them sorted, with their places for scores.
    scores, order = tf.math.top_k(reshaped(node[1], (pairs, count)), count)
    least = node.optional(4)
    passing = [count] * pairs if least is None else tf.unstack(_passing(scores, least), num=pairs)
    most_overlap, places = _scalar(node, 3, 0, np.float32), np.arange(count, 0, -1, dtype=np.float32)
    selected, numbers = [], []
    for pair in range(pairs):
        indices, number = tf.raw_ops.NonMaxSuppressionV4(
            boxes=tf.gather(boxes[pair // classes], order[pair]),
            scores=places,
            max_output_size=slots,
            iou_threshold=_above(most_overlap),
            score_threshold=tf.cast(count - passing[pair], tf.float32),
            pad_to_max_output_size=True,
        )
        # Nothing overlaps more than wholly.
        indices = tf.where(most_overlap < 1, indices, np.arange(slots, dtype=np.int32))
        selected.append(tf.gather(order[pair], indices))
        numbers.append(tf.where(most_overlap < 1, number, passing[pair]))
    numbers = tf.minimum(tf.stack(numbers), slots)
    if not isinstance(most, np.ndarray):
        numbers = tf.minimum(numbers, to_int32(tf.minimum(most, count)))
    return _listed(tf.stack(selected), numbers, classes)


def _scalar(node: Node, index: int, default: float, kind: type[np.generic]) -> Operand:
    operand = node.optional(index)
    return np.asarray(default, kind) if operand is None else reshaped(operand, ())


def _corners(boxes: Operand) -> Operand:
    """Boxes as y, x, y, x, given as x, y, width, height of their centres."""
    centre, half = boxes[..., 1::-1], boxes[..., :1:-1] / 2
    return tf.concat([centre - half, centre + half], -1)


def _passing(scores: Operand, least: Operand) -> Operand:
    """How many scores (pairs, count) of each pair are above ``least``."""
    return tf.reduce_sum(tf.cast(scores > reshaped(least, ()), tf.int32), 1)


def _above(threshold: Operand) -> Operand:
    """The next number, up to 1: ONNX suppresses what overlaps more than the threshold, TFLite what overlaps as much."""
    least = np.finfo(np.float32).tiny  # numbers below may count as 0
    if isinstance(threshold, np.ndarray):
        return np.clip(np.nextafter(threshold, np.float32(np.inf)), least, np.float32(1))
    return tf.clip_by_value(tf.bitcast(tf.bitcast(threshold, tf.int32) + 1, tf.float32), least, 1.0)


def _listed(selected: Operand, numbers: Operand, classes: int) -> Operand:
    """Batch, class and box of the first few of each row of ``selected`` (pairs, slots)."""
    pairs, slots = shape_of(selected)
    places = tf.where(np.arange(slots, dtype=np.int32) < tf.expand_dims(numbers, 1))
    owners = np.stack(np.divmod(np.arange(pairs), classes), -1)
    boxes = tf.cast(tf.gather_nd(selected, places), tf.int64)
    return tf.concat([tf.gather(owners, places[:, 0]), tf.expand_dims(boxes, 1)], 1)


# --- regions ---------------------------------------------------------------------------------------------------------


@handles("RoiAlign")
def roi_align(node: Node) -> Operand:
    """Samples of each bin, blended from their neighbours; in a WHILE where their number depends on the region."""
    height, width = node.shape[2:]
    high, wide = node.integer("output_height", 1), node.integer("output_width", 1)
    ratio, regions = node.integer("sampling_ratio", 0), shape_of(node[1])[0]
    starts, extents = _extents(node)
    bins = extents / np.array([wide, high], np.float32)
    counts = tf.fill([regions, 2], float(ratio)) if ratio > 0 else tf.math.ceil(bins)
    rows = reshaped(permuted(node.x, (0, 2, 3, 1)), (node.shape[0] * height * width, node.shape[1]))
    first = reshaped(to_int32(node[2]) * np.int32(height * width), (regions, 1, 1))
    is_max = node.text("mode", "avg") == "max"

    def down(number: Operand) -> Samples:
        return _samples(number, high, height, starts[:, 1], bins[:, 1], counts[:, 1], 2)

    def along(number: Operand) -> Samples:
        return _samples(number, wide, width, starts[:, 0], bins[:, 0], counts[:, 0], 1)

    def read(y: Samples, x: Samples) -> Operand:
        """One sample of each bin: (regions, high, wide, channels)."""
        found = weighted(rows, first, (height, width), (y.taps, x.taps))
        if not is_max:
            return reduce(tf.add, found) * (y.there * x.there)
        return tf.where(y.there * x.there > 0, reduce(tf.maximum, found), _LEAST)

    join, neutral = (tf.maximum, _LEAST) if is_max else (tf.add, np.float32(0))
    if ratio > 0:
        each_down, each_along = ([of(np.float32(i)) for i in range(ratio)] for of in (down, along))
        total = reduce(join, [read(y, x) for y in each_down for x in each_along])
    else:
        wide_most, high_most = tf.unstack(tf.reduce_max(counts, 0), num=2)

        def step(i: Operand, sofar: Operand) -> tuple[Operand, Operand]:
            y = tf.floor(i / wide_most)
            return i + 1, join(sofar, read(down(y), along(i - y * wide_most)))

        start = (np.float32(0), tf.fill([regions, high, wide, node.shape[1]], neutral))
        total = tf.while_loop(lambda i, _: i < wide_most * high_most, step, start)[1]
    number = reshaped(tf.reduce_prod(counts, 1), (regions, 1, 1, 1))
    y = tf.where(number > 0, total, np.float32(0)) if is_max else total / tf.maximum(number, 1)
    return tf.transpose(y, [0, 3, 1, 2])


_LEAST = np.float32(np.finfo(np.float32).min)


def _extents(node: Node) -> tuple[Operand, Operand]:
    """Where each region starts, and how far it extends: (regions, 2), x before y."""
    modern = node.opset >= 16
    mode = node.text("coordinate_transformation_mode", "half_pixel" if modern else "output_half_pixel")
    shift = 0.5 if mode == "half_pixel" else 0.0
    regions = node[1] * np.float32(node.number("spatial_scale", 1.0)) - np.float32(shift)
    extents = regions[:, 2:] - regions[:, :2]
    return regions[:, :2], extents if shift else tf.maximum(extents, 1.0)


@dataclass(frozen=True, slots=True)
class Samples:
    """One sample of each bin along one axis.

    Attributes:
        taps: its two neighbours.
        there: 1 where the region has that many samples, else 0: (regions, 1, 1, 1).
    """

    taps: Sequence[Tap]
    there: Operand


def _samples(
    number: Operand, bins: int, size: int, start: Operand, extent: Operand, count: Operand, other: int
) -> Samples:
    """Sample ``number`` of each of ``bins`` bins of each region; ``other`` is the other axis of the bins."""
    start, extent, count = (reshaped(each, (shape_of(each)[0], 1)) for each in (start, extent, count))
    point = start + extent * np.arange(bins, dtype=np.float32) + (number + 0.5) * extent / tf.maximum(count, 1)
    on = tf.cast(tf.logical_and(point >= -1.0, point <= float(size)), tf.float32)
    point = tf.clip_by_value(point, 0.0, size - 1.0)
    low = tf.floor(point)
    far = point - low
    taps = ((low, (1 - far) * on), (tf.minimum(low + 1, size - 1.0), far * on))
    there = tf.cast(number < count, tf.float32)
    spread = [(tf.expand_dims(position, other), tf.expand_dims(weight, other)) for position, weight in taps]
    return Samples(spread, reshaped(there, (shape_of(there)[0], 1, 1, 1)))
