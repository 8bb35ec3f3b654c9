"""U-Nets: one that upsamples bilinearly, a nested one, and one without batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from benchmarks.models.layers import ConvBn

WIDTHS = (16, 32, 64, 128, 256)
"""Channels per level of the full network, finest first."""
SMALL_WIDTHS = (8, 16, 32, 64)
"""Channels per level of the small network, finest first."""
CLASSES = 4
"""Channels of the result."""
GROUPS = 4
"""Of each group normalization."""


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with batch normalization and ReLU."""
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


class UNetPlusPlus(nn.Module):
    """Zhou et al., "UNet++" (2018): between the two sides of the U, every level reads all that is left of it.

    Args:
        widths: channels per level, finest first. The resolution must be a multiple of ``2 ** (len(widths) - 1)``.
        classes: channels of the result.
    """

    def __init__(self, *, widths: Sequence[int] = WIDTHS, classes: int = CLASSES) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(double_conv, (3, *widths[:-1]), widths))
        pairs = list(pairwise(widths))
        self.nested = nn.ModuleList(
            nn.ModuleList(
                double_conv((column + 1) * width + below, width) for width, below in pairs[: len(pairs) - column]
            )
            for column in range(len(pairs))
        )
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows: list[list[torch.Tensor]] = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            rows.append([x])
        for column in self.nested:
            for row, below, block in zip(rows, rows[1:], column, strict=False):
                row.append(block(torch.cat((*row, self.upsample(below[-1])), dim=1)))
            rows.pop()
        return self.head(rows[0][-1])


def _normalized_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(inputs, outputs, 3, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.PReLU(outputs),
    )


def _normalized_convs(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_normalized_conv(inputs, outputs), _normalized_conv(outputs, outputs))


class UNetTransposed(nn.Module):
    """A U-Net of reflected borders, group normalization, PReLU and transposed convolutions.

    Args:
        widths: channels per level, finest first. The resolution must be a multiple of ``2 ** (len(widths) - 1)``.
        classes: channels of the result.
    """

    def __init__(self, *, widths: Sequence[int] = WIDTHS, classes: int = CLASSES) -> None:
        super().__init__()
        self.down = nn.ModuleList(map(_normalized_convs, (3, *widths[:-1]), widths))
        pairs = list(zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(below, skip, 3, stride=2, padding=1, output_padding=1) for skip, below in pairs
        )
        self.up = nn.ModuleList(_normalized_convs(2 * skip, skip) for skip, _ in pairs)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = block(torch.cat((skips.pop(), enlarge(x)), dim=1))
        return self.head(x)
