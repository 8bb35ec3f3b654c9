"""Files as memory, and memory that goes back to the system as soon as it is not needed."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakSet

_MAPS: WeakSet[mmap.mmap] = WeakSet()


def mapped(path: Path) -> memoryview:
    """Return the content of a file, which is read as it is used.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # nothing can be mapped of an empty file
            return memoryview(b"")
    _MAPS.add(content)
    return memoryview(content)


@contextlib.contextmanager
def few_collections() -> Iterator[None]:
    """Let Python look for garbage less often: a graph is many objects, and little of it is dropped on the way."""
    thresholds = gc.get_threshold()
    if thresholds[0]:
        gc.set_threshold(max(thresholds[0], _COLLECTED), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


_COLLECTED = 200_000
"""New objects after which Python looks for garbage: without it, 700, and a fifth of the time of 10,000 nodes."""


def give_back() -> None:
    """Give the system back what is not needed for the moment: garbage, freed memory, and pages of mapped files."""
    gc.collect()  # graphs hang together in cycles, and with them their weights
    for content in list(_MAPS):
        if hasattr(mmap, "MADV_DONTNEED"):
            content.madvise(mmap.MADV_DONTNEED)  # of a file, they are read again where they are used
    trim()


def trim() -> None:
    """Give the system back what is freed: glibc keeps much of it, and is the only one to have this function."""
    if sys.platform == "linux" and (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
