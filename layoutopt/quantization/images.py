"""Images as samples of a model that takes pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layoutopt.errors import MissingExtraError, UsageError
from layoutopt.options import Color, Resize
from layoutopt.quantization.inputs import Input
from layoutopt.tfl.dtypes import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_GREY, _RGB = 1, 3
_BORDER = 114
"""The grey around a picture that is letterboxed, as detectors are trained with."""


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The treatment of pixels: ``(pixel * scale - mean) / std``.

    Attributes:
        mean: one number, or one for each channel.
        std: likewise.
        scale: None for 1/255, and for 1 where the model takes integers.
        color: order of the channels.
        resize: how a picture gets the size of the input.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float | None = None
    color: Color = Color.RGB
    resize: Resize = Resize.STRETCH


def read_images(paths: Sequence[Path], wanted: Input, settings: ImageSettings) -> Iterator[Array]:
    """Iterate over images as arrays of the shape and type of an input.

    Args:
        paths: of the files.
        wanted: an input of N x C x H x W, or of N x H x W x C where only the last axis can be the channels.
        settings: what becomes of pixels.

    Raises:
        MissingExtraError: Pillow is not installed.
        UsageError: the input takes no pictures, or a file cannot be read; it is named.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError(
            "--calibration: reading images needs Pillow.", hint="pip install 'layoutopt[images]'"
        ) from None
    last = _channels_last(wanted)
    batch, height, width, channels = (wanted.shape[at] for at in ((0, 1, 2, 3) if last else (0, 2, 3, 1)))
    _check_channels(settings, channels)
    for path in paths:
        try:
            with Image.open(path) as image:
                pixels = _pixels(image.convert("L" if channels == _GREY else "RGB"), height, width, settings)
        except (UnidentifiedImageError, OSError) as error:
            raise UsageError(f"--calibration: {path}: not an image that Pillow reads ({error})") from None
        values = _normalized(pixels.reshape(height, width, channels), wanted, settings)
        stored = values if last else values.transpose(2, 0, 1)
        yield np.repeat(stored[None], batch, axis=0).astype(wanted.dtype)


def _channels_last(wanted: Input) -> bool:
    shape = wanted.shape
    if len(shape) == 4 and shape[1] in (_GREY, _RGB):
        return False
    if len(shape) == 4 and shape[3] in (_GREY, _RGB):
        return True
    raise UsageError(
        f"--calibration: the input {wanted.name!r} of shape {list(shape)} takes no images of 1 or 3 channels",
        hint="Give arrays: a .npy or .npz file.",
    )


def _check_channels(settings: ImageSettings, channels: int) -> None:
    for option, given in (("--mean", settings.mean), ("--std", settings.std)):
        if len(given) not in (1, channels):
            raise UsageError(f"{option}: {len(given)} numbers for {channels} channels")
    if 0 in settings.std:
        raise UsageError("--std: must not be 0")


def _pixels(image: Image, height: int, width: int, settings: ImageSettings) -> npt.NDArray[np.uint8]:
    if settings.resize is Resize.STRETCH:
        fitted = image.resize((width, height))
    else:
        pick = max if settings.resize is Resize.CROP else min
        factor = pick(width / image.width, height / image.height)
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        scaled, left, top = image.resize(size), (width - size[0]) // 2, (height - size[1]) // 2
        fitted = _canvas(scaled, width, height)
        fitted.paste(scaled, (left, top))
    found = np.asarray(fitted)
    return found[..., ::-1] if found.ndim == 3 and settings.color is Color.BGR else found


def _canvas(image: Image, width: int, height: int) -> Image:
    from PIL.Image import new

    return new(image.mode, (width, height), (_BORDER,) * len(image.getbands()))


def _normalized(pixels: npt.NDArray[np.uint8], wanted: Input, settings: ImageSettings) -> npt.NDArray[np.float64]:
    default = 1 / 255 if wanted.dtype.kind == "f" else 1.0
    scale = default if settings.scale is None else settings.scale
    found: npt.NDArray[np.float64] = (pixels * scale - np.array(settings.mean)) / np.array(settings.std)
    return found if wanted.dtype.kind == "f" else np.rint(found)
