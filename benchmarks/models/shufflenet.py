"""ShuffleNetV2, whose channel shuffles cost more than its convolutions where nobody absorbs them."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.models.layers import ConvBn


class ShuffleUnit(nn.Module):
    """Half of the channels as they are (or a depthwise branch of their own), half through a bottleneck, then mixed."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.residual, self.halves = False, stride == 1
        self.shortcut = nn.Sequential(
            ConvBn(inputs, inputs, kernel=3, stride=stride, groups=inputs),
            ConvBn(inputs, half, activation=nn.ReLU),
        )
        self.branch = nn.Sequential(
            ConvBn(half if self.halves else inputs, half, activation=nn.ReLU),
            ConvBn(half, half, kernel=3, stride=stride, groups=half),
            ConvBn(half, half, activation=nn.ReLU),
        )
        if self.halves:
            self.shortcut = nn.Sequential()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, worked = x.chunk(2, dim=1) if self.halves else (x, x)
        mixed = torch.cat((self.shortcut(kept), self.branch(worked)), dim=1)
        batch, channels, height, width = mixed.shape
        return mixed.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(mixed.shape)


class ShuffleNetV2(nn.Sequential):
    """Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (2018), table 5, 1x."""

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (116, 232, 464),
        blocks: tuple[int, ...] = (4, 8, 4),
        last: int = 1024,
        classes: int = 1000,
    ) -> None:
        channels = 24
        units: list[nn.Module] = [
            ConvBn(3, channels, kernel=3, stride=2, activation=nn.ReLU),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        for width, count in zip(widths, blocks, strict=True):
            for block in range(count):
                units.append(ShuffleUnit(channels, width, stride=1 if block else 2))
                channels = width
        super().__init__(
            *units,
            ConvBn(channels, last, activation=nn.ReLU),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(last, classes),
        )
