"""Small edits of a graph, each in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.ir.perm import Perm, is_identity, permute
from layoutopt.ir.values import Shape, known_shape, static_shape


def graphs_of(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield the main graph and all bodies inside it, which share one set of names; not the functions."""
    taken = _names_in(model.graph)
    yield model.graph
    for body in model.graph.subgraphs():
        body.meta[_NAMES] = taken
        yield body


def bodies_of(node: ir.Node) -> list[ir.Graph]:
    """Return the graphs that an operator of control flow runs, in the order of their attributes' names."""
    attributes = (node.attributes[name] for name in sorted(node.attributes))
    return [each.as_graph() for each in attributes if each.type == ir.AttributeType.GRAPH]


def forget_tensor_types_of_sequences(model: ir.Model) -> None:
    """Undo what onnx_ir's shape inference does to a sequence or optional of no stated type: it makes it a tensor."""
    for graph in reversed(list(graphs_of(model))):  # bodies before the nodes that have them
        for node in graph:
            for value in _sequences_from(node):
                value.meta[_SEQUENCE] = True
                if isinstance(value.type, ir.TensorType):
                    value.type = value.shape = None


def _sequences_from(node: ir.Node) -> list[ir.Value]:
    """Return the results of ``node`` that are sequences or optionals."""
    if node.op_type in _MAKE_SEQUENCES:
        return list(node.outputs)
    if node.op_type == "Identity":
        return [value for value in node.outputs if _is_sequence(node.inputs[0])]
    bodies = [body for name in node.attributes if (body := _body(node, name)) is not None]
    if not bodies:
        return []
    inner = list(bodies[0].outputs)[-len(node.outputs) :]  # a Loop's condition is no result
    return [value for value, same in zip(node.outputs, inner, strict=True) if _is_sequence(same)]


_MAKE_SEQUENCES = frozenset(
    {
        "Optional",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceMap",
        "SplitToSequence",
    }
)
_SEQUENCE = "layoutopt.sequence"
"""The key in a value's ``meta`` that says so, where its type does not."""


def _body(node: ir.Node, name: str) -> ir.Graph | None:
    attribute = node.attributes[name]
    return attribute.as_graph() if attribute.type == ir.AttributeType.GRAPH else None


def _is_sequence(value: ir.Value | None) -> bool:
    if value is None:
        return False
    return isinstance(value.type, (ir.SequenceType, ir.OptionalType)) or _SEQUENCE in value.meta


def add_constant(graph: ir.Graph, name: str, array: npt.NDArray[np.generic]) -> ir.Value:
    """Return a new initializer with a name like ``name``."""
    return add_tensor(graph, name, ir.tensor(array))


def add_tensor(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """Return a new initializer that is ``tensor``, which gets a name like ``name``."""
    tensor.name = fresh_name(graph, name)
    value = ir.val(tensor.name, const_value=tensor)
    graph.register_initializer(value)
    return value


def fresh_name(graph: ir.Graph, name: str) -> str:
    """Return ``name``, with a number appended if a value or node in or around ``graph`` has that name."""
    taken = _names_in(graph)
    candidate, number = name, taken.get(name, 1)
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken[name] = number
    taken.setdefault(candidate, 1)
    return candidate


_NAMES = "layoutopt.names"


def _names_in(graph: ir.Graph) -> dict[str | None, int]:
    """Return every name in ``graph`` and its bodies, collected once, with the first number to try after it."""
    taken: dict[str | None, int] | None = graph.meta.get(_NAMES)
    if taken is None:
        taken = graph.meta[_NAMES] = dict.fromkeys(_names(graph), 1)
    return taken


def _names(graph: ir.Graph) -> Iterator[str | None]:
    yield from (value.name for value in values_of(graph))
    yield from (node.name for node in graph.all_nodes())


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the inputs and initializers of ``graph`` and its bodies, and the results of all their nodes."""
    for each in (graph, *graph.subgraphs()):
        yield from (*each.inputs, *each.initializers.values())
    for node in graph.all_nodes():
        yield from node.outputs


def transpose(
    graph: ir.Graph, source: ir.Value, perm: Perm, shape: Sequence[int | ir.SymbolicDim], name: str
) -> ir.Value:
    """Insert a Transpose right after ``source``; ``shape`` is that of its result."""
    return insert_after(graph, source, ir.node("Transpose", [source], {"perm": perm}), shape, name)


def reshape(graph: ir.Graph, source: ir.Value, shape: Sequence[int], name: str) -> ir.Value:
    """Insert a Reshape to the static ``shape`` right after ``source``."""
    target = add_constant(graph, f"{name}_shape", np.array(shape, np.int64))
    return insert_after(graph, source, ir.node("Reshape", [source, target]), shape, name)


def insert_after(
    graph: ir.Graph, source: ir.Value, node: ir.Node, shape: Sequence[int | ir.SymbolicDim], name: str
) -> ir.Value:
    """Put ``node`` of one result right after the producer of ``source``, or first where nothing produces it."""
    result = node.outputs[0]
    result.name = fresh_name(graph, name)
    node.name = fresh_name(graph, f"{node.op_type}/{name}")
    result.type, result.shape = source.type, ir.Shape(shape)
    producer = source.producer()
    if producer is not None and producer.graph is graph:
        graph.insert_after(producer, node)
    elif len(graph):
        graph.insert_before(graph[0], node)
    else:
        graph.append(node)
    return result


@dataclass(frozen=True, slots=True)
class Writer:
    """Insert nodes before ``place``, with names that begin with ``name``.

    Attributes:
        graph: of ``place``.
        place: the node that comes after all that is written.
        name: what the results are called, with the names of the operators appended.
        dtype: the element type of the results.
    """

    graph: ir.Graph
    place: ir.Node
    name: str
    dtype: ir.DataType

    def __call__(
        self,
        operator: str,
        shape: Shape,
        *operands: ir.Value,
        attributes: Mapping[str, int | Sequence[int]] | None = None,
    ) -> ir.Value:
        """Return the result, of ``shape``, of a new node."""
        return self._insert(ir.node(operator, operands, attributes), shape)

    def again(
        self, node: ir.Node, shape: Shape, *operands: ir.Value | None, attributes: Mapping[str, int] | None = None
    ) -> ir.Value:
        """Return the result, of ``shape``, of a new node that does with other ``operands`` what ``node`` does.

        Where ``attributes`` are given, they take the place of its own.
        """
        changed = {name: ir.AttrInt64(name, number) for name, number in (attributes or {}).items()}
        both = {**node.attributes, **changed}
        return self._insert(ir.Node(node.domain, node.op_type, operands, both.values()), shape)

    def _insert(self, node: ir.Node, shape: Shape) -> ir.Value:
        node.name = fresh_name(self.graph, f"{node.op_type}/{self.name}")
        result = node.outputs[0]
        result.name = fresh_name(self.graph, f"{self.name}_{node.op_type}")
        result.dtype, result.shape = self.dtype, ir.Shape(shape)
        self.graph.insert_before(self.place, node)
        return result

    def constant(self, array: npt.ArrayLike) -> ir.Value:
        """Return a new initializer."""
        return add_constant(self.graph, f"{self.name}_constant", np.asarray(array))

    def tensor(self, tensor: ir.TensorProtocol) -> ir.Value:
        """Return a new initializer that is ``tensor``."""
        return add_tensor(self.graph, f"{self.name}_constant", tensor)

    def reshaped(self, x: ir.Value, shape: Shape) -> ir.Value:
        """Return ``x`` with the dimensions ``shape``."""
        return x if static_shape(x) == shape else self("Reshape", shape, x, self.constant(np.array(shape, np.int64)))

    def transposed(self, x: ir.Value, perm: Perm) -> ir.Value:
        """Return ``x``, of static shape, with its axes permuted."""
        if is_identity(perm):
            return x
        return self("Transpose", permute(known_shape(x), perm), x, attributes={"perm": perm})


def rewrite_all(model: ir.Model, rewrite: Callable[[ir.Graph, ir.Node], bool], *, backwards: bool = False) -> bool:
    """Call ``rewrite`` on every node of every graph, again and again until it finds nothing; whether it ever did.

    Args:
        model: is changed in place.
        rewrite: given a node that is in a graph, replaces it by others; whether it did.
        backwards: whether the last node comes first.
    """
    modified = False
    for graph in graphs_of(model):
        found = True
        while found:
            found = False
            for node in list(reversed(graph) if backwards else graph):
                if node.graph is graph and rewrite(graph, node):
                    found = modified = True
    return modified


def replace_output(graph: ir.Graph, position: int, value: ir.Value) -> None:
    """Make ``value`` the graph output at ``position`` under its name, and wherever else that one is an output."""
    old = graph.outputs[position]
    if value is old:
        return
    public = old.name
    assert public is not None
    producer = value.producer()
    if value.is_graph_output() or producer is None or producer.graph is not graph:
        node = ir.node("Identity", [value])
        value = insert_after(graph, value, node, tuple(value.shape or ()), f"{public}_copy")
    for index, output in enumerate(list(graph.outputs)):
        if output is old:
            graph.outputs[index] = value
    old.name = fresh_name(graph, f"{public}_inner")
    value.name = public


def replace_uses(graph: ir.Graph, value: ir.Value, replacement: ir.Value) -> None:
    """Let everybody who reads ``value`` read ``replacement``; graph outputs keep their names."""
    if value.is_graph_output():
        replace_output(graph, list(graph.outputs).index(value), replacement)
    value.replace_all_uses_with(replacement)


def remove_dead(node: ir.Node) -> None:
    """Remove ``node`` if nobody reads its results, then what only it has read."""
    waiting = [node]
    while waiting:
        last = waiting.pop()
        graph = last.graph
        if graph is None or any(result.uses() or result.is_graph_output() for result in last.outputs):
            continue
        producers = dict.fromkeys(value.producer() for value in last.inputs if value is not None)
        assert isinstance(graph, ir.Graph)
        graph.remove(last, safe=True)
        waiting.extend(producer for producer in producers if producer is not None)
