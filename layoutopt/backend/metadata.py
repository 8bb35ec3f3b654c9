"""Reads and writes the metadata entries of a .tflite, and the files at its end."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from layoutopt.backend.direct.writer import write_tables
from layoutopt.backend.litert.inspect import open_tflite
from layoutopt.tfl.reader import buffer_of, text_of
from layoutopt.tfl.schema import schema

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of all files at the end, so that the same model becomes the same file; the first that a zip can tell."""


def attach(source: Path, target: Path, entries: Mapping[str, bytes], files: Mapping[str, bytes]) -> None:
    """Write a .tflite with metadata entries and files.

    Files go to its end as an uncompressed zip, which Android's tooling and Python's ``zipfile`` read and the
    interpreter does not see.

    Args:
        source: a .tflite of any converter; weights are streamed from it.
        target: another file.
        entries: content by name; one of the same name is replaced.
        files: content by name.

    Raises:
        InvalidModelError: the source is no .tflite.
    """
    with open_tflite(source) as model:
        tables = schema.ModelT.InitFromObj(model)
        arrays = [raw if len(raw := buffer_of(model, index)) else None for index in range(model.BuffersLength())]
        kept = [each for each in tables.metadata or () if text_of(each.name) not in entries]
        for name, content in entries.items():
            kept.append(schema.MetadataT(name=name, buffer=len(arrays)))
            arrays.append(np.frombuffer(content, np.uint8))
        tables.metadata = kept
        write_tables(tables, arrays, target)
    if files:
        with zipfile.ZipFile(target, "a") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, _DATE), content)


def metadata_of(path: Path) -> dict[str, bytes]:
    """Return the metadata entries of a .tflite, content by name.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    with open_tflite(path) as model:
        entries = [model.Metadata(index) for index in range(model.MetadataLength())]
        return {text_of(each.Name()): buffer_of(model, each.Buffer()).tobytes() for each in entries}


def packed_files(path: Path) -> list[str]:
    """Return the names of the files at the end of a .tflite; none if there is no complete zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []
