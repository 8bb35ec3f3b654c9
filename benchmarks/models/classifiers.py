"""Convolutional image classifiers."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from benchmarks.models.layers import Activation, ConvBn, InvertedResidual, SqueezeExcite, rounded
from layoutopt.frontend.demo import STAGES


class MobileNetV2(nn.Sequential):
    """Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), table 2."""

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = rounded(32 * width)
        stages: list[nn.Module] = [ConvBn(3, channels, kernel=3, stride=2, activation=nn.ReLU6)]
        for expansion, base, blocks, stride in STAGES:
            outputs = rounded(base * width)
            for block in range(blocks):
                stages.append(
                    InvertedResidual(
                        channels,
                        expansion * channels,
                        outputs,
                        kernel=3,
                        stride=1 if block else stride,
                        activation=nn.ReLU6,
                    )
                )
                channels = outputs
        last = rounded(1280 * width)
        super().__init__(
            *stages,
            ConvBn(channels, last, activation=nn.ReLU6),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(last, classes),
        )


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up, added to the operand or its projection."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, stride: int, groups: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            ConvBn(inputs, inner, activation=nn.ReLU),
            ConvBn(inner, inner, kernel=3, stride=stride, groups=groups, activation=nn.ReLU),
            ConvBn(inner, outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvBn(inputs, outputs, stride=stride)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(self.branch(x) + self.shortcut(x))


class ResNet50(nn.Sequential):
    """He et al., "Deep Residual Learning for Image Recognition" (2015), table 1; stride in the 3x3 convolution.

    With ``groups``, Xie et al., "Aggregated Residual Transformations" (2016), table 1: ResNeXt, twice as wide within
    the blocks.
    """

    def __init__(
        self, *, width: int = 64, blocks: tuple[int, ...] = (3, 4, 6, 3), groups: int = 1, classes: int = 1000
    ) -> None:
        channels = width
        stages: list[nn.Module] = [
            ConvBn(3, width, kernel=7, stride=2, activation=nn.ReLU),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for level, count in enumerate(blocks):
            base = width << level
            inner = base if groups == 1 else 2 * base
            for block in range(count):
                stride = 2 if level and not block else 1
                stages.append(Bottleneck(channels, inner, 4 * base, stride=stride, groups=groups))
                channels = 4 * base
        super().__init__(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class VGG11(nn.Sequential):
    """Simonyan and Zisserman, "Very Deep Convolutional Networks" (2014), table 1 (A), with narrower last layers."""

    STAGES = ((1, 1), (1, 2), (2, 4), (2, 8), (2, 8))
    """Convolutions, and their channels in multiples of the width, before each pool."""

    def __init__(self, *, resolution: int = 224, width: int = 64, hidden: int = 512, classes: int = 1000) -> None:
        channels, stages = 3, []
        for count, multiple in self.STAGES:
            for _ in range(count):
                stages += [nn.Conv2d(channels, multiple * width, 3, padding=1), nn.ReLU()]
                channels = multiple * width
            stages.append(nn.MaxPool2d(2))
        cells = resolution >> len(self.STAGES)
        super().__init__(
            *stages,
            nn.Flatten(),
            nn.Linear(channels * cells**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )


class MobileNetV3Large(nn.Sequential):
    """Howard et al., "Searching for MobileNetV3" (2019), table 1."""

    BLOCKS = (
        # kernel, expanded, channels, squeeze-and-excite, hard swish, stride
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = rounded(16 * width)
        stages: list[nn.Module] = [ConvBn(3, channels, kernel=3, stride=2, activation=nn.Hardswish)]
        for kernel, expanded, outputs, excited, hard_swish, stride in self.BLOCKS:
            activation: Activation = nn.Hardswish if hard_swish else nn.ReLU
            stages.append(
                InvertedResidual(
                    channels,
                    rounded(expanded * width),
                    rounded(outputs * width),
                    kernel=kernel,
                    stride=stride,
                    activation=activation,
                    excite=self._excite if excited else None,
                )
            )
            channels = rounded(outputs * width)
        features, last = rounded(960 * width), rounded(1280 * width)
        super().__init__(
            *stages,
            ConvBn(channels, features, activation=nn.Hardswish),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(features, last),
            nn.Hardswish(),
            nn.Linear(last, classes),
        )

    @staticmethod
    def _excite(channels: int) -> SqueezeExcite:
        return SqueezeExcite(channels, rounded(channels / 4), activation=nn.ReLU, gate=nn.Hardsigmoid)


class EfficientNetLike(nn.Sequential):
    """Tan and Le, "EfficientNet" (2019), table 1 (B0), without drop-connect."""

    STAGES = (
        # expansion, kernel, channels, blocks, stride
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )

    def __init__(self, *, width: float = 1.0, classes: int = 1000) -> None:
        channels = rounded(32 * width)
        stages: list[nn.Module] = [ConvBn(3, channels, kernel=3, stride=2, activation=nn.SiLU)]
        for expansion, kernel, base, blocks, stride in self.STAGES:
            outputs = rounded(base * width)
            for block in range(blocks):
                squeezed = max(1, channels // 4)  # a quarter of the block's operand, not of the expanded channels
                stages.append(
                    InvertedResidual(
                        channels,
                        expansion * channels,
                        outputs,
                        kernel=kernel,
                        stride=1 if block else stride,
                        activation=nn.SiLU,
                        excite=partial(SqueezeExcite, squeezed=squeezed, activation=nn.SiLU, gate=nn.Sigmoid),
                    )
                )
                channels = outputs
        last = rounded(1280 * width)
        super().__init__(
            *stages,
            ConvBn(channels, last, activation=nn.SiLU),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(last, classes),
        )
