"""Removes channels that hold a constant or that nobody reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.ir.attributes import has_operand, integer
from layoutopt.ir.values import constant_of, known_shape
from layoutopt.layout.analysis.dead_channels import ChannelProduct, Channels, constants_per_channel, has_zeros
from layoutopt.layout.analysis.upsampling import with_channels
from layoutopt.passes.base import BROADCASTING, Rewrite

Kept = Mapping[ir.Value, Sequence[int]]
"""The channels that are left, by value."""


@dataclass(frozen=True)
class RemoveDeadChannels(Rewrite):
    """Remove channels of a structurally pruned network: weights and bias zero, or zero in all that reads them.

    A channel of a value is *dead* if it is the same number at every pixel and for every input, or if all weights that
    multiply it are zero: a product reads sum_c w[c] x[c], where such a channel adds nothing, or, without padding,
    w[c] k to the bias; at a border that has other numbers than k inside, it stays unless k is 0. Convolutions that keep
    channels apart, activations, additions, products, pools and resizes make one channel of one channel: all of them up
    to the products around are removed together, or not at all, so both branches of a residual addition agree. Elements
    are taken for finite: 0 times infinity would not be 0.

    A product with fewer channels is never costlier, so nothing is weighed. Nothing is done unless the weights of some
    product have a row or a column of zeros; a value keeps one channel.
    """

    since = BROADCASTING
    reorders_sums = True

    def rewrite(self, model: ir.Model) -> bool:
        """Remove them from the graph and all bodies."""
        modified = False
        for graph in edit.graphs_of(model):
            modified |= has_zeros(graph) and _remove(graph)
        return modified


def _remove(graph: ir.Graph) -> bool:
    """Remove dead channels; whether there were any that can go."""
    channels = Channels(graph)
    kept = channels.kept()
    nodes = [node for node in graph if any(value in kept for value in (*node.inputs, *node.outputs))]
    for node in nodes:
        if (product := channels.products.get(node)) is not None:
            _shrink_product(graph, product, channels, kept)
        else:
            _shrink(graph, node, kept)
    for value, left in kept.items():
        value.shape = ir.Shape(with_channels(known_shape(value), len(left)))
    return bool(nodes)


def _shrink_product(graph: ir.Graph, product: ChannelProduct, channels: Channels, kept: Kept) -> None:
    """Take rows and columns out of the weights, and what the columns add out of the bias."""
    node, source, result = product.node, product.node.inputs[0], product.node.outputs[0]
    tensor = constant_of(node.inputs[1]) if node.inputs[1] is not None else None
    assert source is not None
    assert tensor is not None
    weights, bias = tensor.numpy(), product.bias
    columns, rows = kept.get(source), kept.get(result)
    across, along = (1, 0) if node.op_type == "Conv" else (0, 1)
    if columns is not None:
        known = channels.known[source].copy()
        known[list(columns)] = np.nan
        bias = bias if product.padded else bias + product.contributions(known)
        weights = weights.take(list(columns), across)
    if rows is not None:
        weights, bias = weights.take(list(rows), along), bias[list(rows)]
    node.replace_input_with(1, edit.add_constant(graph, f"{result.name}_kept", weights))
    if node.op_type == "Conv" and (bias.any() or has_operand(node, 2)):
        node.resize_inputs(3)
        node.replace_input_with(2, edit.add_constant(graph, f"{result.name}_bias", bias.astype(weights.dtype)))


def _shrink(graph: ir.Graph, node: ir.Node, kept: Kept) -> None:
    """Take channels out of the constants of a node that keeps channels apart."""
    result = node.outputs[0]
    left = kept.get(result)
    if left is None or node.op_type == "Concat":
        return
    shape = known_shape(result)
    for at, array, axis in list(constants_per_channel(node, shape[1])):
        taken = edit.add_constant(graph, f"{result.name}_kept", array.take(list(left), axis))
        node.replace_input_with(at, taken)
    if node.op_type == "Conv" and (integer(node, "group", 1) or 1) > 1:
        node.attributes["group"] = ir.AttrInt64("group", len(left))
    if node.op_type == "Reshape":
        target = np.array(with_channels(shape, len(left)), np.int64)
        node.replace_input_with(1, edit.add_constant(graph, f"{result.name}_shape", target))
