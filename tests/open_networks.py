"""Small networks of PyTorch of the kinds that are used with sizes that stay open, exported with symbolic axes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)


class Attention(nn.Module):
    """Attention of two heads, with a mask that may be None."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out, self.width = nn.Linear(width, 3 * width), nn.Linear(width, width), width

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, 2, self.width // 2).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) / (self.width // 2) ** 0.5
        scores = scores if mask is None else scores + mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, self.width))


class Block(nn.Module):
    """A block of a transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.m, self.n = Attention(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.a(self.m(x), mask)
        return x + self.down(F.gelu(self.up(self.n(x))))


class DenseTransformer(nn.Module):
    """A ViT whose patches go into a dense head, without the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.block, self.head = nn.Conv2d(3, 16, 4, 4), Block(16), nn.Linear(16, 5)
        self.token, self.places = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 17, 16))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], 1) + self.places
        dense = self.head(self.block(tokens)[:, 1:])
        return dense.transpose(1, 2).reshape(x.shape[0], 5, 4, 4)


class Pyramid(nn.Module):
    """A feature pyramid: maps resized to the size of the next, and the last one by a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(c, 8, 3, 2, 1) for c in (3, 8, 8)])
        self.side = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(3)])
        self.head = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for down in self.down:
            x = F.relu(down(x))
            maps.append(x)
        y = self.side[2](maps[2])
        for side, level in zip((self.side[1], self.side[0]), (maps[1], maps[0]), strict=True):
            y = side(level) + F.interpolate(y, size=level.shape[-2:], mode="nearest")
        return F.interpolate(self.head(y), scale_factor=2, mode="bilinear", align_corners=False)


class Hourglass(nn.Module):
    """A U-Net that joins what it resizes to the size of the skip connection, and resizes by a factor in between."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.d, self.e = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool2d(a, 2)))
        c = F.relu(self.c(F.max_pool2d(b, 2)))
        c = F.interpolate(c, size=b.shape[-2:], mode="bilinear", align_corners=False)
        d = F.relu(self.d(torch.cat([b, c], 1)))
        d = F.interpolate(F.interpolate(d, scale_factor=2), size=a.shape[-2:])
        return self.e(torch.cat([a, d], 1))


class PaddingHourglass(nn.Module):
    """A U-Net that pads what it upsamples to the size of the skip connection, at sizes that do not divide."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.up, self.d, self.e = nn.ConvTranspose2d(8, 8, 2, 2), nn.Conv2d(16, 8, 1), nn.Conv2d(16, 2, 1)

    @staticmethod
    def padded(x: Tensor, like: Tensor) -> Tensor:
        down, across = (like.shape[axis] - x.shape[axis] for axis in (2, 3))
        return F.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool2d(a, 2)))
        c = F.relu(self.c(F.max_pool2d(b, 2)))
        d = F.relu(self.d(torch.cat([b, self.padded(self.up(c), b)], 1)))
        d = F.interpolate(d, scale_factor=2, mode="bilinear", align_corners=True)
        return self.e(torch.cat([a, self.padded(d, a)], 1))


class Upsampler(nn.Module):
    """Transposed convolutions whose kernel is not the stride."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.c, self.d = nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.ConvTranspose2d(8, 2, 3, 2, 1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.d(F.relu(self.c(F.relu(self.b(F.relu(self.a(x)))))))


class TextEncoder(nn.Module):
    """Embeddings of words and places, a padding mask, and a block of a transformer, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 16), nn.Embedding(64, 16)
        self.norm, self.block, self.pool = nn.LayerNorm(16), Block(16), nn.Linear(16, 16)
        self.register_buffer("numbers", torch.arange(64)[None])

    def forward(self, ids: Tensor, m: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places(self.numbers[:, : ids.shape[1]]))
        x = self.block(x, (1.0 - m[:, None, None, :].float()) * -10000.0)
        return torch.tanh(self.pool(x[:, 0]))


class SpeechEncoder(nn.Module):
    """Strided convolutions over samples, a grouped convolution for the places, a block of a transformer, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(1, 8, 10, 5), nn.Conv1d(8, 8, 3, 2), nn.Conv1d(8, 16, 2, 2)
        self.norm, self.places = nn.GroupNorm(8, 8), nn.Conv1d(16, 16, 8, padding=4, groups=4)
        self.layer, self.block, self.head = nn.LayerNorm(16), Block(16), nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm(self.a(x[:, None])))
        x = F.gelu(self.c(F.gelu(self.b(x))))
        x = x + F.gelu(self.places(x)[:, :, :-1])
        return self.head(self.block(self.layer(x.transpose(1, 2)))).log_softmax(-1)


class LineReader(nn.Module):
    """A CRNN: convolutions and pools, columns as steps, an LSTM of both directions, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.steps, self.head = nn.LSTM(8 * 4, 8, bidirectional=True), nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.a(x)), 2)
        x = F.max_pool2d(F.relu(self.b(x)), (2, 1))
        columns = x.permute(3, 0, 1, 2).flatten(2)
        return self.head(self.steps(columns)[0])


class Detector(nn.Module):
    """Two heads of YOLOv8: anchors from the sizes of the maps, a distribution for each side of a box."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 8, 3, 2, 1)
        self.box, self.score = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 3, 1)
        self.register_buffer("weights", torch.arange(4.0).reshape(1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found = []
        low = F.silu(self.a(x))
        for stride, level in ((4.0, low), (8.0, F.silu(self.b(low)))):
            batch, _, height, width = level.shape
            sides = self.box(level).reshape(batch, 4, 4, height * width).transpose(1, 2).softmax(1)
            sides = (sides * self.weights).sum(1)
            across = (torch.arange(width, dtype=torch.float32) + 0.5)[None, :].expand(height, width)
            down = (torch.arange(height, dtype=torch.float32) + 0.5)[:, None].expand(height, width)
            anchors = torch.stack([across, down]).reshape(1, 2, height * width)
            boxes = torch.cat([anchors - sides[:, :2], anchors + sides[:, 2:]], 1) * stride
            found.append(torch.cat([boxes, self.score(level).sigmoid().flatten(2)], 1))
        return torch.cat(found, 2)


class Proposals(nn.Module):
    """The first stage of MTCNN: pools that round up, PRelu, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 10, 3), nn.Conv2d(10, 16, 3), nn.Conv2d(16, 32, 3)
        self.p, self.q, self.r = nn.PReLU(10), nn.PReLU(16), nn.PReLU(32)
        self.score, self.box = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.p(self.a(x)), 2, 2, ceil_mode=True)
        x = self.r(self.c(self.q(self.b(x))))
        return torch.cat([self.score(x).softmax(1), self.box(x)], 1)


class ShiftedWindows(nn.Module):
    """Attention in windows of a map that is rolled, with a bias for each place and a mask for each window, as in Swin.

    The windows of all samples lie side by side, so that the mask is repeated for each sample.
    """

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.qkv, self.out = nn.Conv2d(3, 16, 2, 2), nn.Linear(16, 48), nn.Linear(16, 16)
        self.places = nn.Parameter(torch.randn(1, 2, 16, 16))
        regions = torch.zeros(8, 8)
        for number, rows in enumerate((slice(0, -4), slice(-4, -2), slice(-2, None))):
            regions[rows] += 3 * number
            regions[:, rows] += number
        windows = regions.reshape(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(4, 16)
        self.register_buffer("mask", (windows[:, None] != windows[:, :, None]).float() * -100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        batch = x.shape[0]
        y = torch.roll(x, (-2, -2), (1, 2))
        y = y.reshape(batch, 2, 4, 2, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(batch * 4, 16, 16)
        q, k, v = self.qkv(y).reshape(batch * 4, 16, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) + self.places
        scores = scores.reshape(batch, 4, 2, 16, 16) + self.mask[None, :, None]
        y = scores.reshape(batch * 4, 2, 16, 16).softmax(-1) @ v
        y = self.out(y.transpose(1, 2).reshape(batch * 4, 16, 16))
        y = y.reshape(batch, 2, 2, 4, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(batch, 8, 8, 16)
        return (x + torch.roll(y, (2, 2), (1, 2))).mean((1, 2))


class MapEncoder(nn.Module):
    """Two stages of convolutions and attention over all places, where keys come from a smaller map, as in SegFormer."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 16, 7, 4, 3), nn.Conv2d(16, 32, 3, 2, 1)])
        self.less = nn.ModuleList([nn.Conv2d(16, 16, 4, 4), nn.Conv2d(32, 32, 2, 2)])
        self.norm = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(32)])
        self.q, self.kv = (
            nn.ModuleList([nn.Linear(16, 16), nn.Linear(32, 32)]),
            nn.ModuleList([nn.Linear(16, 32), nn.Linear(32, 64)]),
        )
        self.head = nn.Conv2d(48, 4, 1)

    def stage(self, at: int, x: Tensor) -> Tensor:
        x = self.down[at](x)
        batch, channels, height, width = x.shape
        tokens = self.norm[at](x.flatten(2).transpose(1, 2))
        less = self.less[at](tokens.transpose(1, 2).reshape(batch, channels, height, width)).flatten(2).transpose(1, 2)
        q = self.q[at](tokens).reshape(batch, -1, 2, channels // 2).transpose(1, 2)
        k, v = self.kv[at](less).reshape(batch, -1, 2, 2, channels // 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(batch, -1, channels)
        return x + y.transpose(1, 2).reshape(batch, channels, height, width)

    def forward(self, x: Tensor) -> Tensor:
        first = self.stage(0, x)
        second = F.interpolate(self.stage(1, first), size=first.shape[-2:], mode="bilinear", align_corners=False)
        return self.head(torch.cat([first, second], 1))


class QueryDetector(nn.Module):
    """Places as sines of counted ones, an encoder over the map, and queries that read it, as in DETR."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 7, 4, 3), nn.Conv2d(16, 16, 3, 2, 1)
        self.block, self.queries, self.box = Block(16), nn.Parameter(torch.randn(5, 16)), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.b(F.relu(self.a(x))))
        ones = torch.ones(x.shape[0], *x.shape[-2:])
        across, down = (ones.cumsum(axis) / (ones.cumsum(axis).amax(axis, keepdim=True) + 1e-6) for axis in (1, 2))
        rates = 2.0 ** torch.arange(4)
        waves = [f(place[:, None] * rates[:, None, None]) for place in (across, down) for f in (torch.sin, torch.cos)]
        memory = self.block((x + torch.cat(waves, 1)).flatten(2).transpose(1, 2))
        read = (self.queries @ memory.transpose(1, 2) / 4).softmax(-1) @ memory
        return self.box(read).sigmoid()


class RelativePlaces(nn.Module):
    """Attention with a score for each distance, picked from all of them by a gather along the rows, as in DeBERTa."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.distances = nn.Embedding(50, 16), nn.Parameter(torch.randn(2, 8, 17))
        self.qk, self.out = nn.Linear(16, 32), nn.Linear(16, 6)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        batch, length, _ = x.shape
        q, k = self.qk(x).reshape(batch, length, 2, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        places = torch.arange(length)
        apart = (places[None] - places[:, None]).clamp(-8, 8) + 8
        scores = torch.gather(q @ self.distances, -1, apart.expand(batch, 2, -1, -1))
        scores = (scores + q @ k.transpose(-2, -1)).softmax(-1)
        return self.out(scores.mean(1) @ x)


Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class OpenNetwork:
    """A network whose axes are open.

    Attributes:
        build: makes it.
        axes: names of the open axes of each input, by its name.
        export: shapes of the inputs that it is exported with, which become the defaults.
        others: shapes to judge it at, odd ones among them.
    """

    build: Callable[[], nn.Module]
    axes: Mapping[str, Mapping[int, str]]
    export: Shapes
    others: Sequence[Shapes]

    @property
    def names(self) -> list[str]:
        """The open dimensions."""
        return list(dict.fromkeys(name for axes in self.axes.values() for name in axes.values()))


IMAGE = {"x": {2: "height", 3: "width"}}
SIZES = [[(1, 3, 47, 90)], [(1, 3, 101, 33)], [(1, 3, 64, 128)]]
EVEN = [[(1, 3, 48, 88)], [(1, 3, 104, 32)], [(1, 3, 136, 72)]]

NETWORKS: Mapping[str, OpenNetwork] = {
    "a ViT with a dense head": OpenNetwork(
        DenseTransformer, {"x": {0: "batch"}}, [(1, 3, 16, 16)], [[(7, 3, 16, 16)], [(1, 3, 16, 16)], [(4, 3, 16, 16)]]
    ),
    "a feature pyramid": OpenNetwork(Pyramid, IMAGE, [(1, 3, 64, 64)], SIZES),
    "a U-Net that resizes to its skips": OpenNetwork(Hourglass, IMAGE, [(1, 3, 64, 64)], SIZES),
    "a U-Net that pads to its skips": OpenNetwork(PaddingHourglass, IMAGE, [(1, 3, 64, 64)], SIZES),
    "transposed convolutions": OpenNetwork(Upsampler, IMAGE, [(1, 3, 64, 64)], SIZES),
    "an encoder of text": OpenNetwork(
        TextEncoder,
        {"ids": {0: "batch", 1: "sequence"}, "m": {0: "batch", 1: "sequence"}},
        [(1, 32)] * 2,
        [[(3, 17)] * 2, [(1, 5)] * 2, [(2, 64)] * 2],
    ),
    "an encoder of speech": OpenNetwork(
        SpeechEncoder, {"x": {1: "L"}}, [(1, 640)], [[(1, 501)], [(1, 777)], [(1, 960)]]
    ),
    "a reader of lines": OpenNetwork(
        LineReader, {"x": {3: "width"}}, [(1, 1, 16, 64)], [[(1, 1, 16, 45)], [(1, 1, 16, 100)], [(1, 1, 16, 161)]]
    ),
    "a detector with anchors": OpenNetwork(Detector, IMAGE, [(1, 3, 64, 64)], EVEN),
    "shifted windows": OpenNetwork(
        ShiftedWindows, {"x": {0: "batch"}}, [(1, 3, 16, 16)], [[(7, 3, 16, 16)], [(1, 3, 16, 16)], [(4, 3, 16, 16)]]
    ),
    "attention over maps": OpenNetwork(MapEncoder, IMAGE, [(1, 3, 64, 64)], [*SIZES, [(1, 3, 160, 96)]]),
    "queries that read a map": OpenNetwork(QueryDetector, IMAGE, [(1, 3, 64, 64)], SIZES),
    "relative places": OpenNetwork(
        RelativePlaces, {"ids": {0: "batch", 1: "sequence"}}, [(1, 32)], [[(3, 17)], [(1, 5)], [(2, 64)]]
    ),
    "proposals by pools that round up": OpenNetwork(Proposals, IMAGE, [(1, 3, 64, 64)], SIZES),
}


def example(shape: tuple[int, ...], name: str) -> Tensor:
    """An input: indices for ``ids``, truth for ``m``, else floats."""
    if name in ("ids", "m"):
        return torch.randint(0, 50 if name == "ids" else 2, shape)
    return torch.randn(shape)


def export(network: OpenNetwork) -> bytes:
    """The network as ONNX."""
    torch.manual_seed(0)
    module, buffer = network.build().eval(), io.BytesIO()
    inputs = tuple(example(shape, name) for shape, name in zip(network.export, network.axes, strict=True))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, inputs, buffer, input_names=list(network.axes), output_names=["y"], opset_version=17,
            dynamic_axes={name: dict(axes) for name, axes in network.axes.items()}, dynamo=False,
        )  # fmt: skip
    return buffer.getvalue()
