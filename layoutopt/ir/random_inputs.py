"""Random inputs that a model can run on: integers are drawn from what its operators take for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.errors import InvalidModelError

Array = npt.NDArray[np.generic]
Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class IntegerRange:
    """Integers from ``low`` up to ``high``, which is left out."""

    low: int
    high: int

    def draw(self, generator: Generator, shape: tuple[int, ...]) -> Array:
        """Return an array of such integers."""
        return generator.integers(self.low, max(self.high, self.low + 1), shape)


@dataclass(frozen=True, slots=True)
class Exactly:
    """These integers, such as a shape."""

    numbers: tuple[int, ...]

    def draw(self, generator: Generator, shape: tuple[int, ...]) -> Array:
        """Return them where there are as many as ``shape`` asks for, else the first of them everywhere."""
        del generator
        if int(np.prod(shape)) == len(self.numbers):
            return np.array(self.numbers, np.int64).reshape(shape)
        return np.full(shape, self.numbers[0] if self.numbers else 1, np.int64)


Wanted = IntegerRange | Exactly


def random_inputs(model: ir.Model, seed: int) -> dict[str, Array]:
    """Return an array for each graph input of static shape, the same for the same seed.

    Floats are standard normal, truth values coins. Integers are what their readers take: indices of a table, sizes,
    axes; pixels where they are bytes; small numbers where they are computed with.
    """
    generator = np.random.default_rng(seed)
    inputs = _inputs(model)
    if any(value.dtype is not None and value.dtype.is_integer() for value in inputs):
        model = model.clone()  # whose readers tell their shapes
        ShapeInferencePass(data_prop=True)(model)
        inputs = _inputs(model)
    return {str(value.name): _random(generator, value) for value in inputs}


def _inputs(model: ir.Model) -> list[ir.Value]:
    return [value for value in model.graph.inputs if not value.is_initializer() and value.shape is not None]


def plain_integers(inputs: Mapping[str, Array], number: int) -> dict[str, Array]:
    """Return the inputs with one number instead of all integers: what to try where the drawn ones do not fit."""
    return {name: np.full_like(array, number) if array.dtype.kind in "iu" else array for name, array in inputs.items()}


_MAX_ELEMENTS = 2**31 - 1
"""The largest number of elements that TFLite can count."""
_MAX_AXES = 32
"""The number of axes that NumPy has always had; LiteRT has 8."""


def _random(generator: Generator, value: ir.Value) -> Array:
    assert value.shape is not None
    if math.prod(value.shape.numpy()) > _MAX_ELEMENTS or len(value.shape) > _MAX_AXES:
        raise InvalidModelError(
            f"input {value.name!r} of shape {list(value.shape.numpy())}: more than {_MAX_ELEMENTS:,} elements or "
            f"{_MAX_AXES} axes",
            hint="Nobody can run that. Export the model again.",
        )
    assert value.dtype is not None
    shape, dtype = value.shape.numpy(), value.dtype.numpy()
    if dtype == np.bool_:
        return generator.integers(0, 2, shape).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        return _wanted(value).draw(generator, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)


def _wanted(value: ir.Value) -> Wanted:
    """Return what all readers of an input can take."""
    found = list(_asked(value))
    exact = [each for each in found if isinstance(each, Exactly)]
    if exact:
        return exact[0]
    ranges = [each for each in found if isinstance(each, IntegerRange)]
    if ranges:
        return IntegerRange(max(each.low for each in ranges), min(each.high for each in ranges))
    if value.dtype in _BYTES:
        return _BYTES[value.dtype]
    return _COIN if _is_condition(value) else _SMALL


_COIN, _SMALL, _POSITIVE = IntegerRange(0, 2), IntegerRange(0, 10), IntegerRange(1, 10)
_BYTES = {ir.DataType.UINT8: IntegerRange(0, 256), ir.DataType.INT8: IntegerRange(-128, 128)}


def _is_condition(value: ir.Value, seen: frozenset[ir.Value] = frozenset()) -> bool:
    """Return whether a value, or one with the same elements, is only compared or cast to bool."""
    readers = list(value.consumers())
    return bool(readers) and all(
        user.op_type in ("Equal", "Greater", "Less")
        or (user.op_type == "Cast" and user.outputs[0].dtype is ir.DataType.BOOL)
        or (
            user.op_type in _HANDED_ON
            and user.outputs[0] not in seen
            and _is_condition(user.outputs[0], seen | {user.outputs[0]})
        )
        for user in readers
    )


_HANDED_ON = frozenset(
    ("Cast", "Concat", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze")
)
"""Operators whose first result has elements of their operands."""


def _asked(value: ir.Value, seen: frozenset[ir.Value] = frozenset()) -> Iterator[Wanted]:
    """Iterate over what the readers of a value, and of what has its elements, take."""
    for node, index in value.uses():
        if node.domain in ("", "ai.onnx", "com.microsoft") and (read := _READERS.get((node.op_type, index))):
            if (wanted := read(node)) is not None:
                yield wanted
        elif node.op_type in _HANDED_ON and (index == 0 or node.op_type == "Concat"):
            result = node.outputs[0]
            if result not in seen:
                yield from _asked(result, seen | {result})


# --- readers ---------------------------------------------------------------------------------------------------------


Read = Callable[[ir.Node], Wanted | None]


def _sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return value.shape.numpy()


def _axis(node: ir.Node, default: int = 0) -> int:
    return node.attributes.get_int("axis", default)


def _index_along_axis(node: ir.Node) -> Wanted | None:
    sizes = _sizes(node.inputs[0])
    return None if not sizes else IntegerRange(0, sizes[_axis(node)])


def _index_of_several(node: ir.Node) -> Wanted | None:
    sizes, indices = _sizes(node.inputs[0]), _sizes(node.inputs[1])
    return None if not sizes or not indices else IntegerRange(0, min(sizes[: indices[-1]], default=1))


def _row_of(table: int) -> Read:
    def read(node: ir.Node) -> Wanted | None:
        sizes = _sizes(node.inputs[table]) if table < len(node.inputs) else None
        return None if not sizes else IntegerRange(0, sizes[0])

    return read


def _target_shape(node: ir.Node) -> Wanted | None:
    """Return a shape for all elements: that of the result, else the first sizes of the operand and what is left."""
    stated, source, wanted = _sizes(node.outputs[0]), _sizes(node.inputs[0]), _sizes(node.inputs[1])
    if stated:
        return Exactly(stated)
    if source is None or not wanted:
        return None
    first = (*source, *(1,) * wanted[0])[: wanted[0] - 1]
    rest = int(np.prod(source)) // max(int(np.prod(first)), 1)
    return Exactly((*first, rest))


def _own_shape(node: ir.Node) -> Wanted | None:
    """Return the shape of the operand, with as many axes as are asked for."""
    sizes = _sizes(node.outputs[0]) or _sizes(node.inputs[0])
    position = 3 if node.op_type == "Resize" else 1
    wanted = _sizes(node.inputs[position])
    if sizes is None or not wanted:
        return None
    return Exactly(((*(1,) * wanted[0], *sizes)[-wanted[0] :]) if wanted[0] else ())


def _made_shape(node: ir.Node) -> Wanted | None:
    return Exactly(stated) if (stated := _sizes(node.outputs[0])) else IntegerRange(1, 5)


def _complement(node: ir.Node) -> Wanted | None:
    """Return the range of a mask, 0 and 1, for what is subtracted from 1."""
    return _COIN if _is_everywhere(node.inputs[0], 1) else None


def _penalty(node: ir.Node) -> Wanted | None:
    """Return the range of a mask from which 1 is subtracted and which a large factor turns into a penalty."""
    products = [user for user in node.outputs[0].consumers() if user.op_type == "Mul"]
    factors = [value for user in products for value in user.inputs if value is not node.outputs[0]]
    return _COIN if _is_everywhere(node.inputs[1], 1) and any(_is_large(value) for value in factors) else None


def _is_everywhere(value: ir.Value | None, number: float) -> bool:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return tensor is not None and bool((tensor.numpy() == number).all())


_MIN_PENALTY = 1e3


def _is_large(value: ir.Value | None) -> bool:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.size == 1 and abs(float(tensor.numpy().item())) >= _MIN_PENALTY


def _number(*numbers: int) -> Read:
    return lambda _: Exactly(numbers)


def _axis_of_operand(node: ir.Node) -> Wanted | None:
    sizes = _sizes(node.inputs[0])
    return None if not sizes else IntegerRange(0, len(sizes))


def _slice_axes(node: ir.Node) -> Sequence[int] | None:
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    starts = _sizes(node.inputs[1])
    if axes is None:
        return None if not starts else range(starts[0])
    return None if axes.const_value is None else axes.const_value.numpy().reshape(-1).tolist()


def _slice_end(node: ir.Node) -> Wanted | None:
    sizes, axes = _sizes(node.inputs[0]), _slice_axes(node)
    return None if sizes is None or axes is None else Exactly(tuple(sizes[axis] for axis in axes))


def _slice_start(node: ir.Node) -> Wanted | None:
    starts = _sizes(node.inputs[1])
    return Exactly((0,) * (starts[0] if starts else 1))


def _count_along_axis(node: ir.Node) -> Wanted | None:
    sizes = _sizes(node.inputs[0])
    return None if not sizes else IntegerRange(1, sizes[_axis(node, -1)] + 1)


def _equal_parts(node: ir.Node) -> Wanted | None:
    sizes = _sizes(node.inputs[0])
    return None if not sizes else Exactly((sizes[_axis(node)] // max(len(node.outputs), 1),) * len(node.outputs))


def _steps(node: ir.Node) -> Wanted | None:
    """Return lengths of sequences; the axis of time is the first, unless an attribute tells another."""
    sizes = _sizes(node.inputs[0])
    if not sizes or len(sizes) < 2:
        return None
    axis = node.attributes.get_int("time_axis", node.attributes.get_int("layout", 0))
    return IntegerRange(1, sizes[axis] + 1)


def _classes(node: ir.Node) -> Wanted | None:
    sizes = _sizes(node.inputs[0])
    return None if not sizes or len(sizes) < 2 else IntegerRange(0, sizes[1])


def _depth(node: ir.Node) -> Wanted | None:
    depth = node.inputs[1]
    if depth is None or depth.const_value is None:
        return None
    return IntegerRange(0, int(depth.const_value.numpy().reshape(-1)[0]))


_READERS: Mapping[tuple[str, int], Read] = {
    ("Gather", 1): _index_along_axis,
    ("GatherElements", 1): _index_along_axis,
    ("ScatterElements", 1): _index_along_axis,
    ("Scatter", 1): _index_along_axis,
    ("GatherND", 1): _index_of_several,
    ("ScatterND", 1): _index_of_several,
    ("EmbedLayerNormalization", 0): _row_of(2),
    ("EmbedLayerNormalization", 1): _row_of(4),
    ("GatherBlockQuantized", 1): _row_of(0),
    ("RotaryEmbedding", 1): _row_of(2),
    ("Reshape", 1): _target_shape,
    ("Expand", 1): _own_shape,
    ("Resize", 3): _own_shape,
    ("ConstantOfShape", 0): _made_shape,
    ("Tile", 1): _number(1),
    ("Slice", 1): _slice_start,
    ("Slice", 2): _slice_end,
    ("Slice", 3): _axis_of_operand,
    ("Slice", 4): _number(1),
    ("Split", 1): _equal_parts,
    ("Pad", 1): lambda _: _COIN,
    ("TopK", 1): _count_along_axis,
    ("OneHot", 0): _depth,
    ("OneHot", 1): lambda _: IntegerRange(2, 10),
    ("NonMaxSuppression", 2): lambda _: _POSITIVE,
    ("Loop", 0): lambda _: IntegerRange(1, 5),
    ("Range", 0): _number(0),
    ("Range", 1): lambda _: _POSITIVE,
    ("Range", 2): _number(1),
    ("Div", 1): lambda _: _POSITIVE,
    ("Mod", 1): lambda _: _POSITIVE,
    ("Sub", 0): _penalty,
    ("Sub", 1): _complement,
    ("LSTM", 4): _steps,
    ("GRU", 4): _steps,
    ("RNN", 4): _steps,
    ("ReverseSequence", 1): _steps,
    ("CumSum", 1): _axis_of_operand,
    ("Unsqueeze", 1): _number(0),
    ("NegativeLogLikelihoodLoss", 1): _classes,
    ("SoftmaxCrossEntropyLoss", 1): _classes,
    ("SequenceAt", 1): _number(0),
    **{
        (f"Reduce{name}", 1): _axis_of_operand
        for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    },
}
"""The values that operators take for an operand, by its index."""
