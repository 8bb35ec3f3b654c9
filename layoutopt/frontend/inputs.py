"""Inputs from the user for a model to compute on: arrays in an .npz file, or an image."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import MissingExtraError, UsageError
from layoutopt.ir.io import make_static, recorded_orders, takes_pixels
from layoutopt.ir.perm import channels_last
from layoutopt.ir.verify import Array, Arrays, random_inputs

if TYPE_CHECKING:
    from PIL.Image import Image

_GREY, _RGB = 1, 3


def give_inputs(
    model: ir.Model, given: Path | Arrays | None, *, shapes: Mapping[str, tuple[int, ...]], seed: int
) -> Arrays:
    """Return an array for each input of a model, which gets static shapes by it, in place.

    Args:
        model: may have symbolic dimensions.
        given: an .npz file, an image, or the arrays by name; random numbers where it is None.
        shapes: a static shape for each input that has a symbolic dimension, where the arrays do not tell.
        seed: of the random numbers.

    Raises:
        UsageError: a file cannot be read, an input is missing or unknown, or something has the wrong type or shape.
        DynamicShapeError: an input has a symbolic dimension and nothing tells its size.
        MissingExtraError: the file is an image and Pillow is not installed.
    """
    arrays: Arrays | None = None
    if isinstance(given, Mapping):
        arrays = _fitted("the input", given, model)
    elif isinstance(given, Path) and given.suffix == ".npz":
        arrays = _fitted(f"--input {given}", _read_npz(given), model)
    make_static(model, {**{name: array.shape for name, array in (arrays or {}).items()}, **shapes})
    if arrays is not None:
        return arrays
    return read_image(given, model) if isinstance(given, Path) else random_inputs(model, seed)


def _read_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise UsageError(f"--input {path}: no such file") from None
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"--input {path}: not an .npz file ({error})", hint="Write it with numpy.savez.") from None


def _fitted(what: str, arrays: Arrays, model: ir.Model) -> Arrays:
    """Return the arrays in the types and the order of the inputs, if they are of their kinds and shapes."""
    inputs = {str(value.name): value for value in model.graph.inputs if not value.is_initializer()}
    if set(arrays) != set(inputs):
        raise UsageError(f"{what}: holds {sorted(arrays)}", hint=f"The inputs of the model are {sorted(inputs)}.")
    return {name: _fitted_one(what, arrays[name], value) for name, value in inputs.items()}


def _fitted_one(what: str, array: Array, value: ir.Value) -> Array:
    assert value.dtype is not None
    dtype, shape = value.dtype.numpy(), value.shape
    fits = shape is None or (
        len(shape) == array.ndim
        and all(not isinstance(want, int) or want == have for want, have in zip(shape, array.shape, strict=True))
    )
    if not fits or array.dtype.kind != dtype.kind:
        sizes = "" if shape is None else f"[{', '.join(map(str, shape))}]"
        raise UsageError(
            f"{what}: {value.name!r} is {array.dtype.name}{list(array.shape)}",
            hint=f"The model takes {dtype.name}{sizes}.",
        )
    return array.astype(dtype, copy=False)


def read_image(path: Path, model: ir.Model) -> Arrays:
    """Return an image, resized to the one input: from 0 to 1, or from 0 to 255 where that takes integers or pixels.

    Args:
        path: of any format that Pillow reads.
        model: of static shapes, with one input of N x C x H x W, or of N x H x W x C where layoutopt made it so or
            where only the last axis can be the channels; one channel is grey, three are red, green and blue.

    Raises:
        MissingExtraError: Pillow is not installed.
        UsageError: it cannot be read, or the model does not take one image.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise MissingExtraError(
            f"--input {path}: reading images needs Pillow.", hint="pip install 'layoutopt[images]'"
        ) from None
    value, shape, last = _image_input(path, model)
    batch, height, width, channels = shape if last else (shape[0], shape[2], shape[3], shape[1])
    try:
        with Image.open(path) as image:
            pixels = _pixels(image, height, width, channels)
    except FileNotFoundError:
        raise UsageError(f"--input {path}: no such file") from None
    except (UnidentifiedImageError, OSError) as error:
        raise UsageError(f"--input {path}: not an image that Pillow reads ({error})") from None
    assert value.dtype is not None
    dtype = value.dtype.numpy()
    as_they_are = np.issubdtype(dtype, np.integer) or takes_pixels(model, str(value.name))
    whole = pixels if as_they_are else np.divide(pixels, 255)
    stored = whole if last else whole.transpose(2, 0, 1)
    return {str(value.name): np.repeat(stored[np.newaxis], batch, axis=0).astype(dtype)}


def _pixels(image: Image, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Return an array of H x W x C, from 0 to 255."""
    converted = image.convert("L" if channels == _GREY else "RGB").resize((width, height))
    return np.asarray(converted).reshape(height, width, channels)


def _image_input(path: Path, model: ir.Model) -> tuple[ir.Value, tuple[int, ...], bool]:
    """Return the one input, its shape, and whether its channels are last."""
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    shape = tuple(inputs[0].shape.numpy()) if len(inputs) == 1 and inputs[0].shape is not None else ()
    if len(shape) == 4:
        known = recorded_orders(model).get(str(inputs[0].name)) == channels_last(4)
        if not known and shape[1] in (_GREY, _RGB):
            return inputs[0], shape, False
        if shape[3] in (_GREY, _RGB):
            return inputs[0], shape, True
    listed = ", ".join(f"{value.name}[{', '.join(map(str, value.shape or ()))}]" for value in inputs)
    raise UsageError(
        f"--input {path}: the model does not take one image of 1 or 3 channels, but {listed}",
        hint="Give the arrays as an .npz file, one for each input by its name.",
    )
