"""Matrix products: which orders they take, contract and emit without moving a byte.

The axes of operands and result are named by labels, as in an einsum, and each label has a role: *batch* labels are in
all three, *rows* in the left operand and the result, *columns* in the right operand and the result, the *sum* in both
operands. A product runs where each of the three stores the batch, then two other roles, each as one block; the second
operand may be transposed, and the operands may change places. A constant operand takes any order offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, takewhile
from math import prod

import onnx_ir as ir

from layoutopt.ir import dialect
from layoutopt.ir.values import Shape, is_constant
from layoutopt.layout.algebra.modes import Mode, merge_modes
from layoutopt.layout.algebra.physical import PhysicalLayout
from layoutopt.layout.costs.objectives import NOTHING, InnerCost
from layoutopt.layout.costs.products import MatrixProducts
from layoutopt.layout.rules.labels import LEFT, RESULT, RIGHT, Block, Blocks, ProductLabels, Role, labels_of
from layoutopt.layout.rules.variants import Edit, Known, PhysicalLayouts, Port

MAX_RANK = 5
"""TFLite's BATCH_MATMUL takes tensors of at most this rank."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to run a product.

    Attributes:
        orders: the two roles after the batch at each port.
        transposed: which operand of the operator comes transposed, as its dialect names it.
        swapped: whether the operands change places.
    """

    orders: Mapping[Port, tuple[Role, Role]]
    transposed: dialect.Transposed | None = None
    swapped: bool = False


_PLAIN = {LEFT: (Role.ROW, Role.SUM), RIGHT: (Role.SUM, Role.COLUMN), RESULT: (Role.ROW, Role.COLUMN)}
_SWAPPED = {RIGHT: (Role.COLUMN, Role.SUM), LEFT: (Role.SUM, Role.ROW), RESULT: (Role.COLUMN, Role.ROW)}
_FORMS = (
    _Form(_PLAIN),
    _Form({**_PLAIN, RIGHT: (Role.COLUMN, Role.SUM)}, dialect.Transposed.RIGHT),
    _Form({**_SWAPPED, LEFT: (Role.ROW, Role.SUM)}, dialect.Transposed.RIGHT, swapped=True),
    _Form(_SWAPPED, swapped=True),
    _Form({**_PLAIN, LEFT: (Role.SUM, Role.ROW)}, dialect.Transposed.LEFT),
    _Form({**_SWAPPED, RIGHT: (Role.SUM, Role.COLUMN)}, dialect.Transposed.LEFT, swapped=True),
)


def matmul(
    node: ir.Node, ports: Sequence[Port], port: Port, layout: PhysicalLayout, known: Known
) -> Iterator[PhysicalLayouts]:
    """Every product that has ``layout`` at ``port``; what that leaves open is stored as something known is."""
    del ports
    if _has_vector(node):
        return
    factors = ProductLabels.of(node)
    given, seen = factors.dims(port, layout), _seen(factors, known)
    for blocks in factors.orders(port, given, seen):
        for form in _FORMS:
            found = _in_form(factors, form, blocks)
            if factors.dims(port, found[port]) == given:
                yield {**found, port: layout}
    if is_constant(RIGHT.value(node)):
        yield from _emissions(factors, port, given, seen)


def matmul_form(node: ir.Node, layouts: PhysicalLayouts) -> Edit | None:
    """The operator and the stored shapes that run it; None where the rank is too high for the target."""
    factors = ProductLabels.of(node)
    dims = {port: factors.dims(port, layouts[port]) for port in _PLAIN}
    for form in _FORMS:
        blocks = {port: factors.split(dims[port], form.orders[port]) for port in _PLAIN}
        if all(blocks.values()):
            edit = _edit(factors, form, {port: found for port, found in blocks.items() if found})
            return _with_rows_of(layouts[LEFT], edit) if form is _FORMS[0] and _is_spread(node) else edit
    return _emission_edit(factors, dims)


# --- one product per batch -------------------------------------------------------------------------------------------


def _in_form(factors: ProductLabels, form: _Form, blocks: Blocks) -> dict[Port, PhysicalLayout]:
    return {
        port: factors.layout(port, chain.from_iterable(blocks[role] for role in (Role.BATCH, *roles)))
        for port, roles in form.orders.items()
    }


def _edit(factors: ProductLabels, form: _Form, blocks: Mapping[Port, Blocks]) -> Edit | None:
    shared = max((blocks[port][Role.BATCH] for port in _PLAIN), key=len)
    least = len(factors.shapes[RESULT]) - 2
    sizes = {}
    for port, (first, second) in form.orders.items():
        own = labels_of(blocks[port][Role.BATCH])
        batch = tuple(_size(modes) if label in own else 1 for label, modes in shared)
        lead = (1,) * (least - len(batch)) + batch
        sizes[port] = (*lead, _block_size(blocks[port][first]), _block_size(blocks[port][second]))
    rank = len(sizes[RESULT])
    if rank > MAX_RANK:
        return None
    operator = dialect.MATMUL_TRANSPOSED[form.transposed, rank] if form.transposed else None
    return Edit(operator=operator, sizes=sizes, inputs=(1, 0) if form.swapped else ())


def _with_rows_of(left: PhysicalLayout, edit: Edit | None) -> Edit | None:
    """Return ``edit`` of a product with a constant matrix, whose rows may be in any dimensions, as they are stored."""
    if edit is None:
        return None
    lead = tuple(dim.size for dim in left.dims if dim.axis != len(left.shape) - 1)
    summed, columns = edit.sizes[RIGHT][-2:]
    return replace(edit, sizes={LEFT: (*lead, summed), RIGHT: (summed, columns), RESULT: (*lead, columns)})


# --- constant weights spread over a batch ----------------------------------------------------------------------------


def _emissions(
    factors: ProductLabels, port: Port, given: Block, seen: Mapping[Port, Sequence[Block]]
) -> Iterator[dict[Port, PhysicalLayout]]:
    """Yield products with constant weights whose columns and batch lie anywhere among the rows, by a batch of matrices.

    The last two runs of the result are what each of these products gives: rows and columns, or, with the weights on the
    left, columns and rows. Where the sum lies before some rows, these are the rows of each product.
    """
    derived = _derived_lefts(factors, given, seen) if port == RESULT else ()
    for left in [given] if port == LEFT else [*seen[LEFT], *derived]:
        summed = tuple(dim for dim in left if factors.roles[dim[0]] is Role.SUM)
        for emitted in [given] if port == RESULT else [*seen[RESULT], *_beside_rows(factors, left, summed, seen)]:
            runs = _runs(factors, left, emitted)
            if not 2 < len(runs) <= MAX_RANK or left not in _lefts(runs, summed):
                continue
            if len(runs) == 3 and runs[0][0] is Role.BATCH:
                continue  # one product per batch, as above
            last = next(run for role, run in reversed(runs) if role is Role.COLUMN)
            spread = [dim for role, run in runs if role is not Role.ROW and run is not last for dim in run]
            inner = (*summed, *last) if runs[-1][0] is Role.COLUMN else (*last, *summed)
            dims = {LEFT: left, RIGHT: (*spread, *inner), RESULT: emitted}
            yield {each: factors.layout(each, block) for each, block in dims.items()}


def _derived_lefts(factors: ProductLabels, emitted: Block, seen: Mapping[Port, Sequence[Block]]) -> Iterator[Block]:
    """Yield left operands with a batch and rows as in a result, and the sum, in an order seen, last or for columns."""
    before = tuple(takewhile(lambda dim: factors.roles[dim[0]] is not Role.COLUMN, emitted))
    after = tuple(dim for dim in emitted[len(before) :] if factors.roles[dim[0]] is not Role.COLUMN)
    sums = (tuple(dim for dim in left if factors.roles[dim[0]] is Role.SUM) for left in seen[LEFT])
    for each in dict.fromkeys(sums):
        yield (*_merged(before + after), *each)
        if after:
            yield (*_merged(before), *each, *_merged(after))


def _lefts(runs: Sequence[tuple[Role, Block]], summed: Block) -> Iterator[Block]:
    """Yield the left operands that products with these ``runs`` read: the sum innermost, or before the last rows."""
    rows = [run for role, run in runs if role is not Role.COLUMN]
    for before, after in ((rows, []), (rows[:-1], rows[-1:])):
        yield (*_merged(chain.from_iterable(before)), *summed, *_merged(chain.from_iterable(after)))


def _beside_rows(
    factors: ProductLabels, left: Block, summed: Block, seen: Mapping[Port, Sequence[Block]]
) -> Iterator[Block]:
    """Yield results whose columns, in an order seen, take the place of the sum or follow the rows after it."""
    after = _rows_after_sum(factors, left)
    if not summed or left != (*(before := left[: left.index(summed[0])]), *summed, *after):
        return
    columns = (tuple(dim for dim in each if factors.roles[dim[0]] is Role.COLUMN) for each in seen[RESULT])
    for each in dict.fromkeys(map(_merged, columns)):
        yield (*before, *each, *after)
        yield (*_merged(before + after), *each)


def _rows_after_sum(factors: ProductLabels, left: Block) -> Block:
    """Return the dimensions of rows that lie after some of the sum in the left operand."""
    roles = [factors.roles[label] for label, _ in left]
    first = roles.index(Role.SUM) if Role.SUM in roles else len(roles)
    return tuple(dim for dim in left[first:] if factors.roles[dim[0]] is Role.ROW)


def _runs(factors: ProductLabels, left: Block, emitted: Block) -> list[tuple[Role, Block]]:
    """Return the runs of a result, of which the last two are rows and columns of each product, where there are some.

    Rows that lie after the sum in the left operand are a run of their own. Where rows come before them, the product has
    no columns: all of these are in the batch.
    """
    runs = _parted(factors, left, emitted)
    found = {role for role, _ in runs[-2:]}
    if {Role.ROW, Role.COLUMN} <= found:
        return runs
    if runs and runs[-1][0] is not Role.BATCH:
        return [*runs[:-1], (Role.COLUMN if Role.ROW in found else Role.ROW, ()), runs[-1]]
    return [*runs, (Role.ROW, ()), (Role.COLUMN, ())]


def _parted(factors: ProductLabels, left: Block, emitted: Block) -> list[tuple[Role, Block]]:
    """Return the runs of a result, with the rows apart that lie after the sum in the left operand."""
    runs = _alternating(factors, emitted)
    after = _rows_after_sum(factors, left)
    last = next((at for at in reversed(range(len(runs))) if runs[at][0] is Role.ROW), None)
    if not after or last is None:
        return runs
    before, apart = runs[last][1][: -len(after)], runs[last][1][-len(after) :]
    if not before or apart != after:
        return runs
    parted = [(Role.ROW, before), (Role.ROW, after)]
    if last == len(runs) - 1:
        parted.insert(1, (Role.COLUMN, ()))
    return [*runs[:last], *parted, *runs[last + 1 :]]


def product_form(node: ir.Node, layouts: PhysicalLayouts) -> InnerCost:
    """A product takes longer with its constant on the left, with a transposed left operand, or cut into many."""
    edit = None if _has_vector(node) else matmul_form(node, layouts)
    if edit is None:
        return NOTHING
    left, right = (RIGHT, LEFT) if edit.inputs else (LEFT, RIGHT)
    sizes, constant = edit.sizes, is_constant(right.value(node))
    turned = dialect.transposed_operand(edit.operator or "") is dialect.Transposed.LEFT
    *batch, rows, columns = (1, *sizes[RESULT])
    rights, depth = prod(sizes[right][:-2]), sizes[left][-2 if turned else -1]
    count = prod(batch)
    if constant and rights == 1:
        count, rows = 1, rows * count  # FULLY_CONNECTED
    return InnerCost(product=MatrixProducts(count, rows, depth, columns, rights, constant, turned * prod(sizes[left])))


def _emission_edit(factors: ProductLabels, dims: Mapping[Port, Block]) -> Edit:
    """Return the operator and the stored shapes of a product with weights that are spread over the batch."""
    runs = _runs(factors, dims[LEFT], dims[RESULT])
    batch = [(role, _size(modes)) for role, block in runs[:-2] for _, modes in block]
    if len(batch) + 2 > MAX_RANK:
        batch = [(role, _block_size(block)) for role, block in runs[:-2]]
    (_, first), (last, second) = runs[-2:]
    size = {runs[-2][0]: _block_size(first), last: _block_size(second)}
    size[Role.SUM] = prod(_size(modes) for label, modes in dims[LEFT] if factors.roles[label] is Role.SUM)
    innermost = factors.roles[dims[LEFT][-1][0]] is Role.SUM

    def sizes(lead: Role | None, *inner: Role) -> Shape:
        outer = (n if lead is None or role in (lead, Role.BATCH) else 1 for role, n in batch)
        return (*outer, *(size[role] for role in inner))

    left = sizes(Role.ROW, *((Role.ROW, Role.SUM) if innermost else (Role.SUM, Role.ROW)))
    if last is Role.COLUMN:
        right, transposed = sizes(Role.COLUMN, Role.SUM, Role.COLUMN), None if innermost else dialect.Transposed.LEFT
    else:
        right, transposed = sizes(Role.COLUMN, Role.COLUMN, Role.SUM), dialect.Transposed.RIGHT if innermost else None
    return Edit(
        operator=dialect.MATMUL_TRANSPOSED[transposed, len(left)] if transposed else None,
        sizes={LEFT: left, RIGHT: right, RESULT: sizes(None, runs[-2][0], last)},
        inputs=() if last is Role.COLUMN else (1, 0),
    )


def _alternating(factors: ProductLabels, dims: Block) -> list[tuple[Role, Block]]:
    """Return runs of neighbouring dimensions of one role."""
    return [(role, tuple(run)) for role, run in groupby(dims, lambda dim: factors.roles[dim[0]])]


def _has_vector(node: ir.Node) -> bool:
    """Return whether an operand is a vector, which has neither rows nor columns."""
    return any(len(each.shape(node)) < 2 for each in (LEFT, RIGHT))


def _is_spread(node: ir.Node) -> bool:
    """Return whether the right operand is one constant matrix."""
    value = RIGHT.value(node)
    return is_constant(value) and len(RIGHT.shape(node)) == 2


# --- what they share -------------------------------------------------------------------------------------------------


def _seen(factors: ProductLabels, known: Known) -> dict[Port, list[Block]]:
    """Return what is known at each port; a constant, of which nothing is known, could be natural."""
    return {
        port: [factors.dims(port, layout) for layout in (PhysicalLayout.natural(shape), *known(port))]
        for port, shape in factors.shapes.items()
    }


def _merged(dims: Iterable[tuple[int, tuple[Mode, ...]]]) -> Block:
    """Return ``dims`` with neighbours of one label as one dimension."""
    runs = groupby(dims, lambda dim: dim[0])
    return tuple((label, merge_modes(chain.from_iterable(modes for _, modes in run))) for label, run in runs)


def _block_size(block: Block) -> int:
    return prod(_size(modes) for _, modes in block)


def _size(modes: tuple[Mode, ...]) -> int:
    return prod(mode.size for mode in modes)
