"""Lets convolutions take channels in the order in which they lie, so that nobody has to shuffle them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.values import constant_of
from layoutopt.layout.analysis.channel_routes import Gathered, Run, channel_count, plan_channels
from layoutopt.passes.base import Rewrite


@dataclass(frozen=True)
class AbsorbChannelShuffles(Rewrite):
    """Absorb channel shuffles into the constant weights of the convolutions after them.

    The values that Concat, Split, Slice, Gather and Reshape-Transpose-Reshape route to a convolution are read where
    they come from, in contiguous runs of channels. Done only where a shuffle or a Gather dies of it.
    """

    def rewrite(self, model: ir.Model) -> bool:
        """Plan each graph before it is edited."""
        modified, opset = False, model.opset_imports.get("", 0)
        for graph in edit.graphs_of(model):
            if plan := plan_channels(graph):
                _Rewriter(graph, opset, plan).run()
                modified = True
        return modified


class _Rewriter:
    """Give every reader of a plan what it is to read."""

    def __init__(self, graph: ir.Graph, opset: int, plan: Sequence[Gathered]) -> None:
        self._graph, self._opset, self._plan = graph, opset, plan
        self._parts: Mapping[ir.Value, Sequence[tuple[Run, ir.Value]]] = {}
        self._joined: dict[tuple[Run, ...], ir.Value] = {}
        self._permuted: dict[tuple[ir.Value, int, tuple[int, ...]], ir.Value] = {}

    def run(self) -> None:
        """Split the sources, once each, and rewire the readers in the order of the graph."""
        borders: dict[ir.Value, set[int]] = defaultdict(set)
        for source, start, stop in (run for gathered in self._plan for run in gathered.runs if not _is_whole(run)):
            borders[source] |= {0, start, stop, channel_count(source) or stop}
        self._parts = {source: self._split(source, sorted(cuts)) for source, cuts in borders.items()}
        producers = [gathered.reader.value.producer() for gathered in self._plan]
        for gathered in self._plan:
            self._rewire(gathered)
        for producer in producers:
            if producer is not None:
                edit.remove_dead(producer)

    def _split(self, source: ir.Value, borders: Sequence[int]) -> list[tuple[Run, ir.Value]]:
        runs = [Run(source, start, stop) for start, stop in pairwise(borders)]
        sizes = np.array([run.stop - run.start for run in runs], np.int64)
        if self._opset < 13:
            node = ir.node("Split", [source], {"axis": 1, "split": sizes.tolist()}, num_outputs=len(runs))
        else:
            lengths = edit.add_constant(self._graph, f"{source.name}_sizes", sizes)
            node = ir.node("Split", [source, lengths], {"axis": 1}, num_outputs=len(runs))
        edit.insert_after(self._graph, source, node, (), f"{source.name}_part")
        for part in node.outputs[1:]:
            part.name = edit.fresh_name(self._graph, f"{source.name}_part")
        for run, part in zip(runs, node.outputs, strict=True):
            part.type, part.shape = source.type, _with_channels(source, run.stop - run.start)
        return list(zip(runs, node.outputs, strict=True))

    def _rewire(self, gathered: Gathered) -> None:
        reader = gathered.reader
        reader.node.replace_input_with(reader.operand, self._join(gathered))
        for operand, axis in reader.constants.items():
            constant = reader.node.inputs[operand]
            assert constant is not None
            reader.node.replace_input_with(operand, self._permute(constant, axis, gathered.order))

    def _join(self, gathered: Gathered) -> ir.Value:
        """Return the runs as one value, made before the first node that reads them so."""
        if (found := self._joined.get(gathered.runs)) is not None:
            return found
        pieces = [piece for run in gathered.runs for piece in self._pieces(run)]
        if len(pieces) == 1:
            joined = pieces[0]
        else:
            reader = gathered.reader
            node = ir.node("Concat", pieces, {"axis": 1})
            joined = node.outputs[0]
            joined.name = edit.fresh_name(self._graph, f"{reader.value.name}_gathered")
            node.name = edit.fresh_name(self._graph, f"Concat/{joined.name}")
            joined.type, joined.shape = reader.value.type, reader.value.shape
            self._graph.insert_before(reader.node, node)
        self._joined[gathered.runs] = joined
        return joined

    def _pieces(self, run: Run) -> list[ir.Value]:
        if _is_whole(run):
            return [run.source]
        return [part for each, part in self._parts[run.source] if run.start <= each.start and each.stop <= run.stop]

    def _permute(self, constant: ir.Value, axis: int, order: tuple[int, ...]) -> ir.Value:
        """Return ``constant`` with its ``axis`` in ``order``; what readers share, they share still."""
        tensor = constant_of(constant)
        assert tensor is not None
        if list(order) == sorted(order):
            return constant
        key = (constant, axis, order)
        if key not in self._permuted:
            array = np.take(tensor.numpy(), order, axis)
            self._permuted[key] = edit.add_constant(self._graph, f"{constant.name}_reordered", array)
        return self._permuted[key]


def _is_whole(run: Run) -> bool:
    return (run.start, run.stop) == (0, channel_count(run.source))


def _with_channels(value: ir.Value, channels: int) -> ir.Shape:
    assert value.shape is not None
    return ir.Shape([channels if axis == 1 else size for axis, size in enumerate(value.shape)])
