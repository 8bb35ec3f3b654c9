"""Tails of detectors in ONNX's text syntax, and sets of boxes and scores that are hard to tell apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tests.conversion_cases import Array, indices, numbers

Generator = np.random.Generator

SUPPRESSION = "y = NonMaxSuppression(boxes, scores, most, overlap, least)"

TORCHVISION = """
    flat = Reshape(scores, all)
    passed = Greater(flat, least)
    found = NonZero(passed)
    places = Squeeze(found, first)
    above = Gather(flat, places)
    shape = Shape(above)
    number = Min(shape, candidates)
    best, order = TopK(above, number)
    chosen = Gather(places, order)
    row = Div(chosen, classes)
    label = Mod(chosen, classes)
    box = Gather(boxes, row)
    largest = ReduceMax<keepdims = 0>(boxes)
    apart = Add(largest, one)
    number_of_class = Cast<to = 1>(label)
    offset = Mul(number_of_class, apart)
    offsets = Unsqueeze(offset, second)
    moved = Add(box, offsets)
    batched_boxes = Unsqueeze(moved, first)
    batched_scores = Unsqueeze(best, first_two)
    kept = NonMaxSuppression(batched_boxes, batched_scores, most, overlap)
    column = Gather<axis = 1>(kept, last)
    every = Squeeze(column, second)
    keep = Slice(every, first, limit)
    y = Gather(box, keep)
    z = Gather(best, keep)
    w = Gather(label, keep)
"""
"""From boxes (n, 4) and scores (n, classes), as torchvision's detectors: one suppression, classes far apart."""

TORCHVISION_CONSTANTS: dict[str, Array] = {
    "all": indices(-1),
    "first": indices(0),
    "second": indices(1),
    "first_two": indices(0, 1),
    "last": indices(2),
    "candidates": indices(40),
    "classes": np.array(3, np.int64),
    "one": np.array(1, np.float32),
    "most": indices(2**31 - 1),
    "overlap": numbers(0.5),
    "least": np.array(0.25, np.float32),
    "limit": indices(12),
}

ULTRALYTICS = """
    best = ReduceMax<axes = [1], keepdims = 0>(scores)
    label = ArgMax<axis = 1, keepdims = 0>(scores)
    passed = Greater(best, least)
    found = NonZero(passed)
    places = Transpose(found)
    box = GatherND(boxes, places)
    score = GatherND(best, places)
    class = GatherND(label, places)
    number_of_class = Cast<to = 1>(class)
    column = Unsqueeze(number_of_class, second)
    moved = Add(box, column)
    batched_boxes = Unsqueeze(moved, first)
    batched_scores = Unsqueeze(score, first_two)
    kept = NonMaxSuppression(batched_boxes, batched_scores, most, overlap)
    one_column = Gather<axis = 1>(kept, last)
    every = Squeeze(one_column, second)
    keep = Slice(every, first, limit)
    some = Gather(box, keep)
    some_scores = Gather(score, keep)
    some_classes = Gather(column, keep)
    score_column = Unsqueeze(some_scores, second)
    rows = Concat<axis = 1>(some, score_column, some_classes)
    flat = Reshape(rows, all)
    size = Shape(flat)
    missing = Sub(full, size)
    amounts = Concat<axis = 0>(first, missing)
    filled = Pad(flat, amounts)
    y = Reshape(filled, target)
"""
"""From the same to rows of box, score and class of fixed number, as Ultralytics' exports with ``nms=True``."""

ULTRALYTICS_CONSTANTS: dict[str, Array] = {
    **TORCHVISION_CONSTANTS,
    "full": indices(12 * 6),
    "target": indices(1, 12, 6),
}

_NETWORK = """
    begun = Conv<strides = [4, 4], pads = [1, 1, 1, 1]>(image, stem)
    features = Relu(begun)
    heads = Conv(features, head)
    table = Reshape(heads, two_axes)
    rows = Transpose(table)
    starts, sizes, logits = Split<axis = 1>(rows, parts)
    sides = Exp(sizes)
    ends = Add(starts, sides)
    every_box = Concat<axis = 1>(starts, ends)
    every_score = Sigmoid(logits)
"""

OVERLAPS = (0.0, 0.25, 1 / 3, 0.5, 0.75, 1.0)
"""Thresholds that boxes on a grid overlap by exactly."""


def boxes(rng: Generator, *shape: int) -> Array:
    """Return boxes (\\*shape, 4) on a grid, some moved a little, upside down, empty or given twice."""
    corner, size = rng.integers(0, 6, (*shape, 2)), rng.integers(1, 5, (*shape, 2))
    found = np.concatenate([corner, corner + size], -1).astype(np.float32)
    kind = rng.random(shape)
    found = np.where((kind < 0.3)[..., None], found + rng.random(found.shape) * 0.5, found).astype(np.float32)
    found = np.where((kind > 0.9)[..., None], found[..., [2, 3, 0, 1]], found)
    found = np.where(((kind > 0.3) & (kind < 0.36))[..., None], found[..., [0, 1, 0, 3]], found)
    near = rng.random(shape) < 0.1
    return np.where(near[..., None], np.nextafter(np.roll(found, 1, -2), np.float32(9)), found)


def centres(rng: Generator, *shape: int) -> Array:
    """Return boxes (\\*shape, 4) on a grid by their centres and sizes, some without a size."""
    return np.concatenate([rng.integers(0, 9, (*shape, 2)), rng.integers(0, 5, (*shape, 2))], -1).astype(np.float32)


def scores(rng: Generator, *shape: int) -> Array:
    """Return scores of which many are alike, or as near to each other as floats can be."""
    found = (rng.integers(0, 9, shape) / 8).astype(np.float32)
    return np.where(rng.random(shape) < 0.2, np.nextafter(found, np.float32(2)), found)


def limits(rng: Generator, count: int) -> dict[str, npt.NDArray[Any]]:
    """Return operands of a NonMaxSuppression, some of them at the edge of what they may be."""
    overlap = np.float32(rng.choice(OVERLAPS))
    if rng.random() < 0.3:
        overlap = np.clip(np.nextafter(overlap, np.float32(rng.integers(0, 2))), 0, 1)
    return {
        "most": indices(int(rng.choice([0, 1, 3, count, 10 * count]))),
        "overlap": numbers(float(overlap)),
        "least": numbers(rng.choice([-1.0, 0.0, 0.25, 0.5, 0.95, 2.0])),
    }


def network() -> onnx.ModelProto:
    """Return a detector of 12 objects at most, of three classes: from an image to boxes, scores and labels."""
    outputs = {"y": "boxes", "z": "scores", "w": "labels"}
    tail = TORCHVISION.replace("(scores", "(every_score").replace("(boxes", "(every_box")
    for old, new in outputs.items():
        tail = re.sub(rf"\b{old} =", f"{new} =", tail)
    signature = "g (float[1, 3, 32, 32] image) => (float[k, 4] boxes, float[k] scores, int64[k] labels)"
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 17]> {signature} {{ {_NETWORK} {tail} }}')
    for node in model.graph.node:  # as exporters do
        node.name = f"/{node.output[0]}/{node.op_type}"
    rng = np.random.default_rng(0)
    constants = {
        **TORCHVISION_CONSTANTS,
        "stem": (rng.standard_normal((8, 3, 3, 3)) / 3).astype(np.float32),
        "head": rng.standard_normal((7, 8, 1, 1)).astype(np.float32),
        "two_axes": indices(7, 64),
        "parts": indices(2, 2, 3),
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    return model
