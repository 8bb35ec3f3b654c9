"""Steps by which random graphs grow: one or a few nodes of each operator family that the rule table knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from hypothesis import strategies as st

from layoutopt.ir.perm import permute
from tests.network_builder import MAX_ELEMENTS, Builder, Shape, shape_of


def _conv(b: Builder) -> None:
    """1x1 or not, plain, grouped or depthwise, with a bias or without; the weights are rarely computed."""
    if (x := b.pick(4)) is None or prod(shape_of(x)) > MAX_ELEMENTS // 2:
        return
    n, c, h, w = shape_of(x)
    groups = b.draw(st.sampled_from([1, 1, 1, c, *(size for size in (2, 4) if c % size == 0)]))
    out, kernel = groups * b.draw(st.integers(1, max(1, 4 // groups))), b.draw(st.sampled_from([1, 1, 3]))
    weights = b.floats((out, c // groups, kernel, kernel))
    if b.draw(st.integers(0, 9)) == 0:
        weights = b.node(
            "Neg",
            [
                weights,
            ],
            shape_of(weights),
            keep=False,
        )
    bias = [b.floats((out,))] if b.draw(st.booleans()) else []
    b.node(
        "Conv",
        [x, weights, *bias],
        (n, out, h, w),
        {"kernel_shape": [kernel, kernel], "pads": [kernel // 2] * 4, "group": groups},
    )


def _conv_transpose(b: Builder) -> None:
    if (x := b.pick(4)) is None or prod(shape_of(x)) > MAX_ELEMENTS // 8:
        return
    n, c, h, w = shape_of(x)
    groups = 2 if c % 2 == 0 and b.draw(st.booleans()) else 1
    out = b.draw(st.integers(1, 2))
    operands = [x, b.floats((c, out, 2, 2)), *([b.floats((out * groups,))] if b.draw(st.booleans()) else [])]
    b.node("ConvTranspose", operands, (n, out * groups, 2 * h, 2 * w), {"strides": [2, 2], "group": groups})


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
    """Of two or three values that fit; now and then one is constant."""
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)

    def rest(value: ir.Value) -> Shape:
        sizes = shape_of(value)
        return (len(sizes), *(size for index, size in enumerate(sizes) if index != axis))

    others = [value for value in b.pool if rest(value) == rest(x)]
    chosen = [others[b.draw(st.integers(0, len(others) - 1))] for _ in range(b.draw(st.integers(1, 2)))]
    sizes = sum(shape_of(value)[axis] for value in (x, *chosen))
    operands: list[ir.Value] = [x, *chosen]
    if b.draw(st.integers(0, 4)) == 0:
        operands.append(b.floats(shape))
        sizes += shape[axis]
    result = (*shape[:axis], sizes, *shape[axis + 1 :])
    if prod(result) <= MAX_ELEMENTS:
        b.node("Concat", b.draw(st.permutations(operands)), result, {"axis": b.signed(axis, shape)})


def _split(b: Builder) -> None:
    """In two parts, not always equal ones."""
    if (x := b.pick()) is None:
        return
    shape = shape_of(x)
    cuttable = [axis for axis, size in enumerate(shape) if size > 1]
    if not cuttable:
        return
    axis = cuttable[b.draw(st.integers(0, len(cuttable) - 1))]
    first = b.draw(st.integers(1, shape[axis] - 1))
    sizes = [first, shape[axis] - first]
    attributes: dict[str, int | float | str | Sequence[int]] = {"axis": b.signed(axis, shape)}
    operands: list[ir.Value | None] = [x]
    if b.opset < 13:
        attributes["split"] = sizes
    else:
        operands.append(b.integers(sizes))
    shapes = [tuple(size if index == axis else each for index, each in enumerate(shape)) for size in sizes]
    b.node("Split", operands, shapes[0], attributes, further=shapes[1:])


def _slice(b: Builder) -> None:
    """Cuts the first element off, along the first axes, along one or two named ones, or turns an axis around."""
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    if shape[0] > 1 and b.draw(st.integers(0, 3)) == 0:
        b.node("Slice", [x, b.integers([1]), b.integers([shape[0]])], (shape[0] - 1, *shape[1:]))
        return
    axes = sorted(b.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1, max_size=2)))
    if all(shape[axis] > 1 for axis in axes) and b.draw(st.integers(0, 3)):
        starts, ends, steps = [1] * len(axes), [shape[axis] for axis in axes], []
        result = tuple(size - 1 if index in axes else size for index, size in enumerate(shape))
    else:
        starts, ends, steps = [-1] * len(axes), [-(2**31)] * len(axes), [b.integers([-1] * len(axes))]
        result = shape
    names = b.integers([b.signed(axis, shape) for axis in axes])
    b.node("Slice", [x, b.integers(starts), b.integers(ends), names, *steps], result)


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
    """Merges two neighbours, cuts an axis, flattens, or cuts the flat index anywhere."""
    if (x := b.pick()) is None or not shape_of(x):
        return
    shape = shape_of(x)
    axis = b.axis(shape)
    kind = b.draw(st.sampled_from(["merge", "cut", "flatten", "unsqueeze", "squeeze", "any", "any"]))
    if kind == "merge" and axis + 1 < len(shape):
        b.reshape(x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))
    elif kind == "cut" and len(shape) < 6:
        b.reshape(x, (*shape[:axis], *b.cut(shape[axis], 2), *shape[axis + 1 :]))
    elif kind == "any":
        b.reshape(x, b.cut(prod(shape), b.draw(st.integers(1, 5))))
    elif kind == "unsqueeze" and len(shape) < 5:
        b.squeezed("Unsqueeze", x, [axis], (*shape[:axis], 1, *shape[axis:]))
    elif kind == "squeeze" and shape[axis] == 1:
        b.squeezed("Squeeze", x, [axis], (*shape[:axis], *shape[axis + 1 :]))
    else:
        b.node("Flatten", [x], (prod(shape[:axis]), prod(shape[axis:])), {"axis": axis})


def _rearrange(b: Builder) -> None:
    """Reshape, Transpose, Reshape: a shuffle of channels, windows, heads, or nothing that has a name."""
    if (x := b.pick()) is None or not shape_of(x):
        return
    cut = [size for axis in shape_of(x) for size in b.cut(axis, b.draw(st.integers(1, 2)))][:6]
    if prod(cut) != prod(shape_of(x)):
        return
    perm = tuple(b.draw(st.permutations(range(len(cut)))))
    moved = b.node("Transpose", [b.reshape(x, tuple(cut), keep=False)], permute(tuple(cut), perm), {"perm": perm})
    b.reshape(moved, shape_of(x) if b.draw(st.booleans()) else b.cut(prod(cut), b.draw(st.integers(1, 4))))


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
        mode = b.draw(st.sampled_from(["CRD", "DCR"]))
        b.node("DepthToSpace", [x], (n, c // 4, 2 * h, 2 * w), {"blocksize": 2, "mode": mode})
    elif h % 2 == w % 2 == 0:
        b.node("SpaceToDepth", [x], (n, c * 4, h // 2, w // 2), {"blocksize": 2})


def _mat_mul(b: Builder) -> None:
    """With a constant matrix on either side."""
    if (x := b.pick(2, 3, 4)) is None:
        return
    shape = shape_of(x)
    size = b.draw(st.sampled_from([1, 3, 8, 16]))
    if prod(shape) * size > MAX_ELEMENTS:
        return
    if b.draw(st.integers(0, 3)):
        b.node("MatMul", [x, b.floats((shape[-1], size))], (*shape[:-1], size))
    else:
        b.node("MatMul", [b.floats((size, shape[-2])), x], (*shape[:-2], size, shape[-1]))


def _product(b: Builder) -> None:
    """Of two computed values: any two that fit, or a value and its transpose; batches may broadcast."""
    if (x := b.pick(2, 3, 4)) is None:
        return
    shape = shape_of(x)
    fitting = [
        other
        for other in b.pool
        if len(shape_of(other)) >= 2
        and shape_of(other)[-2] == shape[-1]
        and _broadcasts(shape[:-2], shape_of(other)[:-2])
    ]
    if b.draw(st.booleans()) and fitting:
        other = fitting[b.draw(st.integers(0, len(fitting) - 1))]
    else:
        perm = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
        other = b.node("Transpose", [x], permute(shape, perm), {"perm": perm}, keep=False)
        if len(shape) > 2 and b.draw(st.booleans()):
            one = (1, *shape_of(other)[1:])
            other = b.node("Slice", [other, *(b.integers([at]) for at in (0, 1, 0))], one, keep=False)
    lead = np.broadcast_shapes(shape[:-2], shape_of(other)[:-2])
    result = (*lead, shape[-2], shape_of(other)[-1])
    if prod(result) <= MAX_ELEMENTS:
        b.node("MatMul", [x, other], result)


def _heads(b: Builder) -> None:
    """A projection whose columns become heads in front of the rows."""
    if (x := b.pick(3)) is None or prod(shape_of(x)[:2]) * 16 > MAX_ELEMENTS:
        return
    n, length, channels = shape_of(x)
    y = b.node("MatMul", [x, b.floats((channels, 16))], (n, length, 16), keep=False)
    heads = b.draw(st.sampled_from([1, 2, 4]))
    split = b.reshape(y, (n, length, heads, 16 // heads), keep=False)
    perm = b.draw(st.sampled_from([(0, 2, 1, 3), (0, 2, 3, 1), (2, 0, 1, 3)]))
    b.node("Transpose", [split], permute(shape_of(split), perm), {"perm": perm})


def _gemm(b: Builder) -> None:
    """Of what it takes, or of a flattened value."""
    if (x := b.pick()) is None or not shape_of(x) or prod(shape_of(x)) > MAX_ELEMENTS // 4:
        return
    shape = shape_of(x)
    if len(shape) != 2 or b.draw(st.booleans()):
        axis = min(1, len(shape) - 1) if b.draw(st.booleans()) else b.axis(shape)
        shape = (prod(shape[:axis]), prod(shape[axis:]))
        x = b.node("Flatten", [x], shape, {"axis": axis}, keep=False)
    left, right = b.draw(st.integers(0, 1)), b.draw(st.integers(0, 1))
    rows, summed = reversed(shape) if left else shape
    columns = b.draw(st.integers(1, 3))
    weights = b.floats((columns, summed) if right else (summed, columns))
    addend = b.draw(st.sampled_from([None, (), (columns,), (1, columns), (rows, 1), (rows, columns)]))
    operands = [x, weights, *([] if addend is None else [b.floats(addend)])]
    b.node("Gemm", operands, (rows, columns), {"transA": left, "transB": right, "alpha": 0.5, "beta": 2.0})


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
    *(_conv, _unary, _binary) * 3,
    *(_reshape, _transpose, _rearrange, _concat, _shuffle, _mat_mul, _product) * 2,
    _split,
    _slice,
    _pad,
    _reduce,
    _pool,
    _resize,
    _heads,
    _gemm,
    _softmax,
    _where,
    _p_relu,
    _arg_max,
    _conv_1d,
    _conv_transpose,
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
