"""Predicts what Winograd's algorithms would gain on a graph that does without them."""

from __future__ import annotations

from collections.abc import Set

from layoutopt.backend.conversion import WinogradGain
from layoutopt.backend.direct.tables import identity_in_file
from layoutopt.tfl.graph import Graph, Operation
from layoutopt.tfl.rewrites.winograd import Plan, Sizes, best_plan, groups_of, is_gain


def predict_winograd_gain(graph: Graph) -> WinogradGain | None:
    """Return what `layoutopt.tfl.rewrites.winograd.use_winograd` would gain on a graph and its bodies.

    Returns:
        The times of all CONV_2D together, each body counted once; None where they do not fall by more than the error
        of the model of costs, and where sizes are unknown.
    """
    convolutions = [each for each in graph.all_operations() if each.code == "CONV_2D"]
    if not all(_is_static(each) for each in convolutions):
        return None
    chosen = [(each, best_plan(each)) for each in convolutions]
    before = sum(_nanoseconds(each, ()) for each in convolutions)
    after = sum(_nanoseconds(each, plan) for each, plan in chosen)
    if not is_gain(before, after):
        return None
    replaced = {each: plan for each, plan in chosen if plan}
    added = sum(Sizes.of(each).weight_bytes(plan) for each, plan in replaced.items())
    return WinogradGain(len(replaced), before, after, added - _bytes_left_out(graph, replaced.keys()))


def _is_static(convolution: Operation) -> bool:
    return convolution[0].is_static and convolution[1].is_static and convolution.result.is_static


def _nanoseconds(convolution: Operation, plan: Plan) -> float:
    """Return the predicted time of a convolution; one with groups takes as long as one for each of them."""
    return groups_of(convolution) * Sizes.of(convolution).nanoseconds(plan)


def _bytes_left_out(graph: Graph, replaced: Set[Operation]) -> int:
    """Return the bytes of the weights that no operation reads any more when these convolutions are replaced."""
    weights = {identity_in_file(each[1].array): each[1].array.nbytes for each in replaced}
    others = [each for each in graph.all_operations() if each not in replaced]
    constants = [operand.data for each in others for operand in each.operands if operand is not None]
    kept = {identity_in_file(each) for each in constants if each is not None}
    return sum(size for key, size in weights.items() if key not in kept)
