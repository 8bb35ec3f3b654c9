"""Checks of the paths to models, each of which names a plain file that is there; and digests of what files hold."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from layoutopt.errors import InvalidModelError, ModelNotFoundError, UsageError

_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # pathlib makes one slash of two


def require_file(path: Path) -> None:
    """Refuse a path that names no plain file.

    Raises:
        UsageError: it is a URL.
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is a directory, a pipe or the like.
    """
    try:
        if path.is_file():
            return
        if path.is_dir():
            raise InvalidModelError(f"{path}: a directory, not a file", hint="Name the model's file in it.")
        if path.exists():
            raise InvalidModelError(f"{path}: not a plain file", hint="To pipe an ONNX model in, name it -.")
    except (OSError, ValueError) as error:  # of a name with a null, or one that is too long
        raise ModelNotFoundError(f"{path}: no such file ({error})") from error
    if _URL.match(str(path)):
        raise UsageError(
            f"{str(path).replace(':/', '://', 1)}: a URL, and layoutopt reads files only",
            hint="Download it first, or pipe it in: curl ... | layoutopt ... -",
        )
    raise ModelNotFoundError(f"{path}: no such file")


def paths_among(*given: object) -> list[Path]:
    """Return the paths among arguments that may be paths or data."""
    return [Path(each) for each in given if isinstance(each, (str, Path))]


def content_digest(path: Path) -> str:
    """Return the SHA-256 of what a file holds, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
