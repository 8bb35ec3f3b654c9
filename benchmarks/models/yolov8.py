"""A one-stage detector without anchors, whose box sides are the means of distributions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.models.layers import ConvBn, Residual
from benchmarks.models.yolo import STRIDES, PyramidPooling

BINS = 16
"""The number of distances, in cells, that the distribution of each side of a box is over."""


def _conv(inputs: int, outputs: int, *, stride: int = 1) -> ConvBn:
    return ConvBn(inputs, outputs, kernel=3, stride=stride, activation=nn.SiLU)


class CrossStageFast(nn.Module):
    """C2f: half of the channels pass the blocks, and every result on the way is concatenated."""

    def __init__(self, inputs: int, outputs: int, *, blocks: int = 1, residual: bool = True) -> None:
        super().__init__()
        half = outputs // 2
        wrap = Residual if residual else nn.Sequential
        self.split = ConvBn(inputs, outputs, activation=nn.SiLU)
        self.blocks = nn.ModuleList(wrap(_conv(half, half), _conv(half, half)) for _ in range(blocks))
        self.join = ConvBn((2 + blocks) * half, outputs, activation=nn.SiLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = list(self.split(x).chunk(2, dim=1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        return self.join(torch.cat(parts, dim=1))


class Branch(nn.Module):
    """Two 3x3 convolutions and a linear one."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(inputs, width), _conv(width, width))
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x))


class ScaleHead(nn.Module):
    """One scale: the distributions of the four sides, then the class scores, per cell (B, channels, cells)."""

    def __init__(self, inputs: int, *, classes: int) -> None:
        super().__init__()
        self.sides = Branch(inputs, 4 * BINS, 4 * BINS)
        self.scores = Branch(inputs, max(inputs, classes), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat((self.sides(x), self.scores(x)), dim=1).flatten(2)


class Decode(nn.Module):
    """All cells of all scales: sides as means of their distributions, boxes as centre and size in pixels."""

    def __init__(self, *, resolution: int, classes: int) -> None:
        super().__init__()
        self.channels = (4 * BINS, classes)
        centres, strides = [], []
        for stride in STRIDES:
            places = torch.arange(resolution // stride) + 0.5
            y, x = torch.meshgrid(places, places, indexing="ij")
            centres.append(torch.stack((x.flatten(), y.flatten())))
            strides.append(torch.full((1, len(places) ** 2), float(stride)))
        self.centres: torch.Tensor
        self.strides: torch.Tensor
        self.bins: torch.Tensor
        self.register_buffer("centres", torch.cat(centres, dim=1).unsqueeze(0))
        self.register_buffer("strides", torch.cat(strides, dim=1))
        self.register_buffer("bins", torch.arange(float(BINS)).view(1, BINS, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides, scores = x.split(self.channels, dim=1)
        batch, _, cells = sides.shape
        sides = sides.view(batch, 4, BINS, cells).transpose(2, 1).softmax(1)
        near, far = functional.conv2d(sides, self.bins).view(batch, 4, cells).chunk(2, dim=1)
        low, high = self.centres - near, self.centres + far
        boxes = torch.cat(((low + high) / 2, high - low), dim=1) * self.strides
        return torch.cat((boxes, scores.sigmoid()), dim=1)


class YoloV8(nn.Module):
    """A small C2f backbone, a top-down and bottom-up pyramid and three scales, as in YOLOv8n.

    The result is ``(1, 4 + classes, cells)``: centre and size in pixels, class scores.
    """

    def __init__(self, *, resolution: int = 320, width: int = 16, classes: int = 80) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = (width << level for level in range(5))
        self.stem = nn.Sequential(_conv(3, c1, stride=2), _conv(c1, c2, stride=2), CrossStageFast(c2, c2))
        self.stage3 = nn.Sequential(_conv(c2, c3, stride=2), CrossStageFast(c3, c3, blocks=2))
        self.stage4 = nn.Sequential(_conv(c3, c4, stride=2), CrossStageFast(c4, c4, blocks=2))
        self.stage5 = nn.Sequential(_conv(c4, c5, stride=2), CrossStageFast(c5, c5), PyramidPooling(c5))
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.top4, self.top3 = _merge(c5 + c4, c4), _merge(c4 + c3, c3)
        self.down3, self.down4 = _conv(c3, c3, stride=2), _conv(c4, c4, stride=2)
        self.merge4, self.merge5 = _merge(c3 + c4, c4), _merge(c4 + c5, c5)
        self.scales = nn.ModuleList(ScaleHead(inputs, classes=classes) for inputs in (c3, c4, c5))
        self.decode = Decode(resolution=resolution, classes=classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p3 = self.stage3(self.stem(x))
        p4 = self.stage4(p3)
        p5 = self.stage5(p4)
        n4 = self.top4(torch.cat((self.upsample(p5), p4), dim=1))
        n3 = self.top3(torch.cat((self.upsample(n4), p3), dim=1))
        n4 = self.merge4(torch.cat((self.down3(n3), n4), dim=1))
        n5 = self.merge5(torch.cat((self.down4(n4), p5), dim=1))
        scales = [scale(features) for scale, features in zip(self.scales, (n3, n4, n5), strict=True)]
        return self.decode(torch.cat(scales, dim=2))


def _merge(inputs: int, outputs: int) -> CrossStageFast:
    return CrossStageFast(inputs, outputs, residual=False)
