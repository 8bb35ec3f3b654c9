"""Merges two instances of one graph, of different sizes, into a graph that takes any size.

Where both agree, nothing changes. What depends on a size and is not told by the shapes of operands is computed at run
time by SHAPE, CONCATENATION, GATHER and MUL, and ADD, SUB, FLOOR_DIV or CAST where need be; what is repeated, by
BROADCAST_TO or TILE. LiteRT does the first four, and what follows from them, as it allocates tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layoutopt.formula import (
    REST,
    Formula,
    Placeholder,
    Prefer,
    Source,
    express,
    repeated_block,
    repeats_of,
    reshape_target,
)
from layoutopt.tfl import build as tfl
from layoutopt.tfl.build.control_flow import common_shape
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.opset import definition

Sizes = tuple[int, ...]


class MergeError(ValueError):
    """The two graphs differ in more than sizes."""


def merge_sizes(
    first: Graph, second: Graph, prefer: Prefer, placeholders: Mapping[Value, Placeholder] | None = None
) -> dict[Value, Sizes]:
    """Merge a graph with its counterpart of other sizes.

    Args:
        first: of static sizes; becomes the graph that takes any size.
        second: the same at other sizes; values and operations are its counterparts in the order in which they stand.
        prefer: where numbers that depend on a size are taken from.
        placeholders: inputs that stand for something else, which takes their places; ``first`` loses them.

    Returns:
        The shape that each value of ``first``, and of the bodies in it, had before; only of those that have no static
        shape now.

    Raises:
        MergeError: the two differ in more than sizes; names the operation.
    """
    before: dict[Value, Sizes] = {}
    _Merger(first, second, prefer, before, placeholders or {}).run()
    first.inputs = [value for value in first.inputs if value not in (placeholders or {})]
    return before


class _Merger:
    """Walk through the operations of two graphs at once and edit the first graph; bodies have mergers of their own.

    Args:
        graph: to be edited.
        twin: its counterpart.
        prefer: where numbers that depend on a size are taken from.
        before: takes the shapes of values that lose theirs.
        placeholders: inputs of the main graph, and what to put in their places.
        within: the operation whose bodies the graphs are, for errors.
    """

    def __init__(
        self,
        graph: Graph,
        twin: Graph,
        prefer: Prefer,
        before: dict[Value, Sizes],
        placeholders: Mapping[Value, Placeholder],
        within: str = "",
    ) -> None:
        self._placeholders = placeholders
        self._put_back: dict[Value, Value] = {}
        self._graph, self._twin, self._prefer, self._before, self._within = graph, twin, prefer, before, within
        self._pairs: dict[Value, Value] = {}
        self._shapes: dict[Value, tuple[Sizes, Sizes]] = {}
        self._joined: dict[tuple[Value, ...], Value] = {}
        self._known: dict[tuple[Formula[Value], Sizes, np.dtype[Any]], Value] = {}
        self._repeated: dict[tuple[Value, Formula[Value]], Value] = {}

    def run(self) -> None:
        """Edit the graph.

        Raises:
            MergeError: the two differ in more than sizes.
        """
        self._pair(self._graph.inputs, self._twin.inputs, self._within or "the graph's inputs")
        operations, self._graph.operations = self._graph.operations, []
        with tfl.recording(self._graph):
            for operation, twin in self._operation_pairs(operations):
                with tfl.scope(f"{operation.scope}/sizes"):
                    for at in range(len(operation.operands)):
                        self._operand(operation, twin, at)
                for body, other in zip(operation.bodies, twin.bodies, strict=True):
                    _Merger(body, other, self._prefer, self._before, {}, _called(operation)).run()
                self._graph.operations.append(operation)
                self._pair(operation.results, twin.results, _called(operation))
        self._require_same_outputs()

    def _pair(self, values: Sequence[Value], twins: Sequence[Value], called: str) -> None:
        if len(values) != len(twins):
            raise MergeError(f"{called} number {len(values)} at one size and {len(twins)} at another")
        for value, twin in zip(values, twins, strict=True):
            self._pairs[value] = twin
            if value.is_static and twin.is_static:
                if value.rank == twin.rank:
                    self._shapes[value] = value.sizes, twin.sizes
                if value.shape != twin.shape:
                    self._before[value] = value.sizes
            value.shape = common_shape(value.shape, twin.shape)

    def _operation_pairs(self, operations: Sequence[Operation]) -> Iterator[tuple[Operation, Operation]]:
        """Yield the operations of both graphs, of which all but operands and shapes must be equal."""
        twins = self._twin.operations
        for operation, twin in zip(operations, twins, strict=False):
            if operation.code != twin.code or len(operation.operands) != len(twin.operands):
                raise MergeError(f"{_called(operation)} is a {twin.code} at another size")
            if not _equal_options(operation, twin):
                raise MergeError(f"the options of {_called(operation)} depend on the size")
            yield operation, twin
        if len(operations) != len(twins):
            where = f"a body of {self._within}" if self._within else "the graph"
            raise MergeError(f"{where} has {len(operations)} operators at one size and {len(twins)} at another")

    def _require_same_outputs(self) -> None:
        where = f"a body of {self._within}" if self._within else "the graph"
        if len(self._graph.outputs) != len(self._twin.outputs):
            raise MergeError(f"{where} has other outputs at another size")
        for at, (value, twin) in enumerate(zip(self._graph.outputs, self._twin.outputs, strict=True)):
            if value.is_constant and twin.is_constant:
                if not _equal(value.array, twin.array):
                    raise MergeError(f"output {at} of {where} is a constant that depends on the size")
            elif self._pairs.get(value) is not twin:
                raise MergeError(f"output {at} of {where} is another value at another size")

    # --- operands that depend on a size ----------------------------------------------------------------------------

    def _operand(self, operation: Operation, twin: Operation, at: int) -> None:
        value, other = operation.operands[at], twin.operands[at]
        if value is None or other is None or value.data is None or other.data is None:
            same = value is other if value is None else self._pairs.get(value) is other
            if not same or (value is not None and other is None):
                raise MergeError(f"operand {at} of {_called(operation)} is another one at another size")
            if value is not None and value in self._placeholders:
                operation.operands[at] = self._restored(operation, value)
            return
        if _equal(value.data, other.data):
            return
        if value.dtype in (DType.INT32, DType.INT64) and value.shape == other.shape and value.rank <= 2:
            replacement = self._numbers(operation, at, value.data, other.data)
        else:
            replacement = self._repetition(operation, at, value, other)
        if replacement is None:
            raise MergeError(f"operand {at} of {_called(operation)} is a constant that depends on the size")
        operation.operands[at] = replacement
        if (operation.code, at) == ("RESHAPE", 1):
            operation.options["new_shape"] = replacement.data

    def _restored(self, operation: Operation, value: Value) -> Value:
        """Compute the value that an input stands for before ``operation``, which is the first to read it."""
        if value not in self._put_back:
            placeholder = self._placeholders[value]
            if placeholder.table is not None:
                self._put_back[value] = Value.constant(placeholder.table.astype(value.dtype.numpy))
            else:
                self._put_back[value] = self._recomputed(operation, value, placeholder)
        return self._put_back[value]

    def _recomputed(self, operation: Operation, value: Value, placeholder: Placeholder) -> Value:
        """Return numbers that count up to a size, or are repeated."""
        shape, twin = self._shapes[value]
        formula = express(shape, twin, list(self._sources(operation)), self._prefer)
        if formula is None:
            raise MergeError(f"what {_called(operation)} reads has a shape, {list(shape)}, that follows no size")
        if placeholder.element is not None:
            element = placeholder.element.astype(value.dtype.numpy).reshape(())
            result = tfl.fill(self._compute(formula, (len(shape),)), element)
        else:
            result = self._range(self._compute(formula, (1,)), value.dtype, placeholder)
        result.shape = common_shape(shape, twin)
        return result

    @staticmethod
    def _range(count: Value, dtype: DType, placeholder: Placeholder) -> Value:
        assert placeholder.steps is not None
        start, step = (each.astype(dtype.numpy) for each in placeholder.steps)
        result = tfl.cast(tfl.range_(np.int32(0), tfl.reshape(count, ()), np.int32(1)), dtype)
        result = result * step if step != 1 else result
        return result + start if start != 0 else result

    def _numbers(self, operation: Operation, at: int, first: Array, second: Array) -> Value | None:
        """Return sizes, places and the like as an operand that is right at any size."""
        one, two = first.reshape(-1).tolist(), second.reshape(-1).tolist()
        sources = list(self._sources(operation))
        match operation.code, at:
            case "RESHAPE", 1:
                formula = reshape_target(one, two, sources, self._prefer)
                return None if formula is None else self._compute(formula, first.shape)
            case "SLICE", 2:
                self._open_sizes(operation, one, two)
            case "STRIDED_SLICE", 2:
                self._mask_ends(operation, one, two)
        formula = express(one, two, sources, self._prefer)
        return None if formula is None else self._compute(formula, first.shape, first.dtype)

    def _sources(self, operation: Operation) -> Iterator[Source[Value]]:
        own = [operand for operand in operation.operands if operand is not None]
        for distance, values in enumerate((own, self._graph.inputs, reversed(self._pairs))):
            for value in values:
                if value in self._shapes and value not in self._placeholders:
                    yield Source(value, *self._shapes[value], distance)

    def _open_sizes(self, operation: Operation, one: list[int], two: list[int]) -> None:
        """Put -1 for those sizes of a SLICE that reach to the end of the axis in both graphs."""
        source, begins = operation[0], operation[1]
        if source not in self._shapes or begins.data is None:
            return
        full, other = self._shapes[source]
        for axis, start in enumerate(begins.data.tolist()):
            if one[axis] != two[axis] and start + one[axis] == full[axis] and start + two[axis] == other[axis]:
                one[axis] = two[axis] = REST

    def _mask_ends(self, operation: Operation, one: list[int], two: list[int]) -> None:
        """Mask those ends of a STRIDED_SLICE that are the end of the axis in both graphs."""
        options, source = operation.options, operation[0]
        if source not in self._shapes or options["ellipsis_mask"] or options["new_axis_mask"]:
            return
        full, other = self._shapes[source]
        for axis in range(len(one)):
            if one[axis] != two[axis] and one[axis] >= full[axis] and two[axis] >= other[axis]:
                options["end_mask"] |= 1 << axis
                two[axis] = one[axis]

    def _repetition(self, operation: Operation, at: int, value: Value, other: Value) -> Value | None:
        """Return a constant that repeats a block along a symbolic axis: one block, repeated at run time if needed."""
        if (array := repeated_block(value.array, other.array)) is None:
            return None
        block = Value(value.dtype, array.shape, array, quantization=value.quantization)
        shapes = value.sizes, other.sizes
        single = all(part == 1 for part, one, two in zip(array.shape, *shapes, strict=True) if one != two)
        if single and (definition(operation.code).broadcasts or operation.code == "PRELU"):
            others = [each for index, each in enumerate(operation.operands) if index != at and each in self._shapes]
            if any(self._shapes[each][0][-array.ndim :] == value.shape for each in others if each is not None):
                return block
        first, second = shapes if single else (repeats_of(array, shape) for shape in shapes)
        formula = express(first, second, list(self._sources(operation)), self._prefer)
        if formula is None:
            return None
        if (value, formula) not in self._repeated:
            repeat = tfl.broadcast_to if single else tfl.tile
            whole = repeat(block, self._compute(formula, (len(formula.factors),)))
            whole.shape, whole.quantization = common_shape(value.shape, other.shape), value.quantization
            self._before[whole] = value.sizes
            self._repeated[value, formula] = whole
        return self._repeated[value, formula]

    # --- formulas --------------------------------------------------------------------------------------------------

    def _compute(self, formula: Formula[Value], shape: Sizes, kind: npt.DTypeLike = np.int32) -> Value:
        """Return the numbers that a formula describes, in this shape; equal ones are computed once."""
        key = formula, shape, np.dtype(kind)
        if key not in self._known:
            self._known[key] = self._computed(*key)
        return self._known[key]

    def _computed(self, formula: Formula[Value], shape: Sizes, kind: np.dtype[Any]) -> Value:
        def numbers(each: Sequence[int], kind: npt.DTypeLike = kind) -> Array:
            return np.array(each, kind).reshape(shape)

        def gathered(row: Sequence[int]) -> Value:
            return tfl.cast(tfl.gather(sizes, numbers(row, np.int32)), DType.of(kind))

        factors, addends, divisors = map(numbers, (formula.factors, formula.addends, formula.divisors))
        if not formula.tensors:
            return Value.constant(factors)
        if formula.tensors not in self._joined:
            shapes = [tfl.shape_of(tensor) for tensor in formula.tensors]
            self._joined[formula.tensors] = tfl.concatenation([*shapes, np.ones(1, np.int32)], 0)
        sizes = self._joined[formula.tensors]
        result, *others = map(gathered, formula.indices)
        for other in others:
            result = result * other
        result = result * factors if (factors != 1).any() else result
        result = result + addends if addends.any() else result
        if max(formula.less) >= 0:
            result = result - gathered(np.maximum(formula.less, 0).tolist()) * (numbers(formula.less) >= 0).astype(kind)
        return tfl.floor_div(result, divisors) if (divisors != 1).any() else result


def _equal(one: Array, other: Array) -> bool:
    """Return whether two constants have the same bits."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.hasobject:
        return bool(np.array_equal(one, other))
    bits, others = (np.ascontiguousarray(each).reshape(-1).view(np.uint8) for each in (one, other))
    return bool(np.array_equal(bits, others))


def _equal_options(one: Operation, other: Operation) -> bool:
    """Return whether two operations do the same; the target of a RESHAPE stands in its operand, too."""
    skipped = {"new_shape"} if len(one.operands) > 1 else set()
    names = (one.options.keys() | other.options.keys()) - skipped
    return all(np.array_equal(_option(one.options, name), _option(other.options, name)) for name in names)


def _option(options: Mapping[str, Any], name: str) -> Any:
    found = options.get(name)
    return "" if found is None else found


def _called(operation: Operation) -> str:
    """Return the operator and the ONNX node that it comes from."""
    return f"{operation.code} {operation.scope!r}"
