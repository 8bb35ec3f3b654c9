"""Two instances of one graph, of different sizes, become one in which these sizes are symbolic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import DynamicShapeError
from layoutopt.formula import (
    Formula,
    Placeholder,
    Prefer,
    Shape,
    Source,
    express,
    repeated_block,
    repeats_of,
    reshape_target,
)
from layoutopt.ir import edit
from layoutopt.ir.placeholders import write_range
from layoutopt.ir.symbols import KEEP_FEWER, Sizes, format_sizes
from layoutopt.ir.values import constant_of

_TO_THE_END = 2**63 - 1
"""The end that ONNX gives a Slice that has none."""

_BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Where", "Min", "Max", "PRelu"})

Array = npt.NDArray[np.generic]


def merge_models(
    first: ir.Model,
    second: ir.Model,
    sizes: tuple[Sizes, Sizes],
    prefer: Prefer,
    placeholders: Mapping[str, Placeholder] | None = None,
) -> ir.Model:
    """Return a copy of ``first`` that computes what either does, and whatever lies between and beyond.

    Args:
        first: of static shapes, as the pipeline left it.
        second: the same at other sizes.
        sizes: of the symbols in the two.
        prefer: where numbers that depend on a size are taken from.
        placeholders: what some inputs stand for, by their names; the result has no such inputs.

    Raises:
        DynamicShapeError: the two differ in more than sizes; names the node.
    """
    merged = first.clone()
    named = {str(value.name): value for value in merged.graph.inputs}
    stand_ins = {named[name]: placeholder for name, placeholder in (placeholders or {}).items()}
    _Merger(merged.graph, second.graph, sizes, prefer, stand_ins).run()
    for value in stand_ins:
        merged.graph.inputs.remove(value)
    return merged


class _Merger:
    """Walk through two graphs at once and edit the first one; bodies of control flow have mergers of their own.

    Args:
        graph: to be edited.
        other: its counterpart.
        sizes: of the symbols in the two.
        prefer: where numbers that depend on a size are taken from.
        placeholders: inputs of the main graph, and what to put in their places.
        around: values that the nodes around a body see, with their counterparts.
    """

    def __init__(
        self,
        graph: ir.Graph,
        other: ir.Graph,
        sizes: tuple[Sizes, Sizes],
        prefer: Prefer,
        placeholders: Mapping[ir.Value, Placeholder],
        around: Mapping[ir.Value, ir.Value] | None = None,
    ) -> None:
        self.graph, self.sizes, self.prefer, self.placeholders = graph, sizes, prefer, placeholders
        self.put_back: dict[ir.Value, ir.Value] = {}
        self.symbols = {(sizes[0][name], sizes[1][name]): name for name in sizes[0]}
        self.nodes, self.others = list(graph), list(other)
        self.pairs = {**(around or {}), **dict(zip(graph.inputs, other.inputs, strict=True))}
        self.outputs = dict(zip(graph.outputs, other.outputs, strict=True))
        self.own = {*graph.inputs, *graph.outputs, *(value for node in graph for value in node.outputs)}

    def run(self) -> None:
        for node, other in self._node_pairs():
            for at in range(len(node.inputs)):
                self._operand(node, other, at)
            for body, counterpart in zip(edit.bodies_of(node), edit.bodies_of(other), strict=True):
                _Merger(body, counterpart, self.sizes, self.prefer, self.placeholders, self.pairs).run()
            self.pairs.update(zip(node.outputs, other.outputs, strict=True))
        for value, twin in self.outputs.items():
            self._output(value, twin)
        for value, twin in {**self.pairs, **self.outputs}.items():
            if value in self.own:
                value.shape = _symbolic(value.shape, twin.shape, self.symbols)

    def _node_pairs(self) -> Iterator[tuple[ir.Node, ir.Node]]:
        for node, other in zip(self.nodes, self.others, strict=False):
            if node.op_identifier() != other.op_identifier() or len(node.inputs) != len(other.inputs):
                raise _refused(
                    f"in place of {_called(node)} there is a {other.op_type} at {format_sizes(self.sizes[1])}"
                )
            if (name := _differing_attribute(node, other)) is not None:
                raise _refused(f"attribute {name!r} of {_called(node)} depends on the size")
            yield node, other
        if len(self.nodes) != len(self.others):
            raise _refused(
                f"the graph has {len(self.nodes)} nodes at {format_sizes(self.sizes[0])} and "
                f"{len(self.others)} at {format_sizes(self.sizes[1])}"
            )

    def _operand(self, node: ir.Node, other: ir.Node, at: int) -> None:
        value, twin = node.inputs[at], other.inputs[at]
        if value is None or twin is None:
            same = value is twin
        elif value.const_value is not None and twin.const_value is not None:
            self._constant(node, at, value.const_value.numpy(), twin.const_value.numpy())
            return
        else:
            same = self.pairs.get(value) is twin
        if not same:
            raise _refused(f"operand {at} of {_called(node)} is another one at {format_sizes(self.sizes[1])}")
        if value is not None and value in self.placeholders:
            node.replace_input_with(at, self._put_back(node, value))

    def _put_back(self, node: ir.Node, value: ir.Value) -> ir.Value:
        """Compute the value that an input stands for before ``node``, which is the first to read it."""
        if value not in self.put_back:
            placeholder, name = self.placeholders[value], str(value.name)
            assert value.dtype is not None
            write = edit.Writer(self.graph, node, name, value.dtype)
            self.put_back[value] = (
                write.constant(placeholder.table) if placeholder.table is not None else self._computed(write, value)
            )
        return self.put_back[value]

    def _computed(self, write: edit.Writer, value: ir.Value) -> ir.Value:
        """Return numbers that count up to a size, or are repeated."""
        assert value.shape is not None
        shape, twin = value.shape.numpy(), self._twin_shape(value)
        formula = express(shape, twin, list(self._sources(write.place)), self.prefer)
        if formula is None:
            raise _refused(f"what {_called(write.place)} reads has a shape, {list(shape)}, that follows no size")
        sizes, placeholder = self._write(write.place, formula), self.placeholders[value]
        stated = _symbolic(ir.Shape(shape), ir.Shape(twin), self.symbols)
        assert stated is not None
        if placeholder.element is None:
            return write_range(write, placeholder, sizes, stated)
        result = write("Expand", shape, write.constant(placeholder.element), sizes)
        result.shape = stated
        return result

    def _output(self, value: ir.Value, twin: ir.Value) -> None:
        if value.const_value is not None and twin.const_value is not None:
            same = np.array_equal(value.const_value.numpy(), twin.const_value.numpy())
        else:
            same = self.pairs.get(value) is twin
        if not same:
            raise _refused(
                f"output {value.name!r} of graph {self.graph.name!r} is another one at {format_sizes(self.sizes[1])}"
            )

    def _constant(self, node: ir.Node, at: int, first: Array, second: Array) -> None:
        """Make a constant operand that depends on the size independent of it."""
        if first.shape == second.shape and np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            return
        if first.dtype == np.int64 and first.ndim == 1 and first.shape == second.shape:
            replacement = self._sizes(node, at, first, second)
        else:
            replacement = self._repeated(node, at, first, second)
        if replacement is None:
            raise _refused(f"operand {at} of {_called(node)} is a constant that depends on the size")
        node.replace_input_with(at, replacement)

    def _sizes(self, node: ir.Node, at: int, first: Array, second: Array) -> ir.Value | None:
        one, two = first.tolist(), second.tolist()
        sources = list(self._sources(node))
        formula: Formula[ir.Value] | None
        if (node.op_type, at) == ("Reshape", 1):
            formula = reshape_target(one, two, sources, self.prefer)
        elif (node.op_type, at) == ("Slice", 2) and (open_ends := self._open_ends(node, one, two)) is not None:
            formula = express(*open_ends, sources, self.prefer)
        else:
            formula = express(one, two, sources, self.prefer)
        return self._write(node, formula) if formula is not None else None

    def _open_ends(self, node: ir.Node, first: list[int], second: list[int]) -> tuple[list[int], list[int]] | None:
        """Return the ends of a Slice, with those that are the end of the axis in both instances beyond any size."""
        source = node.inputs[0]
        axes = constant_of(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
        if source not in self.pairs or source.shape is None:
            return None
        shapes = source.shape.numpy(), self._twin_shape(source)
        where = axes.numpy().tolist() if axes is not None else range(len(first))
        at_end = [
            one >= shapes[0][axis] and two >= shapes[1][axis]
            for axis, one, two in zip(where, first, second, strict=True)
        ]
        ends = [
            [_TO_THE_END if end else size for end, size in zip(at_end, each, strict=True)] for each in (first, second)
        ]
        return ends[0], ends[1]

    def _repeated(self, node: ir.Node, at: int, first: Array, second: Array) -> ir.Value | None:
        """Return a constant that folding repeated along a symbolic axis: one block, repeated at run time if needed."""
        if (block := repeated_block(first, second)) is None:
            return None
        write = edit.Writer(self.graph, node, f"{node.outputs[0].name}_once", ir.DataType.from_numpy(block.dtype))
        value, shapes = write.constant(block), (first.shape, second.shape)
        single = all(part == 1 for part, *sizes in zip(block.shape, *shapes, strict=True) if sizes[0] != sizes[1])
        broadcasts = single and node.domain == "" and node.op_type in _BROADCASTING
        if broadcasts and self._others_span(node, at, first.shape):
            return value
        one, two = shapes if single else (repeats_of(block, shape) for shape in shapes)
        formula = express(one, two, list(self._sources(node)), self.prefer)
        if formula is None:
            return None
        whole = write("Expand" if single else "Tile", first.shape, value, self._write(node, formula))
        whole.shape = _symbolic(ir.Shape(first.shape), ir.Shape(second.shape), self.symbols)
        return whole

    def _others_span(self, node: ir.Node, at: int, shape: Shape) -> bool:
        """Return whether the other operands have all sizes of ``shape``, so that a single element is broadcast."""
        others = [value for index, value in enumerate(node.inputs) if index != at and value is not None]
        shapes = [value.shape.numpy() for value in others if value in self.pairs and value.shape is not None]
        return any(len(each) >= len(shape) and each[len(each) - len(shape) :] == shape for each in shapes)

    def _sources(self, node: ir.Node) -> Iterator[Source[ir.Value]]:
        own = [value for value in node.inputs if value in self.pairs and value not in self.placeholders]
        for distance, values in enumerate((own, self.graph.inputs, reversed(self.pairs))):
            for value in values:
                if value is None or value in self.placeholders or value.shape is None:
                    continue
                if value.shape.is_static():
                    yield Source(value, value.shape.numpy(), self._twin_shape(value), distance)

    def _twin_shape(self, value: ir.Value) -> Shape:
        shape = self.pairs[value].shape
        assert shape is not None
        return shape.numpy()

    def _write(self, node: ir.Node, formula: Formula[ir.Value]) -> ir.Value:
        """Return the vector that ``formula`` describes, computed before ``node``."""
        write = edit.Writer(self.graph, node, f"{node.outputs[0].name}_sizes", ir.DataType.INT64)
        if not formula.tensors:
            return write.constant(np.array(formula.factors, np.int64))
        ranks = [len(tensor.shape or ()) for tensor in formula.tensors]
        shapes = [write("Shape", (rank,), tensor) for rank, tensor in zip(ranks, formula.tensors, strict=True)]
        one = write.constant(np.ones(1, np.int64))
        joined = write("Concat", (sum(ranks) + 1,), *shapes, one, attributes={"axis": 0})
        length = (len(formula.factors),)
        gathered = [write("Gather", length, joined, write.constant(np.array(row, np.int64))) for row in formula.indices]
        result = gathered[0]
        for dimensions in gathered[1:]:
            result = write("Mul", length, result, dimensions)

        def apply(operator: str, numbers: Sequence[int], neutral: int, result: ir.Value) -> ir.Value:
            if all(number == neutral for number in numbers):
                return result
            return write(operator, length, result, write.constant(np.array(numbers, np.int64)))

        result = apply("Add", formula.addends, 0, apply("Mul", formula.factors, 1, result))
        if any(index >= 0 for index in formula.less):
            less = write("Gather", length, joined, write.constant(np.maximum(formula.less, 0)))
            result = write("Sub", length, result, apply("Mul", [int(index >= 0) for index in formula.less], 1, less))
        return apply("Div", formula.divisors, 1, result)


def _symbolic(
    shape: ir.Shape | None, other: ir.Shape | None, symbols: Mapping[tuple[int, int], str]
) -> ir.Shape | None:
    """Return the common shape of two; the sizes in which they differ become symbolic, with a name where it is known."""
    if shape is None or other is None or len(shape) != len(other):
        return None
    return ir.Shape(
        [
            one if one == two else symbols.get((one, two)) if isinstance(one, int) and isinstance(two, int) else None
            for one, two in zip(shape, other, strict=True)
        ]
    )


def _differing_attribute(node: ir.Node, other: ir.Node) -> str | None:
    names = [*node.attributes, *(name for name in other.attributes if name not in node.attributes)]
    return next((name for name in names if not _same(node.attributes.get(name), other.attributes.get(name))), None)


def _same(one: ir.Attr | None, other: ir.Attr | None) -> bool:
    if one is None or other is None or one.type != other.type:
        return False
    if one.type == ir.AttributeType.GRAPH:  # which a merger of their own compares
        return True
    return bool(ir.to_proto(one) == ir.to_proto(other))


def _called(node: ir.Node) -> str:
    return f"{node.op_type} node {node.name!r}"


def _refused(why: str) -> DynamicShapeError:
    return DynamicShapeError(f"the dimension cannot stay symbolic: {why}", hint=KEEP_FEWER)
