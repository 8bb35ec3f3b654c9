"""The tail of a detector: from the operators that select elements on, where it stays float.

Rows come and go and change places there, so that no error of one can be measured. The part before it is quantized and
judged by what it gives to the tail.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from layoutopt.quantization.copying import copy_graph
from layoutopt.quantization.outcome import FloatOperator
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Operation, Value
from layoutopt.tfl.rewrites.integer_kernels import WEIGHTED

_DETECTING = "TFLite_Detection_PostProcess"
_SELECTING = frozenset({_DETECTING, "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "TOPK_V2", "UNIQUE", "WHERE"})
_REASON = "selects detections: which ones there are depends on the data"


@dataclass(frozen=True, slots=True)
class Tail:
    """The operators that select elements, and all that follow from them.

    Attributes:
        graph: of these operators; its inputs are the values that they read of the part before, and all outputs of the
            model that are computed there.
        output_names: of the model.
    """

    graph: Graph
    output_names: Sequence[str]

    @property
    def floats(self) -> tuple[FloatOperator, ...]:
        """Return its operators, for the report."""
        return tuple(FloatOperator(each.scope, each.code, _REASON) for each in self.graph.operations)

    @property
    def selecting(self) -> tuple[str, ...]:
        """Return the names of the nodes that select."""
        return tuple(dict.fromkeys(each.scope for each in self.graph.operations if _selects(each)))

    @property
    def read(self) -> frozenset[int]:
        """Return the positions of its inputs that its operators read."""
        readers = self.graph.readers()
        return frozenset(
            at for at, value in enumerate(self.graph.inputs) if any(each is not None for each in readers[value])
        )

    def after(self, head: Model) -> Model:
        """Return a model of the part before, whose outputs are the inputs of the tail, and of the tail."""
        copy, copies = copy_graph(self.graph)
        given = (copies[value] for value in self.graph.inputs)
        copy.replace_uses(dict(zip(given, head.graph.outputs, strict=True)))
        operations = [*head.graph.operations, *copy.operations]
        graph = Graph(head.graph.inputs, copy.outputs, operations, head.graph.name)
        return Model(graph, head.input_names, self.output_names)


def split_tail(model: Model) -> tuple[Model, Tail | None]:
    """Return the part of a model before its tail, and the tail; the model and None if it has none.

    A model of known sizes has none unless it ends in TFLite_Detection_PostProcess.

    Args:
        model: of float operators; it stays as it is, and the parts share its values.
    """
    graph = model.graph
    is_static = all(each.is_static for operation in graph.operations for each in operation.results)
    if is_static and not any(operation.code == _DETECTING for operation in graph.operations):
        return model, None
    tail = _tail(graph)
    computed = {result for operation in tail for result in operation.results}
    read = [value for operation in graph.operations if operation in tail for value in operation.operands]
    border = [
        value
        for value in dict.fromkeys([*read, *graph.outputs])
        if value is not None and not value.is_constant and value not in computed
    ]
    head = Graph(graph.inputs, border, [each for each in graph.operations if each not in tail], graph.name)
    after = Graph(border, graph.outputs, [each for each in graph.operations if each in tail])
    names = dict(zip(graph.outputs, model.output_names, strict=True))
    return Model(head, model.input_names, [_name(value, names) for value in border]), Tail(after, model.output_names)


def _tail(graph: Graph) -> set[Operation]:
    """Return the operations that select, those that depend on them, and some that only these read.

    They are comparisons by which they select, RESHAPE, and what follows from values that they read anyway.
    """
    found: set[Operation] = set()
    selected: set[Value] = set()
    for operation in graph.operations:
        if _selects(operation) or any(operand in selected for operand in operation.operands):
            found.add(operation)
            selected.update(operation.results)
    readers, size = graph.readers(), 0
    while size < len(found):
        size, follows = len(found), _following(graph, found)
        for operation in reversed(graph.operations):
            is_float = any(result.dtype is DType.FLOAT32 for result in operation.results)
            alone = all(each in found for result in operation.results for each in readers.get(result, []))
            if alone and (not is_float or operation.code == "RESHAPE" or operation in follows):
                found.add(operation)
    return found


def _selects(operation: Operation) -> bool:
    return operation.code in _SELECTING or not all(each.is_static for each in operation.results)


def _following(graph: Graph, tail: Collection[Operation]) -> set[Operation]:
    """Return operations without weights that need nothing but values that the tail reads, and constants."""
    known = {each for operation in tail for each in operation.operands if each is not None and each.producer}
    found: set[Operation] = set()
    for operation in graph.operations:
        operands = [each for each in operation.operands if each is not None and not each.is_constant]
        if operands and known.issuperset(operands) and operation.code not in WEIGHTED:
            found.add(operation)
            known.update(operation.results)
    return found


def _name(value: Value, names: dict[Value, str]) -> str:
    """Return the name of an output of the part before the tail."""
    if value in names:
        return names[value]
    producer = value.producer
    if producer is None:
        return value.name
    place = producer.results.index(value)
    return f"{producer.scope}:{place}" if place else producer.scope
