"""Results at a URL that fsspec opens, such as ``s3://bucket/folder``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from layoutopt.errors import MissingExtraError, OutputError, UsageError
from layoutopt.text import error_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def is_url(path: str) -> bool:
    """Return whether a path is a URL."""
    return "://" in path


def opened(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, and the path there.

    Raises:
        MissingExtraError: fsspec is not installed, or what it needs for such URLs.
        UsageError: it is no URL, or of an unknown kind.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(
            "--upload: fsspec is not installed", hint="Install it: pip install 'layoutopt[dask]'."
        ) from error
    if not is_url(url):
        raise UsageError(f"--upload {url}: is no URL", hint="Write --upload s3://bucket/folder, or use --output-dir.")
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(f"--upload {url}: {error}") from error
    except ValueError as error:
        raise UsageError(f"--upload {url}: {error}") from error
    return system, path


def exists(url: str) -> bool:
    """Return whether there is a file at a URL.

    Raises:
        OutputError: it cannot be asked for.
    """
    system, path = opened(url)
    try:
        return bool(system.exists(path))
    except Exception as error:  # each kind of storage has its own
        raise OutputError(f"--upload {url}: cannot be read ({error_line(error)})") from error


def upload(files: Iterable[Path], folder: str) -> None:
    """Copy files to a folder at a URL, overwriting what is there.

    Raises:
        OutputError: one cannot be written.
    """
    system, path = opened(folder)
    try:
        system.makedirs(path, exist_ok=True)
        for file in files:
            system.put_file(str(file), f"{path.rstrip('/')}/{file.name}")
    except Exception as error:  # each kind of storage has its own
        raise OutputError(f"--upload {folder}: cannot be written ({error_line(error)})") from error
