"""The rule that describes a node, or the reason why none does."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from layoutopt.ir.dialect import ACTIVATIONS, DOMAIN
from layoutopt.ir.perm import permute
from layoutopt.ir.schemas import is_well_typed
from layoutopt.ir.values import is_constant, static_shape
from layoutopt.layout.rules import spatial
from layoutopt.layout.rules.rule import LayoutRule
from layoutopt.layout.rules.table import LAYOUT_FIXED, RULES, VIEWS
from layoutopt.layout.rules.variants import Port


def entry_for(node: ir.Node) -> LayoutRule | None:
    """Return the table's entry for the operator of ``node``, which need not describe it; None where there is none."""
    if node.domain == DOMAIN and node.op_type in ACTIVATIONS:
        return LayoutRule()
    return RULES.get(node.op_type) if node.domain == "" else None


def is_function_of_elements(node: ir.Node) -> bool:
    """Return whether each element of the one result is a function of that in its place in the first operand alone."""
    entry = entry_for(node)
    return entry is not None and entry.is_elementwise and entry.operands == 1 and len(node.outputs) == 1


def rule_for(node: ir.Node, opset: int) -> LayoutRule | None:
    """Return the rule that describes ``node`` in a model of ``opset``; None where it is layout-fixed."""
    if objection(node, opset):
        return None
    return LayoutRule() if node.domain == DOMAIN else RULES[node.op_type].at(opset)


def objection(node: ir.Node, opset: int) -> str:
    """Return why ``node`` is layout-fixed; empty where a rule describes it."""
    entry = entry_for(node)
    rule = entry.at(opset) if entry is not None else None
    if entry is None:
        return LAYOUT_FIXED.get(node.op_type, f"no layout rule for {node.op_type}")
    if rule is None:
        return f"the layout rule for {node.op_type} is for other opsets than {opset}"
    if node.domain == "" and not is_well_typed(node, opset):
        return "it has an attribute that its opset does not know"
    return _misfit(node, rule)


def _misfit(node: ir.Node, rule: LayoutRule) -> str:
    """Return why ``rule`` does not describe ``node``, although it does other operators of the type."""
    ports = rule.ports(node)
    shaped = (*(port.value(node) for port in ports), *node.inputs[: rule.shaped])
    if any(value is None or static_shape(value) is None for value in shaped):
        return "not all shapes are known"
    if not rule.enlarges and all(is_constant(port.value(node)) for port in ports if not port.result):
        return "its operands are constants"
    if rule.ranks is not None and (rank := len(ports[0].shape(node))) not in rule.ranks:
        return f"the layout rule for {node.op_type} is for other ranks than {rank}"
    if rule.results not in (None, len(node.outputs)):
        return "its further results count in the natural layout"  # the indices of a MaxPool
    if rule.required_layout is spatial.natural_channels and not _has_required_layout(node, rule, ports[0]):
        return "it changes the batch or the channels"
    if rule.required_layout is None and rule.natural(node) is None:
        return "an axis that it names is not known offline"
    return ""


def _has_required_layout(node: ir.Node, rule: LayoutRule, port: Port) -> bool:
    """Return whether the target has the operator in the one layout that it needs."""
    assert rule.required_layout is not None
    return any(rule.variants(node, port, rule.required_layout(node, port), lambda _: ()))


def is_view(node: ir.Node) -> bool:
    """Return whether ``node`` only gives the bytes of its first operand other axes."""
    if node.domain != "" or node.op_type not in VIEWS or not node.inputs or (value := node.inputs[0]) is None:
        return False
    before, after = static_shape(value), static_shape(node.outputs[0])
    if before is None or after is None or is_constant(value):
        return False
    perm = VIEWS[node.op_type](node)
    if perm is None:
        return node.op_type != "Transpose" and prod(before) == prod(after)
    return permute(before, perm) == after
