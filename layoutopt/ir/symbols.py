"""Dimensions of the inputs that stay symbolic, and the sizes that stand in for them while a model is rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import gcd

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.errors import DynamicShapeError, InvalidModelError, UsageError
from layoutopt.ir import io as modelio
from layoutopt.ir.verify import Arrays, Reference, difference_of, random_inputs, run_onnx
from layoutopt.options import TOLERANCE

BATCH = "batch"
"""Names axis 0 of all inputs where no dimension has this name."""

_OF_IMAGES = {"height": 2, "width": 3}
"""Names for the axes of images (N, C, H, W) whose model has none."""

_STRIDE = 32
"""The number that most networks want height and width to be a multiple of."""

_PRIMES = (2, 3, 5, 7)

_DEFAULT = 64
"""The size of an axis that is not the batch, where nobody says one."""


def _odd(size: int, prime: int) -> tuple[int, int]:
    base = max(_STRIDE, size - size % _STRIDE)
    return base + 1, base + prime * _STRIDE + _STRIDE - 1


def _even_and_odd(size: int, prime: int) -> tuple[int, int]:
    even, odd = max(_STRIDE, size - size % _STRIDE), _odd(size, prime)[1]
    return (odd, even) if prime % 4 == 3 else (even, odd)  # height and width in turns


def _smaller(size: int, prime: int) -> tuple[int, int]:
    return size // 2 + 1, size - prime // 2


def _strides_apart(size: int, prime: int) -> tuple[int, int]:
    return size, size + prime * gcd(size, _STRIDE)


def _odd_multiples(size: int, prime: int) -> tuple[int, int]:
    stride = gcd(size, _STRIDE)
    return 3 * stride, (3 + 2 * prime) * stride


def _multiples(size: int, prime: int) -> tuple[int, int]:
    return size, size + prime * size


_PAIRS: tuple[Callable[[int, int], tuple[int, int]], ...] = (
    _odd,
    _even_and_odd,
    _smaller,
    _strides_apart,
    _odd_multiples,
    _multiples,
)
"""Two sizes to rewrite a model at, from the default size and a prime number that is another one for each dimension."""

Sizes = Mapping[str, int]
"""A size for each symbol, by name."""

_EXPORT = (
    "Keep it static, or export the model so that it takes any size: with dynamic_axes, or dynamic_shapes, of "
    "torch.onnx.export."
)

KEEP_FEWER = "Keep fewer dimensions symbolic, or give this one a size with --shape."


@dataclass(frozen=True, slots=True)
class Symbol:
    """A dimension that stays symbolic.

    Attributes:
        name: of the dimension.
        places: input and axis of each of its occurrences.
        default: the size that the .tflite has until it is resized.
        static: whether the model names a size for it.
    """

    name: str
    places: tuple[tuple[str, int], ...]
    default: int
    static: bool

    @property
    def is_batch(self) -> bool:
        """Return whether it is axis 0 wherever it occurs."""
        return all(axis == 0 for _, axis in self.places)


@dataclass(frozen=True, slots=True)
class SymbolicModel:
    """A model with dimensions that stay symbolic; all others are static.

    Attributes:
        model: of the default sizes; the shapes of all that is computed are unknown.
        symbols: the dimensions, at least one.
    """

    model: ir.Model
    symbols: tuple[Symbol, ...]

    @property
    def defaults(self) -> Sizes:
        """Return the size of each symbol until somebody says another."""
        return {symbol.name: symbol.default for symbol in self.symbols}

    def at(self, sizes: Sizes) -> ir.Model:
        """Return a copy of these sizes, at which the model must be able to run."""
        model = self._resized(sizes)
        ShapeInferencePass(data_prop=True)(model)
        return model

    def _resized(self, sizes: Sizes) -> ir.Model:
        model = self.model.clone()
        _resize(model, {place: sizes[symbol.name] for symbol in self.symbols for place in symbol.places})
        return model

    def reference(self, sizes: Sizes, seed: int) -> Reference:
        """Return the model at these sizes with random inputs and its outputs.

        Raises:
            DynamicShapeError: it cannot run at these sizes.
        """
        try:
            return Reference(self._resized(sizes), seed=seed)
        except InvalidModelError as error:
            raise DynamicShapeError(
                f"the model does not run at {format_sizes(sizes)}: {error.message}", hint=_EXPORT
            ) from error

    def run(self, sizes: Sizes, inputs: Arrays) -> Arrays:
        """Return the outputs of the model at these sizes.

        Raises:
            DynamicShapeError: it cannot run at these sizes.
        """
        try:
            return run_onnx(self._resized(sizes), inputs)
        except RuntimeError as error:
            raise DynamicShapeError(
                f"the model does not run at {format_sizes(sizes)}: {error}", hint=_EXPORT
            ) from error

    def instances(self) -> Iterator[tuple[Sizes, Sizes]]:
        """Yield pairs of sizes to rewrite the model at, those that tell most first.

        No size is 1, which operators take for something special. The differences are no multiples of each other, so
        that a number that follows one dimension does not look as if it followed another one. The pairs in turn:

        - One more than a multiple of 32, and one less: as they are halved again and again, the one is never even where
          halves are rounded up, and the other never where they are rounded down, so that twice a half is not the whole.
        - A multiple of 32 for every other dimension: there, twice a half is the whole in one dimension and not in the
          other, so that what is padded to the whole has its Pad at both sizes.
        - Smaller ones, for tables that are cut to a size.
        - Multiples of 32, for networks that want them.
        - Odd multiples of 32, after which a small map is no power of two: such a map divides most numbers of channels.
        - Multiples of the size that the user says.
        """
        others = [symbol for symbol in self.symbols if not symbol.is_batch]
        batches = [{symbol.name: number for symbol in self.symbols} for number in (2, 7 if others else 3)]
        if not others:
            yield batches[0], batches[1]
            return
        for rule in _PAIRS:
            pair = [dict(each) for each in batches]
            for symbol, prime in zip(others, cycle(_PRIMES), strict=False):
                pair[0][symbol.name], pair[1][symbol.name] = rule(symbol.default, prime)
            if all(size > 1 for sizes in pair for size in sizes.values()):
                yield pair[0], pair[1]

    def elsewhere(self) -> Iterator[Sizes]:
        """Yield sizes that are in no pair, to judge the result at; the model need not run at all of them."""
        others = [symbol for symbol in self.symbols if not symbol.is_batch]
        batch = {symbol.name: 5 for symbol in self.symbols}
        odd = {symbol.name: symbol.default + 7 * rank for rank, symbol in enumerate(others, start=1)}
        even = {
            symbol.name: symbol.default + gcd(symbol.default, _STRIDE) * rank
            for rank, symbol in enumerate(others, start=1)
        }
        multiple = {symbol.name: symbol.default * (2 - rank % 2) for rank, symbol in enumerate(others)}
        less = {symbol.name: max(1, symbol.default - symbol.default // 3) for symbol in others}
        yield from ({**batch, **sizes} for sizes in ((odd, even, multiple, less) if others else ({},)))


def find_symbols(
    model: ir.Model, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]], *, seed: int = 0
) -> SymbolicModel:
    """Find the dimensions of the inputs that ``names`` names, and make all others static.

    Args:
        model: is left as it is.
        names: of symbolic dimensions, or ``INPUT:AXIS`` for those without a name; ``batch`` stands for axis 0 of all
            inputs where no dimension is called so, ``height`` and ``width`` for those of images without a name.
        shapes: a shape for each input that has other symbolic dimensions; the sizes of those named are the defaults.
        seed: of random inputs.

    Raises:
        UsageError: there is no such dimension, or its sizes contradict each other.
        DynamicShapeError: another dimension is symbolic and has no size, or the model is written for one batch size.
    """
    inputs = {str(value.name): value for value in model.graph.inputs if not value.is_initializer()}
    symbols = tuple(_symbol(name, inputs, shapes) for name in dict.fromkeys(names))
    copy = model.clone()
    modelio.set_shapes(copy, shapes)
    _resize(copy, {place: symbol.default for symbol in symbols for place in symbol.places})
    modelio.require_static(copy)
    symbolic = SymbolicModel(copy, symbols)
    _require_independent(symbolic, seed)
    return symbolic


def format_sizes(sizes: Sizes) -> str:
    """Return ``batch=5, height=71``."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def format_axis(place: tuple[str, int]) -> str:
    """Return ``input:2``, which names an axis that has no name."""
    return f"{place[0]}:{place[1]}"


def _require_independent(symbolic: SymbolicModel, seed: int) -> None:
    """Raise unless the samples of a batch are independent, where the model was written for one batch size.

    A model that was exported for a batch of 1 may run with a batch of 2 and mix the two, which ONNX Runtime cannot
    know: it is asked for both samples by themselves, and in one batch.

    Raises:
        DynamicShapeError: names the output that differs.
    """
    batch = next((symbol for symbol in symbolic.symbols if symbol.static), None)
    if batch is None:
        return
    parts = [random_inputs(symbolic.model, seed + at) for at in range(2)]
    expected = [symbolic.run(symbolic.defaults, part) for part in parts]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    actual = symbolic.run({**symbolic.defaults, batch.name: 2 * batch.default}, whole)
    for name, found in actual.items():
        alone = [each[name] for each in expected]
        if all(np.array_equal(each, found) for each in alone):  # it does not depend on the inputs
            continue
        wanted = np.concatenate([np.atleast_1d(each) for each in alone])
        if difference_of(name, wanted, found).relative_error > TOLERANCE:
            raise DynamicShapeError(
                f"the model is written for a batch of {batch.default}: with another, output {name!r} is not that of "
                "each sample by itself",
                hint=_EXPORT,
            )


def _symbol(name: str, inputs: Mapping[str, ir.Value], shapes: Mapping[str, tuple[int, ...]]) -> Symbol:
    dims = {(each, axis): dim for each, value in inputs.items() for axis, dim in enumerate(value.shape or ())}
    names = {place: dim.value for place, dim in dims.items() if isinstance(dim, ir.SymbolicDim)}
    unnamed = {place for place, known in names.items() if known is None}
    places = tuple(place for place in names if name in (names[place], format_axis(place)))
    if not places and name == BATCH:
        places = tuple(place for place in dims if place[1] == 0)
    if not places and name in _OF_IMAGES:
        places = tuple(
            place for place in unnamed if place[1] == _OF_IMAGES[name] and len(inputs[place[0]].shape or ()) == 4
        )
    if not places:
        known = dict.fromkeys(names[place] or format_axis(place) for place in names)
        listed = ", ".join(known) or "none"
        raise UsageError(
            f"--dynamic {name}: no input has a dimension of this name",
            hint=f"Symbolic dimensions of the inputs: {listed}. {BATCH} stands for axis 0 of all inputs, and "
            f"{' and '.join(_OF_IMAGES)} for those of images where they have no name.",
        )
    fixed = {place: dim for place in places if isinstance(dim := dims[place], int)}
    given = {place: shapes[place[0]][place[1]] for place in places if len(shapes.get(place[0], ())) > place[1]}
    sizes = {**given, **fixed}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{size} in {each!r}" for (each, _), size in sizes.items())
        raise UsageError(f"--dynamic {name}: has several sizes: {listed}", hint="It must be of one size in all inputs.")
    usual = 1 if all(axis == 0 for _, axis in places) else _DEFAULT
    return Symbol(name, places, next(iter(sizes.values()), usual), bool(fixed))


def _resize(model: ir.Model, sizes: Mapping[tuple[str, int], int]) -> None:
    """Give axes of inputs a size, and forget all shapes that followed from another one."""
    for value in model.graph.inputs:
        if value.shape is not None and not value.is_initializer():
            value.shape = ir.Shape([sizes.get((str(value.name), axis), dim) for axis, dim in enumerate(value.shape)])
    for value in (value for node in model.graph.all_nodes() for value in node.outputs):
        if value.shape is not None:
            value.shape = ir.Shape([None] * len(value.shape)) if value.is_graph_output() else None
