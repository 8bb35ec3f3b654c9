"""Transformers, plain and with shifted windows, and the convolutional network that imitates them."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.models.layers import Residual


class Permute(nn.Module):
    """Permutes axes."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.axes)


class Mlp(nn.Sequential):
    """Linear to four times the width, GELU, Linear back."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Attention(nn.Module):
    """Attention of many heads within each set of tokens (B, N, C); ``bias`` is added to the scores (B, heads, N, N)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def bias(self, scores: torch.Tensor) -> torch.Tensor:
        return scores

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, count, width = x.shape
        qkv = self.qkv(x).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        scores = self.bias((q * self.scale) @ k.transpose(-2, -1))
        return self.proj((scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(batch, count, width))


# --- ViT -------------------------------------------------------------------------------------------------------------


class VisionTransformer(nn.Module):
    """Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020), as in timm.

    Args:
        resolution: height and width of the input.
        patch: height and width of a patch.
        width: of a token.
        heads: of each attention.
        blocks: how many.
        class_token: read the classes from a token of their own, and not from the mean of all.
        classes: how many classes are scored.
    """

    def __init__(
        self,
        *,
        resolution: int = 224,
        patch: int = 16,
        width: int = 384,
        heads: int = 6,
        blocks: int = 12,
        class_token: bool = True,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        count = (resolution // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if class_token else None
        self.position = nn.Parameter(0.5 * torch.randn(1, count + class_token, width))
        self.blocks = nn.Sequential(
            *(
                Residual(nn.LayerNorm(width), layer)
                for _ in range(blocks)
                for layer in (Attention(width, heads), Mlp(width))
            )
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1)
        x = self.norm(self.blocks(x + self.position))
        return self.head(x.mean(1) if self.token is None else x[:, 0])


# --- Swin ------------------------------------------------------------------------------------------------------------


def windows(x: torch.Tensor, size: int) -> torch.Tensor:
    """Return (B, H, W, C) as windows of ``size * size`` tokens: (B * windows, tokens, C)."""
    batch, rows, columns, width = x.shape
    x = x.view(batch, rows // size, size, columns // size, size, width)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, width)


def joined(x: torch.Tensor, size: int, rows: int, columns: int) -> torch.Tensor:
    """Return the inverse of ``windows``."""
    x = x.view(-1, rows // size, columns // size, size, size, x.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows, columns, x.shape[-1])


class WindowAttention(Attention):
    """Attention within windows of (B, H, W, C), which are shifted against the picture.

    Args:
        width: of a token.
        heads: of the attention.
        resolution: height and width of the operand.
        window: height and width of a window.
        shift: by how much the windows are shifted; tokens that are no neighbours then do not attend to each other.
    """

    def __init__(self, width: int, heads: int, *, resolution: int, window: int, shift: int) -> None:
        super().__init__(width, heads)
        self.window, self.shift = window, shift
        self.table = nn.Parameter(0.2 * torch.randn((2 * window - 1) ** 2, heads))
        places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        offsets = places[:, None] - places[None, :] + window - 1
        self.index: torch.Tensor
        self.register_buffer("index", (offsets[..., 0] * (2 * window - 1) + offsets[..., 1]).view(-1))
        areas = torch.bucketize(
            torch.arange(resolution), torch.tensor([resolution - window, resolution - shift]), right=True
        )
        area = windows((3 * areas[:, None] + areas[None, :]).view(1, resolution, resolution, 1), window)[..., 0]
        self.mask: torch.Tensor
        self.register_buffer("mask", -100.0 * (area[:, None, :] != area[:, :, None]).float())

    def bias(self, scores: torch.Tensor) -> torch.Tensor:
        batch, heads, count, _ = scores.shape
        scores = scores + self.table[self.index].view(count, count, heads).permute(2, 0, 1).unsqueeze(0)
        if not self.shift:
            return scores
        parts = len(self.mask)
        scores = scores.view(batch // parts, parts, heads, count, count) + self.mask.unsqueeze(1).unsqueeze(0)
        return scores.view(batch, heads, count, count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, rows, columns, _ = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), dims=(1, 2))
        x = joined(super().forward(windows(x, self.window)), self.window, rows, columns)
        return torch.roll(x, (self.shift, self.shift), dims=(1, 2)) if self.shift else x


class PatchMerging(nn.Module):
    """The four tokens of each square as one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduce = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corners = [x[:, row::2, column::2, :] for column in (0, 1) for row in (0, 1)]
        return self.reduce(self.norm(torch.cat(corners, dim=-1)))


class SwinTransformer(nn.Module):
    """Liu et al., "Swin Transformer" (2021), table 7 (Swin-T), as in torchvision.

    Args:
        resolution: height and width of the input.
        patch: height and width of a patch.
        width: of a token in the first stage; each further stage doubles it.
        depths: blocks per stage, every second one shifted.
        heads: per stage.
        window: height and width of a window.
        classes: how many classes are scored.
    """

    def __init__(
        self,
        *,
        resolution: int = 224,
        patch: int = 4,
        width: int = 96,
        depths: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window: int = 7,
        classes: int = 1000,
    ) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, width, patch, stride=patch), Permute(0, 2, 3, 1), nn.LayerNorm(width))
        size, stages = resolution // patch, []
        for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
            if stage:
                stages.append(PatchMerging(width))
                size, width = size // 2, 2 * width
            for block in range(depth):
                shift = window // 2 if block % 2 and size > window else 0
                attention = WindowAttention(width, count, resolution=size, window=min(window, size), shift=shift)
                stages += [Residual(nn.LayerNorm(width), layer) for layer in (attention, Mlp(width))]
        self.stages = nn.Sequential(*stages, nn.LayerNorm(width))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.patches(x)).mean((1, 2)))


# --- ConvNeXt --------------------------------------------------------------------------------------------------------


class LayerNorm2d(nn.Sequential):
    """LayerNorm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(Permute(0, 2, 3, 1), nn.LayerNorm(channels), Permute(0, 3, 1, 2))


class Scale(nn.Module):
    """A factor per channel, which is the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(0.5 + torch.rand(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


def _convnext_block(channels: int) -> nn.Module:
    return Residual(
        nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
        Permute(0, 2, 3, 1),
        nn.LayerNorm(channels),
        Mlp(channels),
        Scale(channels),
        Permute(0, 3, 1, 2),
    )


class ConvNeXt(nn.Sequential):
    """Liu et al., "A ConvNet for the 2020s" (2022), table 9 (ConvNeXt-T), as in torchvision."""

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (96, 192, 384, 768),
        depths: tuple[int, ...] = (3, 3, 9, 3),
        classes: int = 1000,
    ) -> None:
        stages: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=4), LayerNorm2d(widths[0])]
        for stage, (channels, depth) in enumerate(zip(widths, depths, strict=True)):
            if stage:
                narrow = widths[stage - 1]
                stages += [LayerNorm2d(narrow), nn.Conv2d(narrow, channels, 2, stride=2)]
            stages += [_convnext_block(channels) for _ in range(depth)]
        super().__init__(
            *stages, nn.AdaptiveAvgPool2d(1), LayerNorm2d(widths[-1]), nn.Flatten(), nn.Linear(widths[-1], classes)
        )
