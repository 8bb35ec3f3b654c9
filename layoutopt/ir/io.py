"""Reading and writing models: every way in which a file can be wrong ends in one clear error, and no file is left half-written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from layoutopt.errors import (
    DynamicShapeError,
    InvalidModelError,
    ModelNotFoundError,
    OutputError,
    OutputExistsError,
    UnsupportedOperatorError,
)
from layoutopt.ir.perm import Perm

NEWEST_OPSET = onnx.defs.onnx_opset_version()
OLDEST_OPSET = 7
MAX_BYTES = 2**31 - 1
"""Protobuf's limit for one message."""

_RUNTIME_DOMAINS = frozenset({"", "ai.onnx.ml", "com.microsoft"})
"""Domains whose operators ONNX Runtime brings with it."""

_ORDER = "layoutopt.order."
"""Key of ``metadata_props`` that tells in which order an input or output stores the axes of the original."""


def load(path: Path) -> ir.Model:
    """Reads and checks an ONNX model.

    Raises:
        ModelNotFoundError: there is no such file.
        InvalidModelError: it is not ONNX, is truncated, or the checker refuses it.
        UnsupportedOperatorError: an opset or an operator that ONNX does not know.
    """
    return ir.from_proto(load_proto(path))


def load_proto(path: Path) -> onnx.ModelProto:
    """As ``load``, as a protobuf message."""
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise InvalidModelError(f"{path}: a directory, not an ONNX file")
    try:
        proto = onnx.load(path)
    except DecodeError as error:
        raise InvalidModelError(
            f"{path}: not an ONNX file, or a truncated one ({error})", hint="Export the model again, or copy the file again."
        ) from error
    except (OSError, onnx.checker.ValidationError) as error:
        raise InvalidModelError(f"{path}: cannot be read ({_first_line(error)})") from error
    check_proto(proto, str(path))
    return proto


def check_proto(proto: onnx.ModelProto, name: str) -> None:
    """Refuses what is no valid model, and what uses operators that nobody knows.

    Raises:
        InvalidModelError: not a model, or the checker refuses it.
        UnsupportedOperatorError: an opset or an operator that ONNX does not know.
    """
    if not proto.ir_version or not proto.graph.output:
        raise InvalidModelError(f"{name}: not an ONNX model (it has no IR version or no graph output)")
    _check_operators(proto, name)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise InvalidModelError(f"{name}: not a valid ONNX model: {_first_line(error)}") from error
    except ValueError as error:  # over 2 GB
        raise InvalidModelError(f"{name}: {_first_line(error)}", hint="Models over 2 GiB are not supported.") from error


def _check_operators(proto: onnx.ModelProto, name: str) -> None:
    opsets = {entry.domain.replace("ai.onnx", "", 1) if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}
    opset = opsets.get("", 0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise UnsupportedOperatorError(
            f"{name}: opset {opset}; known are {OLDEST_OPSET} to {NEWEST_OPSET}",
            hint=f"Export the model with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}, 17 for example.",
        )
    functions = {(function.domain, function.name) for function in proto.functions}
    unknown = [
        f"node {node.name or node.output[0]!r}: operator {node.domain or 'ai.onnx'}::{node.op_type}"
        for node in _all_nodes(proto.graph)
        if (node.domain, node.op_type) not in functions and not _is_known(node, opset)
    ]
    if unknown:
        raise UnsupportedOperatorError(
            f"{name}: {len(unknown)} unknown operator(s) at opset {opset}:\n  " + "\n  ".join(unknown),
            hint="Replace them, add their definition as a model-local function, or export with a newer opset.",
        )


def _is_known(node: onnx.NodeProto, opset: int) -> bool:
    if node.domain in ("", "ai.onnx"):
        return bool(onnx.defs.has(node.op_type, max_inclusive_version=opset))
    return node.domain in _RUNTIME_DOMAINS


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _all_nodes(body)


def require_static(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses inputs with symbolic dimensions that ``shapes`` does not give.

    Raises:
        DynamicShapeError: names every such input.
    """
    dynamic = [
        value
        for value in model.graph.inputs
        if value.name not in shapes and not value.is_initializer() and (value.shape is None or not value.shape.is_static())
    ]
    if dynamic:
        listed = ", ".join(f"{value.name}{list(map(str, value.shape or ()))}".replace("'", "") for value in dynamic)
        rank = len(dynamic[0].shape or ())
        example = ",".join(map(str, (1, 3, 224, 224)[:rank] if rank else (1, 3, 224, 224)))
        raise DynamicShapeError(
            f"dynamic shape of input {listed}", hint=f"Give it a shape: --shape {dynamic[0].name}={example}"
        )


def save(model: ir.Model, path: Path) -> None:
    """Writes ``model``: beside the target first, then into its place.

    Raises:
        OutputError: the place cannot be written to, or the model is over 2 GiB.
    """
    proto = ir.to_proto(model)
    if proto.ByteSize() > MAX_BYTES:
        raise OutputError(f"{path}: the model is over 2 GiB, which one ONNX file cannot hold")
    with replacing(path) as beside:
        beside.write_bytes(proto.SerializeToString())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes the place of ``path`` at the end, or vanishes on an error.

    Raises:
        OutputError: the place cannot be written to.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(descriptor)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_output(path: Path, *, source: Path | None, force: bool) -> None:
    """Refuses an output path before any work is done for it.

    Raises:
        OutputError: its directory is not there or not writable, or it is the input itself.
        OutputExistsError: it is there already and ``force`` is not set.
    """
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise OutputError(f"{path}: is the input itself, which is never overwritten", hint="Choose another output path.")
    if path.exists() and not force:
        raise OutputExistsError(f"{path}: exists already", hint="Use --force to overwrite it, or choose another path.")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no directory {path.parent}", hint="Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the directory {path.parent} is not writable")


def record_orders(model: ir.Model, orders: Mapping[str, Perm]) -> None:
    """Writes down in which order each of these inputs and outputs stores the axes of the original."""
    for name, order in orders.items():
        model.metadata_props[_ORDER + name] = ",".join(map(str, order))


def recorded_orders(model: ir.Model) -> dict[str, Perm]:
    """What ``record_orders`` wrote down."""
    return {
        key.removeprefix(_ORDER): tuple(map(int, text.split(",")))
        for key, text in model.metadata_props.items()
        if key.startswith(_ORDER)
    }


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
