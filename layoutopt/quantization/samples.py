"""Samples that a user gives, as the original model takes them: checked, and kept on disk rather than in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from layoutopt.errors import UsageError
from layoutopt.options import SampleLayout
from layoutopt.quantization.images import SUFFIXES, ImageSettings, read_images
from layoutopt.quantization.inputs import Input
from layoutopt.tfl.dtypes import Array

Given: TypeAlias = "Path | Array | Mapping[str, Array] | Iterable[Mapping[str, Array]]"
"""A folder, a .npy or an .npz file; an array for the only input, or one for each, with a sample axis; or samples."""

MAX_SAMPLES = 100
_FEW = 16
"""Fewer samples than this say little about ranges."""
_PARTS = 5
"""Of so many samples one chooses, one judges, and the others are calibrated with."""
_CHOOSING, _JUDGING = 2, 4
"""The shares of the samples that choose and judge, after a shuffle, for samples often repeat in some order."""
_SEED = 0
_MAX_COMPARING = 40
"""The samples that dozens of recipes are compared on."""
_FAR = 1.5
"""The multiple of the range of the other samples that those that judge may reach without a warning."""
_PIXELS = 100.0
"""Inputs that reach this, and are whole numbers, look like pixels that nobody has scaled."""
_NUMPY_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile)


@dataclass(slots=True)
class Samples:
    """Checked samples.

    Attributes:
        arrays: for each input, one array per sample along the first axis; maps of files.
        warnings: what a user should know about them.
    """

    arrays: Sequence[Array]
    warnings: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return the number of samples."""
        return len(self.arrays[0])

    def calibration(self) -> Iterator[list[Array]]:
        """Iterate over those that ranges are taken from."""
        yield from map(self._sample, self._calibrating())

    def choosing(self) -> Iterator[list[Array]]:
        """Iterate over those that take part in choices only; of very few samples, over all."""
        yield from map(self._sample, self._held_out(_CHOOSING))

    def comparing(self) -> Iterator[list[Array]]:
        """Iterate over those that recipes are compared on: at most 40 of the two kinds above, evenly spread.

        Few numbers are chosen, and the outputs of classifiers tell recipes apart on but a few of the samples, so those
        of the calibration help more than they mislead.
        """
        known = list(dict.fromkeys([*self._calibrating(), *self._held_out(_CHOOSING)]))
        yield from (self._sample(known[at]) for at in _spread(len(known), _MAX_COMPARING))

    def judging(self) -> Iterator[list[Array]]:
        """Iterate over those that take no part in anything before; of very few samples, over all."""
        yield from map(self._sample, self._held_out(_JUDGING))

    def _calibrating(self) -> list[int]:
        return [at for at, place in enumerate(self._places()) if place not in (_CHOOSING, _JUDGING)]

    def _held_out(self, wanted: int) -> list[int]:
        return [at for at, place in enumerate(self._places()) if place == wanted or self.count < _PARTS]

    def _places(self) -> list[int]:
        return [int(place) for place in np.random.default_rng(_SEED).permutation(self.count) % _PARTS]

    def _sample(self, at: int) -> list[Array]:
        return [array[at] for array in self.arrays]


@dataclass(frozen=True, slots=True)
class Reading:
    """The way in which samples are read.

    Attributes:
        count: at most so many are used, evenly spread over those that there are.
        layout: of arrays of pictures.
        images: what becomes of pixels.
    """

    count: int = MAX_SAMPLES
    layout: SampleLayout = SampleLayout.MODEL
    images: ImageSettings = field(default_factory=ImageSettings)


def read_samples(given: Given, inputs: Sequence[Input], scratch: Path, reading: Reading) -> Samples:
    """Read samples and check them.

    Args:
        given: by the user.
        inputs: what the model takes.
        scratch: directory to keep them in.
        reading: how.

    Raises:
        UsageError: there are none, they cannot be read, or they do not fit the model.
        MissingExtraError: they are images, and Pillow is not installed.
    """
    if reading.count < 1:
        raise UsageError(f"--calibration-samples {reading.count}: give at least one")
    store = _Store(inputs, scratch, reading)
    store.fill(given)
    samples = store.samples()
    samples.warnings += _doubts(samples, inputs)
    return samples


@dataclass(slots=True)
class _Store:
    """Check samples one by one and write them to one file for each input."""

    inputs: Sequence[Input]
    scratch: Path
    reading: Reading
    count: int = 0
    what: str = "calibration"
    unsplit: bool = False

    def fill(self, given: Given) -> None:
        """Take all samples that are wanted.

        Raises:
            UsageError: there are none, or they do not fit.
        """
        if isinstance(given, Path):
            self.what = f"--calibration {given}"
            self._fill_from_path(given)
        elif isinstance(given, Mapping):
            self._fill_from_arrays(given)
        elif isinstance(given, np.ndarray):
            self._fill_from_arrays({self._only_input().name: given})
        else:
            self.unsplit = True
            for at, sample in zip(range(self.reading.count), given, strict=False):
                self._add(sample, f"sample {at}")
        if not self.count:
            raise UsageError(f"{self.what}: no samples", hint="Give pictures, or arrays, as the model takes them.")

    def samples(self) -> Samples:
        """Return what was taken."""
        shapes = [(self.count, *each.shape) for each in self.inputs]
        return Samples(
            [
                np.memmap(self._file(at), each.dtype, "r", shape=shape)
                for at, (each, shape) in enumerate(zip(self.inputs, shapes, strict=True))
            ]
        )

    def _fill_from_path(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"{self.what}: no such file or folder")
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES)
            if not files:
                raise UsageError(f"{self.what}: no samples: holds no images", hint=f"Read are {', '.join(SUFFIXES)}.")
            chosen = [files[at] for at in _spread(len(files), self.reading.count)]
            only = self._only_input()
            for file, array in zip(chosen, read_images(chosen, only, self.reading.images), strict=True):
                self._add({only.name: array}, str(file))
            return
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as found:
                    self._fill_from_arrays({name: found[name] for name in found.files})
            elif path.suffix == ".npy":
                array = np.load(path, mmap_mode="r", allow_pickle=False)
                self._fill_from_arrays({self._only_input().name: array})
            else:
                raise UsageError(f"{self.what}: neither a folder of images nor a .npy or .npz file")
        except _NUMPY_ERRORS as error:
            why = "it holds no arrays of numbers" if "pickle" in str(error) else str(error)
            raise UsageError(
                f"{self.what}: cannot be read ({why})", hint="Write arrays of numbers with numpy.savez or numpy.save."
            ) from None

    def _fill_from_arrays(self, arrays: Mapping[str, Array]) -> None:
        self._check_names(arrays, "")
        parts = {each.name: self._split(arrays[each.name], each) for each in self.inputs}
        counts = {name: len(array) for name, array in parts.items()}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise UsageError(f"{self.what}: not as many samples for each input: {listed}")
        for at in _spread(next(iter(counts.values())), self.reading.count):
            self._add({name: array[at] for name, array in parts.items()}, f"sample {at}")

    def _split(self, array: Array, wanted: Input) -> Array:
        """Return an array with an axis of samples before those of the input, whose batches are made of several."""
        given, array = array, self._in_model_layout(array, wanted)
        if array.shape[1:] == wanted.shape:
            return array
        if array.ndim == len(wanted.shape) and array.ndim and array.shape[1:] == wanted.shape[1:]:
            batch = wanted.shape[0]
            return array[: len(array) // batch * batch].reshape(-1, *wanted.shape)
        raise self._misfit(given.shape, wanted, "")

    def _in_model_layout(self, array: Array, wanted: Input) -> Array:
        """Return pictures with the axis of channels where the model has it."""
        if self.reading.layout is SampleLayout.MODEL or len(wanted.shape) != 4 or array.ndim < 3:
            return array
        found: Array = np.moveaxis(array, -1, -3)
        return found

    def _add(self, sample: Mapping[str, Array], name: str) -> None:
        self._check_names(sample, name)
        for at, wanted in enumerate(self.inputs):
            given = np.asarray(sample[wanted.name])
            array = self._in_model_layout(given, wanted) if self.unsplit else given
            if array.shape == wanted.shape[1:] and wanted.shape[0] == 1:
                array = array[None]
            if array.shape != wanted.shape:
                raise self._misfit(given.shape, wanted, name)
            if array.dtype.kind not in {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}.get(wanted.dtype.kind, ""):
                raise UsageError(
                    f"{self.what}: {name}: {wanted.name!r} is of {array.dtype.name}",
                    hint=f"The model takes {wanted.dtype.name}.",
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise UsageError(
                    f"{self.what}: {name}: {wanted.name!r} holds NaN or infinity", hint="Leave it out, or mend it."
                )
            with self._file(at).open("ab" if self.count else "wb") as file:
                file.write(np.ascontiguousarray(array, wanted.dtype).tobytes())
        self.count += 1

    def _check_names(self, arrays: Mapping[str, Array], name: str) -> None:
        known = {each.name for each in self.inputs}
        if set(arrays) != known:
            where = f": {name}" if name else ""
            raise UsageError(
                f"{self.what}{where}: holds {sorted(arrays)}", hint=f"The inputs of the model are {sorted(known)}."
            )

    def _misfit(self, shape: tuple[int, ...], wanted: Input, name: str) -> UsageError:
        is_one = len(wanted.shape) > 1 and wanted.shape[0] == 1
        where = f": {name}" if name else ""
        last = (*wanted.shape[2:], wanted.shape[1]) if len(wanted.shape) == 4 else None
        sizes = _sizes(wanted.shape[1:] if is_one else wanted.shape)
        hint = f"The model takes {wanted.dtype.name}{list(wanted.shape)}: N samples are an array of [N, {sizes}]."
        if last is not None and self.reading.layout is SampleLayout.NHWC:
            hint = f"--calibration-layout nhwc says that N samples are an array of [N, {_sizes(last)}]."
            if shape[-3:] == wanted.shape[1:]:
                hint += " Go without it: these are as the model takes them."
        elif last is not None and shape[-3:] == last:
            hint = (
                f"They fit only when transposed: the model as exported takes {list(wanted.shape)}. "
                "Transpose them, or say --calibration-layout nhwc."
            )
        return UsageError(f"{self.what}{where}: {wanted.name!r} is of shape {list(shape)}", hint=hint)

    def _only_input(self) -> Input:
        if len(self.inputs) != 1:
            names = ", ".join(each.name for each in self.inputs)
            raise UsageError(
                f"{self.what}: the model has several inputs: {names}", hint="Give an .npz file with an array for each."
            )
        return self.inputs[0]

    def _file(self, at: int) -> Path:
        return self.scratch / f"samples_{at}.bin"


def _spread(count: int, most: int) -> list[int]:
    """Return the samples to use, of so many: all, or evenly spread ones."""
    used = min(count, most)
    return [at * count // used for at in range(used)]


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _doubts(samples: Samples, inputs: Sequence[Input]) -> Iterator[str]:
    """Iterate over what makes the samples look like the wrong ones."""
    if samples.count < _FEW:
        several = "sample" if samples.count == 1 else "samples"
        yield f"only {samples.count} {several}: give at least {_FEW}, better 100, of what the model will see"
    if samples.count > 1 and all((array[1:] == array[:1]).all() for array in samples.arrays):
        yield "all samples are the same"
    for at, wanted in enumerate(inputs):
        if wanted.dtype.kind != "f":
            continue
        low, high = _extremes(samples.calibration(), at)
        beyond = max(map(abs, _extremes(samples.judging(), at)))
        if beyond > _FAR * max(-low, high):
            reach = max(-low, high)
            yield f"{wanted.name}: held-out samples reach {beyond:g}, the others {reach:g}; give more of every kind"
        first = samples.arrays[at][0]
        if low >= 0 and high > _PIXELS and (first == np.rint(first)).all():
            yield (
                f"{wanted.name}: whole numbers up to {high:g}, as pixels are; does the model want 0 to 1 "
                "(of images: --scale 1/255)?"
            )


def _extremes(samples: Iterable[Sequence[Array]], at: int) -> tuple[float, float]:
    found = [(float(each[at].min(initial=0)), float(each[at].max(initial=0))) for each in samples]
    return min(low for low, _ in found), max(high for _, high in found)
