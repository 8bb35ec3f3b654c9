"""Checks models with ONNX's checker, and their operators, which it does not check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnx
from google.protobuf.message import EncodeError

from layoutopt.errors import InvalidModelError, UnsupportedOperatorError
from layoutopt.ir.protos import all_names, all_nodes

NEWEST_OPSET = onnx.defs.onnx_opset_version()
OLDEST_OPSET = 7

TOO_LARGE = "The weights of the main graph may be of any size; all else has to fit in 2 GiB."

_DEFAULT_DOMAIN = frozenset({"", "ai.onnx"})

_RUNTIME_DOMAINS = frozenset({"ai.onnx.ml", "com.microsoft"})
"""Domains whose operators ONNX Runtime brings with it."""


def check_proto(proto: onnx.ModelProto, name: str) -> None:
    """Refuse what is no valid model, and what uses operators that nobody knows.

    Raises:
        InvalidModelError: not a model, or the checker refuses it.
        UnsupportedOperatorError: an opset or an operator that ONNX does not know.
    """
    require_model(proto, name)
    _check_operators(proto, name)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise InvalidModelError(f"{name}: not a valid ONNX model: {first_line(error)}") from error
    except (ValueError, EncodeError) as error:
        raise InvalidModelError(f"{name}: {first_line(error)}", hint=TOO_LARGE) from error


def require_model(proto: onnx.ModelProto, name: str) -> None:
    """Refuse what protobuf can read but is not a model.

    Raises:
        InvalidModelError: it is none.
    """
    if not proto.ir_version or not proto.graph.output:
        raise InvalidModelError(f"{name}: not an ONNX model (it has no IR version or no graph output)")


def _check_operators(proto: onnx.ModelProto, name: str) -> None:
    opset = max((entry.version for entry in proto.opset_import if entry.domain in _DEFAULT_DOMAIN), default=0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise UnsupportedOperatorError(
            f"{name}: opset {opset}; known are {OLDEST_OPSET} to {NEWEST_OPSET}",
            hint=f"Export the model with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}, 17 for example.",
        )
    functions = {(function.domain, function.name) for function in proto.functions}
    if strange := next((text for text in all_names(proto.graph) if isinstance(text, bytes)), None):
        raise InvalidModelError(f"{name}: not a valid ONNX model: the name {strange!r} is not UTF-8")
    unknown = {
        node.name or node.output[0]: f"operator {node.domain or 'ai.onnx'}::{node.op_type}"
        for node in all_nodes(proto.graph)
        if (node.domain, node.op_type) not in functions and not _is_known(node, opset)
    }
    if unknown:
        listed = "\n  ".join(f"node {node!r}: {operator}" for node, operator in unknown.items())
        raise UnsupportedOperatorError(
            f"{name}: {len(unknown)} unknown operator(s) at opset {opset}:\n  {listed}",
            hint="Replace them, add their definition as a model-local function, or export with a newer opset.",
            nodes=tuple(unknown),
        )


def _is_known(node: onnx.NodeProto, opset: int) -> bool:
    if node.domain in _DEFAULT_DOMAIN:
        return bool(onnx.defs.has(node.op_type, max_inclusive_version=opset))
    return node.domain in _RUNTIME_DOMAINS


@contextlib.contextmanager
def shapes_for_the_checker(proto: onnx.ModelProto) -> Iterator[None]:
    """Let inputs and outputs have shapes while the checker, which needs them, looks at the model."""
    bare = [
        value.type.tensor_type
        for value in (*proto.graph.input, *proto.graph.output)
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    for each in bare:
        each.shape.SetInParent()
    try:
        yield
    finally:
        for each in bare:
            each.ClearField("shape")


def first_line(error: BaseException) -> str:
    """Return the first line of the message of an error, or its name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
