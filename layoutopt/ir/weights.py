"""Large weights apart from the rest: what reads only the graph gets a model without them, and files hold them.

A *weight* is an initializer of the main graph of more than `LARGE` bytes. It is never copied to be looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir

from layoutopt.errors import InvalidModelError
from layoutopt.ir.serialization import IN_FILE
from layoutopt.ir.values import tensor_bytes
from layoutopt.memory import mapped

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

LARGE = 64 * 1024
"""Bytes above which an initializer is a weight: shapes, axes and factors are below."""


def is_large(value: ir.Value) -> bool:
    """Say whether the initializer ``value`` is a weight."""
    return value.const_value is not None and is_large_tensor(value.const_value) and not value.is_graph_output()


def is_large_tensor(tensor: ir.TensorProtocol) -> bool:
    """Say whether ``tensor`` has more than `LARGE` bytes."""
    return tensor.dtype is not ir.DataType.STRING and tensor.nbytes > LARGE


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model whose weights are inputs of the graph.

    Attributes:
        proto: the model.
        weights: the weights by name.
        added: the names of the inputs that were none before.
    """

    proto: onnx.ModelProto
    weights: Mapping[str, ir.TensorProtocol]
    added: frozenset[str]

    @classmethod
    def of(cls, model: ir.Model, is_weight: Callable[[ir.Value], bool] = is_large) -> Skeleton:
        """Return the skeleton of ``model``, which stays as it is, without the initializers that ``is_weight`` names."""
        weights = weights_of(model, is_weight)
        return cls.take(outline(model, weights), weights)

    @classmethod
    def take(cls, proto: onnx.ModelProto, weights: Mapping[str, ir.TensorProtocol]) -> Skeleton:
        """Return the skeleton that ``proto`` becomes as its initializers of the names of ``weights`` become inputs."""
        graph = proto.graph
        added = weights.keys() - {value.name for value in graph.input}
        if weights:
            _keep(graph.initializer, weights)
            _keep(graph.value_info, weights)
        graph.input.extend(
            onnx.helper.make_tensor_value_info(name, weight.dtype.value, weight.shape.numpy())
            for name, weight in weights.items()
            if name in added
        )
        return cls(proto, weights, frozenset(added))

    def restore(self, model: ir.Model) -> ir.Model:
        """Give ``model``, made of the skeleton, the weights that are still its inputs, and return it."""
        graph = model.graph
        found = [value for value in graph.inputs if value.name in self.weights]
        kept = [value for value in graph.inputs if value.name not in self.added]
        graph.inputs.clear()
        graph.inputs.extend(kept)
        for value in found:
            value.const_value = self.weights[str(value.name)]
            graph.register_initializer(value)
        return model


def _keep(entries: RepeatedCompositeFieldContainer[Any], weights: Mapping[str, ir.TensorProtocol]) -> None:
    """Drop the entries that have the name of a weight."""
    kept = [entry for entry in entries if entry.name not in weights]
    if len(kept) < len(entries):
        del entries[:]
        entries.extend(kept)


def weights_of(model: ir.Model, is_weight: Callable[[ir.Value], bool] = is_large) -> dict[str, ir.TensorProtocol]:
    """Return the tensors of the initializers that ``is_weight`` names, by name."""
    return {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and is_weight(value)
    }


def outline(model: ir.Model, weights: Mapping[str, ir.TensorProtocol]) -> onnx.ModelProto:
    """Return the proto of ``model`` in which the initializers of the names of ``weights`` refer to no data yet."""
    with _set_aside(model.graph, weights):
        return ir.to_proto(model)


@contextlib.contextmanager
def _set_aside(graph: ir.Graph, weights: Mapping[str, ir.TensorProtocol]) -> Iterator[None]:
    """Replace the weights by references for a while, which are serialized as they are."""
    try:
        for name, weight in weights.items():
            graph.initializers[name].const_value = ir.ExternalTensor(
                "", None, None, weight.dtype, shape=ir.Shape(weight.shape.numpy()), name=name
            )
        yield
    finally:
        for name, weight in weights.items():
            graph.initializers[name].const_value = weight


# --- weights in files ------------------------------------------------------------------------------------------------


class DataFiles:
    """The files that the tensors of a model refer to: its own and those beside it, each mapped into memory once.

    Args:
        name: what errors call the model.
        content: the serialized model.
        path: the file that it is; None where it is in memory.
    """

    def __init__(self, name: str, content: memoryview, path: Path | None) -> None:
        self._name, self._path = name, path
        self._files = {IN_FILE: content}

    def tensor(self, proto: onnx.TensorProto) -> ir.TensorProtocol:
        """Return the tensor that ``proto`` describes as a view of the file that it refers to.

        Raises:
            InvalidModelError: there is no such file, it may not be read, or the tensor does not lie within it.
        """
        entries = {entry.key: entry.value for entry in proto.external_data}
        try:
            dtype = ir.DataType(proto.data_type)
        except ValueError as error:
            raise self._wrong(proto, f"there is no element type {proto.data_type}") from error
        shape, location = tuple(proto.dims), entries.get("location", "")
        size = tensor_bytes(shape, dtype.bitwidth)
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
        except ValueError as error:
            raise self._wrong(proto, f"offset and length must be numbers ({error})") from error
        content = self._content(proto, location)
        if length != size or min(shape, default=0) < 0:
            raise self._wrong(proto, f"{length} bytes are no {dtype.name} of shape {list(shape)}")
        if not 0 <= offset <= len(content) - length:
            raise self._wrong(proto, f"{length} bytes from {offset} are not within the {len(content)} of {location}")
        view = content[offset : offset + length]
        if dtype.bitwidth < 8:
            return ir.PackedTensor(np.frombuffer(view, np.uint8), dtype, shape=ir.Shape(shape), name=proto.name)
        array = np.frombuffer(view, dtype.numpy().newbyteorder("<")).reshape(shape)
        return ir.Tensor(array, dtype, shape=ir.Shape(shape), name=proto.name)

    def _content(self, proto: onnx.TensorProto, location: str) -> memoryview:
        """Return the content of the file ``location``."""
        if location not in self._files:
            try:
                self._files[location] = mapped(self._allowed(proto, location))
            except (OSError, RuntimeError, ValueError) as error:  # the last two of paths that are none
                raise self._wrong(proto, f"{location!r} cannot be read ({error})") from error
        return self._files[location]

    def _allowed(self, proto: onnx.TensorProto, location: str) -> Path:
        """Return the path of a file that lies beside the model or below, through links too."""
        if self._path is None:
            raise self._wrong(proto, "a model in memory has no files")
        path = (self._path.parent / location).resolve()
        homes = (self._path.parent.resolve(), self._path.resolve().parent)
        if not location or Path(location).is_absolute() or not any(path.is_relative_to(home) for home in homes):
            raise self._wrong(proto, f"{location!r} is not beside the model")
        return path

    def _wrong(self, proto: onnx.TensorProto, reason: str) -> InvalidModelError:
        return InvalidModelError(
            f"{self._name}: the data of {proto.name!r} is not where the model says: {reason}",
            hint="Copy the model with all of its files, or export it again.",
        )
