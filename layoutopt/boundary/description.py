"""Checks the description that a user gives of a model, and turns it into the metadata that apps read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from layoutopt.backend.litert.inspect import TfliteTensor
from layoutopt.errors import UsageError
from layoutopt.tfl import metadata as tflite

_TEXTS = ("name", "description", "version", "author", "license")
_INPUT = {"name", "description", "color", "mean", "std", "min", "max"}
_OUTPUT = {"name", "description", "min", "max"}
_LAYOUTS = {True: ("batch", "height", "width", "channels"), False: ("batch", "channels", "height", "width")}
_OWN_FILE = "metadata.json"
"""The name that Ultralytics' loaders look for: the first file at the end, the exporter's own properties as JSON."""


@dataclass(frozen=True, slots=True)
class Description:
    """A description of a model, for those who use its .tflite.

    Attributes:
        metadata: a JSON file, or the same as a dict: name, description, version, author, license, and by name
            ``inputs`` (name, description, color, mean, std, min, max), ``outputs`` (name, description, min, max);
            ``files`` to be put at the end, beside the JSON file.
        labels: a text file with the name of a class in each line, by the name of an output; the empty name means the
            only one.
    """

    metadata: Path | str | Mapping[str, Any] | None = None
    labels: Mapping[str, Path | str] = field(default_factory=dict)

    @property
    def sources(self) -> list[Path]:
        """Return the files that it is read from, without those that the JSON file names."""
        given = [] if self.metadata is None or isinstance(self.metadata, Mapping) else [Path(self.metadata)]
        return [*given, *map(Path, self.labels.values())]

    def read(self) -> ReadDescription:
        """Read the files and return their content, checked as far as that is possible without the model.

        Raises:
            UsageError: a file cannot be read, or it says something that has no meaning.
        """
        given, folder = self.metadata, Path()
        if given is None:
            fields: Mapping[str, Any] = {}
        elif isinstance(given, Mapping):
            fields = given
        else:
            fields, folder = _json(Path(given)), Path(given).parent
        _check(fields)
        files = {Path(name).name: _bytes(folder / name, "--metadata: file") for name in fields.get("files", ())}
        labels = {name: _labels(Path(path)) for name, path in self.labels.items()}
        return ReadDescription(fields, files, labels)


@dataclass(frozen=True, slots=True)
class ReadDescription:
    """A description that was read.

    Attributes:
        fields: of the JSON file.
        files: content by name.
        labels: by the name of an output.
    """

    fields: Mapping[str, Any]
    files: Mapping[str, bytes]
    labels: Mapping[str, Sequence[str]]

    def encoded(
        self,
        inputs: Sequence[TfliteTensor],
        outputs: Sequence[TfliteTensor],
        *,
        pixels: Sequence[str] = (),
        last: Mapping[str, bool] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> tuple[bytes, dict[str, bytes]]:
        """Return the metadata of a .tflite, and the files to append to it.

        Args:
            inputs: of the .tflite.
            outputs: of the .tflite.
            pixels: names of inputs that take pixels as they are.
            last: whether channels come last, by the name of an input or output that is a picture.
            properties: that the exporter has left in the model.

        Raises:
            UsageError: there is no such input or output, or labels do not fit its classes.
        """
        files: dict[str, bytes] = {}
        if properties and {"names", "task"} <= properties.keys():
            files[_OWN_FILE] = json.dumps(dict(properties)).encode()
        files |= self.files
        last = last or {}
        labels = self._labels_by_output(outputs)
        named = {name: f"labels_{at}.txt" if len(labels) > 1 else "labels.txt" for at, name in enumerate(labels)}
        files |= {named[name]: ("\n".join(lines) + "\n").encode() for name, lines in labels.items()}
        described = [
            [_tensor(each, _of(each, self.fields.get(side, {})), last.get(each.signature_name)) for each in tensors]
            for side, tensors in (("inputs", inputs), ("outputs", outputs))
        ]
        for tensor, fields in zip(inputs, described[0], strict=True):
            if tensor.signature_name in pixels:
                fields["content"] = {"image": {"color_space": tflite.COLOR_SPACES["rgb"]}}
                fields["process_units"] = [{"normalization": {"mean": [0.0], "std": [1.0]}}]
        for tensor, fields in zip(outputs, described[1], strict=True):
            if tensor.signature_name in labels:
                kind = tflite.TENSOR_VALUE_LABELS if _are_indices(tensor) else tflite.TENSOR_AXIS_LABELS
                fields["associated_files"] = [{"name": named[tensor.signature_name], "type": kind}]
        _refuse_unknown(self.fields, inputs, outputs)
        model = {name: self.fields[name] for name in _TEXTS if name in self.fields}
        model["subgraph_metadata"] = [{"input_tensor_metadata": described[0], "output_tensor_metadata": described[1]}]
        model["min_parser_version"] = tflite.PARSER_VERSION
        if others := [{"name": name} for name in files if name not in named.values()]:
            model["associated_files"] = others
        return tflite.encoded(model), files

    def _labels_by_output(self, outputs: Sequence[TfliteTensor]) -> dict[str, Sequence[str]]:
        names = [each.signature_name for each in outputs]
        found: dict[str, Sequence[str]] = {}
        for name, lines in self.labels.items():
            actual = names[0] if not name and len(names) == 1 else name
            if actual not in names:
                what = f"there is no output {name!r}" if name else "of which output?"
                raise UsageError(
                    f"--labels: {what}", hint=f"Write --labels NAME=FILE; the outputs are {', '.join(names)}."
                )
            tensor = outputs[names.index(actual)]
            if not _are_indices(tensor) and len(lines) not in tensor.shape[1:]:
                raise UsageError(
                    f"--labels: {len(lines)} labels, and output {actual!r} of {list(tensor.shape)} has no axis of "
                    "so many classes",
                    hint="Write one label in each line, that of the background included if the network has it.",
                )
            found[actual] = lines
        return found


def _are_indices(tensor: TfliteTensor) -> bool:
    return tensor.dtype in ("int32", "int64")


def _of(tensor: TfliteTensor, by_name: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = by_name.get(tensor.signature_name, {})
    return found


def _tensor(tensor: TfliteTensor, said: Mapping[str, Any], last: bool | None) -> tflite.Fields:
    """Return the metadata of one input or output."""
    fields: tflite.Fields = {"name": said.get("name", tensor.signature_name)}
    if "description" in said:
        fields["description"] = said["description"]
    if last is not None and len(tensor.shape) == len(_LAYOUTS[last]):
        fields["dimension_names"] = list(_LAYOUTS[last])
    image = "color" in said or "mean" in said
    color = {"color_space": tflite.COLOR_SPACES[said["color"]]} if "color" in said else {}
    fields["content"] = {"image": color} if image else {"feature": {}}
    if "mean" in said or "std" in said:
        fields["process_units"] = [{"normalization": {"mean": said.get("mean", [0.0]), "std": said.get("std", [1.0])}}]
    stats = {name: said[name] for name in ("max", "min") if name in said}
    return {**fields, "stats": stats} if stats else fields


# --- checks --------------------------------------------------------------------------------------------------------


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(_bytes(path, "--metadata"))
    except ValueError as error:
        raise UsageError(f"--metadata {path}: not JSON ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f"--metadata {path}: not an object of JSON", hint='Write {"name": "...", "author": "..."}.')
    return found


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{what} {path}: cannot be read ({error.strerror})") from None


def _labels(path: Path) -> list[str]:
    try:
        lines = _bytes(path, "--labels").decode().splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"--labels {path}: not UTF-8") from None
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise UsageError(f"--labels {path}: holds no labels")
    return lines


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse unknown keys and wrong types, with a message that names them."""
    known = {*_TEXTS, "inputs", "outputs", "files"}
    if unknown := [name for name in fields if name not in known]:
        raise UsageError(f"--metadata: there is no {unknown[0]!r}", hint=f"There are {', '.join(sorted(known))}.")
    if wrong := [name for name in _TEXTS if not isinstance(fields.get(name, ""), str)]:
        raise UsageError(f"--metadata: {wrong[0]} is no text")
    files = fields.get("files", [])
    if not isinstance(files, list) or not all(isinstance(each, str) for each in files):
        raise UsageError("--metadata: files is no list of names")
    for side, allowed in (("inputs", _INPUT), ("outputs", _OUTPUT)):
        tensors = fields.get(side, {})
        if not isinstance(tensors, dict) or not all(isinstance(each, dict) for each in tensors.values()):
            raise UsageError(f"--metadata: {side} is no object of objects by name")
        for name, said in tensors.items():
            _check_tensor(f"--metadata: {side}: {name}", said, allowed)


def _check_tensor(what: str, said: Mapping[str, Any], allowed: set[str]) -> None:
    for key, value in said.items():
        if key not in allowed:
            raise UsageError(f"{what}: there is no {key!r}", hint=f"There are {', '.join(sorted(allowed))}.")
        if key == "color" and value not in tflite.COLOR_SPACES:
            raise UsageError(f"{what}: color {value!r}", hint=f"Choose from {', '.join(tflite.COLOR_SPACES)}.")
        numbers = isinstance(value, list) and all(isinstance(each, int | float) for each in value) and value
        if key in ("mean", "std", "min", "max") and not numbers:
            raise UsageError(f"{what}: {key} is no list of numbers")
        if key in ("name", "description") and not isinstance(value, str):
            raise UsageError(f"{what}: {key} is no text")


def _refuse_unknown(fields: Mapping[str, Any], inputs: Sequence[TfliteTensor], outputs: Sequence[TfliteTensor]) -> None:
    for side, tensors in (("inputs", inputs), ("outputs", outputs)):
        names = [each.signature_name for each in tensors]
        if unknown := [name for name in fields.get(side, {}) if name not in names]:
            raise UsageError(f"--metadata: {side}: there is no {unknown[0]!r}", hint=f"There is {', '.join(names)}.")
