"""Several models in one call of ``layoutopt optimize``: where they run, what is reported, and how a run continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutopt.cli.console import Session
from layoutopt.cli.guard import default_memory, set_limits
from layoutopt.cli.signals import Ended
from layoutopt.cli.terminal import tell
from layoutopt.errors import SIGNALS, OutputError, UsageError
from layoutopt.outputs.places import reason

if TYPE_CHECKING:
    from layoutopt.fleet.journal import Journal
    from layoutopt.fleet.row import Row
    from layoutopt.fleet.task import Task

_PANEL = "Many models"

_OWN = ("output", "tflite", "output_dir", "jobs", "dask", "results", "json", "force", "quiet", "verbose")
"""Options of the run as a whole, not of one model."""
_LIMITS = ("memory_limit", "time_limit")
"""Options that do not change the result of a model."""
_FILES = ("input", "calibration", "load_ranges", "metadata")
"""Options that name files to read, and nothing else; their content counts, not their names."""


@dataclass(frozen=True, slots=True)
class FleetArguments:
    """The options that say where several models are optimized, and where their results are kept."""

    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            rich_help_panel=_PANEL,
            help="Number of models to optimize at a time, each in a process of its own. By default they share "
            "the memory that one model could use. [dim]\\[default: 1][/]",
        ),
    ] = None
    dask: Annotated[
        str,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            rich_help_panel=_PANEL,
            help="Optimize on the workers of a Dask cluster, which see the same files: tcp://HOST:8786, for example.",
        ),
    ] = ""
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            metavar="FILE.jsonl",
            rich_help_panel=_PANEL,
            help="Append a line of JSON for each model as it ends. If the file exists, the run continues: models that "
            "were done with the same content, options and version are not done again.",
        ),
    ] = None

    def takes(self, models: Sequence[Path], *, timed: bool) -> bool:
        """Return whether to run as for several models, also if there is only one.

        Args:
            models: to optimize.
            timed: whether their latency is measured.

        Raises:
            UsageError: the options do not go together.
        """
        if self.dask and self.jobs is not None:
            raise UsageError(
                "--jobs and --dask contradict each other", hint="Set how many run at a time with 'dask worker'."
            )
        if timed and (self.dask or (self.jobs or 1) > 1):
            raise UsageError("--benchmark times one model at a time", hint="Leave out --jobs and --dask.")
        several = len(models) > 1 or self.jobs is not None or bool(self.dask) or self.results is not None
        if several and Path("-") in models:
            raise UsageError("standard input is for one model, without --jobs, --dask and --results")
        return several


def optimize_several(
    run: Session,
    context: typer.Context,
    models: Sequence[Path],
    places: Sequence[tuple[Path, Path | None]],
    read: Sequence[Path | None],
    place: FleetArguments,
    refuse: Callable[[Sequence[Path]], None],
) -> bool:
    """Optimize models, each in a process that gets the options of this one, and return whether all succeeded.

    Args:
        run: shows a row as each ends, and writes all reports in the end.
        context: the options as they were given.
        models: to optimize.
        places: where the .onnx and the .tflite of each go.
        read: the files that the options name, whose content is part of what is done; None where one is not given.
        place: where they run.
        refuse: raises an error where one of the outputs that are still to be written cannot be.
    """
    from layoutopt.report.terminal import fleet

    set_limits(0, 0)  # those are for each of the processes
    given = _given(context)
    with _journal(place.results) as journal:
        tasks = _tasks(given, models, places, _content(read), place, force=run.force)
        _refuse_shared(tasks)
        before: dict[str, Row] = {}
        if journal is not None:
            before = {task.key: row for task in tasks if (row := journal.done(task)) is not None}
        open_tasks = [task for task in tasks if task.key not in before]
        if journal is not None:
            journal.forget_others(open_tasks)
        refuse([Path(path) for task in open_tasks if not _is_ours(task) for path in task.outputs])
        run.show(fleet.heading(), *(fleet.of_row(row, before=True) for row in before.values()))
        rows = dict(before)
        with _told(rows, tasks):
            for row in _run(open_tasks, place):
                rows[row.key] = row
                if journal is not None:
                    journal.append(row)
                    (journal.parts / f"{row.key}.json").unlink(missing_ok=True)
                run.show(fleet.of_row(row, before=False))
                _show_log(run, row)
        failed = [row for row in rows.values() if not row.is_done]
        run.show(fleet.summary(len(rows) - len(failed), len(before), len(failed)))
        run.write_json([row.to_json() if row.report is None else row.report for row in (rows[t.key] for t in tasks)])
    return not failed


def _run(tasks: Sequence[Task], place: FleetArguments) -> Iterator[Row]:
    from layoutopt.fleet.executors import dask_cluster, finished_rows, local_processes

    if tasks:
        with dask_cluster(place.dask) if place.dask else local_processes(place.jobs or 1) as submit:
            yield from finished_rows(tasks, submit)


def _tasks(
    given: Mapping[str, Sequence[str]],
    models: Sequence[Path],
    targets: Sequence[tuple[Path, Path | None]],
    content: str,
    place: FleetArguments,
    *,
    force: bool,
) -> list[Task]:
    from layoutopt.fleet.journal import reports_directory
    from layoutopt.fleet.task import Task, digest, task_key
    from layoutopt.ir.protos import model_files

    counted = [text for name, texts in given.items() if name not in (*_LIMITS, *_FILES) for text in texts]
    options = [text for texts in given.values() for text in texts]
    if place.jobs and "memory_limit" not in given:
        options += ["--memory-limit", str(default_memory() // place.jobs)]
    tasks = []
    for model, (onnx, lite) in zip(models, targets, strict=True):
        outputs = [str(path) for path in (onnx, lite) if path is not None]
        key = task_key(digest(model_files(model)) + content, outputs, counted)
        written = [("--output", onnx), ("--tflite", lite)] if lite is not None else [("--output", onnx)]
        places = [text for option, path in written for text in (option, str(path.absolute()))]
        report = None if place.results is None else str(reports_directory(place.results).absolute() / f"{key}.json")
        absolute = tuple(str(Path(path).absolute()) for path in outputs)
        tasks.append(Task(str(model), str(Path.cwd()), absolute, (*places, *options), key, report, force=force))
    return tasks


def _content(read: Sequence[Path | None]) -> str:
    """Return the digest of the files that options name.

    Raises:
        UsageError: one of them cannot be read.
    """
    from layoutopt.fleet.task import digest

    try:
        return digest([path for path in read if path is not None])
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read ({reason(error)})") from error


def _refuse_shared(tasks: Sequence[Task]) -> None:
    """Refuse two models with the same output, also if one of them is already done.

    Raises:
        OutputError: names the place.
    """
    found: dict[str, str] = {}
    for task in tasks:
        for path in task.outputs:
            if path in found:
                raise OutputError(
                    f"{path}: this output of {task.model} is another output too, of {found[path]}",
                    hint="Rename one of the models, or write to different paths.",
                )
            found[path] = task.model


def _given(context: typer.Context) -> dict[str, list[str]]:
    """Return the options that differ from their defaults, as arguments of another command line, by name."""
    found: dict[str, list[str]] = {}
    for option in context.command.params:
        name = str(option.name)
        source = context.get_parameter_source(name)
        if option.param_type_name != "option" or name in _OWN or source is None or source.name.startswith("DEFAULT"):
            continue
        value = context.params[name]
        if isinstance(value, bool):
            found[name] = [(option.opts if value else option.secondary_opts)[0]]
        else:
            every = value if isinstance(value, (list, tuple)) else [value]
            found[name] = [text for each in every for text in (option.opts[0], _spelled(each))]
    return found


def _spelled(value: object) -> str:
    if isinstance(value, Path):
        return str(value.absolute())
    return str(getattr(value, "value", value))


def _is_ours(task: Task) -> bool:
    """Return whether a run that was killed has written the outputs of a task, or a part of them."""
    return task.report is not None and Path(task.report).exists()


@contextmanager
def _journal(path: Path | None) -> Iterator[Journal | None]:
    from layoutopt.fleet.journal import open_journal

    with nullcontext() if path is None else open_journal(path) as journal:
        yield journal


@contextmanager
def _told(rows: Mapping[str, Row], tasks: Sequence[Task]) -> Iterator[None]:
    """Print how many models were done when a signal ends the run."""
    try:
        yield
    except (KeyboardInterrupt, Ended) as error:
        name = error.name if isinstance(error, Ended) else "SIGINT"
        tell(f"ended by {name} after {len(rows)} of {len(tasks)} models; what was done stays", "")
        raise typer.Exit(SIGNALS[name]) from None


def _show_log(run: Session, row: Row) -> None:
    if run.verbose and row.log:
        typer.echo(row.log.rstrip("\n"), err=True)
