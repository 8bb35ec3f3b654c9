"""Which networks there are, and how each is exported. Plain data: nothing here imports a heavy package."""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from layoutopt.options import Exporter

_IMAGE = (1, 3, 224, 224)


class Source(enum.Enum):
    """Where a network comes from."""

    TORCHVISION = "torchvision"
    TIMM = "timm"
    SMP = "segmentation-models-pytorch"
    ULTRALYTICS = "ultralytics"
    OURS = "benchmarks"
    """Written from the paper, here or in `benchmarks.models`."""
    RAPIDOCR = "rapidocr-onnxruntime"
    """Trained: .onnx files in a package."""
    MAGIKA = "magika"
    SILERO = "silero-vad"

    @property
    def trained(self) -> bool:
        """Whether it ships .onnx files with trained weights."""
        return self in (Source.RAPIDOCR, Source.MAGIKA, Source.SILERO)


@dataclass(frozen=True, slots=True)
class Export:
    """How a network becomes ONNX.

    Attributes:
        exporter: the TorchScript one, or the one built on ``torch.export``; None for a file that a package ships.
        opset: asked for.
    """

    exporter: Exporter | None
    opset: int

    def __str__(self) -> str:
        return f"{self.exporter.value}-{self.opset}" if self.exporter else "as shipped"


EXPORTS = (
    Export(Exporter.LEGACY, 13),
    Export(Exporter.LEGACY, 17),
    Export(Exporter.LEGACY, 20),
    Export(Exporter.DYNAMO, 18),
    Export(Exporter.DYNAMO, 23),
)
SHIPPED = Export(None, 0)


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        name: as on the command line and in the table.
        source: the package that has it.
        model: what the package calls it; of a trained one, where the file is in the package.
        shape: of the input, ``(N, C, H, W)``.
        encoder: of a segmentation network.
        everywhere: whether all exports are tried; else one, which depends on nothing but the name.
        shapes: of the inputs of a shipped file, by name.
    """

    name: str
    source: Source
    model: str
    shape: tuple[int, ...] = _IMAGE
    encoder: str = ""
    everywhere: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def exports(self) -> tuple[Export, ...]:
        """How it is exported."""
        if self.source.trained:
            return (SHIPPED,)
        return EXPORTS if self.everywhere else (EXPORTS[zlib.crc32(self.name.encode()) % len(EXPORTS)],)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: a network in one export."""

    network: Network
    export: Export

    @property
    def key(self) -> str:
        """Names the entry on disk."""
        return f"{self.network.name}-{self.export}".replace(" ", "-")

    def directory(self, results: Path) -> Path:
        """Where its files are."""
        return results / self.key


def _tv(model: str, **options: object) -> Network:
    return Network(model, Source.TORCHVISION, model, **options)  # type: ignore[arg-type]


def _timm(model: str, **options: object) -> Network:
    return Network(model.partition(".")[0], Source.TIMM, model, **options)  # type: ignore[arg-type]


def _smp(model: str, encoder: str = "resnet34", **options: object) -> Network:
    shape = (1, 3, 256, 256)
    return Network(f"{model.lower()}_{encoder}", Source.SMP, model, shape, encoder, **options)  # type: ignore[arg-type]


def _yolo(model: str, **options: object) -> Network:
    return Network(model.replace("-", "_"), Source.ULTRALYTICS, f"{model}.yaml", (1, 3, 320, 320), **options)  # type: ignore[arg-type]


ARTICLE = (
    _smp("UnetPlusPlus", everywhere=True),
    _smp("Linknet", everywhere=True),
    _smp("MAnet", everywhere=True),
    _yolo("yolov3", everywhere=True),
    Network("yolov4", Source.OURS, "yolov4", (1, 3, 320, 320), everywhere=True),
    Network("retinanet_heads", Source.TORCHVISION, "retinanet_resnet50_fpn", (1, 3, 320, 320), everywhere=True),
    Network("retinanet_nms", Source.TORCHVISION, "retinanet_resnet50_fpn_nms", (1, 3, 320, 320)),
    Network("bsrgan", Source.OURS, "bsrgan", (1, 3, 64, 64)),
    Network("mobilenet_v2_batch_10", Source.TORCHVISION, "mobilenet_v2", (10, 3, 224, 224), everywhere=True),
)
"""The set of the article that this project set out from."""

CLASSIFIERS = (
    _tv("mobilenet_v3_small", everywhere=True),
    _tv("mobilenet_v3_large"),
    _tv("efficientnet_b0", everywhere=True),
    _tv("efficientnet_v2_s"),
    _tv("shufflenet_v2_x1_0", everywhere=True),
    _tv("regnet_y_400mf"),
    _tv("regnet_x_800mf"),
    _tv("densenet121"),
    _tv("inception_v3", shape=(1, 3, 299, 299)),
    _tv("googlenet"),
    _tv("convnext_tiny", everywhere=True),
    _tv("swin_t", everywhere=True),
    _tv("swin_v2_t", shape=(1, 3, 256, 256)),
    _tv("vit_b_16"),
    _tv("vit_b_32", everywhere=True),
    _tv("maxvit_t"),
    _tv("resnet18"),
    _tv("resnet50"),
    _tv("resnext50_32x4d"),
    _tv("wide_resnet50_2"),
    _tv("vgg16"),
    _tv("squeezenet1_1"),
    _tv("mnasnet1_0"),
    _tv("alexnet"),
    _timm("hrnet_w18_small"),
    _timm("mobilevit_s", shape=(1, 3, 256, 256)),
    _timm("mobilevitv2_100", shape=(1, 3, 256, 256)),
    _timm("ghostnet_100"),
    _timm("ghostnetv2_100"),
    _timm("repvgg_a0"),
    _timm("xception41", shape=(1, 3, 299, 299)),
    _timm("efficientvit_b1"),
    _timm("edgenext_small", shape=(1, 3, 256, 256)),
    _timm("fastvit_t8", shape=(1, 3, 256, 256)),
    _timm("deit_tiny_patch16_224"),
    _timm("mixer_s32_224"),
    _timm("mobileone_s1"),
    _timm("mobilenetv4_conv_small"),
    _timm("convnextv2_atto"),
    _timm("convmixer_768_32"),
    _timm("poolformer_s12"),
    _timm("res2net50_26w_4s"),
    _timm("dpn68"),
    _timm("inception_v4", shape=(1, 3, 299, 299)),
    _timm("levit_128s"),
    _timm("coat_tiny"),
    _timm("pvt_v2_b0"),
    _timm("cspdarknet53", shape=(1, 3, 256, 256)),
    _timm("eca_nfnet_l0"),
    _timm("resnetv2_50"),
    _timm("tf_efficientnet_lite0"),
    _timm("eva02_tiny_patch14_224"),
)

SEGMENTATION = (
    _tv("deeplabv3_mobilenet_v3_large", shape=(1, 3, 256, 256)),
    _tv("deeplabv3_resnet50", shape=(1, 3, 256, 256)),
    _tv("lraspp_mobilenet_v3_large", shape=(1, 3, 256, 256)),
    _tv("fcn_resnet50", shape=(1, 3, 256, 256)),
    _smp("Unet", everywhere=True),
    _smp("Unet", "efficientnet-b0"),
    _smp("FPN"),
    _smp("PSPNet"),
    _smp("PAN"),
    _smp("DeepLabV3Plus", "mobilenet_v2"),
    _smp("Segformer", "mit_b0"),
    _smp("UPerNet"),
)

DETECTORS = (
    _yolo("yolov3-tiny"),
    _yolo("yolov5n"),
    _yolo("yolov6n"),
    _yolo("yolov8n", everywhere=True),
    _yolo("yolov8n-seg"),
    _yolo("yolov8n-pose"),
    _yolo("yolov8n-obb"),
    _yolo("yolov8n-cls"),
    _yolo("yolov9t"),
    _yolo("yolov10n"),
    _yolo("yolo11n"),
    _yolo("yolo11n-seg"),
    _yolo("yolo12n"),
    _yolo("yolo26n"),
    _yolo("rtdetr-l"),
    Network("ssdlite_heads", Source.TORCHVISION, "ssdlite320_mobilenet_v3_large", (1, 3, 320, 320)),
    Network("fcos_heads", Source.TORCHVISION, "fcos_resnet50_fpn", (1, 3, 320, 320)),
)

NETWORKS: Mapping[str, Network] = {
    network.name: network for network in (*ARTICLE, *CLASSIFIERS, *SEGMENTATION, *DETECTORS)
}
"""All networks by name."""


def entries(names: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The rows of the table, or those of the networks in ``names``."""
    for name in names or NETWORKS:
        network = NETWORKS[name]
        yield from (Entry(network, export) for export in network.exports)
