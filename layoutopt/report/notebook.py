"""Results as HTML, for notebooks."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 120
_FORMAT = '<pre style="line-height:normal;overflow-x:auto;font-family:monospace">{code}</pre>'


def html_of(renderables: Iterable[RenderableType]) -> str:
    """Return what would be printed to a terminal as HTML."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=_WIDTH, file=io.StringIO(), highlight=False)
    for renderable in renderables:
        console.print(renderable, soft_wrap=isinstance(renderable, Text))
    return console.export_html(inline_styles=True, code_format=_FORMAT)


def framed(page: str) -> str:
    """Return a page of its own as a part of another one."""
    return f'<iframe srcdoc="{escape(page)}" style="width:100%;height:800px;border:0"></iframe>'
