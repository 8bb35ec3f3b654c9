"""Records the boundary of a network in its .tflite, and reads it back."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from layoutopt.backend.conversion import Conversion
from layoutopt.backend.litert.inspect import signature_of
from layoutopt.backend.metadata import attach, metadata_of, packed_files
from layoutopt.boundary import RECORD, Boundary
from layoutopt.boundary.description import ReadDescription
from layoutopt.boundary.record import recorded_boundary
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.perm import channels_last
from layoutopt.tfl.metadata import NAME, Fields, decoded

_OURS = "layoutopt."


def describe(conversion: Conversion, path: Path, model: ir.Model, read: ReadDescription | None) -> None:
    """Write the boundary of a network, and what a user says of it, into its .tflite.

    Args:
        conversion: that has made it.
        path: of the .tflite, which is written again if there is something to record.
        model: that it was made from.
        read: what the user says; None for nothing.

    Raises:
        UsageError: what the user says does not fit.
    """
    boundary = recorded_boundary(model)
    if read is None and boundary is None:
        return
    entries: dict[str, bytes] = {}
    files: dict[str, bytes] = {}
    if boundary is not None:
        entries[RECORD] = boundary.to_json().encode()
    if read is not None:
        signature, orders = signature_of(path), recorded_orders(model)
        theirs = {**conversion.input_names, **conversion.output_names}
        entries[NAME], files = read.encoded(
            signature.inputs,
            signature.outputs,
            pixels=[theirs[name] for name in (boundary.preprocess if boundary else ()) if name in theirs],
            last={
                theirs[name]: orders.get(name) == channels_last(4)
                for value in (*model.graph.inputs, *model.graph.outputs)
                if (name := str(value.name)) in theirs and value.shape is not None and len(value.shape) == 4
            },
            properties={key: text for key, text in model.metadata_props.items() if not key.startswith(_OURS)},
        )
    written = path.with_suffix(".described")
    attach(path, written, entries, files)
    written.replace(path)


def boundary_of(path: Path) -> Boundary | None:
    """Return the boundary that is recorded in a .tflite; None if there is none, or in an unknown format.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    text = metadata_of(path).get(RECORD)
    try:
        return Boundary.from_json(text.decode()) if text else None
    except ValueError:
        return None


def metadata_lines(path: Path) -> tuple[str, ...]:
    """Return the metadata of a .tflite as text, a line for each item; none if it has no metadata.

    Raises:
        ModelNotFoundError: no such file.
        InvalidModelError: not a .tflite file, truncated or damaged.
    """
    lines = []
    if data := metadata_of(path).get(NAME):
        try:
            lines += _lines(decoded(data))
        except ValueError as error:
            lines.append(f"metadata: {error}")
    if boundary := boundary_of(path):
        lines += boundary.told()
    if files := packed_files(path):
        lines.append(f"files: {', '.join(files)}")
    return tuple(lines)


def _lines(fields: Fields) -> list[str]:
    """Return the metadata of a tensor as text, without empty fields."""
    lines = [
        f"{key}: {fields[key]}" for key in ("name", "description", "version", "author", "license") if key in fields
    ]
    for graph in fields.get("subgraph_metadata", ()):
        for side in ("input", "output"):
            tensors = graph.get(f"{side}_tensor_metadata", ())
            lines += [f"{side} {each.get('name', '?')}: {_words(each) or 'nothing more'}" for each in tensors]
    return lines


def _words(tensor: Fields) -> str:
    words = [tensor["description"]] if "description" in tensor else []
    if "dimension_names" in tensor:
        words.append(f"[{', '.join(tensor['dimension_names'])}]")
    units = (unit["normalization"] for unit in tensor.get("process_units", ()) if "normalization" in unit)
    words += [" ".join(f"{key}={_numbers(numbers)}" for key, numbers in unit.items()) for unit in units]
    words += [f"labels in {each.get('name', '?')}" for each in tensor.get("associated_files", ())]
    return ", ".join(words)


def _numbers(numbers: list[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
