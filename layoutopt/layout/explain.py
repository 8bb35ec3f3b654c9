"""Why every transpose that is left is left: who insists on the layouts on either side, and the proof."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from layoutopt.ir.counts import TRANSPOSES, bytes_transposed
from layoutopt.layout import carries, channels, contractions, mincut, remaps
from layoutopt.layout.carries import Carry
from layoutopt.layout.layouts import Layout, Storage
from layoutopt.layout.plan import Plan
from layoutopt.layout.problem import Part, Solver, wire_copies
from layoutopt.layout.remaps import Price
from layoutopt.layout.rules import VIEWS, LayoutRule, objection
from layoutopt.layout.variants import Port, is_constant, known_shape, size_in_bytes, static_shape
from layoutopt.layout.ways import Stand, Ways
from layoutopt.layout.words import layout_words


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a transpose.

    Attributes:
        layout: in words.
        ends: who writes the value, or reads it, in this layout.
        through: who hands the layout on, from one of these to the one that insists on it, without the latter.
        insists: the nearest one that cannot have the layout of the other side, or not for nothing; empty where nobody
            does alone.
        why: its reason.
    """

    layout: str
    ends: tuple[str, ...]
    through: tuple[str, ...]
    insists: str
    why: str


@dataclass(frozen=True, slots=True)
class Copy:
    """One transpose that is left.

    Attributes:
        value: whose bytes are rewritten.
        shape: its shape in the original.
        dtype: its element type.
        size: its bytes.
        cost: of the transpose, in the unit of the objective.
        part: the number of the part of the graph whose layouts depend on each other, from 1; 0 where nobody around
            has a choice.
        written: the side that writes it.
        read: the side that reads it.
        operators: the operators without a layout rule that it has to do with.
    """

    value: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    cost: int
    part: int
    written: Side
    read: Side
    operators: frozenset[str]


@dataclass(frozen=True, slots=True)
class Inside:
    """Data that an operator moves inside.

    Attributes:
        operator: who.
        cost: in the unit of the objective.
        part: as that of a `Copy`.
        why: the reason.
    """

    operator: str
    cost: int
    part: int
    why: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A Transpose of the original that layouts have no say over; the cost has it, and the lower bound does not.

    Attributes:
        operator: which.
        size: bytes that it moves.
        why: the reason.
    """

    operator: str
    size: int
    why: str


@dataclass(frozen=True, slots=True)
class PartProof:
    """The proof for one part of the graph whose layouts depend on each other.

    Attributes:
        part: its number.
        solver: who solved it.
        choices: how many groups of operands and results had a choice.
        cost: of its layouts.
        lower_bound: what any layouts cost.
        proved: whether the two are known to be equal.
        max_flow: what the maximum flow carries through the values that are copied; None where there is no flow.
    """

    part: int
    solver: Solver
    choices: int
    cost: int
    lower_bound: int
    proved: bool
    max_flow: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a plan costs what it costs: ``copies``, ``inside`` and ``kept`` add up to it.

    Attributes:
        copies: the transposes that are left, the dearest first.
        inside: the operators that move data inside.
        kept: the Transposes of the original that stay whatever is chosen.
        parts: the proof, for each part that costs something.
    """

    copies: tuple[Copy, ...]
    inside: tuple[Inside, ...]
    kept: tuple[Kept, ...]
    parts: tuple[PartProof, ...]


def explain(opset: int, plans: Mapping[ir.Graph, Plan]) -> Explanation:
    """Explains plans.

    Args:
        opset: version of the default domain.
        plans: of a graph and the bodies in it, as `make_plan` returned them; the graphs are unchanged since.
    """
    whole = Explanation((), (), (), ())
    for graph, plan in plans.items():
        found = _Explainer(graph, opset, plan, len(whole.parts)).explanation()
        copies = sorted(whole.copies + found.copies, key=lambda copy: (-copy.cost, copy.value))
        whole = Explanation(
            tuple(copies), whole.inside + found.inside, whole.kept + found.kept, whole.parts + found.parts
        )
    return whole


def label(node: ir.Node) -> str:
    """An operator by type and name, or by its result where it has no name."""
    return f"{node.op_type} {node.name or node.outputs[0].name}"


class _Explainer:
    """Puts the numbers of the solver back into the words of the graph."""

    def __init__(self, graph: ir.Graph, opset: int, plan: Plan, known_parts: int) -> None:
        self._graph = graph
        self._opset = opset
        self._plan = plan
        self._question = plan.question
        self._chosen = plan.assignment.choice
        self._ways = Ways(plan.question, plan.assignment.choice)
        costly = [part for part in plan.assignment.parts if part.assignment.cost]
        self._parts = dict(enumerate(costly, start=known_parts + 1))
        self._part_of = {group: n for n, part in self._parts.items() for group in part.component.groups}

    def explanation(self) -> Explanation:
        """All there is to say."""
        proofs = tuple(_proof(number, part) for number, part in self._parts.items())
        return Explanation(tuple(self._copies()), tuple(self._inside()), tuple(self._kept()), proofs)

    def _copies(self) -> Iterator[Copy]:
        for index, wire in enumerate(self._question.problem.wires):
            for stored, read in sorted(wire_copies(wire, self._chosen)):
                yield self._copy(index, stored, read, wire.price(stored, read))

    def _copy(self, wire: int, stored: int, read: int, cost: int) -> Copy:
        root = self._question.roots[wire]
        layouts = self._question.layouts[wire]
        values = [self._question.choices[choice].values[port] for choice, port in self._question.ends[wire]]
        words = layout_words((layouts[stored], layouts[read]), dict.fromkeys(map(known_shape, (root, *values))))
        written, who_writes = self._side(wire, stored, read, words[0])
        reading, who_reads = self._side(wire, read, stored, words[1])
        part = next((self._part_of[group] for group, _ in self._question.ends[wire] if group in self._part_of), 0)
        shape, dtype = known_shape(root), str(root.dtype.numpy()) if root.dtype else ""
        size, operators = size_in_bytes(root), who_writes | who_reads
        return Copy(str(root.name), shape, dtype, size, cost, part, written, reading, operators)

    def _side(self, wire: int, carried: int, wanted: int, layout: str) -> tuple[Side, frozenset[str]]:
        """One side of a copy, and the operators without a rule that it ends at."""
        ends = [self._who(choice) for choice, _ in self._ways.ends(wire, carried)]
        stand = self._ways.nearest(wire, carried, wanted)
        stands = [choice for choice, _ in self._ways.ends(wire, carried)] + ([stand.choice] if stand else [])
        unruled = frozenset(node.op_type for choice in stands for node in self._unruled(choice))
        if stand is None:
            return Side(layout, tuple(ends), (), "", "it costs less here than anywhere else"), unruled
        through = tuple(self._who(choice) for choice in stand.path)
        return Side(layout, tuple(ends), through, self._who(stand.choice), self._why(stand)), unruled

    # --- who ---

    def _who(self, index: int) -> str:
        """A choice in words."""
        choice = self._question.choices[index]
        if choice.node is not None:
            return label(choice.node)
        value = choice.values[0]
        if self._ways.writes(index):
            producer = value.producer()
            return f"input {value.name}" if producer is None else label(producer)
        if choice.public:
            return f"output {value.name}"
        readers = [label(node) for node, _ in self._natural_readers(value)]
        return ", ".join(dict.fromkeys((*readers, *([f"output {value.name}"] if self._is_kept(value) else []))))

    def _unruled(self, index: int) -> Iterator[ir.Node]:
        """The operators without a rule that a choice stands for."""
        choice = self._question.choices[index]
        if choice.node is not None or choice.public:
            return
        value = choice.values[0]
        nodes = [node for node, _ in self._natural_readers(value)]
        for node in [value.producer()] if self._ways.writes(index) else nodes:
            if node is not None and node not in self._plan.rules and node.op_type not in VIEWS:
                yield node

    @cached_property
    def _covered(self) -> Collection[tuple[ir.Node | None, int]]:
        """The operands that have a layout of their own."""
        choices = (choice for choice in self._question.choices if choice.node is not None)
        ports = {(c.node, port.index) for c in choices for port in c.ports if not port.result}
        return ports | {(value.producer(), 0) for value in self._plan.views}

    def _natural_readers(self, value: ir.Value) -> list[tuple[ir.Node, int]]:
        return [(use.node, use.idx) for use in value.uses() if (use.node, use.idx) not in self._covered]

    def _is_kept(self, value: ir.Value) -> bool:
        """Whether ``value`` is a graph output whose layout is not to be chosen."""
        positions = (at for at, output in enumerate(self._graph.outputs) if output is value)
        return any(position not in self._plan.outputs for position in positions)

    # --- why ---

    def _why(self, stand: Stand) -> str:
        choice = self._question.choices[stand.choice]
        if stand.variants:
            return f"the other layout costs more inside: {_inside(choice.rule)}"
        if choice.node is not None and choice.rule is not None:
            wanted = min(stand.wanted)
            layout = self._question.layouts[stand.wire][wanted]
            return self._why_ruled(choice.node, choice.rule, choice.ports[stand.port], layout)
        value = choice.values[0]
        if choice.public:
            return "natural or channels-last only" if len(choice.layouts) > 1 else "its layout was asked for"
        if self._ways.writes(stand.choice):
            producer = value.producer()
            if producer is not None and producer.graph is not self._graph:
                return "from around the body, where it is natural"
            return "its layout is kept" if producer is None else self._why_unruled(producer)
        reasons = [self._why_reader(node, index) for node, index in self._natural_readers(value)]
        return ", ".join(dict.fromkeys((*reasons, *(["its layout is kept"] if self._is_kept(value) else []))))

    def _why_ruled(self, node: ir.Node, rule: LayoutRule, port: Port, layout: Layout) -> str:
        """Why ``node`` has no variant with the root's ``layout`` at ``port``."""
        value = port.value(node)
        seen = self._plan.view(value).outward(layout)
        storage = None if seen is None else Storage.of(known_shape(value), seen)
        if rule.anchor is not None:
            last = storage is not None and _is_channels_last(storage)
            return _CHANNELS if last else f"TFLite runs {node.op_type} channels-last only"
        if storage is None:
            return f"the layout cuts through the axes of {value.name}"
        carried = list(rule.carry(node, rule.ports(node), port, storage, lambda _: ()))
        if carried and rule.price and all(rule.price(node, storages) is None for storages in carried):
            return "it would join or cut single elements"
        return _CARRIES.get(rule.carry, f"{node.op_type} cannot run in the other layout")

    def _why_reader(self, node: ir.Node, index: int) -> str:
        if node.graph is not self._graph:
            return "in a body of If, Loop or Scan, which sees values in the natural layout"
        if node in self._plan.rules:
            return f"{node.op_type} takes operand {index} in the natural layout"
        return self._why_unruled(node)

    def _why_unruled(self, node: ir.Node) -> str:
        if node.domain == "" and node.op_type in VIEWS:
            return f"this {node.op_type} is no mere view"
        return objection(node, self._opset)

    # --- what else moves ---

    def _inside(self) -> Iterator[Inside]:
        costs = self._question.problem.variants
        for index, choice in enumerate(self._question.choices):
            if choice.node is not None and (cost := costs[index][self._chosen[index]]):
                yield Inside(label(choice.node), cost, self._part_of.get(index, 0), _inside(choice.rule))

    def _kept(self) -> Iterator[Kept]:
        for node in self._graph:
            if node.op_type not in TRANSPOSES or node.outputs[0] in self._plan.views:
                continue
            if node.inputs[0] is None or not is_constant(node.inputs[0]):  # those are folded
                yield Kept(label(node), bytes_transposed(node), _why_kept(node))


_PRICES: Mapping[Price | None, str] = {
    remaps.last_axis_only: "TFLite runs it on the last axis only",
    remaps.interleaving: "the pieces that it joins or cuts are short",
}
"""Why operators move data inside, by the prices of their rules."""


_CHANNELS = "it cannot have its rows or channels in that order"
_WHOLE = "an axis that it joins, cuts or works along would not lie in one piece"
_CARRIES: Mapping[Carry, str] = {
    carries.aligned: _WHOLE,
    carries.gathering: _WHOLE,
    carries.inserting: _WHOLE,
    carries.reduction: _WHOLE,
    carries.normalized: "the axes that it normalizes would not lie innermost",
    carries.per_matrix: "its matrices would not lie innermost",
    channels.per_channel: "TFLite runs it natural or channels-last only",
    contractions.matmul: "no matrix product has its axes in the order of the other layout",
}
"""Why operators cannot have a layout, by the carries of their rules."""


def _inside(rule: LayoutRule | None) -> str:
    return _PRICES.get(rule.price if rule else None, "the operator moves its data")


def _proof(number: int, part: Part) -> PartProof:
    problem, found = part.component.problem, part.assignment
    flow = mincut.max_flow(problem) if part.solver is Solver.CUT else None
    choices = len(part.component.groups)
    return PartProof(number, part.solver, choices, found.cost, found.lower_bound, found.proved_optimal, flow)


def _why_kept(node: ir.Node) -> str:
    source = node.inputs[0]
    if source is None or static_shape(source) is None:
        return "its shape is not known"
    return "no single transpose of what it reads could take its place"


def _is_channels_last(storage: Storage) -> bool:
    """Whether all channels lie innermost, in whatever order they and the rows are."""
    last = storage.dims[-1]
    return last.axis == channels.CHANNEL and last.size == storage.shape[channels.CHANNEL]
