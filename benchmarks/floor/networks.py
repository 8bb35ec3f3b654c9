"""The networks in Keras, by the names of those in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.floor import classifiers, shufflenet, superresolution, transformers, unet, yolo, yolov8
from benchmarks.floor.layers import Tensor
from benchmarks.floor.weights import Scope
from layoutopt.ir.perm import Perm

Function = Callable[[Scope, Tensor], Tensor]
"""From the weights and the picture (1, H, W, 3) to the result."""

_PICTURE: Perm = (0, 2, 3, 1)
_ROWS: Perm = (0, 2, 1)


@dataclass(frozen=True, slots=True)
class Floor:
    """A network in two sizes.

    Attributes:
        full: the size that the tables quote. What the weights tell, such as widths, it takes from them.
        small: the size for tests, if anything but the weights tells the two apart.
        order: the axes of PyTorch's result in the order that this one has them; None for the same.
    """

    full: Function
    small: Function | None = None
    order: Perm | None = None

    def variant(self, *, small: bool) -> Function:
        """Return the network in one of the sizes."""
        return self.small if small and self.small is not None else self.full


def _vit(heads: int) -> Function:
    return partial(transformers.vision_transformer, heads=heads)


def _swin(depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> Function:
    return partial(transformers.swin_transformer, depths=depths, heads=heads, window=window)


FLOORS: Mapping[str, Floor] = {
    "mobilenet_v2": Floor(classifiers.mobilenet_v2),
    "resnet50": Floor(classifiers.resnet50),
    "mobilenet_v3_large": Floor(classifiers.mobilenet_v3_large),
    "efficientnet_like": Floor(classifiers.efficientnet),
    "unet_bilinear": Floor(unet.unet_bilinear, order=_PICTURE),
    "yolo_head": Floor(yolo.yolo_head),
    "resnext50": Floor(classifiers.resnet50),
    "vgg11": Floor(classifiers.vgg11),
    "shufflenet_v2": Floor(shufflenet.shufflenet_v2),
    "unet_plus_plus": Floor(unet.unet_plus_plus, order=_PICTURE),
    "unet_transposed": Floor(unet.unet_transposed, order=_PICTURE),
    "rrdb_nearest": Floor(partial(superresolution.rrdb, upsampler=superresolution.nearest), order=_PICTURE),
    "rrdb_pixel_shuffle": Floor(partial(superresolution.rrdb, upsampler=superresolution.pixel_shuffle), order=_PICTURE),
    "convnext_tiny": Floor(transformers.convnext),
    "vit_4": Floor(_vit(6), small=_vit(3)),
    "vit_12": Floor(_vit(6), small=_vit(3)),
    "swin_4": Floor(_swin((4,), (3,), 7), small=_swin((4,), (2,), 4)),
    "swin_t": Floor(_swin((2, 2, 6, 2), (3, 6, 12, 24), 7), small=_swin((2, 2, 6, 2), (2, 4, 8, 16), 4)),
    "yolov8": Floor(yolov8.yolov8, order=_ROWS),
}
"""Every network of ``benchmarks.models``."""
