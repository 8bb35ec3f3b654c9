"""Folds what is known offline, through onnxsim."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass, ShapeInferencePass

from layoutopt.errors import InvalidModelError
from layoutopt.ir import edit
from layoutopt.ir.attributes import constant_integers
from layoutopt.ir.branches import take_known_branches
from layoutopt.ir.evaluate import equal_weights, fold_weights, is_fixed
from layoutopt.ir.values import constant_of
from layoutopt.ir.weights import Skeleton
from layoutopt.options import FOLD_LIMIT
from layoutopt.passes.base import Pass

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from onnx import ModelProto


@dataclass(frozen=True)
class FoldConstants(Pass, ir.passes.FunctionalPass):
    """Fold what is known offline (onnxsim), turn Constant nodes into initializers, and infer every shape.

    Attributes:
        simplify: whether onnxsim runs; without it, Constant nodes are lifted and shapes inferred, no more.
        limit: bytes beyond which no Expand, Tile or ConstantOfShape is folded, which would store what they compute.
    """

    simplify: bool = True
    limit: int = FOLD_LIMIT

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold a copy of ``model``.

        Raises:
            InvalidModelError: onnxsim refuses the model.
        """
        before = Skeleton.of(model)
        folded = _simplified(model, before, self.limit) if self.simplify else model.clone()
        for value in model.graph.inputs:
            if value.is_initializer():
                _restore_default(folded.graph, value)
        _restore_inputs(folded.graph, model.graph)
        folded.metadata_props.clear()  # onnxsim writes its whole log there
        folded.metadata_props.update(model.metadata_props)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(folded)
        for graph in edit.graphs_of(folded):
            _spell_out_pads(graph)
            _gather_instead_of_compressing(graph)
        RemoveUnusedNodesPass()(folded)
        _hand_into_bodies(folded)
        if not all(map(_is_known, folded.graph.all_nodes())):
            ShapeInferencePass(data_prop=True)(folded)
        while take_known_branches(folded):  # what is after one may have a known shape now, and the next a condition
            ShapeInferencePass(data_prop=True)(folded)
        edit.forget_tensor_types_of_sequences(folded)
        return ir.passes.PassResult(folded, not _same_computation(before, Skeleton.of(folded)))


def _is_known(node: ir.Node) -> bool:
    """Say whether there is nothing to infer about the results of ``node``."""
    return all(
        isinstance(value.type, ir.TensorType) and value.shape is not None and value.shape.is_static()
        for value in node.outputs
    )


def _spell_out_pads(graph: ir.Graph) -> None:
    """Let each Pad with constant axes name all axes: ONNX Runtime takes that for granted as it moves a Transpose."""
    for node in graph:
        if node.domain == "" and node.op_type == "Pad" and (pads := _all_pads(node)) is not None:
            node.replace_input_with(1, edit.add_constant(graph, f"{node.outputs[0].name}_pads", pads))
            node.resize_inputs(3 if node.inputs[2] is not None else 2)


def _all_pads(node: ir.Node) -> npt.NDArray[np.int64] | None:
    """Return the begins and ends of all axes; None where they are there already, or not known offline."""
    source = node.inputs[0]
    if len(node.inputs) < 4 or node.inputs[3] is None or source is None or source.shape is None:
        return None
    axes, amounts = constant_integers(node, 3), constant_integers(node, 1)
    if axes is None or amounts is None:
        return None
    pads = np.zeros((2, len(source.shape)), np.int64)
    pads[:, list(axes)] = np.array(amounts, np.int64).reshape(2, -1)
    return pads.reshape(-1)


def _hand_into_bodies(model: ir.Model) -> None:
    """Let bodies have axes and sizes of their own: shape inference does not see the constants around them."""
    for graph in model.graph.subgraphs():
        own: dict[ir.Value, ir.Value] = {}
        for node in graph:
            for index, value in enumerate(node.inputs):
                tensor = None if value is None or value.graph is graph else constant_of(value)
                if value is None or tensor is None or tensor.dtype != ir.DataType.INT64 or tensor.size > _FEW:
                    continue
                if value not in own:
                    own[value] = edit.add_constant(graph, f"{value.name}_inside", tensor.numpy())
                node.replace_input_with(index, own[value])


_FEW = 16
"""Axes and sizes of a tensor are no more."""


def _gather_instead_of_compressing(graph: ir.Graph) -> None:
    """Make a Gather of each Compress whose condition is constant, so that the size of its result is known."""
    for node in list(graph):
        if node.domain != "" or node.op_type != "Compress" or "axis" not in node.attributes:
            continue
        (source, condition), result = node.inputs, node.outputs[0]
        tensor = None if condition is None else constant_of(condition)
        if tensor is None or source is None or source.dtype is None:
            continue
        kept = np.flatnonzero(tensor.numpy())
        axis = node.attributes["axis"].as_int()
        write = edit.Writer(graph, node, str(result.name), source.dtype)
        gathered = write("Gather", (), source, write.constant(kept), attributes={"axis": axis})
        gathered.shape = None
        if source.shape is not None:
            sizes = list(source.shape)
            sizes[axis] = kept.size
            gathered.shape = ir.Shape(sizes)
        edit.replace_uses(graph, result, gathered)
        edit.remove_dead(node)


_SKIPPED = (
    # They make operators of ONNX Runtime's own, which nothing else can run.
    "fuse_attention",
    "fuse_gqa",
    # A Gemm takes two axes, so it comes between two Reshapes; a MatMul takes all, and so does FULLY_CONNECTED.
    "fuse_matmul_add_bias_into_gemm_batched",
    # Takes the factor 0.5 out of a GELU, which then is none any more; `FoldAffine` does it later.
    "fuse_preceding_mul_into_conv",
)
"""The steps of onnxsim that are left out."""


def _simplified(model: ir.Model, skeleton: Skeleton, limit: int) -> ir.Model:
    """Return what onnxsim makes of ``model``; what is computed from weights alone is folded here, as it sees none."""
    if any(is_fixed(node) for node in model.graph) or equal_weights(model):
        model = model.clone()
        for weight, same in equal_weights(model).items():
            weight.replace_all_uses_with(same)
        fold_weights(model)
        skeleton = Skeleton.of(model)
    while True:
        simplified = skeleton.restore(ir.from_proto(_through_onnxsim(skeleton.proto, limit)))
        if not fold_weights(simplified):
            return simplified
        skeleton = Skeleton.of(simplified)


def _through_onnxsim(proto: ModelProto, limit: int) -> ModelProto:
    """Return what onnxsim makes of ``proto``.

    Raises:
        InvalidModelError: it refuses the model.
    """
    simplify, bare, failures = _onnxsim().simplify, _without_defaults(proto), []
    # It puts some branches that it inlines after the nodes that read them, and then refuses its own work.
    for skipped in (_SKIPPED, (*_SKIPPED, "eliminate_if_with_const_cond")):
        try:
            simplified: ModelProto = simplify(
                bare, skipped_optimizers=list(skipped), tensor_size_threshold=f"{limit}B"
            )[0]
        except Exception as error:  # it raises what its C++ part raises
            failures.append(error)
        else:
            return simplified
    raise InvalidModelError(
        f"onnxsim cannot fold the model: {failures[0]}",
        hint="Go without it: --passes 'fold-constants{simplify=false},...'",
    ) from failures[0]


def _onnxsim() -> ModuleType:
    """Import onnxsim without PyTorch and SymPy, which some of its hundreds of modules would use if they were there."""
    with _hidden("torch"), _hidden("sympy"):
        return importlib.import_module("onnxsim")


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let ``package`` seem not to be installed, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        yield
    finally:
        del sys.modules[package]


def _without_defaults(proto: ModelProto) -> ModelProto:
    """Return ``proto`` whose inputs are no initializers as well: onnxsim would take those for constants."""
    inputs = {value.name for value in proto.graph.input}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in inputs]
    if len(kept) == len(proto.graph.initializer):
        return proto
    bare = type(proto)()
    bare.CopyFrom(proto)
    del bare.graph.initializer[:]
    bare.graph.initializer.extend(kept)
    return bare


def _restore_inputs(graph: ir.Graph, original: ir.Graph) -> None:
    """Give inputs the shapes that they had: onnxsim may infer less of them than the model states."""
    stated = {value.name: value.shape for value in original.inputs}
    for value in graph.inputs:
        if value.name in stated and value.shape != stated[value.name]:
            value.shape = stated[value.name]


def _restore_default(graph: ir.Graph, value: ir.Value) -> None:
    """Give the input that ``value`` is the default that it has."""
    for each in graph.inputs:
        if each.name == value.name and not each.is_initializer():
            each.const_value = value.const_value
            graph.register_initializer(each)


def _same_computation(one: Skeleton, other: Skeleton) -> bool:
    """Return whether two models differ in nothing but inferred shapes, metadata and the order of initializers."""
    return (
        all(list(first) == list(second) for first, second in zip(_sequences(one), _sequences(other), strict=True))
        and _initializers(one) == _initializers(other)
        and one.weights.keys() == other.weights.keys()
        and all(weight is other.weights[name] for name, weight in one.weights.items())
    )


def _sequences(skeleton: Skeleton) -> Iterator[Iterable[Message]]:
    """Yield the inputs, outputs and nodes of a model."""
    graph = skeleton.proto.graph
    yield (value for value in graph.input if value.name not in skeleton.added)
    yield graph.output
    yield graph.node


def _initializers(skeleton: Skeleton) -> dict[str, Message]:
    return {tensor.name: tensor for tensor in skeleton.proto.graph.initializer}
