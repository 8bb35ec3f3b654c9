"""Boxes, arrows and text as SVG that can be read on light and on dark pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from xml.etree.ElementTree import Element, SubElement, indent, tostring

HEIGHT = 34  # of a box, in pixels
_LETTER = 7.4  # about the width of a letter of 13 pixels

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11.5px; fill: #59636e }
.strong { font-weight: 600 }
.paper { fill: #ffffff }
.box { fill: #f0f2f4; stroke: #818b98 }
.anchor { fill: #ddf4ff; stroke: #0969da }
.move { fill: #ffebe9; stroke: #cf222e }
.file { fill: #fff8c5; stroke: #9a6700 }
.line { stroke: #59636e; fill: none }
.tip { fill: #59636e }
.cut { stroke: #cf222e; fill: none; stroke-dasharray: 6 4 }
.warn { fill: #cf222e; font-size: 11.5px }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .small { fill: #9198a1 }
  .paper { fill: #131416 }
  .box { fill: #262c36; stroke: #656c76 }
  .anchor { fill: #10294a; stroke: #4493f8 }
  .move { fill: #4a1a1d; stroke: #f85149 }
  .file { fill: #3d2e05; stroke: #d29922 }
  .line { stroke: #9198a1 }
  .tip { fill: #9198a1 }
  .cut { stroke: #f85149 }
  .warn { fill: #ff7b72 }
}
"""


class Kind(Enum):
    """The things that a box stands for."""

    OPERATOR = "box"
    ANCHOR = "anchor"
    """An operator that runs channels-last only."""
    TRANSPOSE = "move"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Box:
    """A box that has been drawn; places are in pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float = HEIGHT

    @property
    def right(self) -> tuple[float, float]:
        """The middle of its right edge."""
        return self.x + self.width, self.y + self.height / 2

    @property
    def left(self) -> tuple[float, float]:
        """The middle of its left edge."""
        return self.x, self.y + self.height / 2

    @property
    def top(self) -> tuple[float, float]:
        """The middle of its upper edge."""
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """The middle of its lower edge."""
        return self.x + self.width / 2, self.y + self.height


@dataclass(slots=True)
class Drawing:
    """A drawing that things are added to.

    Attributes:
        title: what it shows, for those who cannot see it.
        width: in pixels.
        height: in pixels.
    """

    title: str
    width: int
    height: int
    _root: Element = field(init=False)

    def __post_init__(self) -> None:
        size = {"width": str(self.width), "height": str(self.height), "viewBox": f"0 0 {self.width} {self.height}"}
        self._root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
        SubElement(self._root, "title").text = self.title
        SubElement(self._root, "style").text = _STYLE
        marker = {"id": "tip", "viewBox": "0 0 8 8", "refX": "7", "refY": "4", "markerWidth": "8", "markerHeight": "8"}
        marker["markerUnits"] = "userSpaceOnUse"  # thick arrows have the same tips
        tip = SubElement(SubElement(self._root, "defs"), "marker", {**marker, "orient": "auto"})
        SubElement(tip, "path", {"d": "M0 0 L8 4 L0 8 z", "class": "tip"})
        SubElement(self._root, "rect", {"width": "100%", "height": "100%", "rx": "8", "class": "paper"})

    @staticmethod
    def width_of(label: str) -> float:
        """Return how wide a box with this label is."""
        return len(label) * _LETTER + 20

    def box(self, x: float, y: float, label: str, kind: Kind, *, width: float = 0) -> Box:
        """Return a box with a label, as wide as that needs unless told otherwise."""
        drawn = Box(x, y, width or self.width_of(label))
        place = {"x": _number(x), "y": _number(y), "width": _number(drawn.width), "height": _number(drawn.height)}
        SubElement(self._root, "rect", {**place, "rx": "5", "class": kind.value})
        self.text(x + drawn.width / 2, y + drawn.height / 2 + 4.5, label, middle=True)
        return drawn

    def text(self, x: float, y: float, words: str, *, style: str = "", middle: bool = False) -> None:
        """Add a line of text from x on, or around it."""
        place = {"x": _number(x), "y": _number(y), **({"text-anchor": "middle"} if middle else {})}
        SubElement(self._root, "text", {**place, **({"class": style} if style else {})}).text = words

    def arrow(self, start: tuple[float, float], end: tuple[float, float], *, width: float = 1.2) -> None:
        """Add a straight arrow."""
        self._path((start, end), "line", {"marker-end": "url(#tip)", "stroke-width": _number(width)})

    def cut(self, *points: tuple[float, float]) -> None:
        """Add a dashed line through points."""
        self._path(points, "cut", {"stroke-width": "2"})

    def __str__(self) -> str:
        indent(self._root)
        return tostring(self._root, encoding="unicode") + "\n"

    def _path(self, points: tuple[tuple[float, float], ...], style: str, more: dict[str, str]) -> None:
        way = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        SubElement(self._root, "path", {"d": f"M{way}", "class": style, **more})


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
