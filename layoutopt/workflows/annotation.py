"""Puts what is known of a model onto the graph of what it became: layouts, errors, rules, reasons, times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from layoutopt.backend.onnx_tf.names import scope_of
from layoutopt.ir.counts import PADS, TRANSPOSES
from layoutopt.ir.perm import channels_last, identity, invert, permute
from layoutopt.layout.explain.explanation import Copy
from layoutopt.layout.explain.layout_names import natural_words
from layoutopt.layout.rules import propagation
from layoutopt.layout.rules.table import RULES
from layoutopt.results.comparison import Layer
from layoutopt.results.model_report import GraphNode, GraphTensor, Layout, ModelGraph
from layoutopt.workflows.plan_facts import Fact, PlanFacts, why_copied

_KEEPING = frozenset(
    (
        "ABS", "ADD", "ADD_N", "CAST", "CEIL", "CONCATENATION", "COS", "CUMSUM", "DEQUANTIZE", "DIV", "ELU", "EQUAL",
        "EXP", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "GELU", "GREATER", "GREATER_EQUAL", "HARD_SWISH", "L2_NORMALIZATION",
        "LEAKY_RELU", "LESS", "LESS_EQUAL", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC",
        "LOG_SOFTMAX", "MAXIMUM", "MINIMUM", "MIRROR_PAD", "MUL", "NEG", "NOT_EQUAL", "PAD", "PADV2", "POW", "PRELU",
        "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "REVERSE_V2", "ROUND", "RSQRT", "SELECT_V2", "SIGN",
        "SIN", "SLICE", "SOFTMAX", "SPLIT", "SPLIT_V", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH", "TILE",
        *(name for name, rule in RULES.items() if rule.propagate is propagation.aligned),
    )
)  # fmt: skip
"""Operators whose results of an operand's rank have its axes in its order."""


def annotate(
    graph: ModelGraph,
    layers: Mapping[str, Layer],
    facts: PlanFacts,
    *,
    planned: bool,
    prepared: Mapping[str, Layer] | None = None,
    microseconds: Mapping[str, float] | None = None,
) -> ModelGraph:
    """Return the graph with all that is known of it.

    Args:
        graph: as it was read.
        layers: what its tensors hold of the original, by name; those that could be told.
        facts: of the original before the choice of layouts.
        planned: whether the graph came of that choice; if not, its transposes have reasons of their own.
        prepared: as ``layers``, in terms of the model before that choice, for tensors that hold nothing of the
            original's.
        microseconds: of each node by id; None where they were not measured.
    """
    known = {**(prepared or {}), **layers}
    tensors = {name: _with_layer(tensor, known.get(name)) for name, tensor in graph.tensors.items()}
    tensors |= {name: _without_value(tensors[name]) for name in known if name not in layers}
    _derive(graph, tensors)
    annotated = replace(graph, tensors=tensors)
    describe = _Describer(annotated, known, facts, planned=planned)
    times = microseconds or {}
    nodes = (replace(describe(node), microseconds=times.get(node.id)) for node in graph.nodes)
    return replace(annotated, nodes=tuple(nodes))


# --- layouts ---------------------------------------------------------------------------------------------------------


def _with_layer(tensor: GraphTensor, layer: Layer | None) -> GraphTensor:
    if layer is None:
        return tensor
    layout = _layout(layer)
    return replace(
        tensor,
        layout=layout,
        order="" if layout is Layout.UNKNOWN else layer.layout,
        value=layer.value,
        relative_error=layer.relative_error,
        own_error=layer.own_error,
        own_sqnr=layer.own_sqnr,
    )


def _without_value(tensor: GraphTensor) -> GraphTensor:
    """Return what is known of a tensor that has no counterpart in the original."""
    return replace(tensor, value="", relative_error=None, own_error=None, own_sqnr=None)


def _layout(layer: Layer) -> Layout:
    """Return the layout of a tensor in terms of its value.

    Axes of size 1 may stand anywhere. Where that leaves both natural and channels-last open, the shape tells.
    """
    sizes = layer.onnx_shape
    if sum(size != 1 for size in sizes) < 2:
        return Layout.UNKNOWN
    if len(layer.order) != len(sizes):
        return Layout.OTHER

    def moving(order: tuple[int, ...]) -> list[int]:
        return [axis for axis in order if sizes[axis] != 1]

    natural, last = identity(len(sizes)), channels_last(len(sizes))
    fitting = [
        (order, layout)
        for order, layout in ((natural, Layout.NATURAL), (last, Layout.CHANNELS_LAST))
        if moving(order) == moving(layer.order)
    ]
    if not fitting:
        return Layout.OTHER
    return next((layout for order, layout in fitting if permute(sizes, order) == layer.shape), fitting[0][1])


def _derive(graph: ModelGraph, tensors: dict[str, GraphTensor]) -> None:
    """Give tensors that hold none of the original's values the layout that their neighbours leave them."""
    there_and_back = (*graph.nodes, *graph.nodes[::-1])
    while sum(_derive_at(node, tensors) for node in there_and_back):
        pass


def _derive_at(node: GraphNode, tensors: dict[str, GraphTensor]) -> bool:
    """Return whether anything is learnt at one node."""
    learnt = False
    for ends, others in ((node.inputs, node.outputs), (node.outputs, node.inputs)):
        for name in others:
            tensor = tensors[name]
            if tensor.layout is not Layout.UNKNOWN or not tensor.has_order:
                continue
            near = [tensors[end] for end in ends if len(tensors[end].shape) == len(tensor.shape)]
            alike = {_handed_on(node, each, forth=ends is node.inputs) for each in near}
            if len(alike) == 1 and (layout := alike.pop()) is not Layout.UNKNOWN:
                tensors[name] = replace(tensor, layout=layout, order="as its neighbours")
                learnt = True
    return learnt


def _handed_on(node: GraphNode, tensor: GraphTensor, *, forth: bool) -> Layout:
    """Return the layout on the other side of a node, given one of its tensors."""
    if node.operator in _KEEPING and tensor.layout is not Layout.OTHER:
        return tensor.layout
    if not node.is_transpose:
        return Layout.UNKNOWN
    perm = tuple(int(axis) for axis in (node.attributes or {}).get("perm", "").split())
    last = channels_last(len(tensor.shape))
    to_last, to_natural = (last, invert(last)) if forth else (invert(last), last)
    if tensor.layout is Layout.NATURAL and perm == to_last:
        return Layout.CHANNELS_LAST
    return Layout.NATURAL if tensor.layout is Layout.CHANNELS_LAST and perm == to_natural else Layout.UNKNOWN


# --- nodes -----------------------------------------------------------------------------------------------------------


_UNKNOWN = Fact("", "")


class _Describer:
    """Find what there is to say of each node of a graph."""

    def __init__(self, graph: ModelGraph, layers: Mapping[str, Layer], facts: PlanFacts, *, planned: bool) -> None:
        self._tensors = graph.tensors
        self._layers = layers
        self._facts = facts
        self._planned = planned
        self._scopes = {scope_of(name): name for name in facts.facts}
        self._producers = {name: node for node in graph.nodes for name in node.outputs}
        self._readers: dict[str, list[GraphNode]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self._readers.setdefault(name, []).append(node)

    def __call__(self, node: GraphNode) -> GraphNode:
        made = next((self._layers[name] for name in node.outputs if name in self._layers), None)
        fact = self._fact(node, made)
        name = self._named_after(node.name) if made is None else made.node or made.value
        if node.is_transpose:
            copy = self._copy(node) if self._planned else None
            own = made is not None and made.onnx_operator in TRANSPOSES and copy is None
            reason = why_copied(copy) if copy is not None else (own and fact.reason) or self._why_moved(node, made)
            return replace(node, name=name, rule=fact.rule if own else "", reason=reason)
        return replace(node, name=name, rule=fact.rule, reason=fact.reason if self._planned else "")

    def _fact(self, node: GraphNode, made: Layer | None) -> Fact:
        """Return the facts about the ONNX node that ``node`` computes; none for nodes that only move its result."""
        read = (self._layers[name].value for name in node.inputs if name in self._layers)
        if made is not None and made.value in read:
            return _UNKNOWN
        told = [node.name, *node.outputs, *((made.value, made.node) if made is not None else ())]
        if not node.is_transpose and self._is_last_of_its_name(node):
            told.append(self._named_after(node.name))
        return next((fact for name in told if (fact := self._facts.facts.get(name)) is not None), _UNKNOWN)

    def _is_last_of_its_name(self, node: GraphNode) -> bool:
        """Return whether nobody who reads its results is named after the same node."""
        scope = self._named_after(node.name)
        following = (reader for name in node.outputs for reader in self._readers.get(name, ()))
        return all(self._named_after(reader.name) != scope for reader in following)

    def _named_after(self, name: str) -> str:
        """Return the node that a tensor of a .tflite is named after; the name itself where there is none."""
        for part in name.split(";"):
            steps = part.strip("/").split("/")
            for count in range(len(steps), 0, -1):
                if (node := self._scopes.get("/".join(steps[:count]))) is not None:
                    return node
        return name

    def _copy(self, node: GraphNode) -> Copy | None:
        """Return the copy of the plan that a transpose is: told by its name, or else by the value that it moves."""
        copies = self._facts.copies
        values = [value for value in copies if _is_named_after(node.name, value)]
        moved = (self._layers[name].value for name in (*node.inputs, *node.outputs) if name in self._layers)
        values += [root for value in moved if (root := self._facts.roots.get(value, value)) in copies]
        if not values:
            return None
        written = self._tensors[node.outputs[0]]
        order = natural_words(len(written.shape)) if written.layout is Layout.NATURAL else written.order
        return max(copies[values[0]], key=lambda copy: (copy.read.layout == order, copy.size == written.size))

    def _why_moved(self, node: GraphNode, made: Layer | None) -> str:
        """Return the reason for a transpose that is not from the choice of layouts."""
        if made is not None and made.onnx_operator in TRANSPOSES:
            return f"A Transpose of the original: {made.node}."
        if self._planned:
            return "Made in the conversion: the choice of layouts has left none here."
        before, after = (self._tensors[name] for name in (node.inputs[0], node.outputs[0]))
        if after.layout is Layout.CHANNELS_LAST:
            who = _some(reader.operator for reader in self._beyond(node))
            return f"From natural to channels-last, for {who}: each operator is converted by itself."
        if before.layout is Layout.CHANNELS_LAST:
            who = self._producers[before.name].operator if before.name in self._producers else "the input"
            return f"From NHWC back to NCHW, after {who}: each operator is converted by itself."
        orders = f"From {before.order} to {after.order}: " if before.order and after.order else ""
        return f"{orders}each operator is converted by itself."

    def _beyond(self, node: GraphNode) -> Iterator[GraphNode]:
        """Yield the readers of the results of a node, past any pads."""
        for reader in (reader for name in node.outputs for reader in self._readers.get(name, ())):
            yield from self._beyond(reader) if reader.operator in PADS else (reader,)


def _is_named_after(name: str, value: str) -> bool:
    """Return whether the name of a node, or of a tensor in a .tflite, is that of a copy of ``value``."""
    copy = re.compile(rf"{re.escape(scope_of(f'Transpose/{value}'))}_(nhwc|natural)(_\d+)?(/|$)")
    return any(copy.match(scope_of(part)) for part in name.split(";"))


def _some(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "an output"
