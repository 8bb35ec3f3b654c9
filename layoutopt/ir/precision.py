"""The precision of a comparison with ONNX Runtime: by element type, by operators, and for what is no number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

SMALLEST_SCALE = 1e-3
"""Outputs smaller than this are judged as if they were of this size."""

SMALLEST_SHARE = 1e-2
"""The same of outputs after an operator whose results lie between bounds.

ONNX Runtime computes a Sigmoid as 0.5 plus a quotient, so that even a vanishing result is off by 1e-7, and what is
computed from several such results by more.
"""

_BOUNDED = frozenset(("Erf", "Gelu", "HardSigmoid", "Mish", "Sigmoid", "Softmax", "Softplus", "Swish", "Tanh"))

TOLERANCES = {ir.DataType.FLOAT16: 1e-2, ir.DataType.BFLOAT16: 8e-2}
"""Ten roundings of each type: what a network of several layers may be off relatively."""


def least_tolerance(model: ir.Model) -> float:
    """Return what the result of a model may be off relatively because of the element types that it computes in."""
    return max((TOLERANCES[dtype] for dtype in computed_in(model)), default=0.0)


def computed_in(model: ir.Model) -> set[ir.DataType]:
    """Return those types of ``TOLERANCES`` that the model computes in, and not only keeps weights in."""
    found = {value.dtype for value in (*model.graph.inputs, *model.graph.outputs)}
    for value in model.graph.initializers.values():
        if value.dtype in TOLERANCES and any(node.op_type != "Cast" for node in value.consumers()):
            found.add(value.dtype)
    for node in model.graph.all_nodes():
        if node.op_type == "Cast":
            found.add(ir.DataType(node.attributes.get_int("to", 1)))
    return {dtype for dtype in found if dtype in TOLERANCES}


def least_scales(model: ir.Model) -> dict[str, float]:
    """Return for each output the least size that it is judged as if it had: more after an operator of ``_BOUNDED``."""
    behind: set[ir.Value] = set()
    for node in model.graph:
        if node.op_type in _BOUNDED or any(value in behind for value in node.inputs if value is not None):
            behind.update(node.outputs)
    return {str(value.name): SMALLEST_SHARE if value in behind else SMALLEST_SCALE for value in model.graph.outputs}


def not_finite_weights(model: ir.Model) -> Iterator[str]:
    """Tell of weights that hold what is no number, or infinities where no mask would have them."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is None or tensor.dtype not in _FLOATS:
            continue
        array = tensor.numpy()
        if np.isfinite(array.sum(dtype=np.float64)):
            continue
        masks = all(node.op_type in _MASKING for node in value.consumers())
        count = np.count_nonzero(np.isnan(array) if masks else ~np.isfinite(array))
        if count:
            yield f"The weight {value.name!r} holds {count} of {array.size} elements that are infinite or no number."


_MASKING = frozenset(("Add", "Clip", "Concat", "Expand", "Gather", "Max", "Min", "Mul", "Pad", "Where"))


def not_finite_outputs(outputs: Mapping[str, npt.NDArray[np.generic]]) -> Iterator[str]:
    """Tell of outputs that hold infinities or what is no number."""
    for name, array in outputs.items():
        count = np.count_nonzero(~np.isfinite(array)) if array.dtype.kind == "f" else 0
        if count:
            yield (
                f"Output {name!r} of the original holds {count} of {array.size} elements that are infinite or no "
                "number: of these it is only verified that they are the same."
            )


_FLOATS = frozenset((ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE))
