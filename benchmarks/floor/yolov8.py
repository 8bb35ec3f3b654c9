"""A one-stage detector without anchors, whose box sides are the means of distributions."""

from __future__ import annotations

from keras import activations, layers, ops

from benchmarks.floor.layers import Tensor, conv, upsampled
from benchmarks.floor.weights import Scope
from benchmarks.floor.yolo import backbone, silu_conv
from benchmarks.models.yolov8 import BINS


def yolov8(scope: Scope, x: Tensor) -> Tensor:
    """Return ``YoloV8``, with the boxes as rows: (1, cells, 4 + classes)."""
    p3, p4, p5 = backbone(scope, x, _cross_stage_fast)
    n4 = _merge(scope["top4"], upsampled(p5), p4)
    n3 = _merge(scope["top3"], upsampled(n4), p3)
    n4 = _merge(scope["merge4"], silu_conv(scope["down3"], n3, stride=2), n4)
    n5 = _merge(scope["merge5"], silu_conv(scope["down4"], n4, stride=2), p5)
    scales = list(zip(scope["scales"].children(), (n3, n4, n5), strict=True))
    sides, scores = (
        layers.Concatenate(axis=1)([_branch(scale[name], features) for scale, features in scales])
        for name in ("sides", "scores")
    )
    return _decoded(scope["decode"], sides, scores)


def _merge(scope: Scope, *operands: Tensor) -> Tensor:
    return _cross_stage_fast(scope, layers.Concatenate()(operands))


def _cross_stage_fast(scope: Scope, x: Tensor) -> Tensor:
    """Build ``CrossStageFast``."""
    parts = ops.split(silu_conv(scope["split"], x), 2, axis=-1)
    for block in scope["blocks"].children():
        residual = "branch.0.0.weight" in block
        first, second = (block["branch"] if residual else block).children()
        y = silu_conv(second, silu_conv(first, parts[-1]))
        parts.append(parts[-1] + y if residual else y)
    return silu_conv(scope["join"], layers.Concatenate()(parts))


def _branch(scope: Scope, x: Tensor) -> Tensor:
    """Return two 3x3 convolutions and a linear one; a row per cell."""
    for each in scope["stem"].children():
        x = silu_conv(each, x)
    x = conv(scope["head"], x)
    return layers.Reshape((-1, x.shape[-1]))(x)


def _decoded(scope: Scope, sides: Tensor, scores: Tensor) -> Tensor:
    centres, strides = (scope.take(name) for name in ("centres", "strides"))
    centres, strides = centres.transpose(0, 2, 1), strides[..., None]
    bins = scope.take("bins").reshape(BINS, 1)
    distributions = ops.softmax(ops.reshape(sides, (-1, sides.shape[1], 4, BINS)))
    distances = ops.reshape(ops.matmul(distributions, bins), (-1, sides.shape[1], 4))
    near, far = ops.split(distances, 2, axis=-1)
    low, high = ops.subtract(centres, near), ops.add(centres, far)
    boxes = layers.Concatenate()([(low + high) / 2, high - low]) * strides
    return layers.Concatenate()([boxes, activations.sigmoid(scores)])
