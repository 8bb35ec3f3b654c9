"""PP-OCR on a picture, with .tflite files in the place of ONNX Runtime. Runs in the environment of the zoo.

::

    python -m benchmarks.zoo.ocr RESULTS
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from rapidocr_onnxruntime import RapidOCR

from benchmarks.zoo.catalogue import entries
from benchmarks.zoo.interface import TFLITE, infer
from benchmarks.zoo.rows import Row

Array = npt.NDArray[np.generic]
Session = Callable[[Array], list[Array]]

_SIDE = 736  # the detector enlarges a smaller picture to this
_LINES = ("Layout 2026", "NHWC, not NCHW", "36 transposes", "gone: 0 left", "Hello, World!", "你好 OCR 7.50")
_UPSIDE_DOWN = 3  # the line that the classifier has to turn
_DRIFT = 1e-4


@dataclass(frozen=True, slots=True)
class Reading:
    """What PP-OCR reads in a picture.

    Attributes:
        boxes: of the lines, ``(lines, 4, 2)`` in pixels.
        turned: per line, whether it stands upside down, and how sure that is.
        texts: per line, what it says, and how sure that is.
    """

    boxes: Array
    turned: tuple[tuple[str, float], ...]
    texts: tuple[tuple[str, float], ...]


def picture() -> npt.NDArray[np.uint8]:
    """Lines of text on white, one of them upside down, ``(H, W, 3)``."""
    page = Image.new("RGB", (_SIDE, _SIDE), "white")
    font = ImageFont.load_default(48)
    for index, text in enumerate(_LINES):
        line = Image.new("RGB", (400, 72), "white")
        ImageDraw.Draw(line).text((8, 4), text, fill=(20, 30, 40 + 30 * index), font=font)
        page.paste(line.rotate(180) if index == _UPSIDE_DOWN else line, (40 + 45 * index, 40 + 112 * index))
    return np.asarray(page)


def read(engine: RapidOCR, page: npt.NDArray[np.uint8]) -> Reading:
    """All three networks in turn, each on what the one before found."""
    boxes, _ = engine.text_det(page)
    boxes = engine.sorted_boxes(boxes)
    lines = engine.get_crop_img_list(page, boxes)
    lines, turned, _ = engine.text_cls(lines)
    texts, _ = engine.text_rec(lines)
    return Reading(np.asarray(boxes), tuple(map(tuple, turned)), tuple(map(tuple, texts)))


def _recording(session: Session, shapes: list[tuple[int, ...]]) -> Session:
    def run(array: Array) -> list[Array]:
        shapes.append(array.shape)
        return session(array)

    return run


def _with(engine: RapidOCR, name: str, session: Session) -> Session:
    """Puts ``session`` in the place of one of the engine's, and returns that."""
    holder, attribute = {"det": (engine.text_det, "infer"), "cls": (engine.text_cls, "infer"), "rec": (engine.text_rec, "session")}[name]
    before: Session = getattr(holder, attribute)
    setattr(holder, attribute, session)
    return before


def verdicts(results: Path) -> Mapping[str, str]:
    """Of each network that was converted: the sentence on how PP-OCR does with its .tflite, by its name."""
    engine, page, found = RapidOCR(), picture(), {}
    expected = read(engine, page)
    for stage in ("det", "cls", "rec"):
        (entry,) = entries((f"pp_ocr_{stage}",))
        directory = entry.directory(results)
        row = Row.load(directory)
        if row.error:
            continue
        original = _with(engine, stage, lambda array, directory=directory, row=row: infer(directory / TFLITE, row, array))
        found[entry.network.name] = compare(expected, read(engine, page))
        _with(engine, stage, original)
    return found


def compare(expected: Reading, found: Reading) -> str:
    """Whether two readings agree, in words."""
    return ""


def main() -> None:
    """Adds the verdicts to the rows."""
    results = Path(sys.argv[1])
    for name, verdict in verdicts(results).items():
        (entry,) = entries((name,))
        directory = entry.directory(results)
        replace(Row.load(directory), verdict=verdict).save(directory)


if __name__ == "__main__":
    main()
