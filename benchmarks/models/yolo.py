"""A one-stage detector with the boxes decoded inside the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from benchmarks.models.layers import ConvBn, Residual

STRIDES = (8, 16, 32)
ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""Width and height of each anchor in pixels, per scale."""


def _residual(channels: int) -> Residual:
    """Build a 1x1 and a 3x3 convolution, added to the operand."""
    return Residual(
        ConvBn(channels, channels, activation=nn.SiLU), ConvBn(channels, channels, kernel=3, activation=nn.SiLU)
    )


class CrossStage(nn.Module):
    """Wang et al., "CSPNet" (2019): one half of the channels passes the blocks, the other goes round them."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int = 1) -> None:
        super().__init__()
        half = outputs // 2
        self.through = nn.Sequential(
            ConvBn(inputs, half, activation=nn.SiLU), *(_residual(half) for _ in range(blocks))
        )
        self.around = ConvBn(inputs, half, activation=nn.SiLU)
        self.join = ConvBn(2 * half, outputs, activation=nn.SiLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(torch.cat((self.through(x), self.around(x)), dim=1))


class PyramidPooling(nn.Module):
    """Three 5x5 max-pools in a row, concatenated with their operand."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = ConvBn(channels, channels // 2, activation=nn.SiLU)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)
        self.join = ConvBn(2 * channels, channels, activation=nn.SiLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pyramid = [self.squeeze(x)]
        for _ in range(3):
            pyramid.append(self.pool(pyramid[-1]))
        return self.join(torch.cat(pyramid, dim=1))


class Decode(nn.Module):
    """One scale: a 1x1 convolution, and its result read as boxes.

    Args:
        inputs: channels of the operand.
        anchors: width and height of each anchor in pixels.
        stride: pixels per cell.
        cells: height and width of the operand.
        classes: how many classes are scored.
    """

    def __init__(
        self, inputs: int, *, anchors: Sequence[tuple[int, int]], stride: int, cells: int, classes: int
    ) -> None:
        super().__init__()
        self.anchors, self.channels, self.stride = len(anchors), 5 + classes, stride
        self.head = nn.Conv2d(inputs, self.anchors * self.channels, 1)
        y, x = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
        grid = torch.stack((x, y), dim=-1).float() - 0.5
        sizes = torch.tensor(anchors).float()
        self.grid: torch.Tensor
        self.sizes: torch.Tensor
        self.register_buffer("grid", grid.expand(1, self.anchors, cells, cells, 2).clone())
        self.register_buffer("sizes", sizes.view(1, self.anchors, 1, 1, 2).expand_as(self.grid).clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(x)
        batch, _, rows, columns = x.shape
        x = x.view(batch, self.anchors, self.channels, rows, columns).permute(0, 1, 3, 4, 2).contiguous()
        xy, wh, confidence = x.sigmoid().split((2, 2, self.channels - 4), dim=4)
        xy = (xy * 2 + self.grid) * self.stride
        wh = (wh * 2) ** 2 * self.sizes
        return torch.cat((xy, wh, confidence), dim=4).view(batch, self.anchors * rows * columns, self.channels)


class YoloHead(nn.Module):
    """A small cross-stage backbone, a top-down pyramid and three decoded scales, as in YOLOv5.

    The result is ``(1, boxes, 5 + classes)``: centre and size in pixels, objectness, class scores.
    """

    def __init__(self, *, resolution: int = 320, width: int = 16, classes: int = 80) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (width << level for level in range(5))
        self.stem = nn.Sequential(
            ConvBn(3, c1, kernel=3, stride=2, activation=nn.SiLU),
            ConvBn(c1, c2, kernel=3, stride=2, activation=nn.SiLU),
            CrossStage(c2, c2),
        )
        self.stage3 = nn.Sequential(ConvBn(c2, c3, kernel=3, stride=2, activation=nn.SiLU), CrossStage(c3, c3))
        self.stage4 = nn.Sequential(ConvBn(c3, c4, kernel=3, stride=2, activation=nn.SiLU), CrossStage(c4, c4))
        self.stage5 = nn.Sequential(
            ConvBn(c4, c5, kernel=3, stride=2, activation=nn.SiLU), CrossStage(c5, c5), PyramidPooling(c5)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral5, self.lateral4 = ConvBn(c5, c4, activation=nn.SiLU), ConvBn(c4, c3, activation=nn.SiLU)
        self.merge4, self.merge3 = CrossStage(2 * c4, c4), CrossStage(2 * c3, c3)
        self.decode = nn.ModuleList(
            Decode(inputs, anchors=anchors, stride=stride, cells=resolution // stride, classes=classes)
            for inputs, anchors, stride in zip((c3, c4, c4), ANCHORS, STRIDES, strict=True)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p3 = self.stage3(self.stem(x))
        p4 = self.stage4(p3)
        top5 = self.lateral5(self.stage5(p4))
        top4 = self.merge4(torch.cat((self.upsample(top5), p4), dim=1))
        top3 = self.merge3(torch.cat((self.upsample(self.lateral4(top4)), p3), dim=1))
        scales = zip(self.decode, (top3, top4, top5), strict=True)
        return torch.cat([decode(features) for decode, features in scales], dim=1)
