"""What all sub-commands share: options, consoles, progress, JSON, and how an error is told."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from layoutopt.backend.conversion import Backend
from layoutopt.errors import LayoutoptError, OutputError, UsageError
from layoutopt.options import Io, Objective, TensorLayout

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from layoutopt.report.results import Json

_Choice = TypeVar("_Choice", bound=Enum)

JsonOption = Annotated[
    str, typer.Option("--json", metavar="FILE|-", help="Write all results as JSON, to a file or to stdout (-).")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No table, no progress: errors only.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Passes, operators, TensorFlow's chatter, and tracebacks.")
]
ShapeOption = Annotated[
    list[str],
    typer.Option(
        "--shape", metavar="NAME=N,C,H,W", help="Static shape of an input that has symbolic dimensions. Repeatable."
    ),
]
IoOption = Annotated[
    Io | None,
    typer.Option(
        "--io",
        help="free: image inputs and outputs become channels-last where that is cheapest. "
        "keep: the interface stays. [dim]\\[default: free][/]",
    ),
]
ExactOption = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Leave out of the default pipeline what makes the network cheaper by sums in another order, as "
        "'layoutopt passes' tells.",
    ),
]
LayoutOption = Annotated[
    list[str],
    typer.Option(
        "--layout",
        metavar="NAME=LAYOUT",
        help="Layout of one input or output, whatever --io says: natural or nchw, channels-last or nhwc, free. "
        "Repeatable.",
    ),
]
BackendOption = Annotated[
    Backend | None,
    typer.Option(
        "--backend",
        help="direct: layoutopt writes the .tflite itself. onnx-tf: through TensorFlow. "
        "[dim]\\[default: onnx-tf where it is installed, else direct][/]",
    ),
]
ObjectiveOption = Annotated[
    Objective | None,
    typer.Option(
        "--objective",
        help="What shall be small: the bytes moved, or the time it takes as 'layoutopt calibrate' measured it. "
        "[dim]\\[default: bytes][/]",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Threads of XNNPACK.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the random inputs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite outputs that exist.")]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a sub-command.

    Attributes:
        json: where the results go as JSON; empty for nowhere.
        quiet: whether only errors are shown.
        verbose: whether details are shown.
    """

    json: str
    quiet: bool
    verbose: bool

    def show(self, *renderables: RenderableType) -> None:
        """Prints to stdout, unless that is for JSON or nobody wants to see it."""
        if not self.quiet and self.json != "-":
            from rich.text import Text

            console = _console(stderr=False)
            for renderable in renderables:
                console.print(renderable, soft_wrap=isinstance(renderable, Text))

    def write_json(self, value: Json) -> None:
        """Writes the results where ``--json`` wants them.

        Raises:
            OutputError: the file cannot be written.
        """
        if not self.json:
            return
        text = json.dumps(value, indent=2, allow_nan=False) + "\n"
        if self.json == "-":
            sys.stdout.write(text)
            return
        write("--json", Path(self.json), text)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """A spinner with the stage that runs and the time so far, on stderr; nothing where that is not a terminal."""
        console = _console(stderr=True)
        if self.quiet or not console.is_terminal:
            yield lambda stage: print(stage, file=sys.stderr) if self.verbose and not self.quiet else None
            return
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=None)
            yield lambda stage: bar.update(task, description=stage)


@contextmanager
def session(json: str, *, quiet: bool, verbose: bool) -> Iterator[Session]:
    """Runs a sub-command: an error becomes one message on stderr and its exit code; ``verbose`` adds the traceback."""
    try:
        if json not in ("", "-"):
            check_directory("--json", Path(json))
        yield Session(json, quiet, verbose)
    except LayoutoptError as error:
        _tell(error.message, error.hint, verbose=verbose)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _tell("interrupted", "", verbose=False)
        raise typer.Exit(130) from None
    except typer.Exit:
        raise
    except Exception as error:  # the last resort: a bug of ours, told in one line
        _tell(f"internal error: {type(error).__name__}: {error}", "Run again with -v and report it.", verbose=verbose)
        raise typer.Exit(LayoutoptError.exit_code) from None


def check_directory(option: str, path: Path) -> None:
    """Raises OutputError where there is no directory for a file, before any work is done for it."""
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{option} {path}: there is no directory {path.parent}")


def write(option: str, path: Path, text: str) -> None:
    """Writes a file of results.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{option} {path}: cannot be written ({error.strerror})") from error


def parse_numbers(option: str, texts: list[str]) -> list[int]:
    """``1,2,4`` as numbers.

    Raises:
        UsageError: it does not read like that, or one of them is below 1.
    """
    words = [word for text in texts for word in text.split(",")]
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"{option} {','.join(words)}: cannot be read", hint=f"Write {option} 1,2,4.")
    return [int(word) for word in words]


def parse_choices(option: str, texts: list[str], kind: type[_Choice]) -> list[_Choice]:
    """``none,dynamic`` as members of an enumeration.

    Raises:
        UsageError: one of them is none.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    known = {each.value: each for each in kind}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise UsageError(f"{option} {unknown[0]}: there is no such choice", hint=f"Choose of {', '.join(known)}.")
    return [known[word] for word in words]


def parse_shapes(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """``name=1,3,224,224`` as a name and a shape.

    Raises:
        UsageError: it does not read like that.
    """
    shapes = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            name = ""
        if not name:
            raise UsageError(f"--shape {text}: cannot be read", hint="Write --shape NAME=1,3,224,224.")
    return shapes


def parse_layouts(texts: list[str]) -> dict[str, TensorLayout]:
    """``name=nhwc`` as a name and a layout.

    Raises:
        UsageError: it does not read like that.
    """
    layouts = {}
    for text in texts:
        name, _, word = text.rpartition("=")
        try:
            layouts[name] = TensorLayout(word.lower())
        except ValueError:
            name = ""
        if not name:
            possible = ", ".join(each.value for each in TensorLayout)
            raise UsageError(f"--layout {text}: cannot be read", hint=f"Write --layout NAME=LAYOUT, one of {possible}.")
    return layouts


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def _tell(message: str, hint: str, *, verbose: bool) -> None:
    if verbose:
        traceback.print_exc()
    console = _console(stderr=True)
    console.print("[bold red]error:[/]", end=" ", soft_wrap=True)
    console.print(message, markup=False, soft_wrap=True)
    if hint:
        console.print(hint, markup=False, style="dim", soft_wrap=True)
