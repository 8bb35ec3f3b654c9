"""The constants that folding would freeze at one size: tables that are cut to it, counts up to it, repetitions.

While a model is rewritten at two sizes they are inputs, which nothing folds; merging puts them back. A position
embedding ``table[:, :length]`` stays a Slice with an end that is computed, and ``Range(0, width)`` stays a Range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.formula import Placeholder
from layoutopt.ir import edit
from layoutopt.ir.values import constant_of, is_constant
from layoutopt.ir.verify import random_inputs, run_onnx

Array = npt.NDArray[np.generic]

_PREFIX = "layoutopt_placeholder_"


def is_placeholder(name: str | None) -> bool:
    """Say whether an input of this name stands for what must not be folded."""
    return name is not None and name.startswith(_PREFIX)


@dataclass(frozen=True, slots=True)
class _Place:
    """A node that reads a size, and which of its operands tell it.

    Attributes:
        node: a Range, a ConstantOfShape, an Expand of one element, or a Slice of constants.
        sizes: the operands.
    """

    node: ir.Node
    sizes: tuple[ir.Value, ...]

    @property
    def stands_for(self) -> ir.Value:
        """Return the value that becomes an input: the table of a Slice, the result of the others."""
        value = self.node.inputs[0] if self.node.op_type == "Slice" else self.node.outputs[0]
        assert value is not None
        return value


def insert_placeholders(models: Sequence[ir.Model], seed: int) -> dict[str, Placeholder]:
    """Make inputs of what depends on the size in no other way than by being cut to it, in place.

    Args:
        models: the same model at different static sizes, whose shapes are inferred.
        seed: of random inputs.

    Returns:
        What each new input stands for, by its name.
    """
    places = [list(_places(model.graph)) for model in models]
    if not places[0]:
        return {}
    values = [_values(model, each, seed) for model, each in zip(models, places, strict=True)]
    found: dict[str, Placeholder] = {}
    for at, place in enumerate(places[0]):
        names = [str(value.name) for value in place.sizes]
        if all(np.array_equal(each[name], values[0][name]) for each in values[1:] for name in names):
            continue
        name = f"{_PREFIX}{place.stands_for.name}"
        if name not in found and (placeholder := _placeholder(place, values[0])) is not None:
            found[name] = placeholder
            for model, every, known in zip(models, places, values, strict=True):
                _replace(model.graph, every[at].stands_for, name, known)
    return found


def _places(graph: ir.Graph) -> Iterator[_Place]:
    """Yield the nodes of a graph that a size may reach, all of whose other operands are constants."""
    fixed = _derived(graph)
    sized = _derived(graph, "Shape", "Size")
    for node in graph:
        operands = [value for value in node.inputs[1:] if value is not None]
        if node.domain != "" or node.outputs[0].is_graph_output():
            continue
        if node.op_type == "Range" and len(operands) == 2 and fixed.issuperset((node.inputs[0], operands[1])):
            yield from [_Place(node, (operands[0],))] * (operands[0] not in fixed)
        elif node.op_type == "ConstantOfShape" and node.inputs[0] not in fixed and _is_joined(node, sized):
            assert node.inputs[0] is not None
            yield _Place(node, (node.inputs[0],))
        elif node.op_type == "Expand" and operands[0] not in fixed and _is_one_element(node.inputs[0]):
            yield from [_Place(node, (operands[0],))] * _is_joined(node, sized)
        elif node.op_type == "Slice" and node.inputs[0] in fixed:
            sizes = tuple(value for value in operands if value not in fixed)
            yield from [_Place(node, sizes)] * bool(sizes)


def _is_one_element(value: ir.Value | None) -> bool:
    tensor = constant_of(value) if value is not None else None
    return tensor is not None and tensor.size == 1


def _is_joined(node: ir.Node, sized: set[ir.Value | None]) -> bool:
    """Say whether what is repeated is joined with other numbers or counted, so that folding leaves no repetition."""
    if node.op_type in _JOINING:
        return sized.issuperset(node.inputs)
    readers = node.outputs[0].consumers() if sized.issuperset(node.outputs) else ()
    return any(_is_joined(each, sized) for each in readers if each.op_type in _JOINING | _PASSING)


_JOINING = frozenset({"Concat", "CumSum", "NonZero", "Trilu"})
_PASSING = frozenset(
    {
        *("Add", "Cast", "Div", "Expand", "Gather", "Mul"),
        *("Reshape", "Resize", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    }
)


def _derived(graph: ir.Graph, *roots: str) -> set[ir.Value | None]:
    """Return the values that are computed from constants alone, and from the results of these operators."""
    fixed: set[ir.Value | None] = {value for value in graph.initializers.values() if not value.is_graph_input()}
    fixed.add(None)
    for node in graph:
        bodies = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
        if (node.op_type in roots or fixed.issuperset(node.inputs)) and not bodies:
            fixed.update(node.outputs)
    return fixed


def _values(model: ir.Model, places: Sequence[_Place], seed: int) -> Mapping[str, Array]:
    """Compute the operands of the nodes, and the values that become inputs, at the sizes of ``model``."""
    asked = {
        str(value.name)
        for place in places
        for value in (place.stands_for, *place.sizes, *place.node.inputs)
        if value is not None
    }
    known = {
        str(value.name): value.const_value.numpy()
        for value in model.graph.initializers.values()
        if value.const_value is not None
    }
    probe = model.clone()
    outputs = [value for node in probe.graph for value in node.outputs if value.name in asked - known.keys()]
    probe.graph.outputs.extend(value for value in outputs if not value.is_graph_output())
    return {**known, **run_onnx(probe, random_inputs(model, seed))}


def _placeholder(place: _Place, values: Mapping[str, Array]) -> Placeholder | None:
    """Return the nodes to put back after folding; None if there are none."""
    operands = [values[str(value.name)] for value in place.node.inputs if value is not None]
    if place.node.op_type == "Slice":
        return Placeholder(table=operands[0])
    if place.node.op_type in ("ConstantOfShape", "Expand"):
        return Placeholder(element=values[str(place.stands_for.name)].reshape(-1)[:1])
    start, _, step = operands
    return Placeholder(steps=(start, step)) if step != 0 else None


def delay_readers(graph: ir.Graph) -> None:
    """Let nodes that only placeholders and constants reach run right before what needs them.

    What they count up to may be the size of something that is computed only then.
    """
    early = {value for value in graph.inputs if is_placeholder(value.name)}
    held: dict[ir.Node, None] = {}
    for node in tuple(graph):
        read = [value for value in node.inputs if value is not None and not is_constant(value)]
        if read and early.issuperset(read) and not any(value.is_graph_output() for value in node.outputs):
            early.update(node.outputs)
            held[node] = None
            continue
        needed = _needed(node, held)
        for each in [each for each in held if each in needed]:
            del held[each]
            graph.remove(each)
            graph.insert_before(node, each)


def _needed(node: ir.Node, held: Collection[ir.Node]) -> set[ir.Node]:
    """Return those nodes of ``held`` that ``node`` reads from, directly or not."""
    found: set[ir.Node] = set()
    waiting = [node, *(inner for body in edit.bodies_of(node) for inner in body.all_nodes())]
    while waiting:
        producers = (value.producer() for value in waiting.pop().inputs if value is not None)
        new = [each for each in producers if each is not None and each in held and each not in found]
        found.update(new)
        waiting += new
    return found


def _replace(graph: ir.Graph, value: ir.Value, name: str, values: Mapping[str, Array]) -> None:
    array = values[str(value.name)]
    stand_in = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.from_numpy(array.dtype)))
    graph.inputs.append(stand_in)
    producer = value.producer()
    is_result = producer is not None and producer.op_type in ("ConstantOfShape", "Expand", "Range")
    for user, at in tuple(value.uses()):
        if is_result or (user.op_type == "Slice" and at == 0):
            user.replace_input_with(at, stand_in)


def write_range(write: edit.Writer, placeholder: Placeholder, count: ir.Value, shape: ir.Shape) -> ir.Value:
    """Return the numbers that a Range gave, ``count`` (one element) of them, computed again; all are of ``shape``."""
    assert placeholder.steps is not None
    start, step = placeholder.steps
    integer = edit.Writer(write.graph, write.place, write.name, ir.DataType.INT64)
    scalar = integer("Squeeze", (), count, integer.constant(np.zeros(1, np.int64)))
    zero, one = (integer.constant(np.array(number, np.int64)) for number in (0, 1))
    results = [integer("Range", (), zero, scalar, one)]
    if write.dtype != ir.DataType.INT64:
        results.append(write("Cast", (), results[-1], attributes={"to": write.dtype.value}))
    for operator, number, neutral in (("Mul", step, 1), ("Add", start, 0)):
        if number != neutral:
            results.append(write(operator, (), results[-1], write.constant(number)))
    for result in results:
        result.shape = ir.Shape(shape)
    return results[-1]
