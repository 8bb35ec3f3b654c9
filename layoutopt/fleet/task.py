"""A task: one model to optimize, with a key by which two runs recognize equal work."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from layoutopt import __version__
from layoutopt.files import content_digest
from layoutopt.fleet.remote import exists


@dataclass(frozen=True, slots=True)
class Task:
    """One model to optimize, in a process of its own.

    Attributes:
        model: path of the model, as it was given.
        folder: from which ``model`` leads on; the same wherever the task runs.
        outputs: absolute paths, or URLs, that are written, the .onnx first.
        options: of ``layoutopt optimize``, the same for all models of a run, and without places.
        key: says what is done: by the content of all files, the options, the outputs and the version.
        report: where the process writes its report as JSON, together with the outputs; None for a temporary place.
        version: of layoutopt.
        force: whether outputs that exist are overwritten.
        upload: the URL of the folder of the outputs; empty for paths.
    """

    model: str
    folder: str
    outputs: tuple[str, ...]
    options: tuple[str, ...]
    key: str
    report: str | None
    version: str = __version__
    force: bool = False
    upload: str = ""

    @property
    def is_written(self) -> bool:
        """Return whether all outputs exist."""
        return all(exists(path) if self.upload else Path(path).exists() for path in self.outputs)

    def written_in(self, folder: Path) -> list[Path]:
        """Return where the outputs are written first: in a folder, if they are for a URL."""
        return [folder / path.rpartition("/")[2] if self.upload else Path(path) for path in self.outputs]


def task_key(content: str, outputs: Sequence[str], options: Sequence[str]) -> str:
    """Return the key of a task: equal for equal work, whatever the folders and times of the files.

    Args:
        content: what `digest` says of the model and of all files that the options name.
        outputs: the paths of the outputs.
        options: of the command line.
    """
    return hashlib.sha256(repr((content, tuple(outputs), tuple(options), __version__)).encode()).hexdigest()


def digest(paths: Iterable[Path]) -> str:
    """Return a digest of the content of files, and of those in folders with their names, in hexadecimal.

    Raises:
        OSError: a file cannot be read.
    """
    found = hashlib.sha256()
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        for each in inside:
            name = "" if each is path else str(each.relative_to(path))
            found.update(f"{name}\0{content_digest(each)}\0".encode())
    return found.hexdigest()
