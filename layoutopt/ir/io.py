"""Reading and writing models: a wrong file ends in one clear error, and no file is left half-written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx_ir.passes.common import RemoveInitializersFromInputsPass, ShapeInferencePass

from layoutopt.errors import (
    DynamicShapeError,
    InvalidModelError,
    OutputError,
    PassFailedError,
    UsageError,
)
from layoutopt.files import require_file
from layoutopt.ir.batch_first import put_time_first
from layoutopt.ir.checking import (
    OLDEST_OPSET,
    TOO_LARGE,
    check_proto,
    first_line,
    require_model,
    shapes_for_the_checker,
)
from layoutopt.ir.old_opsets import raise_opset
from layoutopt.ir.perm import Perm
from layoutopt.ir.serialization import outlined, refer, write, write_content
from layoutopt.ir.soundness import require_sound
from layoutopt.ir.weights import LARGE, DataFiles, Skeleton, outline, weights_of
from layoutopt.memory import mapped
from layoutopt.outputs import atomic_write

_FREE_INITIALIZERS = 4
"""The IR version since which an initializer need not be an input."""

MAX_BYTES = 2**31 - 1
"""Protobuf's limit for one message."""

_ORDER = "layoutopt.order."
"""Key of ``metadata_props`` that tells in which order an input or output stores the axes of the original."""

_PIXELS = "layoutopt.pixels."
"""Key of ``metadata_props`` that tells that an input takes pixels as they are."""


def load(path: Path, *, complete: bool = True) -> ir.Model:
    """Read and check an ONNX model.

    Args:
        path: the file.
        complete: whether all operators have to be known; where only a part will be taken, `check_model` checks that.

    Raises:
        UsageError, ModelNotFoundError: it is a URL, or there is no such file.
        InvalidModelError: it is not ONNX, is truncated, or the checker refuses it.
        UnsupportedOperatorError: an opset or an operator that ONNX does not know.
    """
    require_file(path)
    try:
        content = mapped(path)
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read ({error.strerror})") from error
    return _read(content, str(path), path, complete=complete)


def parse(data: bytes, name: str, *, complete: bool = True) -> ir.Model:
    """Read a model from memory, as `load` does from a file; ``name`` is what errors call it."""
    return _read(memoryview(data), name, None, complete=complete)


def checked_copy(model: ir.Model | onnx.ModelProto, *, complete: bool = True) -> ir.Model:
    """Return a model that is in memory, checked, as a copy to be changed at will.

    Raises:
        UsageError: it is something else.
        LayoutoptError: as `load`.
    """
    if isinstance(model, onnx.ModelProto):
        try:
            return parse(model.SerializeToString(), "the model", complete=complete)
        except (EncodeError, ValueError) as error:
            raise InvalidModelError(f"the model: {first_line(error)}", hint=TOO_LARGE) from error
    if not isinstance(model, ir.Model):
        raise UsageError(
            f"a model of type {type(model).__name__}",
            hint="Give the path of an .onnx file, an onnx.ModelProto or an onnx_ir.Model.",
        )
    if complete:
        check_model(model, "the model")
    return normalize(model.clone())


def _read(content: memoryview, name: str, path: Path | None, *, complete: bool) -> ir.Model:
    """Return the model that ``content`` is; its weights stay there, or in the files beside ``path``."""
    try:
        proto = onnx.load_from_string(outlined(content, LARGE))
    except DecodeError as error:
        raise _not_onnx(name, error) from error
    files = DataFiles(name, content, path)
    weights = {
        tensor.name: files.tensor(tensor)
        for tensor in proto.graph.initializer
        if onnx.external_data_helper.uses_external_data(tensor)
    }
    skeleton = Skeleton.take(proto, weights)
    if path is not None:
        try:
            onnx.load_external_data_for_model(proto, str(path.parent))  # of attributes and bodies
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise InvalidModelError(f"{path}: cannot be read ({first_line(error)})") from error
    if 0 < proto.ir_version < _FREE_INITIALIZERS:
        proto.ir_version = _FREE_INITIALIZERS  # initializers that are no inputs are all that could be wrong with it
    proto = raise_opset(proto, OLDEST_OPSET)
    require_model(proto, name)
    if complete:
        with shapes_for_the_checker(proto):
            check_proto(proto, name)
    require_sound(proto, name, weights)
    try:
        model = ir.from_proto(proto)
    except Exception as error:  # of its own kinds, the first cause of which tells what is wrong
        while error.__cause__ is not None or error.__context__ is not None:
            error = error.__cause__ or error.__context__  # type: ignore[assignment]
        raise InvalidModelError(f"{name}: not a valid ONNX model: {first_line(error)}") from error
    return normalize(skeleton.restore(model))


def normalize(model: ir.Model) -> ir.Model:
    """Return ``model`` in which no initializer is an input as well, no size is negative, and recurrences go by time.

    Up to IR version 3 all had to be listed as inputs, and many exporters did so later on. A .tflite has no inputs that
    may be left out, so that they are constants.
    """
    RemoveInitializersFromInputsPass()(model)
    model.ir_version = max(model.ir_version, _FREE_INITIALIZERS)
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is not None:  # some exporters write -1 for a size that they do not know
            value.shape = ir.Shape([None if isinstance(dim, int) and dim < 0 else dim for dim in value.shape])
    put_time_first(model)
    return model


def _not_onnx(name: str, error: DecodeError) -> InvalidModelError:
    return InvalidModelError(
        f"{name}: not an ONNX file, or a truncated one ({error})",
        hint="Export the model again, or copy the file again.",
    )


def check_model(model: ir.Model, name: str) -> None:
    """Check a model in memory, as `check_proto` and `require_sound` do."""
    skeleton = Skeleton.of(model)
    check_proto(skeleton.proto, name)
    require_sound(skeleton.proto, name, skeleton.weights)


def require_static(model: ir.Model) -> None:
    """Refuse inputs with symbolic dimensions.

    Raises:
        DynamicShapeError: names every such input.
    """
    dynamic = [
        value
        for value in model.graph.inputs
        if not value.is_initializer() and (value.shape is None or not value.shape.is_static())
    ]
    if dynamic:
        listed = ", ".join(f"{value.name}[{_sizes(value.shape)}]" for value in dynamic)
        raise DynamicShapeError(f"dynamic shape of input {listed}", hint=f"Give it a shape: {_suggestion(dynamic)}")


def _sizes(shape: ir.Shape | None) -> str:
    return ",".join(str(size) for size in shape or ())


def _suggestion(inputs: Sequence[ir.Value]) -> str:
    """Return the options that make ``inputs`` static: their own sizes where they have some, else those of an image."""
    chosen: dict[str, int] = {}
    options = []
    for value in inputs:
        shape = value.shape or ir.Shape(["batch", "channels", "height", "width"])
        usual = _IMAGE if len(shape) > 2 else (1, 16)
        sizes = [
            size
            if isinstance(size, int)
            else chosen.setdefault(size.value or f"{value.name}:{axis}", usual[min(axis, len(usual) - 1)])
            for axis, size in enumerate(shape)
        ]
        options.append(f"--shape {shlex.quote(f'{value.name}={_sizes(ir.Shape(sizes))}')}")
    return " ".join(options)


_IMAGE = (1, 3, 224)
"""The first sizes of an input that nobody knows, of which the last stands for all further axes."""


def make_static(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give inputs static shapes, as `set_shapes`, and refuse what is still symbolic, as `require_static`."""
    set_shapes(model, shapes)
    require_static(model)


def set_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give inputs static shapes and forget every shape that was inferred from the symbolic ones.

    A size that is stated may be another one, such as the batch that an exporter happened to see; then all shapes are
    inferred again.

    Raises:
        UsageError: there is no such input, or the shape contradicts the one it has.
    """
    inputs, overridden = {value.name: value for value in model.graph.inputs}, False
    for name, shape in shapes.items():
        if name not in inputs:
            raise UsageError(f"--shape {name}: there is no such input", hint=f"Inputs: {', '.join(map(str, inputs))}.")
        known = inputs[name].shape
        if min(shape, default=0) < 0:
            raise UsageError(f"--shape {name}={_sizes(ir.Shape(shape))}: a size is 0 or more")
        if known is not None and len(known) != len(shape):
            raise UsageError(
                f"--shape {name}={_sizes(ir.Shape(shape))} contradicts the model's [{_sizes(known)}]",
                hint=f"For example: {_suggestion([inputs[name]])}",
            )
        overridden |= known is not None and any(
            isinstance(old, int) and old != new for old, new in zip(known, shape, strict=True)
        )
        inputs[name].shape = ir.Shape(shape)
    if shapes:
        for value in (value for node in model.graph.all_nodes() for value in node.outputs):
            if value.shape is not None and (overridden or not value.shape.is_static()):
                value.shape = ir.Shape([None] * len(value.shape)) if value.is_graph_output() else None
        ShapeInferencePass(data_prop=True)(model)


def check_full(model: ir.Model) -> None:
    """Run the checker with its strictest setting, which alone looks into functions.

    Raises:
        PassFailedError: the model is not valid.
    """
    try:
        onnx.checker.check_model(Skeleton.of(model).proto, full_check=True)
    except (ValueError, EncodeError) as error:
        raise PassFailedError(f"the optimized model cannot be checked: {first_line(error)}", hint=TOO_LARGE) from error
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PassFailedError(
            f"the optimized model is not valid: {first_line(error)}",
            hint="Find the pass to blame with --verify each, and please report it.",
        ) from error


def require_consistent(model: ir.Model) -> None:
    """Refuse a model whose shapes and types contradict each other.

    Raises:
        InvalidModelError: with the first contradiction.
    """
    try:
        check_full(model)
    except PassFailedError as error:
        raise InvalidModelError(f"the model contradicts itself: {first_line(error.__cause__ or error)}") from error


def save(model: ir.Model, path: Path) -> None:
    """Write ``model``: beside the target first, then into its place.

    The weights of a model over 2 GiB go to a file next to it, of the same name with ``.data`` appended.

    Raises:
        OutputError: the place cannot be written to, or the model is over 2 GiB even without its weights.
    """
    with atomic_write(path, companion=DATA) as beside:
        write_model(model, beside)


def write_model(model: ir.Model, path: Path) -> None:
    """Write a model as `save` does, into the place itself.

    Raises:
        OutputError: the model is over 2 GiB even without its weights.
        OSError: the place cannot be written to.
    """
    weights = weights_of(model)
    proto = outline(model, weights)
    size = proto.ByteSize() + len(weights) * _HEAD
    if size > MAX_BYTES:
        raise OutputError(f"{path.name}: the model is over 2 GiB without its weights, which one ONNX file cannot hold")
    if size + sum(weight.nbytes for weight in weights.values()) > MAX_BYTES:
        _write_apart(proto, weights, path)
        return
    with path.open("wb") as file:
        write(file, proto, weights)


DATA = ".data"
"""The ending of the name of the file with the weights, after the name of the model's."""

_HEAD = 64
"""Bytes that stand before a weight at most, apart from its name and shape."""

_PAGE = 4096
"""Weights in a file of their own begin at multiples of it, so that each can be mapped by itself."""


def _write_apart(proto: onnx.ModelProto, weights: Mapping[str, ir.TensorProtocol], path: Path) -> None:
    """Write ``proto`` to ``path``, and ``weights`` to a file beside it."""
    data = path.with_name(path.name + DATA)
    with data.open("wb") as file:
        for tensor in proto.graph.initializer:
            if (weight := weights.get(tensor.name)) is not None:
                file.seek(-file.tell() % _PAGE, os.SEEK_CUR)
                refer(tensor, data.name, file.tell(), weight.nbytes)
                write_content(file, weight)
    path.write_bytes(proto.SerializeToString())


def record_orders(model: ir.Model, orders: Mapping[str, Perm]) -> None:
    """Write down in which order each of these inputs and outputs stores the axes of the original."""
    for name, order in orders.items():
        model.metadata_props[_ORDER + name] = ",".join(map(str, order))


def recorded_orders(model: ir.Model) -> dict[str, Perm]:
    """Return the orders that ``record_orders`` has stored in ``model``."""
    return {
        key.removeprefix(_ORDER): tuple(map(int, text.split(",")))
        for key, text in model.metadata_props.items()
        if key.startswith(_ORDER)
    }


def record_pixels(model: ir.Model, name: str) -> None:
    """Record that an input takes pixels as they are, from 0 to 255, whatever its element type."""
    model.metadata_props[_PIXELS + name] = "0 to 255"


def takes_pixels(model: ir.Model, name: str) -> bool:
    """Return whether `record_pixels` has recorded this input."""
    return _PIXELS + name in model.metadata_props
