"""The picture of the README: the operators of networks as stripes, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from benchmarks.networks import Networks, Row
from docs.tools.networks import TITLES, milliseconds

SHOWN = (
    *("mobilenet_v2", "mobilenet_v3_large", "efficientnet_like", "shufflenet_v2"),
    *("unet_bilinear", "unet_plus_plus", "yolov8", "swin_t"),
)
"""The networks in the picture."""

_WIDTH, _TOP, _ROW, _EDGE = 960, 88, 54, 24
_LEFT, _LENGTH, _HEIGHT = 194, 520, 17  # of a strip
_COUNTS, _TIMES, _SPEEDUP = 768, 848, _WIDTH - _EDGE  # right ends of the columns

_LEGEND = {"T": "TRANSPOSE", "m": "other data movement", "C": "convolutions and products", ".": "everything else"}
_CLASSES = {"T": "transpose", "m": "movement", "C": "product", ".": "rest"}

_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--text) }
  .title { font-size: 16px; font-weight: 600 }
  .name, .after { font-weight: 600 }
  .speedup { font-size: 18px; font-weight: 700 }
  .quiet { fill: var(--quiet) }
  .end { text-anchor: end }
  .card { fill: var(--card); stroke: var(--line) }
  .rule { stroke: var(--line) }
  path { fill: none }
  .transpose { stroke: var(--transpose) }
  .movement { stroke: var(--movement) }
  .product { stroke: var(--product) }
  .rest { stroke: var(--rest) }
  :root { --card: #ffffff; --line: #d1d9e0; --text: #1f2328; --quiet: #59636e;
    --transpose: #d1242f; --movement: #e6c98a; --product: #6fa3dc; --rest: #e1e6eb }
  @media (prefers-color-scheme: dark) {
    :root { --card: #0d1117; --line: #3d444d; --text: #f0f6fc; --quiet: #9198a1;
      --transpose: #ff4f4a; --movement: #80693a; --product: #3d73b0; --rest: #2f3740 }
  }
"""


def draw() -> str:
    """Return the picture as SVG. It brings its own background, so that it can be read on any."""
    rows = Networks.committed().rows
    height = _TOP + len(SHOWN) * _ROW + 8
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(description())}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>',
            *_head(),
            *(
                line
                for position, name in enumerate(SHOWN)
                for line in _network(TITLES[name], rows[name], _TOP + position * _ROW)
            ),
            "</svg>\n",
        )
    )


def regions() -> Mapping[str, str]:
    """Return the picture as a page at the root shows it."""
    return {"picture": f'<img src="docs/figures/networks.svg" width="{_WIDTH}" alt="{escape(description())}">'}


def description() -> str:
    """Return what the picture shows, in words."""
    rows = Networks.committed().rows
    shown = (f"{TITLES[name]} {rows[name].before.transposes} to {rows[name].after.transposes}" for name in SHOWN)
    return f"TRANSPOSE operators in the .tflite before and after layoutopt: {', '.join(shown)}."


def _head() -> Iterator[str]:
    yield _text(
        _EDGE,
        32,
        "All operators of a .tflite in the order in which they run: above without layoutopt, below with it",
        "title",
    )
    x = float(_EDGE)
    for letter, words in _LEGEND.items():
        yield f'<path class="{_CLASSES[letter]}" stroke-width="12" d="M{x + 6} 48v12"/>'
        yield _text(x + 18, 59, words, "quiet")
        x += 46 + 7 * len(words)
    for end, words in ((_COUNTS, "TRANSPOSE"), (_TIMES, "latency"), (_SPEEDUP, "speedup")):
        yield _text(end, 59, words, "quiet end")


def _network(title: str, row: Row, y: int) -> Iterator[str]:
    yield f'<path class="rule" d="M{_EDGE} {y - 8.5}H{_WIDTH - _EDGE}"/>'
    name, _, rest = title.partition(" (")
    yield _text(_EDGE, y + 12, name, "name")
    yield _text(_EDGE, y + 31, rest.rstrip(")"), "quiet")
    step = _LENGTH / max(row.before.operators, row.after.operators)
    for form, top, style in ((row.before, y, "quiet"), (row.after, y + _HEIGHT + 4, "after")):
        yield from _strip(row.stripes[form.kind.value], top, step)
        yield _text(_COUNTS, top + 13, str(form.transposes), f"{style} end")
        yield _text(_TIMES, top + 13, f"{milliseconds(form, row)} ms", f"{style} end")
    yield _text(_SPEEDUP, y + _HEIGHT + 8, f"{row.speedup:.2f}×", "speedup end")


def _strip(stripes: str, top: int, step: float) -> Iterator[str]:
    """Yield the operators of one .tflite, those that only move data last, so that none hides one."""
    width = step * (0.85 if step > 3 else 1.0)
    for letter in reversed(_LEGEND):
        places = [index for index, each in enumerate(stripes) if each == letter]
        lines = "".join(f"M{_LEFT + (index + 0.5) * step:.1f} {top}v{_HEIGHT}" for index in places)
        if lines:
            yield f'<path class="{_CLASSES[letter]}" stroke-width="{width:.2f}" d="{lines}"/>'


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y}">{escape(words)}</text>'
