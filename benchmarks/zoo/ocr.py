"""PP-OCR on a picture, with .tflite files in the place of ONNX Runtime. Runs in the environment of the zoo.

::

    python -m benchmarks.zoo.ocr RESULTS
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rapidocr_onnxruntime import RapidOCR

from benchmarks.zoo.catalogue import entries
from benchmarks.zoo.interface import TFLITE, infer
from benchmarks.zoo.rows import Row

Array = npt.NDArray[np.generic]
Session = Callable[[Array], list[Array]]
Scored = tuple[tuple[str, float], ...]

_SIDE = 736  # the detector enlarges a smaller picture to this
_LINES = ("Layout 2026", "NHWC, not NCHW", "36 transposes", "gone: 0 left", "Hello, World!", "Total: $ 7.50")
_UPSIDE_DOWN = 3  # the line that the classifier has to turn


@dataclass(frozen=True, slots=True)
class Reading:
    """The text that PP-OCR reads in a picture.

    Attributes:
        boxes: of the lines, ``(lines, 4, 2)`` in pixels.
        turned: per line, whether it stands upside down, and how sure that is.
        texts: per line, what it says, and how sure that is.
    """

    boxes: Array
    turned: Scored
    texts: Scored


def picture() -> npt.NDArray[np.uint8]:
    """Return lines of text on white, one of them upside down, ``(H, W, 3)``."""
    page = Image.new("RGB", (_SIDE, _SIDE), "white")
    font = ImageFont.load_default(48)
    for index, text in enumerate(_LINES):
        line = Image.new("RGB", (400, 72), "white")
        ImageDraw.Draw(line).text((8, 4), text, fill=(20, 30, 40 + 30 * index), font=font)
        page.paste(line.rotate(180) if index == _UPSIDE_DOWN else line, (40 + 45 * index, 40 + 112 * index))
    return np.asarray(page)


def read(engine: RapidOCR, page: npt.NDArray[np.uint8]) -> Reading:
    """Run all three networks in turn, each on what the one before found."""
    boxes, _ = engine.text_det(page)
    boxes = engine.sorted_boxes(boxes)
    lines = engine.get_crop_img_list(page, boxes)
    lines, turned, _ = engine.text_cls(lines)
    texts, _ = engine.text_rec(lines)
    return Reading(np.asarray(boxes), _scored(turned), _scored(texts))


def _scored(pairs: Iterable[Sequence[Any]]) -> Scored:
    return tuple((str(word), float(score)) for word, score in pairs)


def verdicts(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield how PP-OCR reads the picture with one of its networks as a .tflite, by the directory that has this."""
    engine, page = RapidOCR(), picture()
    expected = read(engine, page)
    for name, place in _PLACES.items():
        (entry,) = entries((name,))
        for tflite in sorted(entry.directory(results).glob(f"*/{TFLITE}")):
            directory = tflite.parent
            if not Row.done(directory) or (row := Row.load(directory)).error:
                continue
            with place.taken(engine, partial(_infer, tflite, row)):
                yield directory, compared(expected, read(engine, page))


@dataclass(frozen=True, slots=True)
class Place:
    """The place where the engine keeps a session.

    Attributes:
        stage: attribute of the engine.
        session: attribute of the stage.
    """

    stage: str
    session: str

    @contextmanager
    def taken(self, engine: RapidOCR, session: Session) -> Iterator[None]:
        """Put ``session`` in the place of ONNX Runtime for a while."""
        stage = getattr(engine, self.stage)
        before = getattr(stage, self.session)
        setattr(stage, self.session, session)
        yield
        setattr(stage, self.session, before)


_PLACES = {
    "pp_ocr_det": Place("text_det", "infer"),
    "pp_ocr_cls": Place("text_cls", "infer"),
    "pp_ocr_rec": Place("text_rec", "session"),
}


def _infer(tflite: Path, row: Row, array: Array) -> list[Array]:
    (operand,) = row.operands
    found = infer(tflite, row, {operand.name: array})
    return [found[result.name] for result in row.results]


def compared(expected: Reading, found: Reading) -> str:
    """Tell in words whether two readings agree."""
    parts = [
        _part("boxes", len(expected.boxes), np.array_equal(expected.boxes, found.boxes), ()),
        _part("classes", len(expected.turned), *_agreement(expected.turned, found.turned)),
        _part("texts", len(expected.texts), *_agreement(expected.texts, found.texts)),
    ]
    return ", ".join(parts)


def _agreement(expected: Scored, found: Scored) -> tuple[bool, tuple[float, ...]]:
    """Return whether the words are the same, and how far the scores are apart."""
    same = [word for word, _ in expected] == [word for word, _ in found]
    return same, tuple(abs(ours - theirs) for (_, ours), (_, theirs) in zip(found, expected, strict=False))


def _part(what: str, count: int, same: bool, differences: tuple[float, ...]) -> str:
    scores = f" (scores within {max(differences):.1g})" if same and differences else ""
    return f"{count} {what} {'the same' if same else '**DIFFERENT**'}{scores}"


def main() -> None:
    """Add the verdicts to the rows."""
    results = Path(sys.argv[1])
    for directory, verdict in verdicts(results):
        print(f"{directory.relative_to(results)}: {verdict}")
        replace(Row.load(directory), verdict=verdict).save(directory)


if __name__ == "__main__":
    main()
