"""The layouts that the inputs and outputs of a graph may have."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from layoutopt.errors import UsageError
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.perm import Perm, channels_last, channels_last_unbatched, identity
from layoutopt.ir.placeholders import is_placeholder
from layoutopt.ir.values import is_constant, static_shape
from layoutopt.options import Io, TensorLayout

RANKS = range(3, 6)
"""Ranks that have a channels-last layout."""


def interface_orders(model: ir.Model, io: Io, layouts: Mapping[str, TensorLayout]) -> dict[str, tuple[Perm, ...]]:
    """Return for each graph input and output that may change its layout the orders of its axes that it may have.

    Args:
        model: the model; what an earlier run made of its inputs and outputs stays as it is.
        io: what may happen to those that ``layouts`` does not name.
        layouts: of inputs and outputs by name.

    Raises:
        UsageError: ``layouts`` do not fit the model.
    """
    values = {str(value.name): value for value in (*model.graph.inputs, *model.graph.outputs)}
    for name in layouts:
        if name not in values:
            raise UsageError(f"--layout {name}: there is no such input or output", hint=_names(model))
    recorded = recorded_orders(model)
    orders: dict[str, tuple[Perm, ...]] = {}
    for name, value in values.items():
        if (wanted := layouts.get(name)) is not None:
            _check(value, wanted, recorded=name in recorded)
        if name in recorded or is_placeholder(name):
            continue
        rank, default = len(static_shape(value) or ()), TensorLayout.FREE if io is Io.FREE else TensorLayout.NATURAL
        meaning = (wanted or default).meaning
        if _is_unbatched(value) and wanted is None:
            orders[name] = (identity(rank), channels_last_unbatched(rank)) if io is Io.FREE else ()
        elif rank in RANKS:
            orders[name] = _orders(meaning, rank)
    return {name: each for name, each in orders.items() if each}


def _is_unbatched(value: ir.Value) -> bool:
    """Say whether a batch of one is put before the axes of an input, or taken from those of an output."""
    shape = static_shape(value)
    if shape is None or len(shape) not in _UNBATCHED_RANKS:
        return False
    node = value.producer()
    if node is not None:
        source = node.inputs[0] if node.op_type in ("Reshape", "Squeeze") else None
        return source is not None and static_shape(source) == (1, *shape)
    readers = value.consumers()
    return bool(readers) and all(
        node.op_type in ("Reshape", "Unsqueeze") and static_shape(node.outputs[0]) == (1, *shape) for node in readers
    )


_UNBATCHED_RANKS = range(2, 5)


def _orders(layout: TensorLayout, rank: int) -> tuple[Perm, ...]:
    """Return the orders that ``layout`` means; none where it means no change."""
    natural, last = identity(rank), channels_last(rank)
    return {
        TensorLayout.NATURAL: (),
        TensorLayout.CHANNELS_LAST: (last,),
        TensorLayout.FREE: (natural, last),
    }[layout]


def _check(value: ir.Value, wanted: TensorLayout, *, recorded: bool) -> None:
    """Refuse a layout that ``value`` cannot have."""
    shape, problem = static_shape(value), ""
    if wanted.rank is not None and (shape is None or len(shape) != wanted.rank):
        problem = f"its shape is {value.shape}, of another rank"
    elif wanted.meaning is TensorLayout.NATURAL:
        problem = "an earlier run made it channels-last; optimize the original" if recorded else ""
    elif shape is None:
        problem = "its shape is not known"
    elif len(shape) not in RANKS:
        problem = f"its shape is {value.shape}, and only ranks {RANKS[0]} to {RANKS[-1]} have a channels-last layout"
    elif value.is_initializer() or is_constant(value):
        problem = "it has a constant value"
    if problem:
        words = ", ".join(each.value for each in TensorLayout if each.rank in (None, len(shape or ())))
        raise UsageError(f"--layout {value.name}={wanted.value}: {problem}", hint=f"For this tensor: {words}.")


def _names(model: ir.Model) -> str:
    inputs, outputs = (", ".join(str(each.name) for each in some) for some in (model.graph.inputs, model.graph.outputs))
    return f"Inputs: {inputs}. Outputs: {outputs}."
