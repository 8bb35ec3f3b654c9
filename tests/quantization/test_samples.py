"""Samples as users give them: what is taken, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from layoutopt.errors import UsageError
from layoutopt.options import Color, Resize, SampleLayout
from layoutopt.quantization.images import ImageSettings
from layoutopt.quantization.inputs import Input
from layoutopt.quantization.samples import Given, Reading, Samples, read_samples

Array = npt.NDArray[Any]
PICTURE = Input("x", (1, 3, 6, 8), np.dtype(np.float32))
COUNT = Input("n", (2,), np.dtype(np.int64))
RNG = np.random.default_rng(0)


def arrays(count: int = 20, *shape: int) -> Array:
    return RNG.standard_normal((count, *(shape or (3, 6, 8)))).astype(np.float32)


def read(given: Given, scratch: Path, *inputs: Input, **reading: Any) -> Samples:
    return read_samples(given, inputs or (PICTURE,), scratch, Reading(**reading))


def everything(samples: Samples) -> Array:
    return np.asarray(samples.arrays[0])


def dicts(values: Array) -> Iterator[Mapping[str, Array]]:
    for value in values:
        yield {"x": value[None]}


def test_all_kinds_of_arrays_give_the_same(tmp_path: Path) -> None:
    values = arrays()
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", x=values)
    kinds: list[Given] = [
        values,
        values[:, None],
        {"x": values},
        dicts(values),
        list(dicts(values)),
        tmp_path / "x.npy",
        tmp_path / "x.npz",
    ]
    for given in kinds:
        found = read(given, tmp_path)
        assert (everything(found) == values[:, None]).all()
        assert found.warnings == []


@pytest.mark.parametrize(
    ("shape", "layout", "hint"),
    [
        ((20, 6, 8), SampleLayout.MODEL, r"N samples are an array of \[N, 3, 6, 8\]"),
        ((20, 3, 9, 8), SampleLayout.MODEL, r"N samples are an array of \[N, 3, 6, 8\]"),
        ((20, 6, 8, 3), SampleLayout.MODEL, "They fit only when transposed"),
        ((20, 3, 6, 8), SampleLayout.NHWC, r"array of \[N, 6, 8, 3\]. Go without it"),
        ((20, 5, 8, 3), SampleLayout.NHWC, r"array of \[N, 6, 8, 3\].$"),
    ],
)
def test_shapes_that_do_not_fit_are_told_as_they_were_given(
    shape: tuple[int, ...], layout: SampleLayout, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=hint) as refused:
        read(np.zeros(shape, np.float32), tmp_path, layout=layout)
    assert f"'x' is of shape {list(shape)}" in refused.value.message


def test_files_of_objects_are_refused_as_such(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}] * 20, dtype=object))
    with pytest.raises(UsageError, match="holds no arrays of numbers"):
        read(tmp_path / "x.npz", tmp_path)


def test_samples_are_calibrated_with_or_choose_or_judge(tmp_path: Path) -> None:
    samples = read(arrays(), tmp_path)
    parts = [[each[0] for each in part()] for part in (samples.calibration, samples.choosing, samples.judging)]
    assert [len(part) for part in parts] == [12, 4, 4]
    for one, two in combinations(parts, 2):
        assert not any((first == second).all() for first in one for second in two)
    repeated = np.arange(20, dtype=np.float32)[:, None, None, None] % 5 + np.zeros((3, 6, 8), np.float32)
    assert {float(each[0].flat[0]) for each in read(repeated, tmp_path).calibration()} == {0, 1, 2, 3, 4}
    few = read(arrays(4), tmp_path)
    assert [sum(1 for _ in part()) for part in (few.choosing, few.judging)] == [4, 4]


@pytest.mark.parametrize("count", [1, 3, 13, 50, 51, 100, 152])
def test_recipes_are_compared_on_evenly_spread_samples(count: int, tmp_path: Path) -> None:
    """Of those that calibrate and those that choose, each at most once, and none that judges, unless all do all."""
    values = np.repeat(np.arange(count, dtype=np.float32), 3 * 6 * 8).reshape(count, 3, 6, 8)
    samples = read(values, tmp_path, count=count)
    calibration, choosing, comparing, judging = (
        [int(each[0][0, 0, 0, 0]) for each in part()]
        for part in (samples.calibration, samples.choosing, samples.comparing, samples.judging)
    )
    every = list(dict.fromkeys(calibration + choosing))
    assert len(comparing) == min(len(every), 40)
    gaps = np.diff([*map(every.index, comparing), len(every)])
    assert gaps.min() >= len(every) // len(comparing)
    assert gaps.max() <= -(-len(every) // len(comparing))
    assert count < 5 or not set(judging) & set(comparing)


def test_no_more_samples_are_read_than_recipes_are_compared_on() -> None:
    class Watched(npt.NDArray[np.float32]):
        """Counts what is read of it."""

        read = 0

        def __getitem__(self, at: Any) -> Any:
            Watched.read += 1
            return super().__getitem__(at)

    samples = Samples([arrays(200).view(Watched)])
    assert len(list(samples.comparing())) == Watched.read == 40


def test_samples_are_spread_over_all_that_there_are(tmp_path: Path) -> None:
    values = np.repeat(np.arange(50, dtype=np.float32), 3 * 6 * 8).reshape(50, 3, 6, 8)
    assert everything(read(values, tmp_path, count=10))[:, 0, 0, 0, 0].tolist() == [*range(0, 50, 5)]


def test_batches_are_made_of_several(tmp_path: Path) -> None:
    values = arrays(21)
    found = everything(read(values, tmp_path, Input("x", (2, 3, 6, 8), np.dtype(np.float32))))
    assert (found == values[:20].reshape(10, 2, 3, 6, 8)).all()


def test_several_inputs(tmp_path: Path) -> None:
    given = {"x": arrays(), "n": np.arange(40).reshape(20, 2)}
    samples = read(given, tmp_path, PICTURE, COUNT)
    assert (samples.arrays[1] == given["n"]).all()
    with pytest.raises(UsageError, match="not as many samples for each input: x 20, n 19"):
        read({**given, "n": given["n"][1:]}, tmp_path, PICTURE, COUNT)
    with pytest.raises(UsageError, match="several inputs: x, n"):
        read(arrays(), tmp_path, PICTURE, COUNT)


def test_channels_last_is_never_guessed(tmp_path: Path) -> None:
    values = arrays(20, 6, 8, 3)
    for given in (values, values[:, None], dicts(values)):
        with pytest.raises(UsageError, match="--calibration-layout nhwc"):
            read(given, tmp_path)
    for given in (values, values[:, None], dicts(values)):
        found = read(given, tmp_path, layout=SampleLayout.NHWC)
        assert (everything(found)[:, 0] == values.transpose(0, 3, 1, 2)).all()


BAD: Mapping[str, tuple[Given, str]] = {
    "none": (arrays(0), "no samples"),
    "no dicts": ([], "no samples"),
    "not a number": (np.full((20, 3, 6, 8), np.nan, np.float32), "sample 0: 'x' holds NaN or infinity"),
    "infinite": (np.full((20, 3, 6, 8), np.inf, np.float32), "holds NaN or infinity"),
    "wrong name": ({"y": arrays()}, r"holds \['y'\]"),
    "wrong name in one": ([{"x": arrays(1)}, {"y": arrays(1)}], r"sample 1: holds \['y'\]"),
    "wrong rank": (arrays(20, 6, 8), r"'x' is of shape \[20, 6, 8\]"),
    "wrong shape": (arrays(20, 3, 8, 6), r"'x' is of shape \[20, 3, 8, 6\]"),
    "wrong type": (np.full((20, 3, 6, 8), "a"), "is of str"),
    "complex": (arrays().astype(np.complex64), "is of complex64"),
    "nowhere": (Path("nothing"), "no such file or folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    given, message = BAD[name]
    with pytest.raises(UsageError, match=message):
        read(given, tmp_path)


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.txt"])
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("no arrays")
    with pytest.raises(UsageError, match=r"cannot be read|neither a folder"):
        read(tmp_path / name, tmp_path)


def test_warnings(tmp_path: Path) -> None:
    assert read(arrays(8), tmp_path).warnings == [
        "only 8 samples: give at least 16, better 100, of what the model will see"
    ]
    assert read(np.ones((20, 3, 6, 8), np.float32), tmp_path).warnings == ["all samples are the same"]
    far = arrays()
    far[np.random.default_rng(0).permutation(20) % 5 == 4] *= 9
    assert "held-out samples reach" in read(far, tmp_path).warnings[0]
    pixels = RNG.integers(0, 256, (20, 3, 6, 8)).astype(np.float32)
    assert "does the model want 0 to 1" in read(pixels, tmp_path).warnings[0]
    assert read(pixels / 255, tmp_path).warnings == []


# --- images ----------------------------------------------------------------------------------------------------------


def images(folder: Path, *, size: tuple[int, int] = (8, 6)) -> list[Array]:
    pixels = [RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) for _ in range(16)]
    for at, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{at:02}.png")
    return pixels


def test_images_are_normalized(tmp_path: Path) -> None:
    pixels = np.stack(images(tmp_path)).astype(np.float64).transpose(0, 3, 1, 2)
    (tmp_path / "notes.txt").write_text("not an image")
    assert everything(read(tmp_path, tmp_path))[:, 0] == pytest.approx(pixels / 255, abs=1e-6)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    found = read(tmp_path, tmp_path, images=ImageSettings(mean, std, color=Color.BGR))
    expected = (pixels[:, ::-1] / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert everything(found)[:, 0] == pytest.approx(expected, abs=1e-5)
    found = read(tmp_path, tmp_path, images=ImageSettings((127.0,), (128.0,), scale=1.0))
    assert everything(found)[:, 0] == pytest.approx((pixels - 127) / 128, abs=1e-6)


@pytest.mark.parametrize(
    ("resize", "inside"), [(Resize.CROP, False), (Resize.LETTERBOX, True), (Resize.STRETCH, False)]
)
def test_images_are_resized(resize: Resize, inside: bool, tmp_path: Path) -> None:
    """A white picture of 16 x 6 in one of 8 x 6: a letterbox leaves grey above and below, nothing else does."""
    for at in range(16):
        Image.new("RGB", (16, 6), "white").save(tmp_path / f"{at}.png")
    found = everything(read(tmp_path, tmp_path, images=ImageSettings(resize=resize)))[0, 0]
    assert (found[:, 2:4] == 1).all()
    assert (found[:, [0, -1]] == np.float32(114 / 255)).all() == (resize is Resize.LETTERBOX)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    images(tmp_path)
    (tmp_path / "03.png").write_text("no image")
    with pytest.raises(UsageError, match=r"03\.png: not an image"):
        read(tmp_path, tmp_path)
    with pytest.raises(UsageError, match="takes no images"):
        read(tmp_path, tmp_path, Input("x", (1, 5, 6, 8), np.dtype(np.float32)))
    with pytest.raises(UsageError, match="--mean: 2 numbers for 3 channels"):
        read(tmp_path, tmp_path, images=ImageSettings(mean=(0.0, 1.0)))
    with pytest.raises(UsageError, match="--std: must not be 0"):
        read(tmp_path, tmp_path, images=ImageSettings(std=(0.0,)))


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no images"):
        read(tmp_path, tmp_path)
