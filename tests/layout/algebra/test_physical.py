"""The layout type against numpy: a layout is an order of bytes, and nothing else."""

from __future__ import annotations

from itertools import permutations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, channels_last, identity, invert
from layoutopt.layout.algebra.modes import Mode
from layoutopt.layout.algebra.physical import Dim, ModeOrder, PhysicalLayout
from layoutopt.layout.algebra.transposition import copy_steps, transposition

Shape = tuple[int, ...]
SHAPES = st.lists(st.sampled_from([1, 1, 2, 3, 4, 6]), min_size=0, max_size=5).map(tuple)
ORDERED = SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), st.permutations(range(len(shape))).map(tuple)))


def stored(shape: Shape, order: Perm) -> tuple[int, ...]:
    """The flat indices in the order in which they lie in memory."""
    return tuple(np.arange(prod(shape)).reshape(shape).transpose(order).reshape(-1).tolist())


def from_digits(layout: ModeOrder) -> tuple[int, ...]:
    """The same, counted out mode by mode."""
    indices = [0]
    for mode in layout.modes:
        indices = [index + step * mode.stride for index in indices for step in range(mode.size)]
    return tuple(indices)


def order_of(order: ModeOrder, shape: Shape) -> Perm | None:
    """The order of the axes of ``shape``, if each lies in one piece."""
    layout = PhysicalLayout.of(shape, order)
    return None if layout is None else layout.order


def copy_rank(source: ModeOrder, target: ModeOrder) -> int:
    """The rank of the one Transpose between the two."""
    found = transposition(source, target)
    assert found is not None
    return len(found[1])


@given(ORDERED)
def test_digits_say_where_the_bytes_lie(case: tuple[Shape, Perm]) -> None:
    shape, order = case
    assert from_digits(ModeOrder.of(shape, order)) == stored(shape, order)


@given(SHAPES.flatmap(lambda shape: st.tuples(st.just(shape), *[st.permutations(range(len(shape))).map(tuple)] * 2)))
def test_equal_exactly_if_the_bytes_lie_alike(case: tuple[Shape, Perm, Perm]) -> None:
    shape, one, other = case
    assert (ModeOrder.of(shape, one) == ModeOrder.of(shape, other)) == (stored(shape, one) == stored(shape, other))


@given(SHAPES, SHAPES)
def test_a_reshape_leaves_natural_natural(one: Shape, other: Shape) -> None:
    if prod(one) == prod(other):
        assert ModeOrder.natural(one) == ModeOrder.natural(other)
    assert len(ModeOrder.natural(one).modes) == (prod(one) > 1)


@given(ORDERED)
def test_order_round_trip(case: tuple[Shape, Perm]) -> None:
    """The order that a layout gives has the layout, axes of size 1 or not."""
    shape, order = case
    layout = ModeOrder.of(shape, order)
    found = order_of(layout, shape)
    assert found is not None
    assert sorted(found) == list(range(len(shape)))
    assert ModeOrder.of(shape, found) == layout
    if 1 not in shape:
        assert found == order


@settings(max_examples=300)
@given(ORDERED, st.data())
def test_order_in_another_shape(case: tuple[Shape, Perm], data: st.DataObject) -> None:
    """Seen as another shape of as many elements, there is an order exactly if one of all its orders has those bytes."""
    shape, order = case
    other = data.draw(st.permutations(shape).map(tuple) | st.sampled_from(factorisations(prod(shape))))
    found = order_of(ModeOrder.of(shape, order), other)
    possible = [perm for perm in permutations(range(len(other))) if stored(other, perm) == stored(shape, order)]
    assert (found in possible) if possible else (found is None)


def factorisations(number: int) -> list[Shape]:
    return [
        (a, b, number // a // b)
        for a in range(1, number + 1)
        if number % a == 0
        for b in range(1, number // a + 1)
        if number // a % b == 0
    ]


@pytest.mark.parametrize(
    ("shape", "order", "modes"),
    [
        ((2, 3, 4, 5), (0, 1, 2, 3), [(1, 120)]),
        ((2, 3, 4, 5), (0, 2, 3, 1), [(60, 2), (1, 20), (20, 3)]),
        ((1, 3, 4, 5), (0, 2, 3, 1), [(1, 20), (20, 3)]),
        ((1, 1, 4, 5), (0, 2, 3, 1), [(1, 20)]),
        ((1, 3, 1, 1), (0, 2, 3, 1), [(1, 3)]),
        ((2, 3), (1, 0), [(1, 3), (3, 2)]),
        ((1, 1), (1, 0), []),
        ((), (), []),
    ],
)
def test_neighbours_merge_and_ones_vanish(shape: Shape, order: Perm, modes: list[tuple[int, int]]) -> None:
    assert ModeOrder.of(shape, order).modes == tuple(Mode(stride, size) for stride, size in modes)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 1, 4, 5), (1, 1, 1, 1), (2, 1, 3, 1), (1, 4, 1)])
def test_axes_of_size_one_stand_where_the_usual_orders_have_them(shape: Shape) -> None:
    rank = len(shape)
    for usual in (channels_last(rank), identity(rank)):
        expected = identity(rank) if ModeOrder.of(shape, usual) == ModeOrder.natural(shape) else usual
        assert order_of(ModeOrder.of(shape, usual), shape) == expected


def test_no_order_where_an_axis_lies_in_pieces() -> None:
    """The channels of ``(h w)(c)`` seen as ``n (h1 w h2) c``."""
    layout = ModeOrder.of((2, 3, 2, 5), (0, 2, 1, 3))
    assert order_of(layout, (2, 3, 2, 5)) == (0, 2, 1, 3)
    assert order_of(layout, (2, 6, 5)) is None


def fewest_axes(shape: Shape, source: Perm, target: Perm) -> int:
    """By trial: the rank of the smallest Transpose, over all ways to merge neighbouring axes of the stored source."""
    sizes = [shape[axis] for axis in source if shape[axis] != 1]
    wanted = [axis for axis in target if shape[axis] != 1]
    names = [axis for axis in source if shape[axis] != 1]
    best = len(sizes)
    for cuts in range(2 ** max(len(sizes) - 1, 0)):
        groups: list[list[int]] = [[name] for name in names[:1]]
        for index, name in enumerate(names[1:]):
            if cuts >> index & 1:
                groups.append([name])
            else:
                groups[-1].append(name)
        for order in permutations(groups):
            if [name for group in order for name in group] == wanted:
                best = min(best, len(groups))
    return best


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=5)
    .map(tuple)
    .flatmap(lambda shape: st.tuples(st.just(shape), *[st.permutations(range(len(shape))).map(tuple)] * 2))
)
def test_copy_rank_is_the_smallest_transpose(case: tuple[Shape, Perm, Perm]) -> None:
    shape, source, target = case
    one, other = ModeOrder.of(shape, source), ModeOrder.of(shape, target)
    rank = copy_rank(one, other)
    if prod(shape) == 1:
        assert rank == 0
    else:
        assert rank == fewest_axes(shape, source, target)
    assert (rank <= 1) == (one == other)


def test_copy_rank_between_factorisations() -> None:
    """From ``c h w`` with c = 4 to ``h w c2 c1``: the channels are cut in two, rows and columns stay together."""
    source = ModeOrder.natural((4, 3, 5))
    target = ModeOrder.of((2, 2, 3, 5), (2, 3, 1, 0))
    assert copy_rank(source, target) == 3
    assert copy_rank(target, source) == 3
    assert copy_rank(source, source) == 1


def split(number: int, data: st.DataObject) -> Shape:
    """Factors of ``number``, in any order, with ones between them."""
    factors: list[int] = []
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            factors.append(prime)
            number //= prime
    assert number == 1
    sizes: list[int] = []
    for factor in data.draw(st.permutations(factors)):
        match data.draw(st.sampled_from(["new", "new", "join", "one"])):
            case "join" if sizes:
                sizes[-1] *= factor
            case "one":
                sizes += [1, factor]
            case _:
                sizes.append(factor)
    return tuple(sizes)


def random_storage(shape: Shape, data: st.DataObject) -> PhysicalLayout:
    """Any order of pieces of the axes."""
    pieces = [(axis, split(size, data)) for axis, size in enumerate(shape)]
    dims = []
    for axis, sizes in pieces:
        strides = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        dims += [Dim(axis, (Mode(t, n),) if n != 1 else ()) for t, n in zip(strides, sizes, strict=True)]
    return PhysicalLayout(shape, tuple(data.draw(st.permutations(dims))))


def bytes_of(layout: PhysicalLayout) -> tuple[int, ...]:
    """The flat indices of the logical tensor in stored order, counted out dimension by dimension."""
    strides = [prod(layout.shape[axis + 1 :]) for axis in range(len(layout.shape))]
    indices = [0]
    for dim in layout.dims:
        indices = [index + place * strides[dim.axis] for index in indices for place in dim.indices]
    return tuple(indices)


@settings(max_examples=300)
@given(SHAPES, st.data())
def test_a_storage_and_its_layout_mean_the_same_bytes(shape: Shape, data: st.DataObject) -> None:
    layout = random_storage(shape, data)
    assert from_digits(layout.mode_order) == bytes_of(layout)
    found = PhysicalLayout.of(shape, layout.mode_order)
    assert found is not None
    assert bytes_of(found) == bytes_of(layout)
    like = data.draw(st.just(layout.sizes) | st.just(split(prod(shape), data)))
    fitted = PhysicalLayout.of(shape, layout.mode_order, like)
    assert fitted is not None
    assert bytes_of(fitted) == bytes_of(layout)
    if like and like == layout.sizes:
        assert fitted.sizes == like, "the dimensions that it has do fit"


@given(SHAPES, st.data())
def test_renamed_axes_are_the_same_bytes(shape: Shape, data: st.DataObject) -> None:
    layout = random_storage(shape, data)
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    other = layout.renamed(perm)
    assert all(other.shape[perm[axis]] == size for axis, size in enumerate(shape))
    natural = np.arange(prod(shape)).reshape(shape).transpose(invert(perm)).reshape(-1)
    assert tuple(natural[list(bytes_of(other))].tolist()) == bytes_of(layout)


@settings(max_examples=500)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=0, max_size=4).map(tuple), st.data())
def test_a_copy_is_reshape_transpose_reshape(shape: Shape, data: st.DataObject) -> None:
    one, other = random_storage(shape, data), random_storage(shape, data)
    if transposition(one.mode_order, other.mode_order) is None:
        return
    most = data.draw(st.integers(3, 8))
    steps = copy_steps(one.mode_order, one.sizes, other.mode_order, other.sizes, most)
    stored = np.array(bytes_of(one)).reshape(one.sizes)
    copied = stored.reshape(steps.sizes).transpose(steps.perm)
    assert copied.shape == steps.result
    assert tuple(copied.reshape(-1).tolist()) == bytes_of(other)
    assert copied.reshape(other.sizes).shape == other.sizes


def test_a_copy_keeps_the_dimensions_that_it_can() -> None:
    """Neither Reshape is needed between two orders of the same dimensions, some of them 1."""
    shape = (1, 3, 4, 5)
    last, natural = PhysicalLayout.ordered(shape, (0, 2, 3, 1)), PhysicalLayout.natural(shape)
    steps = copy_steps(last.mode_order, last.sizes, natural.mode_order, natural.sizes, 6)
    assert (steps.sizes, steps.perm, steps.result) == ((1, 4, 5, 3), (0, 3, 1, 2), shape)


@pytest.mark.parametrize(("most", "result"), [(5, (1, 3, 4, 5, 7)), (4, (3, 4, 5, 7))])
def test_a_reshape_in_front_makes_one_behind_needless(most: int, result: Shape) -> None:
    """Channels that are taken apart need one anyway; it puts the axis of size 1 in, if there is room for one."""
    natural = PhysicalLayout.natural((1, 3, 7, 4, 5))
    stored = PhysicalLayout.ordered((1, 21, 4, 5), (0, 2, 3, 1))
    rows = PhysicalLayout.ordered((1, 3, 7, 4, 5), (0, 1, 3, 4, 2))
    assert ModeOrder.natural((1, 21, 4, 5)) == natural.mode_order
    steps = copy_steps(stored.mode_order, stored.sizes, rows.mode_order, rows.sizes, most)
    assert steps.result == result


def test_no_single_transpose_between_digits_that_do_not_divide() -> None:
    assert transposition(ModeOrder.of((4, 6), (1, 0)), ModeOrder.of((3, 8), (1, 0))) is None
