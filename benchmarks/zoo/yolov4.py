"""YOLOv4, with its decoding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

_ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
_SCALE_XY = (1.2, 1.1, 1.05)


class _Conv(nn.Sequential):
    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, activation: type[nn.Module] = nn.Mish
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(0.1) if activation is nn.LeakyReLU else activation(),
        )
        # Around zero, an activation between random weights and batch statistics makes rounding errors grow by a fifth:
        # over the fifty layers that have no shortcut here, to 1e-4 in any runtime.
        nn.init.ones_(self[1].bias)


class _Residual(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_Conv(channels, hidden), _Conv(hidden, channels, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.branch(x)


class _CrossStage(nn.Module):
    """Halves the resolution; a part of the channels goes through residual blocks, the other past them."""

    def __init__(self, inputs: int, outputs: int, blocks: int, *, first: bool = False) -> None:
        super().__init__()
        part = outputs if first else outputs // 2
        self.down = _Conv(inputs, outputs, 3, 2)
        self.past = _Conv(outputs, part)
        hidden = outputs // 2 if first else part
        self.through = nn.Sequential(
            _Conv(outputs, part), *(_Residual(part, hidden) for _ in range(blocks)), _Conv(part, part)
        )
        self.join = _Conv(2 * part, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(x)
        return self.join(torch.cat([self.through(x), self.past(x)], dim=1))


def _leaky(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> _Conv:
    return _Conv(inputs, outputs, kernel, stride, activation=nn.LeakyReLU)


def _alternating(inputs: int, channels: int, count: int = 5) -> nn.Sequential:
    """Build 1x1 convolutions to ``channels`` and 3x3 ones to twice as many, in turns."""
    layers: list[nn.Module] = []
    for index in range(count):
        layers.append(_leaky(inputs, channels) if index % 2 == 0 else _leaky(channels, 2 * channels, 3))
        inputs = 2 * channels
    return nn.Sequential(*layers)


class _SpatialPyramid(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = [nn.functional.max_pool2d(x, size, 1, size // 2) for size in (13, 9, 5)]
        return torch.cat([*pooled, x], dim=1)


class YoloV4(nn.Module):
    """Bochkovskiy et al., "YOLOv4: Optimal Speed and Accuracy of Object Detection" (2020).

    CSPDarknet-53 with Mish, a spatial pyramid, a path aggregation neck with LeakyReLU, and three heads whose boxes are
    decoded to pixels.

    Args:
        classes: that are told apart.
    """

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        self.classes = classes
        self.stem = _Conv(3, 32, 3)
        self.stages = nn.ModuleList(
            _CrossStage(inputs, outputs, blocks, first=inputs == 32)
            for inputs, outputs, blocks in ((32, 64, 1), (64, 128, 2), (128, 256, 8), (256, 512, 8), (512, 1024, 4))
        )
        self.pyramid = nn.Sequential(_alternating(1024, 512, 3), _SpatialPyramid(), _alternating(2048, 512, 3))
        self.narrow = nn.ModuleList((_leaky(512, 256), _leaky(256, 128)))
        self.lateral = nn.ModuleList((_leaky(512, 256), _leaky(256, 128)))
        self.upward = nn.ModuleList((_alternating(512, 256), _alternating(256, 128)))
        self.down = nn.ModuleList((_leaky(128, 256, 3, 2), _leaky(256, 512, 3, 2)))
        self.downward = nn.ModuleList((_alternating(512, 256), _alternating(1024, 512)))
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.heads = nn.ModuleList(
            nn.Sequential(_leaky(channels, 2 * channels, 3), nn.Conv2d(2 * channels, 3 * (5 + classes), 1))
            for channels in (128, 256, 512)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return boxes and scores.

        Args:
            x: pictures, ``(N, 3, H, W)`` with H and W multiples of 32.

        Returns:
            ``(N, boxes, 5 + classes)``: centre, width and height in pixels, objectness, class scores.
        """
        height = x.shape[2]
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        middle = self.pyramid(features[5])
        ways = [middle]
        for index in range(2):
            skip = self.lateral[index](features[4 - index])
            ways.append(self.upward[index](torch.cat([skip, self.enlarge(self.narrow[index](ways[-1]))], dim=1)))
        results = [ways[2]]
        for index in range(2):
            results.append(self.downward[index](torch.cat([self.down[index](results[-1]), ways[1 - index]], dim=1)))
        raw = [head(result) for head, result in zip(self.heads, results, strict=True)]
        return torch.cat([self._decode(level, each, height // each.shape[2]) for level, each in enumerate(raw)], dim=1)

    def _decode(self, level: int, raw: torch.Tensor, stride: int) -> torch.Tensor:
        count, _, height, width = raw.shape
        cells = raw.view(count, 3, 5 + self.classes, height, width).permute(0, 1, 3, 4, 2)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack([columns, rows], dim=-1).to(raw.dtype)
        scale = _SCALE_XY[level]
        centre = (cells[..., :2].sigmoid() * scale - 0.5 * (scale - 1) + grid) * stride
        size = cells[..., 2:4].exp() * _anchors(_ANCHORS[level])
        return torch.cat([centre, size, cells[..., 4:].sigmoid()], dim=-1).reshape(count, -1, 5 + self.classes)


def _anchors(sizes: Sequence[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(sizes, dtype=torch.float32).view(1, len(sizes), 1, 1, 2)
