"""The place of one output: where it is written aside, how it gets there, and how that is taken back."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from layoutopt.errors import OutputError, OutputExistsError

_OLD = ".old-"
_SAVED_MODEL = "saved_model.pb"
_CONFLICTS = frozenset({errno.EEXIST, errno.ENOTEMPTY})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK, errno.EXDEV})
_FORCE = "Use --force to overwrite it, or choose another path."


class StagingDirectories:
    """The directories that this process writes aside to, told to those who remove them if it is killed.

    Attributes:
        told: called with each directory, and whether it is there from now on or has gone.
        publishing: called as what is in them begins to be put in place, and as that has ended.
    """

    def __init__(self) -> None:
        self.told: Callable[[Path, bool], None] = lambda _home, _stays: None
        self.publishing: Callable[[bool], None] = lambda _begins: None

    def add(self, staging: Path) -> None:
        """Take note of a directory that is to go."""
        self.told(staging, True)

    def discard(self, staging: Path) -> None:
        """Take note that a directory has gone."""
        self.told(staging, False)

    @contextlib.contextmanager
    def put_in_place(self) -> Iterator[None]:
        """Tell that this process must not be killed during the block."""
        self.publishing(True)
        try:
            yield
        finally:
            self.publishing(False)


staging_directories = StagingDirectories()


@dataclass(slots=True)
class Destination:
    """One output.

    Attributes:
        path: its place.
        label: what errors call it.
        names: of all files that it may consist of, beside each other; the first is that of ``path``.
        force: whether what is there may be overwritten.
        folder: whether it is a directory.
        staging: where it is written aside; None as long as nothing is reserved.
        lock: descriptor that holds the lock on ``staging``; None where there are no locks.
    """

    path: Path
    label: str
    names: tuple[str, ...]
    force: bool
    folder: bool
    staging: Path | None = None
    lock: int | None = None

    @property
    def staged(self) -> Path:
        """Return the path to write the file to before it is put in its place."""
        assert self.staging is not None, "not reserved"
        return self.staging / self.path.name

    @property
    def paths(self) -> list[Path]:
        """Return the places of all of its files."""
        return [self.path.with_name(name) for name in self.names]


@dataclass(slots=True)
class Move:
    """One step of publishing: what is at ``place`` now, and the file that was there before."""

    place: Path
    old: Path | None


def called(path: Path, destination: Destination) -> str:
    """Return the subject and verb of what errors say of one file of an output."""
    return "is" if path == destination.path else f"{path.name}, where large weights go, is"


def check_place(path: Path, destination: Destination) -> None:
    """Refuse a place by what is there now."""
    if not os.path.lexists(path) or _is_device(path):
        return
    if path.is_dir() and not destination.folder:
        raise OutputError(f"{destination.label}: is a directory, not a file")
    if destination.folder and path.is_dir() and not any(path.iterdir()):
        return
    if not destination.force:
        there = "exists already" if path == destination.path else f"{path.name}, where large weights go, exists already"
        raise OutputExistsError(f"{destination.label}: {there}", hint=_FORCE)
    if destination.folder and not (path / _SAVED_MODEL).exists():
        raise OutputError(
            f"{destination.label}: is no SavedModel, so it is not overwritten",
            hint="Remove it, or choose another path.",
        )


def _is_device(path: Path) -> bool:
    """Say whether ``path`` is a terminal, a pipe or the like, which is written to and not replaced."""
    mode = path.stat().st_mode if path.exists() else 0
    return bool(mode) and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_same_place(one: Path, other: Path) -> bool:
    """Say whether two paths are the same place, through links of both kinds and whether or not it is there yet."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def within(path: Path, directory: Path) -> bool:
    """Say whether a path lies in a directory, through links too."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


# --- written aside -------------------------------------------------------------------------------------------------


def reserve(destination: Destination) -> None:
    """Make and lock the directory that the output is written to.

    Raises:
        OutputError: another run has it.
        OSError: it cannot be made.
    """
    if _is_device(destination.path):
        destination.staging = Path(tempfile.mkdtemp(prefix="layoutopt-"))
        staging_directories.add(destination.staging)
        return
    name = destination.path.name
    staging = destination.path.with_name(f".{name[:40]}.{zlib.crc32(os.fsencode(name)):08x}.part")
    while True:
        with contextlib.suppress(FileExistsError):  # of a run that is alive, or was killed
            staging.mkdir()
        try:
            destination.lock = _locked(staging, destination.label)
        except FileNotFoundError:  # the other run has just ended
            continue
        break
    staging_directories.add(staging)
    destination.staging = staging
    try:
        _clear(destination.path, staging)
    except BaseException:
        release(destination)
        raise


def _locked(staging: Path, label: str) -> int | None:
    """Return a descriptor that holds the lock on the directory, which goes with the process.

    Raises:
        FileNotFoundError: the directory has gone meanwhile.
        OutputError: another process has it.
    """
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), staging.stat()):
            raise FileNotFoundError(staging)
    except OSError as error:
        os.close(descriptor)
        if error.errno == errno.EWOULDBLOCK:
            raise OutputError(
                f"{label}: another run is writing it now", hint="Wait for it, or choose another path."
            ) from error
        if isinstance(error, FileNotFoundError):
            raise
        return None  # a file system without locks
    return descriptor


def _clear(path: Path, staging: Path) -> None:
    """Remove what a run that was killed has left, and put back what it had set aside."""
    for entry in staging.iterdir():
        place = path.with_name(entry.name.removeprefix(_OLD))
        if entry.name.startswith(_OLD) and not os.path.lexists(place):
            entry.replace(place)
        else:
            _remove(entry)


def release(destination: Destination) -> None:
    """Remove the directory that `reserve` made, and its lock."""
    if destination.staging is not None:
        shutil.rmtree(destination.staging, ignore_errors=True)
        staging_directories.discard(destination.staging)
        destination.staging = None
    if destination.lock is not None:
        os.close(destination.lock)
        destination.lock = None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# --- put in place --------------------------------------------------------------------------------------------------


def publish(destination: Destination, moves: list[Move]) -> None:
    """Put the files of one output in their places, and note each step."""
    staging = destination.staged.parent
    try:
        for entry in sorted(each for each in staging.iterdir() if not each.name.startswith(_OLD)):
            place = destination.path.with_name(entry.name)
            if _is_device(place):
                place.write_bytes(entry.read_bytes())
            elif not os.path.lexists(place) or not destination.force:
                _add(entry, place)
                moves.append(Move(place, None))
            else:
                moves.append(Move(place, _set_aside(place, staging)))
                entry.replace(place)
    except OSError as error:
        if error.errno in _CONFLICTS:
            raise OutputExistsError(
                f"{destination.label}: another run has written it meanwhile", hint=_FORCE
            ) from error
        raise OutputError(f"{destination.label}: cannot be written ({reason(error)})") from error


def _add(entry: Path, place: Path) -> None:
    """Put a file or directory where nothing may be.

    Raises:
        OSError: something is there, among others.
    """
    if entry.is_dir():
        entry.rename(place)  # fails where there is a directory with anything in it
        return
    try:
        place.hardlink_to(entry)  # unlike a rename, it never overwrites
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        entry.replace(place)


def _set_aside(place: Path, staging: Path) -> Path:
    """Keep what is to be overwritten until all outputs are in place; a file stays in its place too."""
    old = staging / f"{_OLD}{place.name}"
    if place.is_dir() and not place.is_symlink():
        return place.rename(old)
    try:
        old.hardlink_to(place)
    except OSError:
        shutil.copy2(place, old, follow_symlinks=False)
    return old


def undo(move: Move) -> None:
    """Take back one step of publishing, as far as that can be done."""
    with contextlib.suppress(OSError):
        if move.old is None:
            _remove(move.place)
            return
        if move.old.is_dir() and not move.old.is_symlink():
            _remove(move.place)
        move.old.replace(move.place)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals wait until the end of the block, so that neither half is left undone."""
    caught: list[tuple[int, FrameType | None]] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda number, frame: caught.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in caught[:1]:
            handler = handlers[signal.Signals(number)]
            assert callable(handler)
            handler(number, frame)


def reason(error: Exception) -> str:
    """Return what the system says of an error, without the number and the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
