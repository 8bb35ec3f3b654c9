"""Detectors' selection of boxes, by NON_MAX_SUPPRESSION_V4 or the custom operator TFLite_Detection_PostProcess."""

from __future__ import annotations

import numpy as np

from layoutopt.ir.dialect import DETECTION_LIMITS, DETECTION_POSTPROCESS, DOMAIN
from layoutopt.lowering.node import Node, axis_size, lowers
from layoutopt.lowering.sampling import clamp
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import UnknownShapeError, Value

_MAX_PAIRS = 1024
"""Of a batch element and a class: each is operators of its own."""


@lowers("NonMaxSuppression")
def non_max_suppression(node: Node) -> Value:
    """Lower NonMaxSuppression to NON_MAX_SUPPRESSION_V4 per batch element and class, and drop the rest at run time."""
    (batch, classes), count = _owners(node), axis_size(node.x, 1)
    most = _scalar(node, 2, DType.INT64)
    slots = tfl.int32(tfl.minimum(most, tfl.cast(count, DType.INT64))) if most.is_constant else count
    if batch * classes == 0 or (slots.is_constant and slots.array <= 0):
        return Value.constant(np.zeros((0, 3), np.int64))
    boxes = tfl.unpack(_apart(_corners(node.x) if node.integer("center_point_box", 0) else node.x, count), 0, batch)
    # LiteRT's kernel takes boxes of one score in no order: it gets them sorted, with their places for scores.
    scores, order = tfl.topk_v2(tfl.reshape(node[1], (batch * classes, -1)), count)
    least = node.optional(4)
    passing = None if least is None else tfl.unpack(_count_above(scores, tfl.reshape(least, ())), 0, batch * classes)
    overlap = _scalar(node, 3, DType.FLOAT32)
    places = tfl.cast(tfl.range_(count, 0, -1), DType.FLOAT32)
    selected, numbers = [], []
    for pair, own_order in enumerate(tfl.unpack(order, 0, batch * classes)):
        own_passing = count if passing is None else passing[pair]
        indices, number = tfl.non_max_suppression_v4(
            tfl.gather(boxes[pair // classes], own_order),
            places,
            slots,
            _next_above(overlap),
            tfl.cast(count - own_passing, DType.FLOAT32),
        )
        # Nothing overlaps more than wholly.
        indices = _if_below_one(overlap, indices, tfl.range_(0, slots))
        selected.append(tfl.gather(own_order, indices))
        numbers.append(_if_below_one(overlap, number, own_passing))
    kept = tfl.minimum(tfl.pack(numbers), slots)
    if not most.is_constant:
        kept = tfl.minimum(kept, tfl.int32(tfl.minimum(most, tfl.cast(count, DType.INT64))))
    return _listed(tfl.pack(selected), kept, slots, classes)


@lowers(DETECTION_POSTPROCESS, domain=DOMAIN)
def detection_postprocess(node: Node) -> list[Value]:
    """Lower DetectionPostprocess to TFLite_Detection_PostProcess, exactly.

    The boxes are the anchors, and all encodings are zero. The operator computes corners of both in double precision,
    where zeros change nothing.
    """
    limits = {name: node.constant(at).reshape(-1)[0] for at, name in enumerate(DETECTION_LIMITS, start=2)}
    least, tiny = np.float32(limits["score_threshold"]), np.finfo(np.float32).tiny  # numbers below may count as 0
    # The operator takes scores of the threshold, ONNX those above it; an overlap has to be above 0 in both.
    passing = max(np.nextafter(least, np.float32(np.inf)), tiny if least >= 0 else least)
    return tfl.detection_postprocess(
        np.zeros(node.shape, np.float32),
        node[1],
        tfl.reshape(node.x, node.shape[1:]),
        max_detections=int(limits["max_detections"]),
        max_classes_per_detection=1,
        detections_per_class=int(limits["detections_per_class"]),
        use_regular_nms=True,
        nms_score_threshold=float(passing),
        nms_iou_threshold=float(max(limits["iou_threshold"], tiny)),
        num_classes=int(limits["num_classes"]),
        **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), 1.0),
    )


def _owners(node: Node) -> tuple[int, int]:
    """Return how many batch elements and classes there are.

    Raises:
        UnknownShapeError: they come at run time.
        UnsupportedOperatorError: they are too many.
    """
    if node.x.shape is None or node[1].shape is None:
        raise UnknownShapeError
    batch, classes = node[1].shape[:2]
    if batch is None:
        batch = node.x.shape[0]
    if batch is None or classes is None:
        raise UnknownShapeError
    if batch * classes > _MAX_PAIRS:
        raise node.unsupported(f"{batch} batch elements of {classes} classes are more than {_MAX_PAIRS} pairs")
    return batch, classes


def _scalar(node: Node, index: int, dtype: DType) -> Value:
    """Return an operand that is one number, 0 where it is left out."""
    operand = node.optional(index)
    return tfl.value_of(0, dtype) if operand is None else tfl.reshape(operand, ())


def _corners(boxes: Value) -> Value:
    """Return boxes as y, x, y, x that are given as x, y, width, height of their centres."""
    centre, half = boxes[..., 1::-1], boxes[..., :1:-1] / 2
    return tfl.concatenation([centre - half, centre + half], -1)


_FAR, _WIDE = 1e6, 1e5


def _apart(boxes: Value, count: Value) -> Value:
    """Return boxes whose sides are not 0: those without an area overlap nothing, and LiteRT selects them repeatedly.

    They are taken to where none else is.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    is_empty = tfl.equal(sides[..., :1] * sides[..., 1:], 0)
    corners = tfl.expand_dims(tfl.cast(tfl.range_(1, count + 1), DType.FLOAT32), 1) * -_FAR
    return tfl.select_v2(is_empty, corners + np.array([0, 0, _WIDE, _WIDE], np.float32), boxes)


def _count_above(scores: Value, least: Value) -> Value:
    """Return how many scores (pairs, count) of each pair are above ``least``."""
    return tfl.sum_(tfl.cast(scores > least, DType.INT32), 1)


def _next_above(threshold: Value) -> Value:
    """Return the next number, up to 1: ONNX suppresses what overlaps more than the threshold, LiteRT as much."""
    least = float(np.finfo(np.float32).tiny)  # numbers below may count as 0
    return clamp(tfl.bitcast(tfl.bitcast(threshold, DType.INT32) + 1, DType.FLOAT32), least, 1.0)


def _if_below_one(overlap: Value, selected: Value, everything: Value) -> Value:
    """Return what was selected where boxes can overlap more than ``overlap``, else everything."""
    if overlap.is_constant:
        return selected if overlap.array < 1 else everything
    return tfl.select_v2(overlap < 1, selected, everything)


def _listed(selected: Value, numbers: Value, slots: Value, classes: int) -> Value:
    """Return batch, class and box of the first few of each row of ``selected`` (pairs, slots)."""
    pairs = numbers.sizes[0]
    places = tfl.where(tfl.range_(0, slots) < tfl.expand_dims(numbers, 1))
    owners = np.stack(np.divmod(np.arange(pairs), classes), -1)
    boxes = tfl.cast(tfl.gather_nd(selected, places), DType.INT64)
    return tfl.concatenation([tfl.gather(owners, places[:, 0]), tfl.expand_dims(boxes, 1)], 1)
