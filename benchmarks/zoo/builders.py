"""From the catalogue to PyTorch modules. Runs in the environment of the zoo."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from benchmarks.zoo.catalogue import Network, Source


def build(network: Network) -> nn.Module:
    """Return the module in evaluation mode, with its package's initial weights."""
    return _BUILDERS[network.source](network).eval()


class _Tensors(nn.Module):
    """A torchvision detector without what comes before the backbone and after the heads."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.head(list(self.backbone(x).values())).values())


class _Picture(nn.Module):
    """A torchvision detector of one picture: boxes, scores, labels."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.detector(list(x))[0].values())


def _torchvision(network: Network) -> nn.Module:
    import torchvision.models as models

    name = network.model.removesuffix("_nms")
    options: dict[str, bool | None] = {"weights": None}
    if name in models.list_models(module=models.detection):
        size = network.shape[-1]
        made = models.get_model(name, weights_backbone=None, min_size=size, max_size=size, **options)
        return (_Picture if name != network.model else _Tensors)(made)
    if name in models.list_models(module=models.segmentation):
        options["weights_backbone"] = None
    elif name in ("inception_v3", "googlenet"):
        options |= {"init_weights": False, "aux_logits": False}
    return models.get_model(name, **options)


def _timm(network: Network) -> nn.Module:
    import timm

    return timm.create_model(network.model, pretrained=False, exportable=True)


def _smp(network: Network) -> nn.Module:
    import segmentation_models_pytorch as smp

    return getattr(smp, network.model)(network.encoder, encoder_weights=None, classes=21)


def _ultralytics(network: Network) -> nn.Module:
    from ultralytics.nn import tasks

    task = next(
        (kind for suffix, kind in _TASKS.items() if suffix in network.model),
        "RTDETRDetectionModel" if "rtdetr" in network.model else "DetectionModel",
    )
    module = getattr(tasks, task)(network.model, verbose=False).eval()
    for layer in module.modules():  # as ultralytics' own exporter does
        if hasattr(layer, "export"):
            layer.export, layer.format, layer.dynamic = True, "onnx", False
    return module


_TASKS = {"-seg": "SegmentationModel", "-pose": "PoseModel", "-obb": "OBBModel", "-cls": "ClassificationModel"}


def _ours(network: Network) -> nn.Module:
    from benchmarks.models.superresolution import RRDBNet, nearest
    from benchmarks.zoo.yolov4 import YoloV4

    made: Mapping[str, Callable[[], nn.Module]] = {
        "yolov4": YoloV4,
        "bsrgan": lambda: RRDBNet(nearest, channels=64, growth=32, blocks=23),
    }
    return made[network.model]()


_BUILDERS: Mapping[Source, Callable[[Network], nn.Module]] = {
    Source.TORCHVISION: _torchvision,
    Source.TIMM: _timm,
    Source.SMP: _smp,
    Source.ULTRALYTICS: _ultralytics,
    Source.OURS: _ours,
}
