"""Runs an ONNX model and a .tflite on the same inputs and compares them layer by layer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from layoutopt.backend.litert.inspect import TfliteTensor, signature_of
from layoutopt.backend.litert.runtime import quantized, run_tflite
from layoutopt.backend.litert.trace import TfliteValue, trace_tflite
from layoutopt.backend.onnx_tf.names import identifiers, scope_of
from layoutopt.errors import UsageError
from layoutopt.ir.align import Shuffle, align
from layoutopt.ir.io import recorded_orders
from layoutopt.ir.perm import Perm, channels_last, channels_last_unbatched, identity, invert, permute
from layoutopt.ir.precision import least_scales
from layoutopt.ir.trace import OnnxValue, recompute, trace
from layoutopt.ir.verify import Array, Arrays, OutputDifference, difference_of, to_stored
from layoutopt.results.comparison import ErrorOrigin, Layer, OutputErrors
from layoutopt.workflows.matching import SURE, Match, Pairs, match

_MAX_ROUNDS = 6
_NEVER = 1e3  # a gap larger than any, for outputs that cannot be the same


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of `compare_layers`.

    Attributes:
        tensors: how many tensors of the .tflite depend on its inputs, these included.
        layers: those that are matched, in the order of execution.
        first: where the error enters; None where none is larger than the tolerance.
        outputs: in the order of the ONNX model.
    """

    tensors: int
    layers: tuple[Layer, ...]
    first: ErrorOrigin | None
    outputs: tuple[OutputErrors, ...]


def compare_layers(
    model: ir.Model,
    inputs: Arrays,
    tflite: Path,
    *,
    tolerance: float,
    verbose: bool,
    say: Callable[[str], None],
) -> Findings:
    """Run both on the same inputs, and find and compare the values that both compute.

    Args:
        model: of static shapes.
        inputs: an array for each of its inputs.
        tflite: the file.
        tolerance: the bound on relative errors.
        verbose: let LiteRT's messages through.
        say: called with what starts now.

    Raises:
        InvalidModelError: ONNX Runtime cannot run the model.
        UsageError: the inputs or outputs of the two do not fit together.
        LayoutoptError: as `layoutopt.backend.litert.runtime.run_tflite`.
    """
    signature = signature_of(tflite)
    fed = _pair_inputs(list(inputs), signature.inputs, tflite)
    say("ONNX Runtime, value by value")
    values = trace(model, inputs)
    positions = {value.name: position for position, value in enumerate(values)}
    expected = {
        str(each.name): values[positions[each.name]].array for each in model.graph.outputs if each.name in positions
    }
    say("LiteRT with XNNPACK")
    feed, xnnpack = _run_best(tflite, inputs, fed, expected, verbose=verbose)
    say("LiteRT, tensor by tensor")
    tensors = trace_tflite(tflite, feed, verbose=verbose)
    say("matching tensors")
    known = {tensor.index: position for position, tensor in enumerate(tensors)}
    builtin = {
        each.signature_name: tensors[known[each.index]].array for each in signature.outputs if each.index in known
    }
    given = _pair_outputs(expected, builtin, tflite)
    index_of = {each.signature_name: each.index for each in signature.outputs}
    interface = {known[index_of[theirs]]: positions[name] for name, theirs in given.items()}
    interface |= {known[tensor.index]: positions[name] for name, tensor in fed.items()}
    found, local = _match(model, inputs, values, tensors, interface)
    layers = tuple(_layers(values, tensors, found, local))
    scales = least_scales(model)
    errors = tuple(
        OutputErrors(
            name, *(_difference(name, expected[name], each[theirs], scales[name]) for each in (builtin, xnnpack))
        )
        for name, theirs in given.items()
    )
    return Findings(len(tensors), layers, _entry(layers, tensors, tolerance), errors)


def compare_rewritten(model: ir.Model, inputs: Arrays, rewritten: ir.Model) -> tuple[Layer, ...]:
    """Compare like `compare_layers`, with the model after passes in ONNX Runtime instead of a .tflite.

    Args:
        model: of static shapes.
        inputs: an array for each of its inputs.
        rewritten: what passes made of it.

    Returns:
        The values of ``rewritten`` that are matched, in the order of its graph, as tensors whose index is their
        position there.

    Raises:
        InvalidModelError: ONNX Runtime cannot run one of them.
    """
    values = trace(model, inputs)
    theirs = trace(rewritten, to_stored(inputs, recorded_orders(rewritten)))
    tensors = tuple(_as_tensors(rewritten, theirs))
    names = {value.name: position for position, value in enumerate(values)}
    public = {str(value.name) for value in (*rewritten.graph.inputs, *rewritten.graph.outputs)}
    interface = {at: names[each.name] for at, each in enumerate(theirs) if each.name in public and each.name in names}
    found, local = _match(model, inputs, values, tensors, interface)
    layers = _layers(values, tensors, found, local)
    return tuple(replace(layer, tensor=theirs[layer.index].name) for layer in layers)


def _as_tensors(model: ir.Model, values: Sequence[OnnxValue]) -> Iterator[TfliteValue]:
    """Yield the values of a model as what they would be in a .tflite: tensors that are named after nodes."""
    positions = {value.name: position for position, value in enumerate(values)}
    producers = {value.name: node for node in model.graph for value in node.outputs}
    for position, each in enumerate(values):
        node = producers.get(each.name)
        read = [value.name for value in node.inputs if value is not None] if node is not None else []
        sources = tuple(dict.fromkeys(positions[name] for name in read if name in positions))
        yield TfliteValue(scope_of(each.node or each.name), each.operator, position, each.array, sources)


# --- inputs and outputs ----------------------------------------------------------------------------------------------


def _pair_inputs(names: Sequence[str], tensors: Sequence[TfliteTensor], tflite: Path) -> dict[str, TfliteTensor]:
    """Return the tensor that takes each input: by name, else by position. The .tflite may have dropped inputs."""
    theirs = {tensor.signature_name: tensor for tensor in tensors}
    for spelled in (names, identifiers(names)):
        if set(theirs) <= set(spelled):
            return {name: theirs[there] for name, there in zip(names, spelled, strict=True) if there in theirs}
    if len(names) == len(tensors):
        return dict(zip(names, tensors, strict=True))
    raise UsageError(
        f"{tflite}: has the inputs {sorted(theirs)}, which are not those of the ONNX model",
        hint=f"The ONNX model has {sorted(names)}: are the two of one network?",
    )


def _run_best(
    tflite: Path, arrays: Arrays, fed: Mapping[str, TfliteTensor], expected: Arrays, *, verbose: bool
) -> tuple[Arrays, Arrays]:
    """Return the inputs to feed and the outputs with XNNPACK; if two layouts fit, the outputs decide."""
    choices = [[(name, order) for order in _orders(name, arrays[name], fed[name], tflite)] for name in fed]
    runs = []
    for chosen in itertools.product(*choices):
        feed = {fed[name].signature_name: _stored(arrays[name].transpose(order), fed[name]) for name, order in chosen}
        runs.append((feed, _dequantized(tflite, run_tflite(tflite, feed, verbose=verbose))))

    def worst_gap(outputs: Arrays) -> float:
        given = _pair_outputs(expected, outputs, tflite)
        return max((align(expected[name], outputs[theirs]).gap for name, theirs in given.items()), default=0.0)

    return runs[0] if len(runs) == 1 else min(runs, key=lambda each: worst_gap(each[1]))


def _orders(name: str, array: Array, tensor: TfliteTensor, tflite: Path) -> list[Perm]:
    """Return the orders of axes in which the tensor may take the input: as it is, channels last, or natural again."""
    last = channels_last(array.ndim)
    found: dict[tuple[int, ...], Perm] = {}
    unbatched = channels_last_unbatched(array.ndim)
    for order in (identity(array.ndim), last, invert(last), unbatched, invert(unbatched)):
        shape = permute(array.shape, order)
        fits = len(shape) == len(tensor.shape) and all(
            want in (-1, have) for want, have in zip(tensor.shape, shape, strict=True)
        )
        if fits:
            found.setdefault(tuple(axis for axis in order if array.shape[axis] != 1), order)
    if not found:
        raise UsageError(
            f"{tflite}: takes {list(tensor.shape)} for the input {name!r}, which is {list(array.shape)} in the model",
            hint=f"If the ONNX model has symbolic dimensions, give the shape: --shape {name}=...",
        )
    return list(found.values())


def _stored(array: Array, tensor: TfliteTensor) -> Array:
    """Return the array in the type of the tensor, quantized if that is."""
    dtype = np.dtype(tensor.dtype)
    if tensor.scale and np.issubdtype(dtype, np.integer) and np.issubdtype(array.dtype, np.floating):
        return quantized(array, dtype, tensor.scale, tensor.zero_point)
    return array.astype(dtype, copy=False)


def _dequantized(tflite: Path, outputs: Arrays) -> dict[str, Array]:
    """Return the real numbers that the outputs stand for."""
    tensors = {tensor.signature_name: tensor for tensor in signature_of(tflite).outputs}
    return {
        name: (array.astype(np.float32) - tensors[name].zero_point) * np.float32(tensors[name].scale)
        if tensors[name].scale
        else array
        for name, array in outputs.items()
    }


def _pair_outputs(expected: Arrays, actual: Arrays, tflite: Path) -> dict[str, str]:
    """Return the output of the .tflite for each of the ONNX model's: by name, else so that the contents agree best."""
    names = list(expected)
    for spelled in (names, identifiers(names)):
        if set(spelled) <= set(actual):
            return dict(zip(names, spelled, strict=True))
    gaps = np.array(
        [
            [align(array, other).gap if array.size == other.size else _NEVER for other in actual.values()]
            for array in expected.values()
        ]
    )
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(gaps) if gaps.size else ((), ())
    theirs = list(actual)
    given = {
        names[row]: theirs[column] for row, column in zip(rows, columns, strict=True) if gaps[row, column] < _NEVER
    }
    if lost := [name for name in names if name not in given]:
        raise UsageError(
            f"{tflite}: has no output of the size of the ONNX model's {lost[0]!r}, {list(expected[lost[0]].shape)}",
            hint="Are the two of one network, and of one shape?",
        )
    return given


def _difference(name: str, expected: Array, actual: Array, scale: float) -> OutputDifference:
    if expected.size != actual.size:
        return difference_of(name, expected, actual)
    return difference_of(name, *align(expected, actual).apply(expected, actual), smallest=scale)


# --- layers ----------------------------------------------------------------------------------------------------------


def _match(
    model: ir.Model,
    inputs: Arrays,
    values: Sequence[OnnxValue],
    tensors: Sequence[TfliteValue],
    interface: Mapping[int, int],
) -> tuple[dict[int, Match], list[Array]]:
    """Return the matches, and what ONNX Runtime makes of the .tflite's own tensors for each value.

    After an error nothing holds what it should. What ONNX Runtime makes of the tensor that is wrong is what those
    after it hold, so matches by name alone are looked at again with that in mind, until they stay.
    """
    pairs = Pairs(values, tensors)
    found = match(pairs, interface)
    local = _recomputed(model, inputs, values, tensors, found)
    for _ in range(_MAX_ROUNDS):
        if all(each.by in SURE for each in found.values()):
            break
        pairs.renew(local)
        again = match(pairs, interface)
        if _places(again) == _places(found):
            break
        found, local = again, _recomputed(model, inputs, values, tensors, again)
    return found, local


def _places(found: Mapping[int, Match]) -> dict[int, tuple[int, Perm, Shuffle | None]]:
    """Return for each tensor its value and its layout in terms of that."""
    return {at: (each.value, each.alignment.perm, each.alignment.shuffle) for at, each in found.items()}


def _recomputed(
    model: ir.Model,
    inputs: Arrays,
    values: Sequence[OnnxValue],
    tensors: Sequence[TfliteValue],
    found: Mapping[int, Match],
) -> list[Array]:
    given: dict[str, Array] = {}
    for position, each in found.items():
        value = values[each.value]
        array = each.alignment.restore(tensors[position].array, value.array.shape)
        # Not ascontiguousarray, which gives a scalar an axis.
        given.setdefault(value.name, np.asarray(array, dtype=value.array.dtype, order="C"))
    arrays = recompute(model, inputs, given)
    return [arrays[value.name] for value in values]


def _layers(
    values: Sequence[OnnxValue], tensors: Sequence[TfliteValue], found: Mapping[int, Match], local: Sequence[Array]
) -> Iterator[Layer]:
    errors: list[float] = []  # of each tensor; of one without a match, the worst that it is computed from
    first: dict[int, Array] = {}  # what the first tensor of each value holds: its copies add nothing to that
    for position, tensor in enumerate(tensors):
        inherited = max((errors[source] for source in tensor.sources), default=0.0)
        match_ = found.get(position)
        errors.append(inherited if match_ is None else match_.difference.relative_error)
        if match_ is None:
            continue
        value = values[match_.value]
        expected = first.get(match_.value, local[match_.value])
        own = difference_of(value.name, *match_.alignment.apply(expected, tensor.array))
        first.setdefault(match_.value, match_.alignment.restore(tensor.array, value.array.shape))
        yield Layer(
            position=position,
            tensor=tensor.name,
            index=tensor.index,
            operator=tensor.operator,
            shape=tensor.array.shape,
            value=value.name,
            node=value.node,
            onnx_operator=value.operator,
            onnx_shape=value.array.shape,
            layout=match_.alignment.words(value.array.shape, tensor.array.shape),
            order=() if match_.alignment.backwards else match_.alignment.perm,
            matched_by=match_.by,
            max_abs_error=match_.difference.max_abs_error,
            relative_error=match_.difference.relative_error,
            mse=match_.difference.mse,
            inherited=inherited,
            own_error=own.relative_error,
            sqnr=match_.difference.sqnr,
            own_sqnr=own.sqnr,
        )


def _entry(layers: Sequence[Layer], tensors: Sequence[TfliteValue], tolerance: float) -> ErrorOrigin | None:
    """Return the first layer beyond the tolerance, with what lies between it and those before it."""
    first = next((layer for layer in layers if layer.relative_error > tolerance), None)
    if first is None:
        return None
    matched = {layer.position: layer for layer in layers}
    after, between, todo = set(), {first.position}, list(tensors[first.position].sources)
    while todo:
        position = todo.pop()
        if position in matched:
            after.add(position)
        elif position not in between:
            between.add(position)
            todo += tensors[position].sources
    return ErrorOrigin(
        first,
        tuple(matched[position].value for position in sorted(after)),
        tuple(f"{tensors[position].operator} {tensors[position].name}" for position in sorted(between)),
    )
