"""The file of results: a line of JSON for each model as it is done, which a run that continues reads first."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from layoutopt.errors import OutputError, UsageError
from layoutopt.fleet.row import Row
from layoutopt.fleet.task import Task
from layoutopt.outputs import make_directory
from layoutopt.outputs.places import reason


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file of results, the last one of each task; an incomplete last line is ignored.

    Raises:
        UsageError: it is not such a file.
        OSError: it cannot be read.
    """
    rows: dict[str, Row] = {}
    *lines, _unfinished = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            row = Row.of(json.loads(line))
        except ValueError as error:
            raise UsageError(
                f"{path}: line {number} is not a result of 'layoutopt optimize --results' ({error})",
                hint="Name another file.",
            ) from error
        rows.pop(row.key, None)  # the last to be done stands last
        rows[row.key] = row
    return list(rows.values())


@dataclass(slots=True)
class Journal:
    """A file of results that this run adds to.

    Attributes:
        path: of the file.
        rows: what it says, by the keys of the tasks.
    """

    path: Path
    rows: dict[str, Row]
    _file: IO[bytes] = field(repr=False)

    @property
    def parts(self) -> Path:
        """Return the directory in which processes leave their reports until they are in the file of results."""
        return reports_directory(self.path)

    def done(self, task: Task) -> Row | None:
        """Return the row of a task whose outputs exist and have not been written by anything else since."""
        writers = [row for row in self.rows.values() if not row.outputs.isdisjoint(task.outputs)]
        return writers[-1] if writers and writers[-1].key == task.key and task.is_written else None

    def forget_others(self, tasks: Sequence[Task]) -> None:
        """Remove reports of other tasks that killed runs have left."""
        for path in self.parts.glob("*.json"):
            if path.stem not in {task.key for task in tasks}:
                path.unlink(missing_ok=True)

    def append(self, row: Row) -> None:
        """Append a row, which is on the disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self._file.write(row.to_line().encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(f"--results {self.path}: cannot be written ({reason(error)})") from error
        self.rows.pop(row.key, None)
        self.rows[row.key] = row


def reports_directory(path: Path) -> Path:
    """Return the directory of reports next to a file of results."""
    return path.with_name(f"{path.name}.parts")


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Yield the file of results, created if necessary and locked for this run.

    Raises:
        UsageError: it holds something else.
        OutputError: it cannot be written, or another run is writing it.
    """
    try:
        with path.open("a+b") as file:
            _lock(file, path)
            rows = {row.key: row for row in read_rows(path)}
            file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a run did not write to its end
            make_directory(reports_directory(path))
            try:
                yield Journal(path, rows, file)
            finally:
                with contextlib.suppress(OSError):  # somebody is still writing there
                    reports_directory(path).rmdir()
    except OSError as error:
        raise OutputError(f"--results {path}: cannot be written ({reason(error)})") from error


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock the file for this run as long as it is open.

    Raises:
        OutputError: another run has it.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputError(f"--results {path}: another run is writing it now", hint="Wait for it to end.") from error
    except OSError:
        return  # a file system without locks
