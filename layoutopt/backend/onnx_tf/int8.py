"""Integer operators for what lies between DEQUANTIZE and QUANTIZE in a .tflite.

The converter leaves a quantized model as float operators between QUANTIZE and DEQUANTIZE, which compute what the model
says. Here each one that TFLite has an int8 kernel for takes the integers themselves. Scales and zero points stay those
of the model, so a result differs from the float one by the rounding of that kernel, mostly by nothing and at most by
one step. What has no such kernel, or would lose more, stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from layoutopt.backend.litert.flatbuffer import pack
from layoutopt.tfl.schema import OPERATOR_NAMES, schema

Floats: TypeAlias = "npt.NDArray[np.float64]"

_FLOAT, _INT8, _UINT8, _INT32 = (getattr(schema.TensorType, name) for name in ("FLOAT32", "INT8", "UINT8", "INT32"))
_ON_GRID = 1e-4
"""How far, in steps, a weight may be off its grid: the rounding of float32 takes a fifth of it."""
_BIAS_ERROR = 0.02
"""How far, in steps of the result, a bias may be off for being rounded to an integer."""
_SAME_SCALE = 1e-6
"""How far, relatively, a scale may be off that went through the two ends of a range in float32."""


def scales_of(model: onnx.ModelProto) -> list[float]:
    """The constant scales of all QuantizeLinear and DequantizeLinear."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    names = {node.input[1] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    arrays = [onnx.numpy_helper.to_array(constants[name]) for name in names if name in constants]
    return sorted({float(scale) for array in arrays for scale in array.reshape(-1)})


def with_integers(content: bytes, scales: Sequence[float]) -> bytes:
    """The same .tflite with integer operators.

    Args:
        content: a .tflite.
        scales: of the model, which the converter has up to the rounding of float32.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        _Rewriter(model, graph).run(np.array(scales))
    _drop_unused(model)
    return pack(model, size=len(content))


# --- one graph -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rewriter:
    """Walks a graph once, in its order.

    Attributes:
        model: for its buffers and operator codes.
        graph: is rewritten in place.
        integers: of each float tensor that a DEQUANTIZE makes, the integers it is made of.
        wanted: of each float tensor that is read by QUANTIZE alone, the integers these make.
        same: integers that take the place of others.
        operators: what the graph will have.
        readers: of each tensor, the operators that the graph had.
    """

    model: schema.ModelT
    graph: schema.SubGraphT
    integers: dict[int, int] = field(default_factory=dict)
    wanted: dict[int, int] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    operators: list[schema.OperatorT] = field(default_factory=list)
    readers: dict[int, list[schema.OperatorT]] = field(default_factory=lambda: defaultdict(list))

    def run(self, scales: Floats) -> None:
        """Rewrites the graph; nothing happens to one without QUANTIZE."""
        self._sign_integers(scales)
        self._find_wanted()
        for operator in self.graph.operators:
            self._visit(operator)
        self.graph.operators = self._live()

    def name(self, operator: schema.OperatorT) -> str:
        """The operator's name in the schema."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def tensor(self, index: int) -> schema.TensorT:
        """The tensor at ``index``."""
        return self.graph.tensors[index]

    def steps(self, index: int) -> _Steps:
        """Scale and zero point of an integer tensor that has one of each."""
        found = self.tensor(index).quantization
        return _Steps(float(found.scale[0]), int(found.zeroPoint[0]))

    def constant(self, index: int) -> Floats | None:
        """The values of a float constant; None for any other tensor."""
        if index < 0 or self.tensor(index).type != _FLOAT:
            return None
        data, shape = self.model.buffers[self.tensor(index).buffer].data, self.tensor(index).shape
        if data is None or not len(data):
            return None
        values = np.asarray(data, np.uint8).tobytes()
        return np.frombuffer(values, np.float32).reshape([] if shape is None else list(shape)).astype(np.float64)

    def add(
        self, like: int, kind: int, scale: Floats, zero: int, *, axis: int = 0, values: Floats | None = None
    ) -> int:
        """A new tensor of integers with the shape of ``like``; a constant if it has ``values``."""
        tensor = copy(self.tensor(like))
        tensor.type, tensor.buffer = kind, 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = scale.reshape(-1).astype(np.float32)
        tensor.quantization.zeroPoint = np.full(scale.size, zero, np.int64)
        tensor.quantization.quantizedDimension = axis
        tensor.name = bytes(tensor.name) + b"_integers"
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.astype(np.int8 if kind == _INT8 else np.int32).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def emit(self, operator: schema.OperatorT, inputs: Mapping[int, int], output: int | None = None) -> None:
        """Writes ``operator`` with other ``inputs``, by their positions, and perhaps another first output."""
        new = copy(operator)
        new.inputs = np.array([inputs.get(place, index) for place, index in enumerate(operator.inputs)], np.int32)
        if output is not None:
            new.outputs = np.array([output, *operator.outputs[1:]], np.int32)
        code = self.model.operatorCodes[operator.opcodeIndex]
        code.version = max(code.version, _VERSIONS.get(self.name(operator), 2))
        self.operators.append(new)

    def convert(self, name: str, source: int, result: int) -> None:
        """Writes a QUANTIZE or a DEQUANTIZE."""
        operator = schema.OperatorT()
        wanted = getattr(schema.BuiltinOperator, name)
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in self.model.operatorCodes]
        operator.opcodeIndex = codes.index(wanted)  # where one of the two is, the other is too
        operator.inputs, operator.outputs = np.array([source], np.int32), np.array([result], np.int32)
        self.model.operatorCodes[operator.opcodeIndex].version = 2
        self.operators.append(operator)

    def _sign_integers(self, scales: Floats) -> None:
        """Makes int8 of uint8, 128 lower, which is what kernels take, and the scales those of the model."""
        for operator in self.graph.operators:
            if self.name(operator) not in ("QUANTIZE", "DEQUANTIZE"):
                continue
            index = operator.outputs[0] if self.name(operator) == "QUANTIZE" else operator.inputs[0]
            tensor = self.tensor(index)
            if tensor.type == _UINT8:
                tensor.type = _INT8
                tensor.quantization.zeroPoint = np.asarray(tensor.quantization.zeroPoint) - 128
            found = float(tensor.quantization.scale[0])
            nearest = scales[np.abs(scales - found).argmin()] if scales.size else found
            if abs(nearest - found) <= _SAME_SCALE * found:
                tensor.quantization.scale = np.array([nearest], np.float32)

    def _find_wanted(self) -> None:
        for operator in self.graph.operators:
            for index in operator.inputs:
                self.readers[int(index)].append(operator)
        for index, operators in self.readers.items():
            if index in self.graph.outputs or any(self.name(each) != "QUANTIZE" for each in operators):
                continue
            results = [int(each.outputs[0]) for each in operators]
            if len({self.steps(result) for result in results}) == 1:
                self.wanted[index] = results[0]
                self.same.update((result, results[0]) for result in results[1:])

    def _visit(self, operator: schema.OperatorT) -> None:
        name = self.name(operator)
        source = int(operator.inputs[0]) if len(operator.inputs) else -1
        if name == "DEQUANTIZE":
            self.integers[int(operator.outputs[0])] = self.same.get(source, source)
            self.emit(operator, {0: self.same.get(source, source)})
        elif name == "QUANTIZE":
            self._quantize(operator, source, int(operator.outputs[0]))
        elif name not in _KERNELS or not _KERNELS[name](self, operator):
            self.operators.append(operator)

    def _quantize(self, operator: schema.OperatorT, source: int, result: int) -> None:
        if source not in self.integers:
            made = any(result in each.outputs for each in self.operators)
            if not made and result not in self.same:
                self.operators.append(operator)
        elif self.steps(self.integers[source]) == self.steps(result):
            self.same[result] = self.integers[source]
        elif result not in self.same:
            self.emit(operator, {0: self.integers[source]})

    def _live(self) -> list[schema.OperatorT]:
        """The operators whose results are read."""
        read, live = {int(index) for index in self.graph.outputs}, []
        for operator in reversed(self.operators):
            if self.name(operator) in ("QUANTIZE", "DEQUANTIZE") and not read.intersection(operator.outputs):
                continue
            operator.inputs = np.array([self.same.get(int(index), index) for index in operator.inputs], np.int32)
            read.update(int(index) for index in operator.inputs)
            live.append(operator)
        return live[::-1]


@dataclass(frozen=True, slots=True)
class _Steps:
    """Scale and zero point."""

    scale: float
    zero: int


# --- kernels ---------------------------------------------------------------------------------------------------------

Kernel: TypeAlias = "Callable[[_Rewriter, schema.OperatorT], bool]"
"""Writes an operator on integers in place of one on floats; False, and nothing done, where it cannot."""


def _weighted(x: int, weights: int, bias: int, axis: int) -> Kernel:
    """An operator with constant weights, given the positions of its operands and the axis of the results' channels."""

    def lower(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
        source = rewriter.integers.get(int(operator.inputs[x]))
        result = rewriter.wanted.get(int(operator.outputs[0]))
        values = rewriter.constant(int(operator.inputs[weights]))
        if source is None or result is None or values is None:
            return False
        rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        steps, result_steps = rewriter.steps(source), rewriter.steps(result)
        scale = _grid(rows, otherwise=result_steps.scale / steps.scale / 256)
        if scale is None:
            return False
        sums = steps.scale * scale
        index = int(operator.inputs[bias]) if len(operator.inputs) > bias else -1
        addend = rewriter.constant(index) if index >= 0 else np.zeros(len(rows))
        if addend is None or addend.size != len(rows):
            return False
        whole = np.round(addend / sums)
        off = np.abs(addend - whole * sums).max(initial=0.0)
        most = np.abs(np.round(rows / scale[:, None])).sum(1) * 255 + np.abs(whole)
        if off > _BIAS_ERROR * result_steps.scale or most.max() >= 2**31:
            return False
        spread = scale.reshape([-1 if each == axis else 1 for each in range(values.ndim)])
        if (scale == scale[0]).all():
            scale, sums = scale[:1], sums[:1]
        filters = rewriter.add(
            int(operator.inputs[weights]), _INT8, scale, 0, axis=axis, values=np.round(values / spread)
        )
        inputs = {x: source, weights: filters}
        if index >= 0:
            inputs[bias] = rewriter.add(index, _INT32, sums, 0, values=whole.reshape(addend.shape))
        rewriter.emit(operator, inputs, result)
        return True

    return lower


def _arithmetic(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
    """ADD, SUB and MUL, of which one operand may be constant."""
    result = rewriter.wanted.get(int(operator.outputs[0]))
    sources = [rewriter.integers.get(int(index)) for index in operator.inputs]
    constants = [rewriter.constant(int(index)) for index in operator.inputs]
    if result is None or all(source is None for source in sources):
        return False
    grids = [
        _offset_grid(values) if source is None and values is not None else None
        for source, values in zip(sources, constants, strict=True)
    ]
    known = [rewriter.steps(s) if s is not None else grid for s, grid in zip(sources, grids, strict=True)]
    if any(each is None for each in known):
        return False
    largest = max(each.scale for each in known if each is not None)
    if rewriter.name(operator) != "MUL" and not largest < rewriter.steps(result).scale * 2**18:
        return False  # the kernel's multiplier must stay below 1
    inputs = {}
    for place, (source, grid, values) in enumerate(zip(sources, grids, constants, strict=True)):
        if source is not None:
            inputs[place] = source
        elif grid is not None and values is not None:
            whole = np.round(values / grid.scale) + grid.zero
            inputs[place] = rewriter.add(
                int(operator.inputs[place]), _INT8, np.array([grid.scale]), grid.zero, values=whole
            )
    rewriter.emit(operator, inputs, result)
    return True


def _function(fixed: _Steps | None = None) -> Kernel:
    """An operator of one operand whose kernel takes any scales, but for some that want one for the result."""

    def lower(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
        source = rewriter.integers.get(int(operator.inputs[0]))
        result = rewriter.wanted.get(int(operator.outputs[0]))
        if source is None or result is None or (fixed is not None and rewriter.steps(result) != fixed):
            return False
        rewriter.emit(operator, {0: source}, result)
        return True

    return lower


def _product(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
    """BATCH_MATMUL of two that are computed."""
    sources = [rewriter.integers.get(int(index)) for index in operator.inputs]
    result = rewriter.wanted.get(int(operator.outputs[0]))
    if result is None or any(source is None for source in sources):
        return False
    rewriter.emit(operator, {place: source for place, source in enumerate(sources) if source is not None}, result)
    return True


def _same_steps(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
    """What rounds by itself, and only within one scale: averages and interpolation."""
    source = rewriter.integers.get(int(operator.inputs[0]))
    result = rewriter.wanted.get(int(operator.outputs[0]))
    if source is None or result is None or rewriter.steps(source) != rewriter.steps(result):
        return False
    rewriter.emit(operator, {0: source}, result)
    return True


def _movement(data: int = 0) -> Kernel:
    """What picks from its operand, the one at position ``data``: exact, so that DEQUANTIZE may come behind it."""

    def lower(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
        source = rewriter.integers.get(int(operator.inputs[data]))
        if source is None or _activates(operator):
            return False
        _behind(rewriter, operator, {data: source}, rewriter.steps(source))
        return True

    return lower


def _filling(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
    """PADV2 with a value that is a step, or with one below all of them where only the largest is asked for."""
    source, value = rewriter.integers.get(int(operator.inputs[0])), rewriter.constant(int(operator.inputs[2]))
    if source is None or value is None:
        return False
    steps = rewriter.steps(source)
    readers = rewriter.readers[int(operator.outputs[0])]
    whole: Floats = np.maximum(value / steps.scale + steps.zero, -129.0)
    if whole < -128 and all(rewriter.name(reader) == "MAX_POOL_2D" for reader in readers):
        whole = np.full_like(whole, -128)
    if np.abs(whole - np.round(whole)) > _ON_GRID or not -128 <= np.round(whole) <= 127:
        return False
    filler = rewriter.add(int(operator.inputs[2]), _INT8, np.array([steps.scale]), steps.zero, values=np.round(whole))
    _behind(rewriter, operator, {0: source, 2: filler}, steps)
    return True


def _concatenation(rewriter: _Rewriter, operator: schema.OperatorT) -> bool:
    """In the steps of all operands, or else of the result, to which each operand is rounded once."""
    sources = [rewriter.integers.get(int(index)) for index in operator.inputs]
    found = [source for source in sources if source is not None]
    if len(found) < len(sources) or _activates(operator):
        return False
    steps = {rewriter.steps(source) for source in found}
    result = rewriter.wanted.get(int(operator.outputs[0]))
    if len(steps) == 1:
        _behind(rewriter, operator, dict(enumerate(found)), steps.pop())
        return True
    if result is None:
        return False
    inputs = {}
    for place, source in enumerate(found):
        inputs[place] = source
        if rewriter.steps(source) != rewriter.steps(result):
            inputs[place] = _integers_like(rewriter, int(operator.inputs[place]), rewriter.steps(result))
            rewriter.convert("QUANTIZE", source, inputs[place])
    rewriter.emit(operator, inputs, result)
    return True


def _behind(rewriter: _Rewriter, operator: schema.OperatorT, inputs: Mapping[int, int], steps: _Steps) -> None:
    """Writes ``operator`` on integers, and a DEQUANTIZE behind each result."""
    results = [_integers_like(rewriter, int(index), steps) for index in operator.outputs]
    floats = [int(index) for index in operator.outputs]
    rewriter.emit(operator, inputs)
    rewriter.operators[-1].outputs = np.array(results, np.int32)
    for whole, real in zip(results, floats, strict=True):
        rewriter.integers[real] = whole
        rewriter.convert("DEQUANTIZE", whole, real)


def _integers_like(rewriter: _Rewriter, index: int, steps: _Steps) -> int:
    return rewriter.add(index, _INT8, np.array([steps.scale]), steps.zero)


def _activates(operator: schema.OperatorT) -> bool:
    """Whether it has an activation of its own, which is none of the values it picks from."""
    return bool(getattr(operator.builtinOptions, "fusedActivationFunction", 0))


_KERNELS: Mapping[str, Kernel] = {
    **dict.fromkeys(("ADD", "MUL", "SUB"), _arithmetic),
    **dict.fromkeys(("AVERAGE_POOL_2D", "RESIZE_BILINEAR"), _same_steps),
    **dict.fromkeys(
        ("ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "MEAN", "RELU", "RELU6", "RELU_N1_TO_1"), _function()
    ),
    **dict.fromkeys(
        (
            "BATCH_TO_SPACE_ND", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PAD",
            "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPACE_TO_BATCH_ND",
            "SPACE_TO_DEPTH", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
        ),
        _movement(),
    ),
    "BATCH_MATMUL": _product,
    "CONCATENATION": _concatenation,
    "CONV_2D": _weighted(0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": _weighted(0, 1, 2, 3),
    "FULLY_CONNECTED": _weighted(0, 1, 2, 0),
    "LOGISTIC": _function(_Steps(1 / 256, -128)),
    "PADV2": _filling,
    "SOFTMAX": _function(_Steps(1 / 256, -128)),
    "SPLIT": _movement(1),
    "TANH": _function(_Steps(1 / 128, 0)),
    "TRANSPOSE_CONV": _weighted(2, 1, 3, 0),
}  # fmt: skip
"""What TFLite has int8 kernels for, and how an operator becomes one of them."""

_VERSIONS: Mapping[str, int] = {
    "BATCH_MATMUL": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ELU": 1, "EXPAND_DIMS": 1, "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1, "RELU_N1_TO_1": 1, "RESHAPE": 1, "SQUEEZE": 1, "SUB": 3, "TRANSPOSE_CONV": 3,
}  # fmt: skip
"""The operators' versions that have int8, where that is not 2."""


# --- grids -----------------------------------------------------------------------------------------------------------


def _grid(rows: Floats, *, otherwise: float) -> Floats | None:
    """A scale for each row of which all its values are whole multiples, up to 127; None where a row has none.

    Any such scale gives the values exactly, so it need not be that of the model. The finest is taken, one for all rows
    where there is one.

    Args:
        rows: the weights of each channel.
        otherwise: the scale where all is zero.
    """
    common = _finest(rows.reshape(1, -1), 127)
    if common[0] > 0:
        return np.repeat(common, len(rows))
    scales = _finest(rows, 127)
    empty = ~rows.any(1)
    scales[empty] = scales[~empty].min() if not empty.all() else otherwise
    return scales if (scales > 0).all() else None


def _offset_grid(values: Floats) -> _Steps | None:
    """At most 255 steps from the least to the largest value, of which 0 is one; None where there are none."""
    if not values.any():
        return _Steps(1.0, 0)
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    (scale,) = _finest(values.reshape(1, -1), int(255 * max(-low, high) / (high - low) + _ON_GRID))
    return _Steps(float(np.float32(scale)), round(-128 - float(low / scale))) if scale > 0 else None


def _finest(rows: Floats, most: int) -> Floats:
    """The smallest scale for each row of which its values are whole multiples, up to ``most``; 0 where none is."""
    largest = np.abs(rows).max(1, initial=0.0)
    scales = np.zeros(len(rows))
    open_rows = np.flatnonzero(largest)
    for count in range(most, 0, -1):
        few = rows[open_rows, :32]
        fits = open_rows[_whole(few / (largest[open_rows, None] / count))]
        fits = fits[_whole(rows[fits] / (largest[fits, None] / count))] if fits.size else fits
        scales[fits] = largest[fits] / count
        open_rows = np.setdiff1d(open_rows, fits, assume_unique=True)
        if not open_rows.size:
            break
    return scales


def _whole(rows: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray((np.abs(rows - np.round(rows)) <= _ON_GRID).all(1))


# --- what is left over -----------------------------------------------------------------------------------------------


def _drop_unused(model: schema.ModelT) -> None:
    """Drops the tensors and buffers that nothing refers to any more."""
    for graph in model.subgraphs:
        lists = [graph.inputs, graph.outputs, *(each.inputs for each in graph.operators)]
        lists += [each.outputs for each in graph.operators]
        lists += [each.intermediates for each in graph.operators if each.intermediates is not None]
        used = sorted({int(index) for indices in lists for index in indices if index >= 0})
        places = {-1: -1, **{old: new for new, old in enumerate(used)}}

        def moved(indices: npt.NDArray[np.int32], places: Mapping[int, int] = places) -> npt.NDArray[np.int32]:
            return np.array([places[int(index)] for index in indices], np.int32)

        graph.tensors = [graph.tensors[index] for index in used]
        graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
        for operator in graph.operators:
            operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
            if operator.intermediates is not None:
                operator.intermediates = moved(operator.intermediates)
    holders = [*(tensor for graph in model.subgraphs for tensor in graph.tensors), *(model.metadata or [])]
    kept = sorted({0, *(holder.buffer for holder in holders)})
    places = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[index] for index in kept]
    for holder in holders:
        holder.buffer = places[holder.buffer]
