"""Serialized models, read and written without copies of their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from layoutopt.arrays import chunks

IN_FILE = "*in this file*"
"""The location of external data that stands in the file of the model itself."""

_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
"""The numbers of `ModelProto.graph`, `GraphProto.initializer` and `TensorProto.raw_data`."""

_PATH = (_GRAPH, _INITIALIZER, _RAW_DATA)
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


def outlined(data: memoryview, smallest: int) -> bytes:
    """Return the serialized model ``data`` with references instead of the initializers' content.

    Args:
        data: a serialized ModelProto.
        smallest: how many bytes of content are left where they are at most.

    Raises:
        DecodeError: ``data`` is no protobuf message.
    """
    return b"".join(_outlined(data, 0, len(data), _PATH, smallest))


def _outlined(
    data: memoryview, start: int, end: int, path: tuple[int, ...], smallest: int
) -> Iterator[bytes | memoryview]:
    """Yield the message from ``start`` to ``end``, with what stands at ``path`` inside it replaced."""
    done = start
    for number, begin, content, stop in _fields(data, start, end):
        if number != path[0] or stop - content <= smallest:
            continue
        yield data[done:begin]
        done = stop
        if len(path) == 1:
            yield _reference(content, stop - content)
            continue
        inner = b"".join(_outlined(data, content, stop, path[1:], smallest))
        yield _head(number, len(inner))
        yield inner
    yield data[done:end]


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, begin, begin of the content and end of each field that has a length of its own."""
    at = start
    while at < end:
        begin = at
        tag, at = _varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at, end)
        elif kind == _COUNTED:
            size, at = _varint(data, at, end)
            if size > end - at:
                raise DecodeError("it ends within a field")
            yield tag >> 3, begin, at, at + size
            at += size
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise DecodeError("a field is of no known kind")
    if at > end:
        raise DecodeError("it ends within a field")


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return the number that begins at ``at``, and where it ends."""
    value = 0
    for shift in range(0, 7 * _LONGEST_VARINT, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DecodeError("a number does not end")


def _reference(offset: int, length: int) -> bytes:
    """Return the fields of a TensorProto that say where its content is."""
    tensor = onnx.TensorProto()
    refer(tensor, IN_FILE, offset, length)
    return tensor.SerializeToString()


def refer(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    """Make ``tensor`` a reference to ``length`` bytes of the file ``location``."""
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def write(file: BinaryIO, proto: onnx.ModelProto, weights: Mapping[str, ir.TensorProtocol]) -> None:
    """Write ``proto``, which is taken apart, with the content of ``weights`` in the initializers of their names."""
    tensors = [_heads(tensor, weights.get(tensor.name)) for tensor in proto.graph.initializer]
    del proto.graph.initializer[:]
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    file.write(proto.SerializeToString())
    file.write(_head(_GRAPH, len(graph) + sum(len(head) + size for head, _, size in tensors)))
    file.write(graph)
    for head, weight, _ in tensors:
        file.write(head)
        if weight is not None:
            write_content(file, weight)


def _heads(tensor: onnx.TensorProto, weight: ir.TensorProtocol | None) -> tuple[bytes, ir.TensorProtocol | None, int]:
    """Return what stands before the content of an initializer, the content, and its size."""
    if weight is None:
        content = tensor.SerializeToString()
        return _head(_INITIALIZER, len(content)) + content, None, 0
    tensor.ClearField("data_location")
    tensor.ClearField("external_data")
    inner = tensor.SerializeToString() + _head(_RAW_DATA, weight.nbytes)
    return _head(_INITIALIZER, len(inner) + weight.nbytes) + inner, weight, weight.nbytes


def _head(number: int, size: int) -> bytes:
    """Return the tag of the field ``number`` that has ``size`` bytes, and the size."""
    return bytes((*_digits(number << 3 | _COUNTED), *_digits(size)))


def _digits(number: int) -> Iterator[int]:
    while number > 0x7F:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def write_content(file: BinaryIO, weight: ir.TensorProtocol) -> None:
    """Write the bytes of ``weight`` as ONNX stores them."""
    if weight.dtype.bitwidth < 8:
        file.write(weight.tobytes())
        return
    array = weight.numpy()
    for chunk in chunks(array.astype(array.dtype.newbyteorder("<"), copy=False)):
        file.write(chunk)
