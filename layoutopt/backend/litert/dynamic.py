"""Two .tflite files of one network at different sizes become one that takes any size (``resize_tensor_input``).

No converter ever sees an unknown size, so the result has the same kernels as the two.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.errors import DynamicShapeError
from layoutopt.formula import Placeholder, Prefer, Shape
from layoutopt.ir.symbols import KEEP_FEWER
from layoutopt.tfl.merge_sizes import MergeError, merge_sizes
from layoutopt.tfl.reader import read_tflite
from layoutopt.tfl.schema import schema


def merge_tflite(
    first: Path,
    second: Path,
    target: Path,
    defaults: Mapping[str, Shape],
    prefer: Prefer,
    placeholders: Mapping[str, Placeholder] | None = None,
) -> None:
    """Write the .tflite that is ``first`` and ``second`` at once.

    Args:
        first: of static shapes.
        second: the same at other sizes.
        target: where to write the result.
        defaults: the shape of each input, by its name in the signature, until it is resized.
        prefer: where numbers that depend on a size are taken from.
        placeholders: what some inputs stand for, by their names in the signature; the result has no such inputs.

    Raises:
        DynamicShapeError: the two differ in more than sizes; names the operator.
    """
    model, other = read_tflite(first), read_tflite(second)
    named = list(zip(model.graph.inputs, model.input_names, strict=True))
    stand_ins = {value: (placeholders or {})[name] for value, name in named if name in (placeholders or {})}
    try:
        before = merge_sizes(model.graph, other.graph, prefer, stand_ins)
    except MergeError as error:
        raise _refused(str(error)) from error
    model.input_names = [name for value, name in named if value not in stand_ins]
    write_tflite(model, target, defaults=before)
    _settle(target, _shapes_at(target, defaults))


def _settle(path: Path, shapes: Mapping[int, Shape]) -> None:
    """Give each tensor of the main graph of a file, by its index, the shape that it has until an input is resized."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        graph = schema.Model.GetRootAs(content).Subgraphs(0)
        for index in range(graph.TensorsLength()):
            tensor, shape = graph.Tensors(index), shapes.get(index, ())
            if not tensor.ShapeSignatureIsNone() and tensor.ShapeLength() == len(shape):
                tensor.ShapeAsNumpy()[:] = shape


def _shapes_at(path: Path, defaults: Mapping[str, Shape]) -> Mapping[int, Shape]:
    """Return the shape of each tensor of the main graph at these shapes of the inputs, as LiteRT works it out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # XNNPACK keeps the shapes of what it takes to itself
    interpreter = Interpreter(str(path), experimental_op_resolver_type=plain)
    inputs = interpreter.get_signature_runner().get_input_details()
    for name, shape in defaults.items():
        interpreter.resize_tensor_input(inputs[name]["index"], shape)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise _refused(f"LiteRT says {error}") from error
    return {detail["index"]: tuple(map(int, detail["shape"])) for detail in interpreter.get_tensor_details()}


def _refused(why: str) -> DynamicShapeError:
    return DynamicShapeError(f"the dimension cannot stay symbolic in the .tflite: {why}", hint=KEEP_FEWER)
