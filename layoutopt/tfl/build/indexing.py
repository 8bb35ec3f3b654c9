"""Operators that read or write at indices."""

from __future__ import annotations

from collections.abc import Callable

from layoutopt.tfl import custom_options
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Value
from layoutopt.tfl.recorder import Integers, Operand, int32, one, record, value_of, values_of


def gather(x: Operand, indices: Operand, axis: int = 0, *, batch_dims: int = 0) -> Value:
    """Record GATHER along an axis; indices count from the front."""
    value = value_of(x)
    return one("GATHER", value, value_of(indices), axis=axis % max(value.rank, 1), batch_dims=batch_dims)


def gather_nd(x: Operand, indices: Operand) -> Value:
    """Record GATHER_ND: the last axis of the indices tells a place."""
    return one("GATHER_ND", value_of(x), value_of(indices))


def scatter_nd(indices: Operand, updates: Operand, shape: Integers) -> Value:
    """Record SCATTER_ND: zeros with the updates added at their places."""
    return one("SCATTER_ND", value_of(indices), value_of(updates), int32(shape))


def _segment(code: str) -> Callable[[Operand, Operand, Integers], Value]:
    def function(x: Operand, segments: Operand, count: Integers) -> Value:
        return one(code, value_of(x), value_of(segments), int32(count))

    function.__doc__ = f"Record {code}: rows of ``x`` joined by the number of their segment, up to ``count``."
    return function


unsorted_segment_max, unsorted_segment_min = map(_segment, ("UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN"))
unsorted_segment_prod, unsorted_segment_sum = map(_segment, ("UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_SUM"))


def one_hot(indices: Operand, depth: Integers, on: Operand = 1.0, off: Operand = 0.0, axis: int = -1) -> Value:
    """Record ONE_HOT along a new axis."""
    index = value_of(indices)
    return one("ONE_HOT", index, int32(depth), *values_of(on, off), axis=axis % (index.rank + 1))


def where(condition: Operand) -> Value:
    """Record WHERE: the places that hold, (count, rank) in INT64."""
    return one("WHERE", value_of(condition))


def unique(x: Operand) -> tuple[Value, Value]:
    """Record UNIQUE: the different elements in order of appearance, and which of them each element is."""
    values, places = record("UNIQUE", value_of(x), idx_out_type="INT32")
    return values, places


def topk_v2(x: Operand, count: Integers) -> tuple[Value, Value]:
    """Record TOPK_V2: the largest elements of the last axis, and where they are."""
    values, places = record("TOPK_V2", value_of(x), int32(count))
    return values, places


def dynamic_update_slice(x: Operand, update: Operand, starts: Value) -> Value:
    """Record DYNAMIC_UPDATE_SLICE: ``x`` with ``update`` in the place that begins at ``starts``."""
    return one("DYNAMIC_UPDATE_SLICE", value_of(x), value_of(update), starts)


def non_max_suppression_v4(
    boxes: Value, scores: Operand, count: Integers, overlap: Operand, score: Operand
) -> tuple[Value, Value]:
    """Record NON_MAX_SUPPRESSION_V4: indices of the boxes that are kept, filled up to ``count``, and their number."""
    bounds = (value_of(overlap, DType.FLOAT32), value_of(score, DType.FLOAT32))
    indices, number = record("NON_MAX_SUPPRESSION_V4", boxes, value_of(scores), int32(count), *bounds)
    return indices, number


def detection_postprocess(
    encodings: Operand, scores: Value, anchors: Value, **options: custom_options.OptionValue
) -> list[Value]:
    """Record the custom operator TFLite_Detection_PostProcess: boxes, classes, scores and how many they are.

    Args:
        encodings: of boxes (1, boxes, 4) relative to the anchors: y, x, and the logarithms of height and width.
        scores: (1, boxes, classes).
        anchors: (boxes, 4) as y, x, height and width.
        options: as the operator calls them; ``max_classes_per_detection`` is 1.
    """
    rows = int(options["max_detections"])
    shapes = ((1, rows, 4), (1, rows), (1, rows), (1,))
    return record(
        "TFLite_Detection_PostProcess",
        value_of(encodings),
        scores,
        anchors,
        results=[(DType.FLOAT32, shape) for shape in shapes],
        custom_options=custom_options.encode(options),
    )
