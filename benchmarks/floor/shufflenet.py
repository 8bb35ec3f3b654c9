"""A classifier that shuffles its channels."""

from __future__ import annotations

from keras import activations, layers, ops

from benchmarks.floor.layers import Tensor, classifier, conv_bn, max_pool
from benchmarks.floor.weights import Scope


def shufflenet_v2(scope: Scope, x: Tensor) -> Tensor:
    """Build ``ShuffleNetV2``."""
    first, *units, last = scope["features"].children()
    x = max_pool(conv_bn(first, x, stride=2, activation=activations.relu))
    for unit in units:
        x = _unit(unit, x)
    return classifier(scope["head"], conv_bn(last, x, activation=activations.relu))


def _unit(scope: Scope, x: Tensor) -> Tensor:
    first, depthwise, last = scope["through"].children()
    around = list(scope["around"].children())
    stride = 2 if around else 1
    one, other = (x, x) if around else ops.split(x, 2, axis=-1)
    if around:
        one = conv_bn(around[1], conv_bn(around[0], one, stride=stride), activation=activations.relu)
    other = conv_bn(first, other, activation=activations.relu)
    other = conv_bn(last, conv_bn(depthwise, other, stride=stride), activation=activations.relu)
    return _shuffle(layers.Concatenate()([one, other]))


def _shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels."""
    _, rows, columns, channels = x.shape
    halves = layers.Reshape((rows, columns, 2, channels // 2))(x)
    return layers.Reshape((rows, columns, channels))(layers.Permute((1, 2, 4, 3))(halves))
