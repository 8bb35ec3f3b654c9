"""Random graphs: small, of every operator family that the rule table knows, with pinned operators in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st
from onnx_ir.passes.common import ShapeInferencePass

from layoutopt.ir.perm import permute

OPSETS = (12, 13, 17, 18, 21)
MAX_ELEMENTS = 2048

Shape = tuple[int, ...]


@dataclass(slots=True)
class Builder:
    """Appends nodes to a graph and keeps the float values that others may read."""

    draw: st.DrawFn
    opset: int
    rng: np.random.Generator
    inputs: list[ir.Value] = field(default_factory=list)
    pool: list[ir.Value] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: list[ir.Value] = field(default_factory=list)

    def add_input(self, shape: Shape) -> None:
        value = ir.val(f"in{len(self.inputs)}", ir.DataType.FLOAT, shape)
        self.inputs.append(value)
        self.pool.append(value)

    def constant(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> ir.Value:
        name = f"c{len(self.initializers)}"
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self.initializers.append(value)
        return value

    def floats(self, shape: Shape) -> ir.Value:
        return self.constant(self.rng.standard_normal(shape).astype(np.float32))

    def integers(self, values: Sequence[int]) -> ir.Value:
        return self.constant(np.array(values, np.int64))

    def node(
        self,
        operator: str,
        operands: Sequence[ir.Value | None],
        shape: Shape,
        attributes: dict[str, int | float | str | Sequence[int]] | None = None,
        *,
        results: int = 1,
        dtype: ir.DataType = ir.DataType.FLOAT,
        keep: bool = True,
    ) -> ir.Value:
        outputs = [ir.val(f"v{len(self.nodes)}_{index}", dtype, shape) for index in range(results)]
        name = f"n{len(self.nodes)}"
        self.nodes.append(ir.node(operator, operands, attributes, outputs=outputs, name=name))
        if keep:
            self.pool += outputs
        return outputs[0]

    def pick(self, *ranks: int) -> ir.Value | None:
        """Any value, or one of these ranks; newer ones are likelier."""
        fitting = [value for value in self.pool if not ranks or len(shape_of(value)) in ranks]
        if not fitting:
            return None
        return fitting[-1 - min(self.draw(st.integers(0, 3)), len(fitting) - 1)]

    def axis(self, shape: Shape) -> int:
        return self.draw(st.integers(0, len(shape) - 1))

    def signed(self, axis: int, shape: Shape) -> int:
        return axis - len(shape) * self.draw(st.integers(0, 1))


def shape_of(value: ir.Value) -> Shape:
    assert value.shape is not None
    return value.shape.numpy()


def _conv(b: Builder) -> None:
    if (x := b.pick(4)) is None or prod(shape_of(x)) > MAX_ELEMENTS // 2:
        return
    n, c, h, w = shape_of(x)
    out, kernel = b.draw(st.integers(1, 4)), b.draw(st.sampled_from([1, 3]))
    pads = [kernel // 2] * 4
    b.node(
        "Conv",
        [x, b.floats((out, c, kernel, kernel)), b.floats((out,))],
        (n, out, h, w),
        {"kernel_shape": [kernel, kernel], "pads": pads},
    )


def _conv_1d(b: Builder) -> None:
    if (x := b.pick(3)) is None:
        return
    n, c, length = shape_of(x)
    b.node("Conv", [x, b.floats((2, c, 3))], (n, 2, length), {"kernel_shape": [3], "pads": [1, 1]})


def _unary(b: Builder) -> None:
    if (x := b.pick()) is not None:
        b.node(b.draw(st.sampled_from(["Relu", "Sigmoid", "Tanh", "Neg", "Identity"])), [x], shape_of(x))


def _binary(b: Builder) -> None:
    """With another value, with itself, or with a constant of equal or lower rank, on either side."""
    if (x := b.pick()) is None:
        return
    shape = shape_of(x)
    others: list[ir.Value] = [v for v in b.pool if np.broadcast_shapes is not None and _broadcasts(shape, shape_of(v))]
    if b.draw(st.booleans()):
        mask = b.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        small = tuple(size if kept else 1 for size, kept in zip(shape, mask, strict=True))
        cut = b.draw(st.integers(0, len(shape)))
        other = b.floats(small[cut:])
    else:
        other = others[-1 - min(b.draw(st.integers(0, 3)), len(others) - 1)]
    operands = [x, other] if b.draw(st.booleans()) else [other, x]
    result = np.broadcast_shapes(shape, other.const_value.shape.numpy() if other.const_value else shape_of(other))
    if prod(result) <= MAX_ELEMENTS:
        b.node(b.draw(st.sampled_from(["Add", "Mul", "Max", "Sub"])), operands, result)


def _broadcasts(one: Shape, other: Shape) -> bool:
    return all(a == b or 1 in (a, b) for a, b in zip(reversed(one), reversed(other), strict=False))


def _concat(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)

    def rest(value: ir.Value) -> Shape:
        sizes = shape_of(value)
        return (len(sizes), *(size for index, size in enumerate(sizes) if index != axis))

    others = [value for value in b.pool if rest(value) == rest(x)]
    other = others[b.draw(st.integers(0, len(others) - 1))]
    if b.draw(st.integers(0, 4)) == 0:
        other = b.floats(shape)
        sizes = shape
    else:
        sizes = shape_of(other)
    result = tuple(size + sizes[index] if index == axis else size for index, size in enumerate(shape))
    if prod(result) <= MAX_ELEMENTS:
        operands = [x, other] if b.draw(st.booleans()) else [other, x]
        b.node("Concat", operands, result, {"axis": b.signed(axis, shape)})


def _split(b: Builder) -> None:
    if (x := b.pick()) is None:
        return
    shape = shape_of(x)
    even = [axis for axis, size in enumerate(shape) if size % 2 == 0]
    if not even:
        return
    axis = even[b.draw(st.integers(0, len(even) - 1))]
    half = tuple(size // 2 if index == axis else size for index, size in enumerate(shape))
    attributes: dict[str, int | float | str | Sequence[int]] = {"axis": b.signed(axis, shape)}
    operands: list[ir.Value | None] = [x]
    if b.opset < 13:
        attributes["split"] = [half[axis]] * 2
    else:
        operands.append(b.integers([half[axis]] * 2))
    b.node("Split", operands, half, attributes, results=2)


def _slice(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)
    if shape[axis] < 2:
        return
    result = tuple(size - 1 if index == axis else size for index, size in enumerate(shape))
    if axis == 0 and b.draw(st.booleans()):
        b.node("Slice", [x, b.integers([1]), b.integers([shape[0]])], result)
        return
    operands = [x, b.integers([1]), b.integers([shape[axis]]), b.integers([b.signed(axis, shape)])]
    b.node("Slice", operands, result)


def _pad(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)
    result = tuple(size + 3 if index == axis else size for index, size in enumerate(shape))
    if prod(result) > MAX_ELEMENTS:
        return
    if b.opset >= 18 and b.draw(st.booleans()):
        b.node("Pad", [x, b.integers([1, 2]), None, b.integers([b.signed(axis, shape)])], result)
        return
    begins, ends = ([amount if index == axis else 0 for index in range(len(shape))] for amount in (1, 2))
    b.node("Pad", [x, b.integers([*begins, *ends]), b.constant(np.array(0.5, np.float32))], result)


def _reduce(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axes = sorted(b.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1, max_size=2)))
    keep = b.draw(st.booleans())
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    result = kept if keep else tuple(size for axis, size in enumerate(shape) if axis not in axes)
    operator = b.draw(st.sampled_from(["ReduceMean", "ReduceSum", "ReduceMax"]))
    names = [b.signed(axis, shape) for axis in axes]
    if b.opset >= 18 or (operator == "ReduceSum" and b.opset >= 13):
        b.node(operator, [x, b.integers(names)], result, {"keepdims": int(keep)})
    else:
        b.node(operator, [x], result, {"axes": names, "keepdims": int(keep)})


def _arg_max(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis, keep = b.axis(shape), b.draw(st.booleans())
    result = tuple(1 if i == axis else s for i, s in enumerate(shape) if keep or i != axis)
    attributes: dict[str, int | float | str | Sequence[int]] = {"axis": b.signed(axis, shape), "keepdims": int(keep)}
    index = b.node("ArgMax", [x], result, attributes, dtype=ir.DataType.INT64, keep=False)
    b.node("Cast", [index], result, {"to": ir.DataType.FLOAT.value})


def _reshape(b: Builder) -> None:
    """Merges two neighbours, cuts an even axis in two, or flattens."""
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)
    kind = b.draw(st.sampled_from(["merge", "cut", "flatten", "unsqueeze"]))
    if kind == "merge" and axis + 1 < len(shape):
        result = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
    elif kind == "cut" and shape[axis] % 2 == 0 and len(shape) < 6:
        result = (*shape[:axis], 2, shape[axis] // 2, *shape[axis + 1 :])
    elif kind == "unsqueeze" and len(shape) < 5:
        result = (*shape[:axis], 1, *shape[axis:])
    else:
        result = (prod(shape[:axis]), prod(shape[axis:]))
        b.node("Flatten", [x], result, {"axis": axis})
        return
    b.node("Reshape", [x, b.integers(result)], result)


def _transpose(b: Builder) -> None:
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    perm = tuple(b.draw(st.permutations(range(len(shape)))))
    if perm == tuple(reversed(range(len(shape)))) and b.draw(st.booleans()):
        b.node("Transpose", [x], permute(shape, perm))
    else:
        b.node("Transpose", [x], permute(shape, perm), {"perm": perm})


def _pool(b: Builder) -> None:
    if (x := b.pick(4)) is None:
        return
    n, c, h, w = shape_of(x)
    operator = b.draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"]))
    if operator.startswith("Global"):
        b.node(operator, [x], (n, c, 1, 1))
    elif min(h, w) >= 2:
        b.node(operator, [x], (n, c, h // 2, w // 2), {"kernel_shape": [2, 2], "strides": [2, 2]})


def _resize(b: Builder) -> None:
    if (x := b.pick(4)) is None or prod(shape_of(x)) > MAX_ELEMENTS // 4:
        return
    n, c, h, w = shape_of(x)
    scales = b.constant(np.array([1, 1, 2, 2], np.float32))
    roi = b.constant(np.array([], np.float32)) if b.opset < 13 else None
    attributes: dict[str, int | float | str | Sequence[int]] = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    b.node("Resize", [x, roi, scales], (n, c, 2 * h, 2 * w), attributes)


def _shuffle(b: Builder) -> None:
    if (x := b.pick(4)) is None:
        return
    n, c, h, w = shape_of(x)
    if c % 4 == 0:
        b.node("DepthToSpace", [x], (n, c // 4, 2 * h, 2 * w), {"blocksize": 2, "mode": "CRD"})
    elif h % 2 == w % 2 == 0:
        b.node("SpaceToDepth", [x], (n, c * 4, h // 2, w // 2), {"blocksize": 2})


def _mat_mul(b: Builder) -> None:
    """Pinned to the natural layout."""
    if (x := b.pick(2, 3, 4)) is None:
        return
    shape = shape_of(x)
    b.node("MatMul", [x, b.floats((shape[-1], 3))], (*shape[:-1], 3))


def _softmax(b: Builder) -> None:
    if (x := b.pick()) is not None and b.opset >= 13 and shape_of(x):
        b.node("Softmax", [x], shape_of(x), {"axis": b.signed(b.axis(shape_of(x)), shape_of(x))})


def _where(b: Builder) -> None:
    if (x := b.pick()) is None:
        return
    shape = shape_of(x)
    zero = b.constant(np.array(0, np.float32))
    mask = b.node("Greater", [x, zero], shape, dtype=ir.DataType.BOOL, keep=False)
    b.node("Where", [mask, x, zero], shape)


def _p_relu(b: Builder) -> None:
    if (x := b.pick(3, 4)) is not None:
        shape = shape_of(x)
        b.node("PRelu", [x, b.floats((shape[1], *[1] * (len(shape) - 2)))], shape)


STEPS: tuple[Callable[[Builder], None], ...] = (
    _conv,
    _conv,
    _conv,
    _unary,
    _unary,
    _binary,
    _binary,
    _concat,
    _concat,
    _split,
    _slice,
    _pad,
    _reduce,
    _reshape,
    _reshape,
    _transpose,
    _transpose,
    _pool,
    _resize,
    _shuffle,
    _mat_mul,
    _softmax,
    _where,
    _p_relu,
    _arg_max,
    _conv_1d,
)


def _channel_shuffle(b: Builder) -> None:
    """As Reshape-Transpose-Reshape, with and without the batch."""
    if (x := b.pick(4)) is None:
        return
    n, c, h, w = shape_of(x)
    groups = b.draw(st.sampled_from([size for size in range(1, c + 1) if c % size == 0]))
    batch = (n,) if n > 1 or b.draw(st.booleans()) else ()
    first = len(batch)
    cut, perm = (*batch, groups, c // groups, h, w), (*range(first), first + 1, first, first + 2, first + 3)
    split = b.node("Reshape", [x, b.integers(cut)], cut, keep=b.draw(st.integers(0, 5)) == 0)
    moved = b.node("Transpose", [split], permute(cut, perm), {"perm": perm}, keep=False)
    b.node("Reshape", [moved, b.integers((n, c, h, w))], (n, c, h, w))


def _channel_gather(b: Builder) -> None:
    if (x := b.pick(3, 4)) is None:
        return
    n, c, *spatial = shape_of(x)
    indices = b.draw(st.lists(st.integers(-c, c - 1), min_size=1, max_size=6) | st.permutations(range(c)))
    b.node("Gather", [x, b.integers(indices)], (n, len(indices), *spatial), {"axis": 1})


def _channel_slice(b: Builder) -> None:
    if (x := b.pick(3, 4)) is None:
        return
    n, c, *spatial = shape_of(x)
    start, stop = (b.draw(st.integers(-c - 1, c + 1)) for _ in range(2))
    step = b.draw(st.sampled_from([1, 2, -1, -2]))
    if not (size := len(range(c)[start:stop:step])):
        return
    result = (n, size, *spatial)
    b.node("Slice", [x, *(b.integers([number]) for number in (start, stop, 1, step))], result)


def _channel_concat(b: Builder) -> None:
    if (x := b.pick(4)) is None:
        return
    n, c, *spatial = shape_of(x)
    others = [value for value in b.pool if shape_of(value)[:1] + shape_of(value)[2:] == (n, *spatial)]
    other = others[b.draw(st.integers(0, len(others) - 1))]
    result = (n, c + shape_of(other)[1], *spatial)
    if prod(result) <= MAX_ELEMENTS:
        b.node("Concat", [x, other] if b.draw(st.booleans()) else [other, x], result, {"axis": 1})


def _depthwise_conv(b: Builder) -> None:
    if (x := b.pick(4)) is not None:
        n, c, h, w = shape_of(x)
        bias = [b.floats((c,))] if b.draw(st.booleans()) else []
        b.node("Conv", [x, b.floats((c, 1, 1, 1)), *bias], (n, c, h, w), {"group": c})


def _per_channel(b: Builder) -> None:
    if (x := b.pick(4)) is not None:
        constant = b.floats(b.draw(st.sampled_from([(shape_of(x)[1], 1, 1), (1,), ()])))
        operands = [x, constant] if b.draw(st.booleans()) else [constant, x]
        b.node(b.draw(st.sampled_from(["Add", "Mul", "Sub"])), operands, shape_of(x))


CHANNEL_STEPS: tuple[Callable[[Builder], None], ...] = (
    *(_channel_shuffle, _channel_gather, _channel_slice, _channel_concat, _channel_concat, _split, _split),
    *(_conv, _conv, _depthwise_conv, _per_channel, _unary, _pool),
)
"""What routes and carries channels, with convolutions behind it."""


@st.composite
def random_models(
    draw: st.DrawFn, *, steps: int = 10, kinds: Sequence[Callable[[Builder], None]] = STEPS, closed: bool = False
) -> ir.Model:
    """A model of static shapes. All that nobody reads is an output.

    Args:
        draw: from Hypothesis.
        steps: how many at most; there is at least one.
        kinds: of steps.
        closed: whether a convolution is behind every image that nobody reads.
    """
    builder = Builder(draw, draw(st.sampled_from(OPSETS)), np.random.default_rng(draw(st.integers(0, 9))))
    sizes = st.sampled_from([1, 2, 3, 4])
    builder.add_input((1, draw(sizes), draw(sizes), draw(sizes)))
    if draw(st.booleans()):
        builder.add_input(
            draw(st.sampled_from([shape_of(builder.pool[0]), (1, 2, 4), (2, 3, 1, 4), (4,), (1, 2, 2, 2, 3)]))
        )
    for step in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=steps)):
        step(builder)
    for value in [value for value in builder.pool if closed and not value.uses() and len(shape_of(value)) == 4]:
        n, c, h, w = shape_of(value)
        builder.node("Conv", [value, builder.floats((1, c, 1, 1))], (n, 1, h, w))
    outputs = [value for value in builder.pool if not value.uses() and not value.is_graph_input()]
    extra = [value for value in builder.pool if value.uses() and value not in builder.inputs]
    if draw(st.booleans()) and extra:
        outputs.append(extra[draw(st.integers(0, len(extra) - 1))])
    if not outputs:
        outputs = [builder.node("Relu", [builder.pool[0]], shape_of(builder.pool[0]))]
    graph = ir.Graph(
        builder.inputs,
        outputs,
        nodes=builder.nodes,
        initializers=builder.initializers,
        opset_imports={"": builder.opset},
        name="random",
    )
    model = ir.Model(graph, ir_version=8)
    ShapeInferencePass()(model)
    return model
