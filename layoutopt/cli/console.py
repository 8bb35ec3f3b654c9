"""The parts that all sub-commands share: options, consoles, progress, JSON, and the messages of errors."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutopt.backend.conversion import Backend
from layoutopt.cli.guard import note_stage
from layoutopt.cli.quiet import quiet_libraries
from layoutopt.cli.signals import Ended
from layoutopt.cli.terminal import console_on, tell
from layoutopt.errors import SIGNALS, LayoutoptError, LimitError, OutputError
from layoutopt.files import require_file
from layoutopt.options import Io, Objective, Target
from layoutopt.outputs import Outputs, writing
from layoutopt.progress import StageTimer
from layoutopt.text import printable

if TYPE_CHECKING:
    from onnx_ir import Model
    from rich.console import Console, RenderableType

    from layoutopt.results.result import Json

_SHORTEST = 0.05
"""Seconds of a stage that has a line of its own where there is no terminal: what takes less would be 0.0 s."""

JsonOption = Annotated[
    str, typer.Option("--json", metavar="FILE|-", help="Write all results as JSON, to a file or to stdout (-).")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No table, no progress: errors only.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show passes, operators, messages of TensorFlow, and tracebacks.")
]
ShapeOption = Annotated[
    list[str],
    typer.Option(
        "--shape", metavar="NAME=N,C,H,W", help="Static shape of an input that has symbolic dimensions. Repeatable."
    ),
]
DynamicOption = Annotated[
    list[str],
    typer.Option(
        "--dynamic",
        metavar="NAME",
        help="A dimension that stays symbolic, for resize_tensor_input: batch, or a name that the inputs have. "
        "Repeatable, or joined by commas.",
    ),
]
IoOption = Annotated[
    Io | None,
    typer.Option(
        "--io",
        help="free: image inputs and outputs become NHWC (all channels of a pixel side by side) where that costs "
        "least, and the table shows how to feed them. keep: all stay as the model has them, which from PyTorch is "
        "NCHW (one channel after the other). [dim]\\[default: free][/]",
    ),
]
ExactOption = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Leave out the passes that save multiplications by computing sums in another order; 'layoutopt passes' "
        "marks them.",
    ),
]
LayoutOption = Annotated[
    list[str],
    typer.Option(
        "--layout",
        metavar="NAME=LAYOUT",
        help="Layout of one input or output, instead of --io: nchw or natural (as the model has it), "
        "nhwc or channels-last (batch, height, width, channels), free (whichever costs less). Repeatable.",
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
TargetOption = Annotated[
    Target | None,
    typer.Option(
        "--target",
        help="Prefer operators that this accelerator takes, and show which ones it would not run, and why.",
    ),
]
ObjectiveOption = Annotated[
    Objective | None,
    typer.Option(
        "--objective",
        help="What to minimize: the predicted time of transposes and of the forms of operators that follow from the "
        "layouts, or the bytes that transposes move. [dim]\\[default: time][/]",
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="Threads of XNNPACK.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random inputs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite outputs that exist; never an input.")]


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a sub-command.

    Attributes:
        json: where the results go as JSON; empty for nowhere.
        quiet: whether only errors are shown.
        verbose: whether details are shown.
        outputs: what the run writes, which is in place once the session has ended.
        force: whether outputs that exist are overwritten.
    """

    json: str
    quiet: bool
    verbose: bool
    outputs: Outputs
    force: bool

    def show(self, *renderables: RenderableType) -> None:
        """Print to stdout, unless that is for JSON or the run is quiet."""
        if self.quiet or self.json == "-":
            return
        from rich.text import Text

        from layoutopt.cli.terminal import Printable

        console = console_on(stderr=False)
        with _telling(self.verbose), _printing():
            for renderable in renderables:
                console.print(Printable(renderable), soft_wrap=isinstance(renderable, Text))

    def write_json(self, value: Json) -> None:
        """Write the results to where ``--json`` says.

        Raises:
            OutputError: they cannot be written.
        """
        if not self.json:
            return
        text = json.dumps(value, indent=2, allow_nan=False) + "\n"
        if self.json == "-":
            with _printing():
                sys.stdout.write(text)
            return
        self.outputs.write(Path(self.json), text)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """Show the stage that runs on stderr: a spinner on a terminal, elsewhere a line per stage with its seconds."""
        console = console_on(stderr=True)
        shown = contextlib.nullcontext() if self.quiet else _spinner(console) if console.is_terminal else _lines()
        with shown as show:

            def starts(stage: str) -> None:
                note_stage(stage)
                if show is not None:
                    show(stage)

            yield starts
        note_stage("")

    @contextmanager
    def counting(self, done: int, total: int) -> Iterator[Callable[[str], None]]:
        """Show how many of several models are done, on stderr if that is a terminal; rows are printed above it.

        Args:
            done: how many are done already.
            total: how many there are.

        Yields:
            What is called as each ends, with what is to be said of all of them.
        """
        console = console_on(stderr=True)
        if self.quiet or not console.is_terminal:
            yield lambda _: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        shown = self.json != "-" and sys.stdout.isatty()
        with Progress(*columns, console=console, transient=True, redirect_stdout=shown) as bar:
            task = bar.add_task("", total=total, completed=done)
            yield lambda said: bar.update(task, advance=1, description=said)


@contextmanager
def _spinner(console: Console) -> Iterator[Callable[[str], None]]:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda stage: bar.update(task, description=printable(stage))


@contextmanager
def _lines() -> Iterator[Callable[[str], None]]:
    def ended(stage: str, seconds: float) -> None:
        if seconds >= _SHORTEST:
            print(f"{printable(stage)}: {seconds:.1f} s", file=sys.stderr, flush=True)

    stages = StageTimer(ended=ended)
    try:
        yield stages
    finally:
        stages.finish()


@contextmanager
def session(
    json: str, *, quiet: bool, verbose: bool, force: bool = False, inputs: Iterable[Path | None] = ()
) -> Iterator[Session]:
    """Run a sub-command: an error becomes one message on stderr and its exit code; ``verbose`` adds the traceback.

    Args:
        json: where the results go as JSON; empty for nowhere.
        quiet: whether only errors are shown.
        verbose: whether details are shown.
        force: whether outputs that exist are overwritten.
        inputs: the files that the run reads, which no output may be.
    """
    quiet_others = contextlib.nullcontext() if verbose else quiet_libraries()
    with quiet_others, _telling(verbose), writing() as outputs:
        for path in inputs:
            if path is not None:
                outputs.protect(*_files_of(path))
        if json not in ("", "-"):
            outputs.expect(Path(json), "--json", force=force)
        yield Session(json, quiet, verbose, outputs, force)


@contextmanager
def _telling(verbose: bool) -> Iterator[None]:
    try:
        yield
    except LayoutoptError as error:
        tell(error.message, error.hint, verbose=verbose)
        raise typer.Exit(error.exit_code) from None
    except (KeyboardInterrupt, Ended) as error:
        name = error.name if isinstance(error, Ended) else "SIGINT"
        tell(f"ended by {name}; nothing was written", "", verbose=False)
        raise typer.Exit(SIGNALS[name]) from None
    except typer.Exit:
        raise
    except MemoryError as error:
        tell(f"not enough memory: {error}", "", verbose=verbose)
        raise typer.Exit(LimitError.exit_code) from None
    except Exception as error:  # the last resort: a bug of ours, told in one line
        tell(f"internal error: {type(error).__name__}: {error}", "Run again with -v and report it.", verbose=verbose)
        raise typer.Exit(LayoutoptError.exit_code) from None


@contextmanager
def _printing() -> Iterator[None]:
    """Turn what goes wrong with stdout into an error of ours, and keep Python from trying again at its end.

    Raises:
        OutputError: it cannot be written to.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # of a stdout that is no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def _files_of(path: Path) -> list[Path]:
    """Return the files that a model consists of."""
    from layoutopt.ir.protos import model_files

    return model_files(path)


def read_model(path: Path, *, complete: bool = True) -> Path | Model:
    """Return the model to hand over: the path, or what standard input holds where it is -.

    Args:
        path: of the model.
        complete: whether all operators on standard input have to be known.

    Raises:
        LayoutoptError: there is no ONNX model on standard input.
    """
    if str(path) != "-":
        return path
    from layoutopt.ir.io import parse

    return parse(sys.stdin.buffer.read(), "standard input", complete=complete)


def beside(model: Path, suffix: str, directory: Path | None = None) -> Path:
    """Return the default path of a result: next to the model, or in ``directory``, with another suffix.

    Raises:
        LayoutoptError: the path names no file.
    """
    if str(model) == "-":
        return (directory or Path()) / f"model{suffix}"
    require_file(model)
    return (directory or model.parent) / f"{model.stem}{suffix}"
