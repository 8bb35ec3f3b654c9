"""A U-Net that upsamples bilinearly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from benchmarks.models.layers import ConvBn

WIDTHS = (16, 32, 64, 128, 256)
"""Channels per level of the full network, finest first."""
SMALL_WIDTHS = (8, 16, 32, 64)
"""Channels per level of the small network, finest first."""
CLASSES = 4
"""Channels of the result."""


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch normalization and ReLU."""
    return nn.Sequential(
        ConvBn(inputs, outputs, kernel=3, activation=nn.ReLU), ConvBn(outputs, outputs, kernel=3, activation=nn.ReLU)
    )


class UNetBilinear(nn.Module):
    """Ronneberger et al., "U-Net" (2015), with padded convolutions and bilinear upsampling (half-pixel centres).

    Args:
        widths: channels per level, finest first. The resolution must be a multiple of ``2 ** (len(widths) - 1)``.
        classes: channels of the result.
    """

    def __init__(self, *, widths: Sequence[int] = WIDTHS, classes: int = CLASSES) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(double_conv, (3, *widths[:-1]), widths))
        self.up = nn.ModuleList(
            double_conv(skip + below, skip) for skip, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = block(torch.cat((skips.pop(), self.upsample(x)), dim=1))
        return self.head(x)
