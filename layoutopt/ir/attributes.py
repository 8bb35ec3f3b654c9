"""Questions about single nodes: attributes, constant operands, axes. Questions about values belong to ``values``."""

from __future__ import annotations

import onnx_ir as ir

from layoutopt.ir.perm import Perm, identity
from layoutopt.ir.values import Wide, constant_array, known_shape, wide_constant


def is_operator(node: ir.Node, *names: str) -> bool:
    """Return whether ``node`` is one of these operators of the default domain."""
    return node.domain == "" and node.op_type in names


def has_operand(node: ir.Node, index: int) -> bool:
    """Return whether ``node`` has an operand at ``index`` that is not left empty."""
    return index < len(node.inputs) and node.inputs[index] is not None


def integer(node: ir.Node, name: str, default: int | None) -> int | None:
    """Return an attribute that is a whole number."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """Return an attribute that is a list of whole numbers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else tuple(attribute.as_ints())


def constant_integers(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """Return a constant operand of whole numbers, flat; None where it is missing, empty or not known offline."""
    array = constant_array(node.inputs[index]) if has_operand(node, index) else None
    return None if array is None else tuple(int(number) for number in array.reshape(-1))


def constant_operand(node: ir.Node, index: int) -> Wide | None:
    """Return the constant operand at ``index`` in double precision; None where it is missing, empty or computed."""
    return wide_constant(node.inputs[index]) if has_operand(node, index) else None


def axis_of(node: ir.Node, default: int | None, rank: int) -> int | None:
    """Return the attribute ``axis``, not negative; None where it is missing or out of range."""
    value = integer(node, "axis", default)
    return None if value is None or not -rank <= value < rank else value % rank


def reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """Return the axes that a reduction drops, not negative; None where they are not known offline."""
    source = node.inputs[0]
    assert source is not None, "a reduction of nothing"
    rank = len(known_shape(source))
    if node.op_type in ("ArgMax", "ArgMin"):
        values: tuple[int, ...] | None = (integer(node, "axis", 0) or 0,)
    elif has_operand(node, 1):
        values = constant_integers(node, 1)
    else:
        values = integers(node, "axes", ())
    if values == () and not integer(node, "noop_with_empty_axes", 0):
        values = identity(rank)
    if values is None or any(not -rank <= value < rank for value in values):
        return None
    return tuple(value % rank for value in values)


def transpose_perm(node: ir.Node) -> Perm | None:
    """Return the permutation of a Transpose, which reverses the axes where it names none; None where it is not valid.

    Also None where the rank of the operand is unknown and nothing is named.
    """
    source = node.inputs[0]
    shape = None if source is None else source.shape
    attribute = node.attributes.get("perm")
    if attribute is None:
        return None if shape is None else tuple(reversed(identity(len(shape))))
    perm = tuple(attribute.as_ints()) if attribute.type is ir.AttributeType.INTS else ()
    rank = len(perm) if shape is None else len(shape)
    return perm if sorted(perm) == list(range(rank)) else None
