"""The origins of channels, followed through Concat, Split, Slice, Gather and channel shuffles.

These nodes are *routes*: they only say which channels of which values their results hold. A *reader* takes the channels
of one operand in any order, since its constants are permuted instead: a convolution, whose result stays as it is, or a
*carrier*, whose result has the order of its operand (a depthwise convolution, a pool, an elementwise operator). So a
routed value need not exist. Each of its readers is given the channels *gathered*: source by source, in ascending order,
and thereby in contiguous runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx_ir as ir

from layoutopt.ir.attributes import integer
from layoutopt.ir.perm import invert
from layoutopt.ir.values import constant_of, static_shape
from layoutopt.layout.analysis.index_maps import axis_subset
from layoutopt.layout.rules.applicability import entry_for
from layoutopt.layout.rules.spatial import conv
from layoutopt.layout.rules.table import VIEWS
from layoutopt.layout.rules.views import rearrangements

MIN_RUN = 16
"""The neighbouring channels that are worth a copy of their own, where a reader wants several runs of one source."""


class Channel(NamedTuple):
    """One channel of a value."""

    value: ir.Value
    index: int  # type: ignore[assignment]  # not the method of a tuple


Channels = tuple[Channel, ...]


class Run(NamedTuple):
    """The channels of ``source`` from ``start`` to before ``stop``."""

    source: ir.Value
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Reader:
    """A node that can take the channels of its ``operand`` in any order.

    Attributes:
        node: the node.
        operand: the index of the operand.
        constants: the axis of each constant operand, by index, that is permuted with the channels.
        carries: whether the result has the order of the operand.
    """

    node: ir.Node
    operand: int
    constants: Mapping[int, int]
    carries: bool

    @property
    def value(self) -> ir.Value:
        """Return the operand that it reads now."""
        value = self.node.inputs[self.operand]
        assert value is not None
        return value


@dataclass(frozen=True, slots=True)
class Gathered:
    """The values that a reader reads instead.

    Attributes:
        reader: who.
        runs: what it reads, one after the other.
        order: which of the channels that it reads now comes at each place.
    """

    reader: Reader
    runs: tuple[Run, ...]
    order: tuple[int, ...]

    @classmethod
    def of(cls, reader: Reader, channels: Channels) -> Gathered:
        """Return the ``channels`` source by source, each in ascending order."""
        sources = list(dict.fromkeys(channel.value for channel in channels))
        order = sorted(range(len(channels)), key=lambda i: (sources.index(channels[i].value), channels[i].index))
        runs: list[Run] = []
        for value, index in (channels[place] for place in order):
            if runs and runs[-1].source is value and runs[-1].stop == index:
                runs[-1] = Run(value, runs[-1].start, index + 1)
            else:
                runs.append(Run(value, index, index + 1))
        return cls(reader, tuple(runs), tuple(order))

    @property
    def is_cheap(self) -> bool:
        """Return whether each source gives one run, or long ones only."""
        sources = Counter(run.source for run in self.runs)
        return all(sources[run.source] == 1 or run.stop - run.start >= MIN_RUN for run in self.runs)


def plan_channels(graph: ir.Graph) -> list[Gathered]:
    """Return what each reader should read so that no channels are shuffled, in graph order; empty where none can."""
    flow = _Flow.of(graph)
    if not flow.shuffles:
        return []
    natural = {value for value in flow.origins if flow.is_needed(value)}
    while True:
        flow.spread(natural)
        held = flow.hold(natural)
        plan = [Gathered.of(reader, held[reader.value]) for reader in flow.readers if reader.value in held]
        costly = {each.reader.value for each in plan if not each.is_cheap}
        if not costly:
            return flow.worthwhile(plan, held)
        natural |= costly


def channel_count(value: ir.Value | None) -> int | None:
    """Return the number of channels of ``value``, on axis 1; None where it is unknown."""
    if value is None or value.shape is None or len(value.shape) < 2:
        return None
    size = value.shape[1]
    return size if isinstance(size, int) and size > 0 else None


@dataclass(frozen=True, slots=True)
class _Flow:
    """The routes, readers and carriers among the nodes of a graph.

    Attributes:
        origins: the channels that each routed value holds, and the reader that each other one is carried by, in the
            order of the graph.
        readers: in the order of the graph.
        shuffles: the routed values whose nodes cost time, beyond cutting and joining.
        claimed: which operands of which nodes belong to routes and readers.
    """

    origins: dict[ir.Value, Channels | Reader] = field(default_factory=dict)
    readers: list[Reader] = field(default_factory=list)
    shuffles: set[ir.Value] = field(default_factory=set)
    claimed: set[tuple[ir.Node, int]] = field(default_factory=set)

    @classmethod
    def of(cls, graph: ir.Graph) -> _Flow:
        """Look at every node."""
        flow = cls()
        for node in graph:
            if (route := _route(node)) is not None:
                flow.origins.update(route.results)
                flow.claimed.update(route.uses)
                flow.shuffles.update(route.results if route.shuffles else ())
            elif (reader := _reader(node)) is not None:
                flow.readers.append(reader)
                flow.claimed.add((node, reader.operand))
                if reader.carries:
                    flow.origins[node.outputs[0]] = reader
        return flow

    def is_needed(self, value: ir.Value) -> bool:
        """Return whether ``value`` is an output, or a node outside of routes and readers uses it."""
        return value.is_graph_output() or any((use.node, use.idx) not in self.claimed for use in value.uses())

    def spread(self, natural: set[ir.Value]) -> None:
        """Add what the nodes read that make the values in ``natural``."""
        for value, origin in reversed(self.origins.items()):
            if value in natural:
                natural.update(_operands(origin))

    def hold(self, natural: Set[ir.Value]) -> dict[ir.Value, Channels]:
        """Return the channels that each value not in ``natural`` holds once its readers gather them."""
        held: dict[ir.Value, Channels] = {}

        def follow(channels: Channels) -> Channels:
            return tuple(held[each.value][each.index] if each.value in held else each for each in channels)

        for value, origin in self.origins.items():
            if value in natural:
                continue
            if isinstance(origin, Reader):
                gathered = Gathered.of(origin, follow(_all_channels(origin.value)))
                held[value] = tuple(Channel(value, place) for place in invert(gathered.order))
            else:
                held[value] = follow(origin)
        return held

    def worthwhile(self, plan: Sequence[Gathered], held: dict[ir.Value, Channels]) -> list[Gathered]:
        """Return the part of ``plan`` that lets a shuffle die, with all that shares a value with it."""
        regions = _Regions()
        live = {each.reader.value for each in plan}
        for value in reversed(held):
            origin = self.origins[value]
            operands = _operands(origin)
            for operand in operands:
                if not isinstance(origin, Reader) or operand in held:
                    regions.join(value, operand)
            if value in live and not isinstance(origin, Reader):
                live.update(operands)
        dying = {regions.of(value) for value in self.shuffles & live & held.keys()}
        return [each for each in plan if regions.of(each.reader.value) in dying]


class _Regions:
    """Sets of values that grow together."""

    def __init__(self) -> None:
        self._above: dict[ir.Value, ir.Value] = {}

    def of(self, value: ir.Value) -> ir.Value:
        """Return the value that stands for all in the set of ``value``."""
        while value in self._above:
            value = self._above[value]
        return value

    def join(self, one: ir.Value, other: ir.Value) -> None:
        """Make one set of two."""
        if (first := self.of(one)) is not (second := self.of(other)):
            self._above[first] = second


def _operands(origin: Channels | Reader) -> Iterable[ir.Value]:
    return [origin.value] if isinstance(origin, Reader) else dict.fromkeys(channel.value for channel in origin)


def _all_channels(value: ir.Value) -> Channels:
    return tuple(Channel(value, index) for index in range(channel_count(value) or 0))


# --- routes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Route:
    """A node, or a chain of them, whose results only hold channels of others.

    Attributes:
        results: the channels of each.
        uses: by which operands of which nodes it reads them.
        shuffles: whether that costs more than cutting and joining.
    """

    results: Mapping[ir.Value, Channels]
    uses: tuple[tuple[ir.Node, int], ...]
    shuffles: bool = False


def _route(node: ir.Node) -> _Route | None:
    if node.domain != "" or any(channel_count(result) is None for result in node.outputs):
        return None
    if node.op_type in VIEWS:
        return _shuffle(node)
    return _concat(node) if node.op_type == "Concat" else _subsets(node)


def _concat(node: ir.Node) -> _Route | None:
    result = node.outputs[0]
    along = result.shape is not None and integer(node, "axis", 1) in (1, 1 - len(result.shape))
    if not along or any(channel_count(value) is None for value in node.inputs):
        return None
    channels = tuple(channel for value in node.inputs if value is not None for channel in _all_channels(value))
    return _Route({result: channels}, tuple((node, index) for index in range(len(node.inputs))))


def _subsets(node: ir.Node) -> _Route | None:
    """Return the route of a Slice, Gather or Split of channels."""
    source, results = node.inputs[0] if node.inputs else None, {}
    for result in node.outputs:
        subset = axis_subset(node, result)
        if source is None or source.shape is None or result.shape is None or subset is None:
            return None
        if subset.axis != 1 or len(result.shape) != len(source.shape):
            return None
        results[result] = tuple([Channel(source, index) for index in subset.indices])
    return _Route(results, ((node, 0),), shuffles=node.op_type == "Gather")


def _shuffle(node: ir.Node) -> _Route | None:
    result = node.outputs[0]
    for found in rearrangements(result):
        if static_shape(found.source) == static_shape(result) and (order := found.along(1)) is not None:
            channels = tuple(Channel(found.source, index) for index in order)
            return _Route({result: channels}, ((found.first, 0),), shuffles=True)
    return None


# --- readers ---------------------------------------------------------------------------------------------------------


def _reader(node: ir.Node) -> Reader | None:
    rule = entry_for(node)
    if rule is None or len(node.outputs) != 1 or channel_count(node.outputs[0]) is None:
        return None
    if rule.propagate is conv:
        return _convolution(node) if node.op_type == "Conv" else None
    if rule.is_elementwise and rule.operands is None and len(node.inputs) == 2:
        return _elementwise(node)
    if (rule.is_elementwise and rule.operands == 1) or (rule.is_channelwise and not _resizes(node)):
        return Reader(node, 0, {}, carries=True) if channel_count(node.inputs[0]) is not None else None
    return None


def _resizes(node: ir.Node) -> bool:
    """Tell whether ``node`` has a scale per axis: one next to 1 mixes channels although it keeps their number."""
    return len(node.inputs) > 1 or "scales" in node.attributes


def _elementwise(node: ir.Node) -> Reader | None:
    """Carry the channels of one of two operands past a constant that does not widen it."""
    constant = next((index for index in (0, 1) if _constant_shape(node, index) is not None), None)
    if constant is None or "broadcast" in node.attributes:
        return None
    value, shape = node.inputs[1 - constant], _constant_shape(node, constant) or ()
    if channel_count(value) is None or value is None or value.shape is None or len(shape) > len(value.shape):
        return None
    missing = len(value.shape) - len(shape)
    if any(size not in (1, other) for size, other in zip(shape, value.shape[missing:], strict=True)):
        return None
    axis = 1 - missing
    permuted = {constant: axis} if axis >= 0 and shape[axis] > 1 else {}
    return Reader(node, 1 - constant, permuted, carries=True)


def _convolution(node: ir.Node) -> Reader | None:
    """Read the channels of one group, whose weights take the order, or carry those of a depthwise convolution."""
    channels, weights = channel_count(node.inputs[0]), _constant_shape(node, 1)
    groups = integer(node, "group", 1)
    if channels is None or weights is None:
        return None
    if groups == 1:
        return Reader(node, 0, {1: 1}, carries=False)
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if groups != channels or weights[0] != channels or (has_bias and _constant_shape(node, 2) is None):
        return None
    return Reader(node, 0, {1: 0, 2: 0} if has_bias else {1: 0}, carries=True)


def _constant_shape(node: ir.Node, operand: int) -> tuple[int, ...] | None:
    """Return the shape of an operand that is known offline; None where it is not."""
    value = node.inputs[operand]
    tensor = constant_of(value) if value is not None else None
    return None if tensor is None else tuple(tensor.numpy().shape)
