"""A one-stage detector with the boxes decoded inside the network."""

from __future__ import annotations

from collections.abc import Callable

from keras import activations, layers, ops

from benchmarks.floor.layers import Tensor, conv, conv_bn, upsampled
from benchmarks.floor.weights import Scope
from benchmarks.models.yolo import STRIDES


def yolo_head(scope: Scope, x: Tensor) -> Tensor:
    """Build ``YoloHead``."""
    p3, p4, p5 = backbone(scope, x, _cross_stage)
    top5 = silu_conv(scope["lateral5"], p5)
    top4 = _cross_stage(scope["merge4"], layers.Concatenate()([upsampled(top5), p4]))
    top3 = _cross_stage(scope["merge3"], layers.Concatenate()([upsampled(silu_conv(scope["lateral4"], top4)), p3]))
    scales = zip(scope["decode"].children(), (top3, top4, top5), STRIDES, strict=True)
    return layers.Concatenate(axis=1)([_decoded(decode, features, stride) for decode, features, stride in scales])


def silu_conv(scope: Scope, x: Tensor, *, stride: int = 1) -> Tensor:
    """Return a convolution, batch normalization and SiLU."""
    return conv_bn(scope, x, stride=stride, activation=activations.silu)


def _pyramid_pooling(scope: Scope, x: Tensor) -> Tensor:
    """Build ``PyramidPooling``."""
    pyramid = [silu_conv(scope["squeeze"], x)]
    for _ in range(3):
        pyramid.append(layers.MaxPooling2D(5, strides=1, padding="same")(pyramid[-1]))
    return silu_conv(scope["join"], layers.Concatenate()(pyramid))


def backbone(scope: Scope, x: Tensor, cross_stage: Callable[[Scope, Tensor], Tensor]) -> tuple[Tensor, ...]:
    """Return the features of three sizes, the largest first, of stages with blocks of that kind."""
    p3 = _stage(scope["stage3"], _stage(scope["stem"], x, cross_stage), cross_stage)
    p4 = _stage(scope["stage4"], p3, cross_stage)
    return p3, p4, _stage(scope["stage5"], p4, cross_stage)


def _stage(scope: Scope, x: Tensor, cross_stage: Callable[[Scope, Tensor], Tensor]) -> Tensor:
    """Return convolutions of stride 2, and what else the stage is made of."""
    for each in scope.children():
        if "0.weight" in each:
            x = silu_conv(each, x, stride=2)
        elif "squeeze.0.weight" in each:
            x = _pyramid_pooling(each, x)
        else:
            x = cross_stage(each, x)
    return x


def _cross_stage(scope: Scope, x: Tensor) -> Tensor:
    """Build ``CrossStage``."""
    first, *blocks = scope["through"].children()
    y = silu_conv(first, x)
    for block in blocks:
        narrow, wide = block["branch"].children()
        y += silu_conv(wide, silu_conv(narrow, y))
    return silu_conv(scope["join"], layers.Concatenate()([y, silu_conv(scope["around"], x)]))


def _decoded(scope: Scope, x: Tensor, stride: int) -> Tensor:
    """Return the boxes of one scale, those of the first anchor first."""
    grid, sizes = scope.take("grid"), scope.take("sizes")
    anchors, cells = grid.shape[1], x.shape[1] * x.shape[2]
    x = layers.Reshape((cells, anchors, -1))(conv(scope["head"], x))
    x = activations.sigmoid(layers.Permute((2, 1, 3))(x))
    xy, wh, confidence = ops.split(x, (2, 4), axis=-1)
    xy = (xy * 2 + grid.reshape(1, anchors, cells, 2)) * stride
    wh = (wh * 2) ** 2 * sizes.reshape(1, anchors, cells, 2)
    x = layers.Concatenate()([xy, wh, confidence])
    return layers.Reshape((anchors * cells, x.shape[-1]))(x)
