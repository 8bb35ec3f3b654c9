"""Every value of a model as ONNX Runtime computes it, for a look inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from layoutopt.errors import InvalidModelError
from layoutopt.ir.counts import operator_name
from layoutopt.ir.edit import fresh_name
from layoutopt.ir.verify import Arrays, run_onnx

INPUT = "(input)"
"""Stands for the operator of a graph input."""


@dataclass(frozen=True, slots=True)
class OnnxValue:
    """One value that depends on the inputs of the graph.

    Attributes:
        name: of the value.
        node: that computes it; its first result where it has no name; empty for a graph input.
        operator: of that node, or ``INPUT``.
        array: what it holds.
        ancestors: bit ``i`` tells whether it depends on value ``i``; its own bit is set too.
        follower: the result of its one reader; None where several nodes read it, or none, or one of several results.
    """

    name: str
    node: str
    operator: str
    array: npt.NDArray[np.generic]
    ancestors: int
    follower: int | None


def trace(model: ir.Model, inputs: Arrays) -> tuple[OnnxValue, ...]:
    """Run ``model`` once, unoptimized, with every value as an output.

    Values that do not depend on the inputs are left out, and so are sequences, and what bodies of If, Loop and Scan
    compute.

    Args:
        model: of static shapes; it is not changed.
        inputs: an array for each graph input.

    Returns:
        The graph inputs, then all other values in the order of the graph.

    Raises:
        InvalidModelError: ONNX Runtime cannot run the model.
    """
    model = model.clone()
    graph = model.graph
    fed = [value for value in graph.inputs if not value.is_initializer()]
    made = _varying(graph, fed)
    public = set(graph.outputs)
    graph.outputs.extend(value for value in made if value not in public)
    arrays: Mapping[str, object] = {**inputs, **_run(model, inputs)}
    kept = [value for value in (*fed, *made) if isinstance(arrays.get(str(value.name)), np.ndarray)]
    return tuple(_describe(kept, arrays))


def recompute(model: ir.Model, inputs: Arrays, given: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """Run ``model`` once with ``given`` values put in the place of its own wherever they are read.

    So each result tells what the model makes of the given values nearest before it, whatever went wrong before.

    Args:
        model: of static shapes; it is not changed.
        inputs: an array for each graph input that is not among ``given``.
        given: arrays by the name of the value, a graph input or what a node computes.

    Returns:
        What the model computes for each value of its graph, by name; for a graph input, what it was given.

    Raises:
        InvalidModelError: ONNX Runtime cannot run the model.
    """
    model = model.clone()
    graph = model.graph
    made = [value for node in graph for value in node.outputs if value.name in given]
    feed = {name: given.get(name, array) for name, array in inputs.items()}
    graph.outputs[:] = _varying(graph, [value for value in graph.inputs if not value.is_initializer()])
    for value in made:
        array = given[str(value.name)]
        stand_in = ir.val(
            fresh_name(graph, f"{value.name}_given"), dtype=ir.DataType.from_numpy(array.dtype), shape=array.shape
        )
        for node, index in tuple(value.uses()):
            node.replace_input_with(index, stand_in)
        graph.inputs.append(stand_in)
        feed[str(stand_in.name)] = array
    return {**{name: feed[name] for name in inputs}, **_run(model, feed)}


def _run(model: ir.Model, feed: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    try:
        return run_onnx(model, feed, optimize=False)
    except RuntimeError as error:
        raise InvalidModelError(
            f"ONNX Runtime cannot run the model: {error}", hint="Without it there is nothing to compare with."
        ) from error


def _varying(graph: ir.Graph, fed: Sequence[ir.Value]) -> list[ir.Value]:
    """Return the values that depend on ``fed``, in the order of the graph."""
    known, made = set(fed), []
    for node in graph:
        if known.isdisjoint(_operands(node)):
            continue
        results = [value for value in node.outputs if value.name]
        known.update(results)
        made += results
    return made


def _operands(node: ir.Node) -> list[ir.Value]:
    """Return all values that a node reads, including those read in its bodies."""
    inner = [
        value
        for attribute in node.attributes.values()
        if isinstance(attribute, ir.Attr) and attribute.type is ir.AttributeType.GRAPH
        for each in ir.traversal.RecursiveGraphIterator(attribute.as_graph())
        for value in each.inputs
    ]
    return [value for value in (*node.inputs, *inner) if value is not None]


def _describe(values: Sequence[ir.Value], arrays: Mapping[str, object]) -> list[OnnxValue]:
    positions = {value: position for position, value in enumerate(values)}
    ancestors: dict[ir.Value, int] = {}
    described = []
    for value, position in positions.items():
        node = value.producer()
        mask = 1 << position
        for operand in _operands(node) if node is not None else ():
            mask |= ancestors.get(operand, 0)
        ancestors[value] = mask
        array = arrays[str(value.name)]
        assert isinstance(array, np.ndarray)
        name = "" if node is None else node.name or str(node.outputs[0].name)
        operator = INPUT if node is None else operator_name(node)
        described.append(OnnxValue(str(value.name), name, operator, array, mask, _follower(value, positions)))
    return described


def _follower(value: ir.Value, positions: Mapping[ir.Value, int]) -> int | None:
    readers = {use.node for use in value.uses()}
    if len(readers) != 1:
        return None
    results = [result for result in readers.pop().outputs if result.name]
    return positions.get(results[0]) if len(results) == 1 else None
