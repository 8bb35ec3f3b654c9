"""The parts of the outputs of a graph that come from values of different size, and are judged by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from layoutopt.quantization.judging import OutputPart
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.folding import fold
from layoutopt.tfl.graph import Graph, Operation, Value

_RATIO = 4.0
"""The width of other values of a part, as a multiple of that of the narrowest one."""
_MOVING = frozenset(
    ("CONCATENATION", "EXPAND_DIMS", "PACK", "RESHAPE", "SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE")
)
_ORIGIN = np.int32


def output_parts(graph: Graph, output: int, name: str, widths: Mapping[Value, float]) -> Iterator[OutputPart]:
    """Iterate over the parts of an output that are made of values of like size; one part where all are.

    What moves values is run on numbers that tell where each element comes from.

    Args:
        graph: of float operators.
        output: position of the output.
        name: of the output.
        widths: of the range of each value.
    """
    origins = _Origins()
    value = graph.outputs[output]
    made = origins.of(value)
    leaves = [leaf for leaf in origins.leaves if widths.get(leaf, 0.0) > 0]
    groups = _groups(leaves, widths)
    if len(groups) < 2:
        yield OutputPart(name, output)
        return
    for group in groups:
        mask = np.isin(made, [origins.leaves[leaf] for leaf in group])
        if mask.any():
            yield OutputPart(f"{name}{_indices(mask)}", output, mask)


def _groups(leaves: list[Value], widths: Mapping[Value, float]) -> list[list[Value]]:
    """Return values in groups of like size, the widest first."""
    groups: list[list[Value]] = []
    for leaf in sorted(leaves, key=lambda leaf: -widths[leaf]):
        if groups and widths[groups[-1][0]] <= _RATIO * widths[leaf]:
            groups[-1].append(leaf)
        else:
            groups.append([leaf])
    return groups


@dataclass(slots=True)
class _Origins:
    """Trace elements back to the values that they were computed in.

    Attributes:
        leaves: those values, numbered.
    """

    leaves: dict[Value, int] = field(default_factory=dict)
    _known: dict[Value, npt.NDArray[np.int32]] = field(default_factory=dict)

    def of(self, value: Value) -> npt.NDArray[np.int32]:
        """Return for each element of a value the number of the value that it comes from."""
        if value not in self._known:
            self._known[value] = self._traced(value)
        return self._known[value]

    def _traced(self, value: Value) -> npt.NDArray[np.int32]:
        operation = value.producer
        if operation is not None and operation.code in _MOVING:
            found = fold(operation.code, self._operands(operation), {**operation.options, "dtype": DType.INT32.value})
            if found is not None:
                return found[operation.results.index(value)].astype(_ORIGIN)
        number = self.leaves.setdefault(value, len(self.leaves))
        return np.full(value.sizes, number, _ORIGIN)

    def _operands(self, operation: Operation) -> list[Array]:
        operands = [operand for operand in operation.operands if operand is not None]
        return [operand.array if operand.is_constant else self.of(operand) for operand in operands]


def _indices(mask: npt.NDArray[np.bool_]) -> str:
    """Return where a mask is set as NumPy would write it, where that is a block; else how much of all it is."""
    spans = [
        np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        for axis in range(mask.ndim)
    ]
    block = all(span.size == span[-1] - span[0] + 1 for span in spans)
    if not block or mask.sum() != np.prod([span.size for span in spans]):
        return f" ({mask.mean():.0%} of it)"
    texts = [
        ":" if span.size == size else f"{span[0]}:{span[-1] + 1}" for span, size in zip(spans, mask.shape, strict=True)
    ]
    return f"[{', '.join(texts)}]"
