"""The files of results: refused before any work is done, written aside, and put in their places together.

Each output has a directory beside its place, ``.NAME.CHECKSUM.part``, that is locked as long as a run writes there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from layoutopt.errors import OutputError
from layoutopt.outputs.places import (
    Destination,
    Move,
    called,
    check_place,
    is_same_place,
    publish,
    reason,
    release,
    reserve,
    staging_directories,
    undo,
    uninterrupted,
    within,
)


@dataclass(slots=True)
class Outputs:
    """All outputs of one run, none of which is there before `publish`."""

    _inputs: list[Path] = field(default_factory=list)
    _destinations: list[Destination] = field(default_factory=list)
    _made: list[Path] = field(default_factory=list)

    def protect(self, *inputs: Path) -> None:
        """Declare files and directories that the run reads: no output may replace one, or a file in one.

        Raises:
            OutputError: an output that is expected already would.
        """
        self._inputs += inputs
        for destination in self._destinations:
            _refuse_inputs(destination, inputs)

    def expect(
        self,
        path: Path,
        option: str = "",
        *,
        force: bool = False,
        folder: bool = False,
        companion: str = "",
    ) -> None:
        """Refuse an output before any work is done for it, or reserve its place.

        Args:
            path: its place.
            option: that named it, for errors.
            force: whether it may overwrite what is there.
            folder: whether it is a directory, which may only take the place of a SavedModel or of an empty one.
            companion: what the name of a second file has after that of the first, should there be one.

        Raises:
            OutputError: the place cannot be written to, another run is writing it, or it is that of an input or of
                another output.
            OutputExistsError: something is there already and ``force`` is not set.
        """
        label = f"{option} {path}".strip()
        names = (path.name, path.name + companion) if companion else (path.name,)
        destination = Destination(path, label, names, force, folder)
        try:
            if not path.name:
                raise OutputError(f"{label}: is a directory, not a file")
            self._check(destination)
            reserve(destination)
        except (OSError, ValueError) as error:  # ValueError of a path with a null in it
            raise OutputError(f"{label}: cannot be written ({reason(error)})") from error
        self._destinations.append(destination)

    def withdraw(self, path: Path) -> None:
        """Give back the place that was reserved for the output at ``path``."""
        destination = self._destination(path)
        self._destinations.remove(destination)
        release(destination)

    def stage(self, path: Path) -> Path:
        """Return where to write the output that is expected at ``path``."""
        return self._destination(path).staged

    def write(self, path: Path, text: str) -> None:
        """Write the output that is expected at ``path``.

        Raises:
            OutputError: it cannot be written.
        """
        with self.filling(path) as staged:
            staged.write_text(text, encoding="utf-8")

    def take(self, made: Path, path: Path) -> None:
        """Move a finished file or directory to where the output expected at ``path`` is written aside.

        Raises:
            OutputError: it cannot be written.
        """
        with self.filling(path) as staged:
            shutil.move(made, staged)

    @contextlib.contextmanager
    def filling(self, path: Path) -> Iterator[Path]:
        """Give where to write the output that is expected at ``path``, and say of an error which output it was.

        Raises:
            OutputError: it cannot be written.
        """
        destination = self._destination(path)
        try:
            yield destination.staged
        except (OSError, shutil.Error) as error:
            raise OutputError(f"{destination.label}: cannot be written ({reason(error)})") from error

    def make_directory(self, path: Path, option: str = "") -> None:
        """Make a directory and its parents, if they are not there; those that nothing gets into go again.

        Raises:
            OutputError: it cannot be made.
        """
        missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
        make_directory(path, option)
        self._made += missing

    def publish(self) -> None:
        """Put all that was written in its place, or nothing of it.

        Raises:
            OutputError: a place cannot be written to.
            OutputExistsError: something has got to a place meanwhile.
        """
        with uninterrupted(), staging_directories.put_in_place():
            moves: list[Move] = []
            try:
                for destination in self._destinations:
                    publish(destination, moves)
            except BaseException:
                for move in reversed(moves):
                    undo(move)
                raise
            finally:
                self.discard()

    def discard(self) -> None:
        """Remove all that is written aside, and the directories that were made for nothing."""
        with uninterrupted():
            while self._destinations:
                release(self._destinations.pop())
            for directory in self._made:
                with contextlib.suppress(OSError):  # there is something in it
                    directory.rmdir()
            self._made.clear()

    def _destination(self, path: Path) -> Destination:
        return next(destination for destination in self._destinations if destination.path == path)

    def _check(self, destination: Destination) -> None:
        """Refuse what can be known to be wrong without writing."""
        if not destination.path.parent.is_dir():
            raise OutputError(
                f"{destination.label}: there is no directory {destination.path.parent}", hint="Make it first."
            )
        _refuse_inputs(destination, self._inputs)
        for path in destination.paths:
            for other in self._destinations:
                if any(
                    is_same_place(path, place)
                    or (destination.folder and within(place, path))
                    or (other.folder and within(path, place))
                    for place in other.paths
                ):
                    raise OutputError(
                        f"{destination.label}: {called(path, destination)} another output too, {other.label}",
                        hint="Choose another path for one of them.",
                    )
            check_place(path, destination)


def _refuse_inputs(destination: Destination, inputs: Iterable[Path]) -> None:
    """Refuse an output that would replace an input, or a file in a directory that is one.

    Raises:
        OutputError: it would.
    """
    for path, source in product(destination.paths, inputs):
        if is_same_place(path, source) or _is_file_in(path, source) or (destination.folder and within(source, path)):
            raise OutputError(
                f"{destination.label}: {called(path, destination)} an input, which is never overwritten",
                hint="Choose another output path.",
            )


def _is_file_in(path: Path, directory: Path) -> bool:
    """Return whether a path is that of a file in a directory, also through links of both kinds."""
    if not (os.path.lexists(path) and directory.is_dir()):
        return False
    return within(path, directory) or any(is_same_place(path, each) for each in directory.iterdir())


# --- runs ----------------------------------------------------------------------------------------------------------

_current: ContextVar[Outputs | None] = ContextVar("outputs", default=None)


@contextlib.contextmanager
def writing(*inputs: Path) -> Iterator[Outputs]:
    """Publish what the block writes at its end, and nothing on an error; in a block within another, at the end of that.

    Args:
        inputs: files and directories that no output may take the place of.
    """
    if (outer := _current.get()) is not None:
        outer.protect(*inputs)
        yield outer
        return
    with writing_apart() as outputs:
        outputs.protect(*inputs)
        token = _current.set(outputs)
        try:
            yield outputs
        finally:
            _current.reset(token)


@contextlib.contextmanager
def writing_apart() -> Iterator[Outputs]:
    """Publish what the block writes at its end, even within a block that is not yet there."""
    outputs, token = Outputs(), _current.set(None)
    try:
        yield outputs
        outputs.publish()
    finally:
        outputs.discard()
        _current.reset(token)


@contextlib.contextmanager
def atomic_write(path: Path, *, companion: str = "") -> Iterator[Path]:
    """Give a path to write to that takes the place of ``path`` at the end, whatever is there, or goes on an error.

    Raises:
        OutputError: the place cannot be written to.
    """
    with writing_apart() as outputs:
        outputs.expect(path, force=True, companion=companion)
        with outputs.filling(path) as staged:
            yield staged


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory for what is made on the way, which goes at the end."""
    with tempfile.TemporaryDirectory(prefix="layoutopt-", ignore_cleanup_errors=True) as name:
        staging_directories.add(Path(name))
        try:
            yield Path(name)
        finally:
            staging_directories.discard(Path(name))


def make_directory(path: Path, option: str = "") -> None:
    """Make a directory and its parents, if they are not there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = "a file is there" if isinstance(error, FileExistsError) else reason(error)
        raise OutputError(f"{option} {path}: cannot be made a directory ({why})".strip()) from error
