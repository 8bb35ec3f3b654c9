"""Super-resolution by dense residual blocks, with two ways to enlarge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

Upsampler = Callable[[int], nn.Module]
"""Makes the layers that double the resolution of so many channels."""

_leaky = partial(nn.LeakyReLU, 0.2)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def nearest(channels: int) -> nn.Module:
    """Repeat each pixel, then convolve."""
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), _conv(channels, channels), _leaky())


def pixel_shuffle(channels: int) -> nn.Module:
    """Convolve to four times the channels, and make a square of each four."""
    return nn.Sequential(_conv(channels, 4 * channels), nn.PixelShuffle(2), _leaky())


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads all results before it; a fifth of the last is added to the operand."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(_conv(channels + i * growth, growth) for i in range(4))
        self.join = _conv(channels + 4 * growth, channels)
        self.activation = _leaky()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for conv in self.grow:
            features.append(self.activation(conv(torch.cat(features, dim=1))))
        return x + 0.2 * self.join(torch.cat(features, dim=1))


class DenseBlocks(nn.Sequential):
    """Three dense blocks; a fifth of their result is added to the operand."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2 * super().forward(x)


class RRDBNet(nn.Module):
    """Wang et al., "ESRGAN" (2018), section 3.1: four times the resolution.

    Args:
        upsampler: how the resolution is doubled, twice.
        channels: of the features.
        growth: channels that each convolution of a dense block adds.
        blocks: how many times three dense blocks; 23 in the paper.
    """

    def __init__(self, upsampler: Upsampler, *, channels: int = 32, growth: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.first = _conv(3, channels)
        self.body = nn.Sequential(*(DenseBlocks(channels, growth) for _ in range(blocks)), _conv(channels, channels))
        self.enlarge = nn.Sequential(upsampler(channels), upsampler(channels), _conv(channels, channels), _leaky())
        self.head = _conv(channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.head(self.enlarge(x + self.body(x)))
