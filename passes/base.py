"""The contract of a pass, and the forms that most passes have. Passes themselves have a file each."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from layoutopt.ir import edit
from layoutopt.layout.costs.arithmetic import Work
from layoutopt.layout.costs.rejected_rewrites import note_rewrite

NO_OPTION = {"option": False}
"""Metadata of a field of a pass that no pipeline text can name."""

BROADCASTING = 7
"""The first opset whose arithmetic broadcasts as it still does."""


@dataclass(frozen=True)
class Pass(ir.passes.PassBase):
    """A step from a model to a model; its fields are its options, each with a default.

    It receives a valid model and keeps this contract, which ``tests/harness.py`` checks of each one:

    - the result is valid, to the strictest checker;
    - inputs and outputs keep their names, order, types and, apart from a recorded layout, their shapes;
    - the result computes what the original does;
    - ``modified`` is true exactly if something changed;
    - the pass finds nothing to do in its own result.

    An error while it looks for what to do leaves the model as it was.

    Attributes:
        since: the first opset of the default domain whose operators it knows; it leaves older models as they are.
        reorders_sums: whether results may differ by the rounding of sums that run in another order.
    """

    since: ClassVar[int] = 1
    reorders_sums: ClassVar[bool] = False


@dataclass(frozen=True)
class Rewrite(Pass, ir.passes.InPlacePass):
    """A pass that edits the model in place, the graph and all bodies in it."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite ``model`` if its opset is new enough."""
        is_known = model.opset_imports.get("", 0) >= self.since
        return ir.passes.PassResult(model, is_known and self.rewrite(model))

    @abstractmethod
    def rewrite(self, model: ir.Model) -> bool:
        """Rewrite ``model``, of a known opset, and return whether anything changed."""


@dataclass(frozen=True)
class NodeRewrite(Rewrite):
    """A rewrite that looks at one node after the other, in the graph and all bodies, until it finds nothing to do.

    Attributes:
        backwards: whether the last node comes first.
    """

    backwards: ClassVar[bool] = False

    def rewrite(self, model: ir.Model) -> bool:
        """Rewrite all nodes."""
        return edit.rewrite_all(model, self.rewrite_node, backwards=self.backwards)

    @abstractmethod
    def rewrite_node(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Rewrite ``node`` of ``graph`` and what is around it, if possible, and return whether that was done."""


@dataclass(frozen=True)
class CostDrivenRewrite(Rewrite):
    """A rewrite of a network to fewer multiplications, so that sums run in another order.

    Attributes:
        always: whether this is done wherever it can be, and not only where it is cheaper.
    """

    reorders_sums: ClassVar[bool] = True
    always: bool = False

    def is_worth(self, node: ir.Node, before: Work, after: Work) -> bool:
        """Return whether to replace ``node`` and others, which cost ``before``, by nodes that cost ``after``."""
        done = self.always or before.exceeds(after)
        note_rewrite(type(self).__name__, str(node.name or node.outputs[0].name), before, after, done=done)
        return done
