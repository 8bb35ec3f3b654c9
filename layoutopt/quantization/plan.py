"""The choice of operators that compute with integers, and the scale and zero point of each of their values.

Values that one kernel needs on one grid, such as the operand and the result of a pool, form a class and have one range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from layoutopt.options import Int8, QuantizedIo
from layoutopt.quantization.cheaper_in_float import cheaper_in_float
from layoutopt.quantization.operators import (
    SAME_GRID,
    SLOW,
    clamped,
    data_of,
    fixed_steps,
    is_real,
    positions,
    why_float,
)
from layoutopt.quantization.ranges import Range
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Operation, Value
from layoutopt.tfl.rewrites.grids import QuantizationGrid
from layoutopt.tfl.rewrites.integer_interface import SAME_ZERO, same_number
from layoutopt.tfl.rewrites.integer_kernels import MOVEMENTS, ONE_GRID

_MAX_RATIOS = {Int8.FAST: 1.5, Int8.FULL: 4.0}
"""The width of the range of a part of a joined output, as a multiple of another's, which loses what it is wider by."""
_KEEP_RATIO = 2.0
"""The share of the whole that the range of an operand of CONCATENATION may have and keep the same steps."""
_UNPROFITABLE = "between floats: converting would cost more than it saves"
_JOINS = "joins values of different size, which one scale would coarsen"
_MOVES = "moves floats"
_OUTPUT = "gives an output, and its int8 kernel has only 256 steps from 0 to 1"
MOVING = frozenset((_JOINS, _MOVES))
"""The reasons of operators that compute nothing: after the DEQUANTIZE of an output, say."""

_PIXELS = "subtracts the zero point of bytes that are read as they are"

_JOINING = SAME_GRID | {"CONCATENATION"}


@dataclass(slots=True)
class QuantizationPlan:
    """The quantization of a graph: its grids, by operator and value.

    Attributes:
        whole: operations that compute with integers.
        steps: of each value that is an operand or a result of one of those.
        reasons: why each of the others computes with floats.
    """

    whole: set[Operation]
    steps: dict[Value, QuantizationGrid]
    reasons: dict[Operation, str]


def plan(
    graph: Graph, ranges: Mapping[Value, Range], *, int8: Int8, io: QuantizedIo, floats: Mapping[Operation, str]
) -> QuantizationPlan:
    """Decide which operators compute with integers.

    Args:
        graph: of float operators; it stays as it is.
        ranges: of its inputs and of the results of its operations.
        int8: which operators should.
        io: element type of inputs and outputs.
        floats: operations that must not, with the reason.
    """
    shifted = {each: found for each in graph.operations if (found := _of_shifted_bytes(each)) is not None}
    ranges = {**ranges, **dict(_of_bytes(graph)), **{each.result: found for each, found in shifted.items()}}
    reasons = {
        operation: why
        for operation in graph.operations
        if (why := floats.get(operation) or (_PIXELS if operation in shifted else why_float(operation)))
    }
    readers = graph.readers()
    if int8 is Int8.FAST:
        _keep_slow(graph, reasons)
    if int8 is Int8.FAST or io is QuantizedIo.FLOAT:
        _keep_joined_outputs(graph, ranges, readers, reasons, int8)
    if int8 is Int8.FAST and io is QuantizedIo.FLOAT:
        _keep_shown_logistic(graph, readers, reasons)
    if int8 is Int8.FAST:
        _keep_cheaper_in_float(graph, readers, reasons)
    _Islands(graph, readers, reasons, needs_weights=int8 is Int8.FAST).prune()
    whole = {operation for operation in graph.operations if operation not in reasons}
    return QuantizationPlan(whole, _Classes(graph, ranges, readers, whole).steps(), reasons)


def _of_bytes(graph: Graph) -> Iterator[tuple[Value, Range]]:
    """Iterate over the real numbers that bytes are cast to, such as pixels: their steps are those of the bytes."""
    for operation in graph.operations:
        if operation.code == "CAST" and operation[0].dtype in (DType.INT8, DType.UINT8) and is_real(operation.result):
            yield operation.result, Range(float(operation[0].dtype.min), float(operation[0].dtype.max))


def _of_shifted_bytes(operation: Operation) -> Range | None:
    """Return the range of bytes less a whole number, which then is their zero point; None for any other operation."""
    cast = operation[0].producer if operation.code == "SUB" else None
    if cast is None or cast.code != "CAST" or cast[0].dtype not in (DType.INT8, DType.UINT8):
        return None
    mean = same_number(operation[1])
    if mean is None or abs(mean - round(mean)) > SAME_ZERO or operation.options["fused_activation_function"] != "NONE":
        return None
    low, high = float(cast[0].dtype.min - round(mean)), float(cast[0].dtype.max - round(mean))
    return Range(low, high) if low <= 0 <= high and operation.result.shape == cast.result.shape else None


def _keep_slow(graph: Graph, reasons: dict[Operation, str]) -> None:
    for operation in graph.operations:
        if operation.code in SLOW:
            reasons.setdefault(operation, SLOW[operation.code])


def _keep_cheaper_in_float(
    graph: Graph, readers: Mapping[Value, Sequence[Operation | None]], reasons: dict[Operation, str]
) -> None:
    """Keep on floats what gains nothing, unless that is all: who asks for integers has them in a small network."""
    candidates = [operation for operation in graph.operations if operation not in reasons]
    floats = cheaper_in_float(graph, readers, candidates)
    if any(positions(operation) is not None for operation in candidates if operation not in floats):
        reasons.update(dict.fromkeys(floats, _UNPROFITABLE))


def _keep_joined_outputs(
    graph: Graph,
    ranges: Mapping[Value, Range],
    readers: Mapping[Value, Sequence[Operation | None]],
    reasons: dict[Operation, str],
    int8: Int8,
) -> None:
    """Keep a CONCATENATION float whose parts differ in size, but for one that a layer with weights reads.

    Where all operators compute with integers, only what makes an output of its result, by moving it, may read it.
    """
    spares = _moves_on if int8 is Int8.FULL else _feeds_no_weights
    spared: dict[Value, bool] = {}
    for operation in reversed(graph.operations):
        for result in operation.results:
            spared[result] = all(spares(reader, spared) for reader in readers.get(result, []))
    joined: set[Value] = set()
    for operation in graph.operations:
        if operation.code not in _JOINING:
            continue
        apart = any(operand in joined for operand in operation.operands)
        if operation.code == "CONCATENATION" and spared[operation.result]:
            parts = [ranges[part].width for part in operation.operands if part is not None and part in ranges]
            apart |= bool(parts) and max(parts) > _MAX_RATIOS[int8] * min(parts)
            if apart:
                reasons.setdefault(operation, _JOINS)
        if apart:
            joined.update(operation.results)


def _keep_shown_logistic(
    graph: Graph, readers: Mapping[Value, Sequence[Operation | None]], reasons: dict[Operation, str]
) -> None:
    """Keep a LOGISTIC float whose result, or a part of it, becomes an output by being moved.

    Its kernel has 256 steps from 0 to 1, and the scores of a detector may be less than one of them.
    """
    shown: set[Value] = set()
    for operation in reversed(graph.operations):
        for result in operation.results:
            if any(
                reader is None or (_picks(reader) and shown.intersection(reader.results))
                for reader in readers.get(result, [])
            ):
                shown.add(result)
        if operation.code == "LOGISTIC" and operation.result in shown:
            reasons.setdefault(operation, _OUTPUT)


def _feeds_no_weights(reader: Operation | None, spared: Mapping[Value, bool]) -> bool:
    if reader is None or positions(reader) is not None:
        return reader is None
    return reader.code not in _JOINING or spared[reader.results[0]]


def _moves_on(reader: Operation | None, spared: Mapping[Value, bool]) -> bool:
    return reader is None or (_picks(reader) and all(spared[result] for result in reader.results))


def _picks(operation: Operation) -> bool:
    """Return whether the elements of an operator's results are those of its operands."""
    return operation.code == "CONCATENATION" or operation.code in MOVEMENTS


@dataclass(slots=True)
class _Islands:
    """Find operators that could compute with integers and gain nothing by it.

    Attributes:
        needs_weights: whether only operators that are connected to one with weights are worth it.
    """

    graph: Graph
    readers: Mapping[Value, Sequence[Operation | None]]
    reasons: dict[Operation, str]
    needs_weights: bool

    def prune(self) -> None:
        """Keep on floats what moves floats, and what no layer with weights is connected to."""
        while self._keep_clamps() or self._keep_movements():
            pass
        if self.needs_weights:
            self._keep_unconnected()

    def _is_whole(self, operation: Operation | None) -> bool:
        return operation is not None and operation not in self.reasons

    def _keep_clamps(self) -> bool:
        """Keep a limit float that is not that of the range of what is computed before it."""
        changed = False
        for operation in self.graph.operations:
            source = None if operation in self.reasons else clamped(operation)
            if source is None:
                continue
            before = source.producer
            if (
                before is None
                or not self._is_whole(before)
                or before.code in _JOINING
                or fixed_steps(before) is not None
                or len(self.readers[source]) > 1
            ):
                self.reasons[operation] = "no int8 kernel"
                changed = True
        return changed

    def _keep_movements(self) -> bool:
        changed = False
        for operation in self.graph.operations:
            if operation in self.reasons or operation.code not in SAME_GRID:
                continue
            source = operation[data_of(operation)[0]]
            before = self._is_whole(source.producer)
            read = [reader for result in operation.results for reader in self.readers.get(result, [])]
            if not before and not all(map(self._is_whole, read)):
                self.reasons[operation] = _MOVES
                changed = True
        return changed

    def _keep_unconnected(self) -> None:
        classes = _Sets()
        whole = [operation for operation in self.graph.operations if operation not in self.reasons]
        for operation in whole:
            for at in data_of(operation):
                if self._is_whole(operation[at].producer):
                    classes.join(operation, operation[at].producer)
        weighty = {classes.find(operation) for operation in whole if positions(operation) is not None}
        for operation in whole:
            if classes.find(operation) not in weighty:
                self.reasons[operation] = _UNPROFITABLE


@dataclass(slots=True)
class _Sets:
    """Disjoint sets of anything that can be a key."""

    parents: dict[object, object] = field(default_factory=dict)

    def find(self, item: object) -> object:
        """Return the member that stands for the set of an item."""
        while (parent := self.parents.get(item, item)) is not item:
            item = parent
        return item

    def join(self, one: object, other: object) -> None:
        """Make one set of those of two items."""
        first, second = self.find(one), self.find(other)
        if first is not second:
            self.parents[second] = first


@dataclass(slots=True)
class _Classes:
    """Values that share a grid."""

    graph: Graph
    ranges: Mapping[Value, Range]
    readers: Mapping[Value, Sequence[Operation | None]]
    whole: set[Operation]
    sets: _Sets = field(default_factory=_Sets)
    fixed: dict[Value, QuantizationGrid] = field(default_factory=dict)

    def steps(self) -> dict[Value, QuantizationGrid]:
        """Return the steps of every value that an operation on integers takes or gives."""
        self._find_fixed()
        for operation in self._whole():
            if operation.code in SAME_GRID:
                source = operation[data_of(operation)[0]]
                for result in operation.results:
                    self.sets.join(source, result)
            if (limited := clamped(operation)) is not None:
                self.sets.join(operation.result, limited)
            elif operation.code in ONE_GRID:
                for at in data_of(operation):
                    self.sets.join(operation.result, operation[at])
        for operation in self._whole():
            if operation.code == "CONCATENATION":
                self._join_parts(operation)
        values = list(dict.fromkeys(value for operation in self._whole() for value in _touched(operation)))
        beyond = {clamped(operation) for operation in self._whole()}  # whose integers saturate
        joined: dict[object, Range] = {}
        for value in values:
            if value in beyond:
                continue
            key = self.sets.find(value)
            joined[key] = joined[key] | self.ranges[value] if key in joined else self.ranges[value]
        fixed = {self.sets.find(value): steps for value, steps in self.fixed.items()}
        return {value: fixed.get(self.sets.find(value)) or joined[self.sets.find(value)].steps for value in values}

    def _whole(self) -> Iterator[Operation]:
        return (operation for operation in self.graph.operations if operation in self.whole)

    def _find_fixed(self) -> None:
        for operation in self._whole():
            if (steps := fixed_steps(operation)) is not None:
                self.fixed[operation.result] = steps

    def _join_parts(self, operation: Operation) -> None:
        """Let the operands of CONCATENATION have the steps of the result, where that costs them at most a bit."""
        result = operation.result
        fixed = {self.sets.find(value) for value in self.fixed}
        for part in dict.fromkeys(operation.operands):
            if part is None or not is_real(part) or self.sets.find(part) in fixed:
                continue
            alone = len(self.readers.get(part, [])) == 1
            if alone or self.ranges[result].width <= _KEEP_RATIO * self.ranges[part].width:
                self.sets.join(result, part)


def _touched(operation: Operation) -> Iterator[Value]:
    yield from (operation[at] for at in data_of(operation))
    yield from operation.results
