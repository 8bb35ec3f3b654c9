"""A classifier that shuffles its channels."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.models.layers import ConvBn


def channel_shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Interleave the channels of ``groups`` halves, thirds...: view, transpose, view."""
    batch, channels, rows, columns = x.shape
    return (
        x.view(batch, groups, channels // groups, rows, columns)
        .transpose(1, 2)
        .contiguous()
        .view(batch, channels, rows, columns)
    )


class ShuffleUnit(nn.Module):
    """Two branches concatenated and shuffled; with stride 1, half of the channels go round the convolutions."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        half, self.halved = outputs // 2, stride == 1
        self.around = (
            nn.Identity()
            if self.halved
            else nn.Sequential(
                ConvBn(inputs, inputs, kernel=3, stride=stride, groups=inputs),
                ConvBn(inputs, half, activation=nn.ReLU),
            )
        )
        self.through = nn.Sequential(
            ConvBn(half if self.halved else inputs, half, activation=nn.ReLU),
            ConvBn(half, half, kernel=3, stride=stride, groups=half),
            ConvBn(half, half, activation=nn.ReLU),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = x.chunk(2, dim=1) if self.halved else (x, x)
        return channel_shuffle(torch.cat((self.around(one), self.through(other)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """Ma et al., "ShuffleNet V2" (2018), table 5 (1.0x), as in torchvision."""

    def __init__(
        self,
        *,
        repeats: tuple[int, ...] = (4, 8, 4),
        widths: tuple[int, ...] = (24, 116, 232, 464, 1024),
        classes: int = 1000,
    ) -> None:
        super().__init__()
        channels, *stages, last = widths
        units: list[nn.Module] = []
        for count, outputs in zip(repeats, stages, strict=True):
            for unit in range(count):
                units.append(ShuffleUnit(channels, outputs, stride=1 if unit else 2))
                channels = outputs
        self.features = nn.Sequential(
            ConvBn(3, widths[0], kernel=3, stride=2, activation=nn.ReLU),
            nn.MaxPool2d(3, stride=2, padding=1),
            *units,
            ConvBn(channels, last, activation=nn.ReLU),
        )
        self.head = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))
