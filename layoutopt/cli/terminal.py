"""Text for a terminal, without what a model's own text could make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment

from layoutopt.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement


@dataclass(frozen=True, slots=True)
class Printable:
    """Shows a renderable with escapes for all characters that would not show as themselves.

    Attributes:
        renderable: whatever rich prints.
    """

    renderable: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give the segments of the renderable, whose styles are not yet codes for a terminal."""
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Tell how wide the renderable is."""
        from rich.measure import Measurement

        return Measurement.get(console, options, self.renderable)
