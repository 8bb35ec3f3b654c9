"""The user's wishes for the operator of TensorFlow's Object Detection API that selects boxes."""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import isfinite

from layoutopt.errors import UsageError
from layoutopt.options import choose

OPTION = "--detection-postprocess"


class BoxFormat(enum.Enum):
    """The numbers of a box, in their order."""

    YXYX = "yxyx"
    """Two opposite corners, as ONNX defines NonMaxSuppression."""
    XYXY = "xyxy"
    """Two opposite corners, as most exports from PyTorch have them."""
    YXHW = "yxhw"
    """The centre, height and width."""
    XYWH = "xywh"
    """The centre, width and height, as ONNX defines them."""

    @property
    def has_corners(self) -> bool:
        """Return whether the box is given by its corners."""
        return self in (BoxFormat.YXYX, BoxFormat.XYXY)

    @property
    def begins_with_x(self) -> bool:
        """Return whether x comes before y."""
        return self in (BoxFormat.XYXY, BoxFormat.XYWH)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPostprocess:
    """The selection of boxes by the custom operator ``TFLite_Detection_PostProcess``.

    Attributes:
        max_detections: rows of its outputs.
        format: of the boxes; None for that of a NonMaxSuppression with ``center_point_box = 1``.
        boxes: name of the tensor with all boxes, of [boxes, 4], [1, boxes, 4] or [1, 4, boxes]; empty for what the only
            NonMaxSuppression of the model reads.
        scores: name of the tensor with a score for each box and class, of [boxes, classes], [1, boxes, classes] or
            [1, classes, boxes]; likewise.
        iou_threshold: a box that overlaps a better one of its class by more is suppressed; None for that of
            NonMaxSuppression.
        score_threshold: scores that are not above it are left out; likewise.
        detections_per_class: the most detections of one class; likewise, and ``max_detections`` without one.
        background: how many classes at the beginning stand for no object: 0 or 1.
    """

    max_detections: int
    format: BoxFormat | None = None
    boxes: str = ""
    scores: str = ""
    iou_threshold: float | None = None
    score_threshold: float | None = None
    detections_per_class: int | None = None
    background: int = 0

    def __post_init__(self) -> None:
        """Refuse values that are wrong for any model."""
        if self.max_detections < 1 or (self.detections_per_class is not None and self.detections_per_class < 1):
            raise UsageError(f"{OPTION}: max_detections and detections_per_class are at least 1")
        if self.iou_threshold is not None and not 0 <= self.iou_threshold <= 1:
            raise UsageError(f"{OPTION}: iou_threshold={self.iou_threshold:g} is not between 0 and 1")
        if self.score_threshold is not None and not isfinite(self.score_threshold):
            raise UsageError(f"{OPTION}: score_threshold is not finite")
        if self.background not in (0, 1):
            raise UsageError(f"{OPTION}: background={self.background}", hint="The operator knows 0 or 1.")
        if bool(self.boxes) != bool(self.scores):
            raise UsageError(f"{OPTION}: name both boxes and scores, or neither")
        if self.boxes and (self.iou_threshold is None or self.score_threshold is None):
            raise UsageError(
                f"{OPTION}: boxes and scores that are named need iou_threshold and score_threshold",
                hint="Write those that the app would use, for example iou_threshold=0.5,score_threshold=0.25.",
            )
        if self.boxes and self.format is None:
            raise UsageError(f"{OPTION}: the format of the boxes must be given", hint=FORMATS)

    @classmethod
    def parse(cls, text: str) -> DetectionPostprocess:
        """Return what a text like ``max_detections=100,format=xyxy,iou_threshold=0.5`` says.

        It is a line of CSV: a name with a comma needs quotation marks around it and its key, as in ``"boxes=a,b"``.

        Raises:
            UsageError: it does not read like that.
        """
        found: dict[str, str] = {}
        for word in _words(text):
            key, equals, value = (part.strip() for part in word.partition("="))
            if key not in _READERS or not equals or not value or key in found:
                raise UsageError(f"{OPTION} {text}: {word!r} cannot be read", hint=_HINT)
            found[key] = value
        if "max_detections" not in found:
            raise UsageError(f"{OPTION} {text}: max_detections is missing", hint=_HINT)
        return cls(**{key: _READERS[key](key, value) for key, value in found.items()})  # type: ignore[arg-type]

    def __str__(self) -> str:
        said = ((each.name, getattr(self, each.name), each.default) for each in fields(self))
        line = io.StringIO()
        csv.writer(line).writerow(f"{name}={_told(value)}" for name, value, default in said if value != default)
        return line.getvalue().removesuffix("\r\n")


def _words(text: str) -> list[str]:
    """Return the fields of a line of CSV."""
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise UsageError(f"{OPTION} {text}: {error}", hint=_HINT) from error


def _told(value: object) -> str:
    return str(value.value if isinstance(value, BoxFormat) else value)


def _number(kind: Callable[[str], float]) -> Callable[[str, str], object]:
    def read(key: str, value: str) -> object:
        try:
            return kind(value)
        except ValueError:
            raise UsageError(f"{OPTION}: {key}={value} is not a number", hint=_HINT) from None

    return read


_READERS: dict[str, Callable[[str, str], object]] = {
    "max_detections": _number(int),
    "format": lambda key, value: choose(BoxFormat, value, f"{OPTION}: {key}"),
    "boxes": lambda _, value: value,
    "scores": lambda _, value: value,
    "iou_threshold": _number(float),
    "score_threshold": _number(float),
    "detections_per_class": _number(int),
    "background": _number(int),
}
FORMATS = (
    "Write format=yxyx for corners as ONNX defines them, format=xyxy as most exports from PyTorch have them, or yxhw "
    "or xywh for centres."
)
_HINT = f"Write {OPTION} max_detections=100,format=xyxy; further keys: {', '.join([*_READERS][2:])}."
