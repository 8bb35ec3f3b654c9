"""Output to a terminal: consoles, errors, and text without what a model's own text could make of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment

from layoutopt.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement


@dataclass(frozen=True, slots=True)
class Printable:
    """A renderable with escapes for all characters that would not show as themselves.

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


def console_on(*, stderr: bool) -> Console:
    """Return a console for stderr, or for stdout."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def tell(message: str, hint: str, *, verbose: bool = False) -> None:
    """Print an error to stderr, with the traceback where ``verbose`` says so."""
    if verbose:
        traceback.print_exc()
    console = console_on(stderr=True)
    console.print("[bold red]error:[/]", end=" ", soft_wrap=True)
    console.print(printable(message), markup=False, soft_wrap=True)
    if hint:
        console.print(printable(hint), markup=False, style="dim", soft_wrap=True)
