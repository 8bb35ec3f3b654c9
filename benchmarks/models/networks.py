"""The networks by name, with random weights that keep every activation in range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from benchmarks.models.classifiers import VGG11, EfficientNetLike, MobileNetV2, MobileNetV3Large, ResNet50
from benchmarks.models.shufflenet import ShuffleNetV2
from benchmarks.models.superresolution import RRDBNet, nearest, pixel_shuffle
from benchmarks.models.transformers import ConvNeXt, SwinTransformer, VisionTransformer
from benchmarks.models.unet import SMALL_WIDTHS, UNetBilinear, UNetPlusPlus, UNetTransposed
from benchmarks.models.yolo import YoloHead
from benchmarks.models.yolov8 import YoloV8

Shape = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of a network.

    Attributes:
        factory: makes the module with PyTorch's own initial weights.
        shape: of the input, ``(N, C, H, W)``.
    """

    factory: Callable[[], nn.Module]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Network:
    """A network in two sizes of the same topology.

    Attributes:
        name: as on the command line.
        full: the size that the tables quote.
        small: a size for tests, a few milliseconds to run.
    """

    name: str
    full: Variant
    small: Variant


NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (
        Network(
            "mobilenet_v2",
            Variant(MobileNetV2, (1, 3, 224, 224)),
            Variant(lambda: MobileNetV2(width=0.25, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "resnet50",
            Variant(ResNet50, (1, 3, 224, 224)),
            Variant(lambda: ResNet50(width=8, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "mobilenet_v3_large",
            Variant(MobileNetV3Large, (1, 3, 224, 224)),
            Variant(lambda: MobileNetV3Large(width=0.25, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "efficientnet_like",
            Variant(EfficientNetLike, (1, 3, 224, 224)),
            Variant(lambda: EfficientNetLike(width=0.25, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "unet_bilinear",
            Variant(UNetBilinear, (1, 3, 256, 256)),
            Variant(lambda: UNetBilinear(widths=SMALL_WIDTHS), (1, 3, 64, 64)),
        ),
        Network(
            "yolo_head",
            Variant(YoloHead, (1, 3, 320, 320)),
            Variant(lambda: YoloHead(resolution=64, width=8, classes=3), (1, 3, 64, 64)),
        ),
        Network(
            "resnext50",
            Variant(lambda: ResNet50(groups=32), (1, 3, 224, 224)),
            Variant(lambda: ResNet50(width=8, groups=4, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "vgg11",
            Variant(VGG11, (1, 3, 224, 224)),
            Variant(lambda: VGG11(resolution=64, width=8, hidden=32, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "shufflenet_v2",
            Variant(ShuffleNetV2, (1, 3, 224, 224)),
            Variant(lambda: ShuffleNetV2(widths=(8, 24, 48, 96, 128), classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "unet_plus_plus",
            Variant(UNetPlusPlus, (1, 3, 256, 256)),
            Variant(lambda: UNetPlusPlus(widths=SMALL_WIDTHS), (1, 3, 64, 64)),
        ),
        Network(
            "unet_transposed",
            Variant(UNetTransposed, (1, 3, 256, 256)),
            Variant(lambda: UNetTransposed(widths=SMALL_WIDTHS), (1, 3, 64, 64)),
        ),
        Network(
            "rrdb_nearest",
            Variant(lambda: RRDBNet(nearest), (1, 3, 64, 64)),
            Variant(lambda: RRDBNet(nearest, channels=16, growth=8, blocks=1), (1, 3, 16, 16)),
        ),
        Network(
            "rrdb_pixel_shuffle",
            Variant(lambda: RRDBNet(pixel_shuffle), (1, 3, 64, 64)),
            Variant(lambda: RRDBNet(pixel_shuffle, channels=16, growth=8, blocks=1), (1, 3, 16, 16)),
        ),
        Network(
            "convnext_tiny",
            Variant(ConvNeXt, (1, 3, 224, 224)),
            Variant(lambda: ConvNeXt(widths=(8, 16, 32, 64), depths=(1, 1, 2, 1), classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "vit_4",
            Variant(lambda: VisionTransformer(blocks=4, class_token=False), (1, 3, 224, 224)),
            Variant(
                lambda: VisionTransformer(resolution=64, width=48, heads=3, blocks=4, class_token=False, classes=10),
                (1, 3, 64, 64),
            ),
        ),
        Network(
            "vit_12",
            Variant(VisionTransformer, (1, 3, 224, 224)),
            Variant(lambda: VisionTransformer(resolution=64, width=48, heads=3, classes=10), (1, 3, 64, 64)),
        ),
        Network(
            "swin_4",
            Variant(lambda: SwinTransformer(depths=(4,), heads=(3,)), (1, 3, 224, 224)),
            Variant(
                lambda: SwinTransformer(resolution=32, width=32, depths=(4,), heads=(2,), window=4, classes=10),
                (1, 3, 32, 32),
            ),
        ),
        Network(
            "swin_t",
            Variant(SwinTransformer, (1, 3, 224, 224)),
            Variant(
                lambda: SwinTransformer(resolution=128, width=32, heads=(2, 4, 8, 16), window=4, classes=10),
                (1, 3, 128, 128),
            ),
        ),
        Network(
            "yolov8",
            Variant(YoloV8, (1, 3, 320, 320)),
            Variant(lambda: YoloV8(resolution=64, width=8, classes=16), (1, 3, 64, 64)),
        ),
    )
}
"""The networks that the benchmarks and the whole-network tests use, by name."""


def build(variant: Variant, *, seed: int = 0) -> nn.Module:
    """Return ``variant`` in evaluation mode with weights from ``seed``.

    Weights are He-initialised, normalization statistics are those of random batches, and the last layers are scaled so
    that what they compute has a standard deviation of about one on standard-normal input.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = variant.factory()
        _initialise(module)
        # A small picture leaves few pixels per channel at the deep end: more pictures make up for it.
        counted = any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
        count = max(4, 32 * 64 * 64 // (variant.shape[2] * variant.shape[3])) if counted else 4
        batches = [torch.randn(count, *variant.shape[1:]) for _ in range(3)]
        with torch.no_grad():
            module.train()
            for batch in batches:
                module(batch)
            module.eval()
            _restore_momentum(module)
            _scale_heads(module, batches[0])
    return module


def _initialise(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
        elif isinstance(layer, _NORMALIZATIONS):
            nn.init.uniform_(layer.weight, 0.7, 1.3)
            nn.init.normal_(layer.bias, std=0.2)
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # running statistics are the plain mean over the batches
        elif isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, 0.1, 0.4)
    for layer in module.modules():
        branch = getattr(layer, "branch", None)
        if branch is not None and getattr(layer, "residual", True):
            # As in trained networks, rounding errors then do not grow with depth (Goyal et al., 2017, section 5.1).
            last = [part for part in branch.modules() if isinstance(part, nn.BatchNorm2d | nn.Linear)][-1]
            if isinstance(last, nn.BatchNorm2d):
                nn.init.uniform_(last.weight, 0.1, 0.3)
            else:
                nn.init.normal_(last.weight, std=0.2 * last.in_features**-0.5)


_NORMALIZATIONS = nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm


def _restore_momentum(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1  # PyTorch's default, which exporters write into BatchNormalization nodes


def _scale_heads(module: nn.Module, batch: torch.Tensor) -> None:
    """Divide each last layer by the standard deviation of what it computes from ``batch``."""
    for head in _heads(module):
        results: list[torch.Tensor] = []
        handle = head.register_forward_hook(lambda _layer, _operands, result, seen=results: seen.append(result))
        module(batch)
        handle.remove()
        deviation = results[0].std()
        head.weight.div_(deviation)
        head.bias.div_(deviation)


def _heads(module: nn.Module) -> list[nn.Module]:
    """Return the layers after which only decoding follows: those named ``head``, or else the last of a sequence."""
    named = [layer for name, layer in module.named_modules() if name.rpartition(".")[2] == "head"]
    return named or [list(module.children())[-1]]
