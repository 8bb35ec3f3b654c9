"""Two .tflite files of one network at different sizes become one that takes any size (``resize_tensor_input``).

The converter never sees an unknown size, so the result has the same kernels as the two. Only numbers that depend on a
size and that no kernel can infer are computed, by SHAPE, CONCATENATION, GATHER and MUL: LiteRT does these as it
allocates tensors, so that all shapes are known before the first inference and XNNPACK takes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layoutopt.backend.litert.flatbuffer import pack
from layoutopt.errors import DynamicShapeError
from layoutopt.ir.formula import REST, Formula, Prefer, Shape, Source, express, once, reshape_target
from layoutopt.ir.symbols import KEEP_FEWER
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.opset import definition
from layoutopt.tfl.schema import OPERATOR_CODES, OPERATOR_NAMES, names_of, schema

if TYPE_CHECKING:
    from ai_edge_litert.schema_py_generated import ModelT, OperatorT, TensorT

Array = npt.NDArray[np.generic]


def merge(first: Path, second: Path, target: Path, defaults: Mapping[str, Shape], prefer: Prefer) -> None:
    """Writes the .tflite that is ``first`` and ``second`` at once.

    Args:
        first: of static shapes, with one graph.
        second: the same at other sizes.
        target: where to write the result.
        defaults: the shape of each input, by its name in the signature, until it is resized.
        prefer: where numbers that depend on a size are taken from.

    Raises:
        DynamicShapeError: the two differ in more than sizes; names the operator.
    """
    content = first.read_bytes()
    model, other = (schema.ModelT.InitFromPackedBuf(each, 0) for each in (content, second.read_bytes()))
    if len(model.subgraphs) > 1 or len(other.subgraphs) > 1:
        raise _refused("the network has control flow (If, Loop or Scan), whose bodies are of static sizes")
    _Merger(model, other, prefer).run()
    size = len(content)
    _settle(model, _shapes_at(pack(model, size=size), len(model.subgraphs[0].tensors), defaults))
    target.write_bytes(pack(model, size=size))


class _Merger:
    """Walks through the operators of both at once and edits the first model."""

    def __init__(self, model: ModelT, other: ModelT, prefer: Prefer) -> None:
        self.model, self.other, self.prefer = model, other, prefer
        self.graph, self.twin = model.subgraphs[0], other.subgraphs[0]
        self.pairs: dict[int, int] = {}
        self.twins: set[int] = set()
        self.count = len(self.graph.tensors)
        self.written: list[OperatorT] = []
        self.known: dict[Formula[int], int] = {}
        self.joined: dict[tuple[int, ...], int] = {}
        self.buffers = [_bytes(buffer.data) for buffer in model.buffers], [_bytes(each.data) for each in other.buffers]

    def run(self) -> None:
        self._pair(self.graph.inputs, self.twin.inputs)
        for operator, twin in self._operators():
            for at in range(len(operator.inputs)):
                self._operand(operator, twin, at)
            self.written.append(operator)
            self._pair(operator.outputs, twin.outputs)
        self.graph.operators = self.written
        for index, other in self.pairs.items():
            one, two = self._shape(index), self._twin_shape(other)
            signature = [a if a == b else -1 for a, b in zip(one, two, strict=True)]
            self.graph.tensors[index].shapeSignature = signature if -1 in signature else None

    def _pair(self, tensors: Sequence[int], twins: Sequence[int]) -> None:
        self.pairs.update(zip(map(int, tensors), map(int, twins), strict=True))
        self.twins.update(map(int, twins))

    def _operators(self) -> Iterator[tuple[OperatorT, OperatorT]]:
        """The operators of both; all that is no operand must be the same."""
        if len(self.graph.operators) != len(self.twin.operators):
            counts = f"{len(self.graph.operators)} operators at one size and {len(self.twin.operators)} at another"
            raise _refused(f"the .tflite has {counts}")
        for operator, twin in zip(self.graph.operators, self.twin.operators, strict=True):
            name, other = _name(self.model, operator), _name(self.other, twin)
            if name != other or len(operator.inputs) != len(twin.inputs):
                raise _refused(f"{self._called(operator)} is a {other} at another size")
            if name == "RESHAPE":
                operator.builtinOptions = twin.builtinOptions = None  # the shape stands in the operand as well
                operator.builtinOptionsType = twin.builtinOptionsType = 0
            if not _same(operator.builtinOptions, twin.builtinOptions):
                raise _refused(f"the options of {self._called(operator)} depend on the size")
            yield operator, twin

    def _operand(self, operator: OperatorT, twin: OperatorT, at: int) -> None:
        index, other = int(operator.inputs[at]), int(twin.inputs[at])
        if index < 0 or other < 0 or index in self.pairs or other in self.twins:
            if self.pairs.get(index, index) != other:
                raise _refused(f"operand {at} of {self._called(operator)} is another one at another size")
            return
        if self.graph.tensors[index].isVariable:
            if self._shape(index) != self._twin_shape(other):
                raise _refused(f"{self._called(operator)} keeps a state whose size depends on it")
            return
        first, second = self._constant(self.graph.tensors[index], 0), self._constant(self.twin.tensors[other], 1)
        if first.shape == second.shape and first.tobytes() == second.tobytes():
            return
        if first.dtype == np.int32 and first.ndim <= 1 and first.shape == second.shape:
            replacement = self._sizes(operator, at, first, second)
        else:
            replacement = self._repeated(operator, at, index, first, second)
        if replacement is None:
            raise _refused(f"operand {at} of {self._called(operator)} is a constant that depends on the size")
        operator.inputs = [
            replacement if position == at else int(each) for position, each in enumerate(operator.inputs)
        ]

    def _sizes(self, operator: OperatorT, at: int, first: Array, second: Array) -> int | None:
        """Sizes as an operand that says the same at any size."""
        one, two = np.atleast_1d(first).tolist(), np.atleast_1d(second).tolist()
        sources = list(self._sources(operator))
        formula: Formula[int] | None
        match _name(self.model, operator), at:
            case "RESHAPE", 1:
                formula = reshape_target(one, two, sources, self.prefer)
            case "SLICE", 2:
                one, two = self._open_sizes(operator, one, two)
                formula = express(one, two, sources, self.prefer)
            case "STRIDED_SLICE", 2:
                one, two = self._open_ends(operator, one, two)
                formula = express(one, two, sources, self.prefer)
            case _:
                formula = express(one, two, sources, self.prefer)
        if formula is None or (first.ndim == 0 and formula.tensors):
            return None
        return self._write(formula)

    def _open_sizes(self, operator: OperatorT, one: list[int], two: list[int]) -> tuple[list[int], list[int]]:
        """The sizes of a SLICE, with -1 for those that reach to the end of the axis in both."""
        source, begins = int(operator.inputs[0]), int(operator.inputs[1])
        if source not in self.pairs or begins in self.pairs or begins >= self.count:
            return one, two
        begin = self._constant(self.graph.tensors[begins], 0).tolist()
        full, other = self._shape(source), self._twin_shape(self.pairs[source])
        for axis, start in enumerate(begin):
            if one[axis] != two[axis] and start + one[axis] == full[axis] and start + two[axis] == other[axis]:
                one[axis] = two[axis] = REST
        return one, two

    def _open_ends(self, operator: OperatorT, one: list[int], two: list[int]) -> tuple[list[int], list[int]]:
        """The ends of a STRIDED_SLICE; those that are the end of the axis in both are masked."""
        options, source = operator.builtinOptions, int(operator.inputs[0])
        if source not in self.pairs or options.ellipsisMask or options.newAxisMask:
            return one, two
        full, other = self._shape(source), self._twin_shape(self.pairs[source])
        for axis in range(len(one)):
            if one[axis] != two[axis] and one[axis] >= full[axis] and two[axis] >= other[axis]:
                options.endMask |= 1 << axis
                two[axis] = one[axis]
        return one, two

    def _repeated(self, operator: OperatorT, at: int, index: int, first: Array, second: Array) -> int | None:
        """A constant that the fold blew up along a symbolic axis: once, and repeated at run time where need be."""
        if (single := once(first, second)) is None:
            return None
        tensor = self.graph.tensors[index]
        value = self._add_constant(single, tensor.type, f"{_text(tensor.name)}_once")
        spans = any(
            int(each) in self.pairs and self._shape(int(each))[-first.ndim :] == first.shape
            for position, each in enumerate(operator.inputs)
            if position != at
        )
        if spans and (_name(self.model, operator) == "PRELU" or definition(_name(self.model, operator)).broadcasts):
            return value
        formula = express(first.shape, second.shape, list(self._sources(operator)), self.prefer)
        if formula is None:
            return None
        signature = [a if a == b else -1 for a, b in zip(first.shape, second.shape, strict=True)]
        result = self._add_tensor(_text(tensor.name), first.shape, tensor.type, signature=signature)
        self._append("BROADCAST_TO", [value, self._write(formula)], result)
        return result

    def _sources(self, operator: OperatorT) -> Iterator[Source[int]]:
        own = [int(each) for each in operator.inputs if int(each) in self.pairs]
        for distance, tensors in enumerate((own, map(int, self.graph.inputs), reversed(self.pairs))):
            for index in tensors:
                yield Source(index, self._shape(index), self._twin_shape(self.pairs[index]), distance)

    def _write(self, formula: Formula[int]) -> int:
        """The vector that ``formula`` describes; the same one is computed once."""
        if formula not in self.known:
            self.known[formula] = self._computed(formula) if formula.tensors else self._integers(formula.factors)
        return self.known[formula]

    def _shapes(self, tensors: tuple[int, ...]) -> int:
        """The shapes of the tensors end to end, and a 1 behind."""
        if tensors not in self.joined:
            vectors = [self._vector(len(self._shape(tensor))) for tensor in tensors]
            for tensor, vector in zip(tensors, vectors, strict=True):
                self._append("SHAPE", [tensor], vector)
            self.joined[tensors] = self._vector(sum(len(self._shape(tensor)) for tensor in tensors) + 1)
            self._append("CONCATENATION", [*vectors, self._integers((1,))], self.joined[tensors])
        return self.joined[tensors]

    def _computed(self, formula: Formula[int]) -> int:
        result, neutral = self._shapes(formula.tensors), {"MUL": 1, "ADD": 0}
        for name, numbers in (("GATHER", formula.indices), ("MUL", formula.factors), ("ADD", formula.addends)):
            if name == "GATHER" or any(number != neutral[name] for number in numbers):
                operands, result = [result, self._integers(numbers)], self._vector(len(numbers))
                self._append(name, operands, result)
        return result

    def _append(self, name: str, inputs: Sequence[int], output: int) -> None:
        code = OPERATOR_CODES[name]
        known = [max(each.builtinCode, each.deprecatedBuiltinCode) for each in self.model.operatorCodes]
        if code not in known:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
            entry.version = 2 if name == "BROADCAST_TO" else 1
            self.model.operatorCodes.append(entry)
            known.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = known.index(code), list(inputs), [output]
        options = definition(name).options
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(schema, f"{options}T")()
        if name == "SHAPE":
            operator.builtinOptions.outType = schema.TensorType.INT32
        self.written.append(operator)

    def _integers(self, numbers: Sequence[int]) -> int:
        return self._add_constant(np.array(numbers, np.int32), schema.TensorType.INT32, "sizes")

    def _vector(self, length: int) -> int:
        return self._add_tensor("sizes", (length,), schema.TensorType.INT32)

    def _add_constant(self, array: Array, kind: int, name: str) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._add_tensor(name, array.shape, kind, buffer=len(self.model.buffers) - 1)

    def _add_tensor(
        self, name: str, shape: Shape, kind: int, *, buffer: int = 0, signature: list[int] | None = None
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = f"{name}_{len(self.graph.tensors)}", shape, kind, buffer
        tensor.shapeSignature = signature
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _constant(self, tensor: TensorT, which: int) -> Array:
        """The data of a constant; packed ones as bytes."""
        raw: Array = self.buffers[which][tensor.buffer]
        dtype = DType(names_of(schema.TensorType)[tensor.type])
        return raw if dtype.bits < 8 else raw.view(dtype.numpy).reshape(_sizes_of(tensor))

    def _shape(self, index: int) -> Shape:
        return _sizes_of(self.graph.tensors[index])

    def _twin_shape(self, index: int) -> Shape:
        return _sizes_of(self.twin.tensors[index])

    def _called(self, operator: OperatorT) -> str:
        """The operator by its kind and what it computes, which the converter names after the ONNX node."""
        return f"{_name(self.model, operator)} {_text(self.graph.tensors[operator.outputs[0]].name)!r}"


def _settle(model: ModelT, shapes: Sequence[Shape]) -> None:
    """Gives each tensor the shape that it has until an input is resized."""
    for tensor, shape in zip(model.subgraphs[0].tensors, shapes, strict=True):
        if tensor.shapeSignature is not None and len(shape) == len(_sizes_of(tensor)):
            tensor.shape = list(shape)


def _shapes_at(content: bytes, tensors: int, defaults: Mapping[str, Shape]) -> list[Shape]:
    """The shape of each of the tensors at these shapes of the inputs, as LiteRT works it out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # XNNPACK keeps the shapes of what it takes to itself
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=plain)
    for detail in interpreter.get_input_details():
        if detail["name"] in defaults:
            interpreter.resize_tensor_input(detail["index"], defaults[detail["name"]])
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise _refused(f"LiteRT says {error}") from error
    found = {detail["index"]: tuple(map(int, detail["shape"])) for detail in interpreter.get_tensor_details()}
    return [found.get(index, ()) for index in range(tensors)]


def _name(model: ModelT, operator: OperatorT) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _same(one: object, other: object) -> bool:
    """Whether two of the schema's objects, or what they consist of, are equal."""
    if type(one) is not type(other):
        return False
    if hasattr(one, "__dict__"):
        return all(_same(value, vars(other)[name]) for name, value in vars(one).items())
    return np.array_equal(one, other) if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) else one == other


def _sizes_of(tensor: TensorT) -> Shape:
    return tuple(map(int, tensor.shape)) if tensor.shape is not None else ()


def _bytes(data: Array | None) -> npt.NDArray[np.uint8]:
    return np.zeros(0, np.uint8) if data is None else np.asarray(data, np.uint8)


def _text(raw: bytes | str | None) -> str:
    return raw.decode() if isinstance(raw, bytes) else raw or ""


def _refused(why: str) -> DynamicShapeError:
    return DynamicShapeError(f"the dimension cannot stay symbolic in the .tflite: {why}", hint=KEEP_FEWER)
