"""Finds tensors of a model by the names that a user gives: of tensors, or of the nodes that compute them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.ir.values import is_constant

_MAX_GUESSES = 3


def tensors_of(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs of ``graph`` and the results of its nodes, in order, without constants and without bodies."""
    computed = [value for node in graph for value in node.outputs]
    return [value for value in (*graph.inputs, *computed) if value.name and not is_constant(value)]


def find_tensors(graph: ir.Graph, names: Sequence[str], option: str) -> list[ir.Value]:
    """Return the tensors with these names; the name of a node stands for all its results that are used.

    What is the name of a tensor and of another's node means the tensor, or it could not be named.

    Args:
        graph: the main graph of a model.
        names: of tensors or nodes.
        option: what a user has given the names with, for errors.

    Raises:
        UsageError: there is no such name, it fits several nodes, or two names mean one tensor.
    """
    by_name = {str(value.name): value for value in tensors_of(graph)}
    nodes: dict[str, list[ir.Node]] = {}
    for node in graph:
        if node.name:
            nodes.setdefault(node.name, []).append(node)
    found: dict[ir.Value, str] = {}
    for name in names:
        for value in _named(name, by_name, nodes, graph, option):
            if value in found:
                other = "twice" if found[value] == name else f"also as {found[value]!r}"
                raise UsageError(f"{option}: {name!r} is given {other}", hint="Name each tensor once.")
            found[value] = name
    return list(found)


def _named(
    name: str, tensors: dict[str, ir.Value], nodes: dict[str, list[ir.Node]], graph: ir.Graph, option: str
) -> list[ir.Value]:
    tensor, made = tensors.get(name), nodes.get(name, [])
    results = [value for node in made for value in node.outputs if value.uses() or value.is_graph_output()]
    if tensor is not None:
        return [tensor]
    if len(made) > 1:
        meant = ", ".join(repr(value.name) for value in results)
        raise UsageError(f"{option}: {name!r} names several nodes", hint=f"Name the tensor that is meant: {meant}.")
    if results:
        return results
    raise UsageError(f"{option}: {_why_not(name, graph)}", hint=_hint(name, [*tensors, *nodes]))


def _why_not(name: str, graph: ir.Graph) -> str:
    if name in graph.initializers or any(name == value.name for node in graph for value in node.outputs):
        return f"{name!r} is a constant"
    inside = [node for body in graph.subgraphs() for node in body]
    if any(name in (node.name, *(value.name for value in node.outputs)) for node in inside):
        return f"{name!r} is inside a body, and only the main graph can be cut"
    return f"there is no tensor or node {name!r}"


def _hint(name: str, known: Iterable[str]) -> str:
    if close := closest(name, known):
        return f"Did you mean {' or '.join(close)}? All are listed by 'layoutopt tensors MODEL.onnx'."
    return "See what there is: layoutopt tensors MODEL.onnx."


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the ``known`` names that are most similar to ``name``, the best first."""
    candidates = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), candidates, n=_MAX_GUESSES)
    found += [each for each in candidates if name.lower() in each and each not in found]
    return [candidates[each] for each in found[:_MAX_GUESSES]]
