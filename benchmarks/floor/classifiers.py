"""Convolutional image classifiers."""

from __future__ import annotations

from functools import partial

from keras import activations, layers, ops

from benchmarks.floor.layers import (
    Tensor,
    classifier,
    conv,
    conv_bn,
    dense,
    dense_of,
    inverted_residual,
    max_pool,
    squeeze_excite,
)
from benchmarks.floor.weights import Scope
from benchmarks.models.classifiers import VGG11, EfficientNetLike, MobileNetV3Large
from layoutopt.frontend.demo import STAGES


def mobilenet_v2(scope: Scope, x: Tensor) -> Tensor:
    """Build ``MobileNetV2``."""
    stages = scope.children()
    x = conv_bn(next(stages), x, stride=2, activation=activations.relu6)
    for expansion, _, blocks, stride in STAGES:
        for block in range(blocks):
            x = inverted_residual(
                next(stages),
                x,
                expand=expansion > 1,
                stride=1 if block else stride,
                activation=activations.relu6,
            )
    x = conv_bn(next(stages), x, activation=activations.relu6)
    return classifier(next(stages), x)


def mobilenet_v3_large(scope: Scope, x: Tensor) -> Tensor:
    """Build ``MobileNetV3Large``."""
    excite = partial(squeeze_excite, activation=activations.relu, gate=ops.hard_sigmoid)
    stages, channels = scope.children(), 16
    x = conv_bn(next(stages), x, stride=2, activation=ops.hard_silu)
    for _, expanded, outputs, excited, hard_swish, stride in MobileNetV3Large.BLOCKS:
        x = inverted_residual(
            next(stages),
            x,
            expand=expanded != channels,
            stride=stride,
            activation=ops.hard_silu if hard_swish else activations.relu,
            excite=excite if excited else None,
        )
        channels = outputs
    x = conv_bn(next(stages), x, activation=ops.hard_silu)
    x = ops.hard_silu(classifier(next(stages), x))
    return dense(next(stages), x)


def efficientnet(scope: Scope, x: Tensor) -> Tensor:
    """Build ``EfficientNetLike``."""
    excite = partial(squeeze_excite, activation=activations.silu, gate=activations.sigmoid)
    stages = scope.children()
    x = conv_bn(next(stages), x, stride=2, activation=activations.silu)
    for expansion, _, _, blocks, stride in EfficientNetLike.STAGES:
        for block in range(blocks):
            x = inverted_residual(
                next(stages),
                x,
                expand=expansion > 1,
                stride=1 if block else stride,
                activation=activations.silu,
                excite=excite,
            )
    x = conv_bn(next(stages), x, activation=activations.silu)
    return classifier(next(stages), x)


def resnet50(scope: Scope, x: Tensor) -> Tensor:
    """Build ``ResNet50``; with groups if the weights have them."""
    stages = scope.children()
    x = max_pool(conv_bn(next(stages), x, stride=2, activation=activations.relu))
    for level, count in enumerate((3, 4, 6, 3)):
        for block in range(count):
            x = _bottleneck(next(stages), x, stride=2 if level and not block else 1)
    return classifier(next(stages), x)


def vgg11(scope: Scope, x: Tensor) -> Tensor:
    """Build ``VGG11``; its first linear layer reads the pixels in another order."""
    stages = scope.children()
    for count, _ in VGG11.STAGES:
        for _ in range(count):
            x = activations.relu(conv(next(stages), x))
        x = layers.MaxPooling2D()(x)
    _, rows, columns, channels = x.shape
    first = next(stages)
    weight, bias = first.take_all("weight", "bias")
    weight = weight.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    x = activations.relu(dense_of(first.name, layers.Flatten()(x), weight, bias))
    x = activations.relu(dense(next(stages), x))
    return dense(next(stages), x)


def _bottleneck(scope: Scope, x: Tensor, *, stride: int) -> Tensor:
    branch = scope["branch"]
    y = conv_bn(branch[0], x, activation=activations.relu)
    y = conv_bn(branch[1], y, stride=stride, activation=activations.relu)
    y = conv_bn(branch[2], y)
    shortcut = scope["shortcut"]
    return activations.relu(y + (conv_bn(shortcut, x, stride=stride) if "0.weight" in shortcut else x))
