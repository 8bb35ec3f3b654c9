"""Lets a model take what a camera gives: normalization of pixels as the first operators of the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

import numpy as np
import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.ir import edit
from layoutopt.ir.io import record_pixels, recorded_orders
from layoutopt.ir.perm import channels_last
from layoutopt.options import Color, choose

_HINT = "Write --preprocess INPUT:mean=0.485,0.456,0.406,std=0.229,0.224,0.225,scale=1/255,color=rgb,dtype=uint8."
_DTYPES = {"uint8": ir.DataType.UINT8, "float32": ir.DataType.FLOAT}
_PICTURES = (1, 3, 4)
"""The numbers of channels that images have."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """The preprocessing of the pixels of an input: ``(pixel * scale - mean) / std``.

    Attributes:
        mean: one number, or one for each channel, in the order in which the network takes them.
        std: likewise.
        scale: what pixels are multiplied by first.
        color: order of the channels that the network takes; the new input is always in the order of RGB.
        dtype: element type of the new input: uint8 or float32.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    color: Color = Color.RGB
    dtype: str = "uint8"

    @classmethod
    def parse(cls, text: str) -> tuple[str, Preprocess]:
        """Return the name of an input, empty for the only one, and its preprocessing.

        Args:
            text: ``INPUT:mean=M,M,M,std=S,S,S,scale=1/255,color=bgr,dtype=uint8``, as far as it differs from nothing.

        Raises:
            UsageError: it does not read like that.
        """
        head, equals, _ = text.partition("=")
        name, _, _ = head.rpartition(":")
        fields: dict[str, list[str]] = {}
        for word in text[len(name) + bool(name) :].split(",") if equals else ():
            key, is_new, value = word.rpartition("=")
            if is_new and key in fields:
                raise UsageError(f"--preprocess {text}: {key} is given twice", hint=_HINT)
            if is_new:
                fields[key] = [value]
            elif fields:
                fields[list(fields)[-1]].append(value)
        if not fields or not set(fields) <= {"mean", "std", "scale", "color", "dtype"}:
            raise UsageError(f"--preprocess {text}: cannot be read", hint=_HINT)
        for key in ("scale", "color", "dtype"):
            if len(fields.get(key, ())) > 1:
                raise UsageError(f"--preprocess {text}: {key} takes one value", hint=_HINT)
        numbers = {key: tuple(_number(word, text) for word in fields[key]) for key in ("mean", "std") if key in fields}
        scale = _number(fields["scale"][0], text) if "scale" in fields else 1.0
        color = choose(Color, fields.get("color", ["rgb"])[0], "--preprocess: color")
        return name, cls(**numbers, scale=scale, color=color, dtype=fields.get("dtype", ["uint8"])[0])

    def __str__(self) -> str:
        mean, std = (",".join(f"{number:g}" for number in numbers) for numbers in (self.mean, self.std))
        return f"mean={mean},std={std},scale={self.scale:g},color={self.color.value},dtype={self.dtype}"

    def __post_init__(self) -> None:
        """Refuse values that are wrong for any input."""
        if self.dtype not in _DTYPES:
            raise UsageError(f"--preprocess: dtype={self.dtype}", hint=f"Choose from {', '.join(_DTYPES)}.")
        if not all(map(isfinite, (*self.mean, *self.std, self.scale))):
            raise UsageError("--preprocess: mean, std and scale must be finite")
        if 0 in self.std or self.scale == 0:
            raise UsageError("--preprocess: std and scale must not be 0")


def _number(word: str, text: str) -> float:
    try:
        return float(Fraction(word)) if "/" in word else float(word)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--preprocess {text}: {word!r} is not a number", hint=_HINT) from None


def prepend(model: ir.Model, name: str, wanted: Preprocess) -> None:
    """Let an input of ``model`` take pixels, in place; the new input has the name of the old one.

    Args:
        model: to be changed.
        name: of an input.
        wanted: what becomes of pixels.

    Raises:
        UsageError: there is no such input, it takes no floats, or it has another number of channels.
    """
    graph = model.graph
    value = next(value for value in graph.inputs if value.name == name)
    what = f"--preprocess {name}"
    if value.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16) or value.shape is None:
        dtype = "unknown type" if value.dtype is None else str(value.dtype.numpy())
        raise UsageError(f"{what}: is of {dtype}", hint="Only inputs of floats can be normalized.")
    axis = _channel_axis(value, is_last=recorded_orders(model).get(name) == channels_last(len(value.shape)))
    _check_channels(what, wanted, value.shape[axis] if axis is not None else None)
    first = graph[0] if len(graph) else None
    pixels = ir.Value(name=name, type=ir.TensorType(_DTYPES[wanted.dtype]), shape=value.shape)
    value.name = edit.fresh_name(graph, f"{name}_normalized")
    result = pixels
    for node in _nodes(graph, wanted, value, axis):
        node.replace_input_with(0, result)
        node.name = edit.fresh_name(graph, f"{node.op_type}/{name}")
        result = node.outputs[0]
        result.name = edit.fresh_name(graph, f"{name}_{node.op_type}")
        result.type, result.shape = ir.TensorType(value.dtype), value.shape
        if first is None:
            graph.append(node)
        else:
            graph.insert_before(first, node)
    graph.inputs[list(graph.inputs).index(value)] = pixels
    edit.replace_uses(graph, value, result)
    record_pixels(model, name)


def _nodes(graph: ir.Graph, wanted: Preprocess, value: ir.Value, axis: int | None) -> Iterator[ir.Node]:
    """Iterate over the operators of the preprocessing, each of which reads the one before it."""
    assert value.dtype is not None
    assert value.shape is not None
    yield ir.node("Cast", [value], {"to": value.dtype.value})
    if wanted.color is Color.BGR:
        assert axis is not None
        order = edit.add_constant(graph, f"{value.name}_bgr", np.array([2, 1, 0], np.int64))
        yield ir.node("Gather", [value, order], {"axis": axis})
    for operator, numbers, neutral in (
        ("Mul", (wanted.scale,), 1.0),
        ("Sub", wanted.mean, 0.0),
        ("Div", wanted.std, 1.0),
    ):
        if any(number != neutral for number in numbers):
            shape = [1] * len(value.shape)
            if axis is not None:
                shape[axis] = len(numbers)
            array = np.array(numbers).astype(value.dtype.numpy()).reshape(shape)
            yield ir.node(operator, [value, edit.add_constant(graph, f"{value.name}_{operator}", array)])


def _channel_axis(value: ir.Value, *, is_last: bool) -> int | None:
    """Return the axis of the channels; None if there is none."""
    shape = value.shape
    if shape is None or len(shape) < 2:
        return None
    last = len(shape) - 1
    if is_last or (shape[1] not in _PICTURES and shape[last] in _PICTURES):
        return last
    return 1


def _check_channels(what: str, wanted: Preprocess, channels: object) -> None:
    for option, numbers in (("mean", wanted.mean), ("std", wanted.std)):
        if len(numbers) not in (1, channels):
            raise UsageError(
                f"{what}: {option} has {len(numbers)} numbers, and the input {channels or 'no'} channels",
                hint="Give one number for all channels, or one for each.",
            )
    if wanted.color is Color.BGR and channels != 3:
        raise UsageError(f"{what}: color=bgr is for 3 channels, and the input has {channels or 'none'}")


def left_over(model: ir.Model, names: Sequence[str]) -> Iterator[str]:
    """Iterate over notes on the operators that are left of the preprocessing, one for each input."""
    for value in model.graph.inputs:
        if value.name not in names:
            continue
        found, readers = list[str](), [use.node for use in value.uses()]
        while len(readers) == 1 and readers[0].op_type in _AHEAD:
            if readers[0].op_type not in ("Cast", "Transpose"):
                found.append(readers[0].op_type)
            readers = [use.node for use in readers[0].outputs[0].uses()]
        by = ", ".join(dict.fromkeys(node.op_type for node in readers)) or "the caller"
        told = f"Preprocessing of {value.name!r}: "
        if not found:
            yield f"{told}folded into {by}."
        elif all("Conv" in node.op_type for node in readers):
            yield (
                f"{told}the .onnx keeps {', '.join(found)} before {by}: zeros at the border are not the mean. "
                "The .tflite pads with the mean where that saves the operator."
            )
        else:
            stays, it = ("stays", "it") if len(found) == 1 else ("stay", "them")
            yield f"{told}{', '.join(found)} {stays} before {by}, whose weights cannot take {it}."


_AHEAD = frozenset({"Cast", "Transpose", "Gather", "Mul", "Sub", "Add", "Div"})
