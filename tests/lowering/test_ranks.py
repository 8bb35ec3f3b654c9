"""Values of more axes than LiteRT's kernels take: neighbouring axes are one, or the operation is refused by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.conversion_cases import Case, CaseRunner, floats

SHAPES: Mapping[int, tuple[int, ...]] = {
    6: (2, 3, 2, 3, 2, 2),
    7: (2, 3, 2, 1, 2, 3, 2),
    8: (2, 1, 3, 2, 1, 2, 3, 2),
}


def cases(rank: int) -> dict[str, Case]:
    """An operator of each kind on values of many axes."""
    shape = SHAPES[rank]
    x, v = floats(*shape), floats(*(size if axis % 2 else 1 for axis, size in enumerate(shape)))
    amounts = np.zeros((2, rank), np.int64)
    amounts[0, 1], amounts[1, -1], amounts[0, 3] = 1, 2, 1
    everywhere = np.ones((2, rank), np.int64)
    last = rank - 1
    return {
        "add": Case("y = Add(x, v)", {"x": x, "v": v}),
        "power": Case("y = Pow(x, v)", {"x": np.abs(x), "v": v}),
        "less": Case("y = Less(x, v)", {"x": x, "v": v}),
        "where": Case("y = Where(c, x, v)", {"x": x, "v": v, "c": v > 0}),
        "prelu": Case("y = PRelu(x, v)", {"x": x}, {"v": floats(shape[1], *(1,) * (rank - 2))}),
        "pad": Case("y = Pad(x, p)", {"x": x}, {"p": amounts.reshape(-1)}),
        "pad with a number": Case(
            "y = Pad(x, p, c)", {"x": x}, {"p": amounts.reshape(-1), "c": np.array(3, np.float32)}
        ),
        "pad every axis": Case("y = Pad(x, p)", {"x": x}, {"p": everywhere.reshape(-1)}),
        "slice": Case("y = Slice(x, a, b)", {"x": x}, {"a": [0] * rank, "b": [max(1, size - 1) for size in shape]}),
        "steps": Case("y = Slice(x, a, b, c, d)", {"x": x}, {"a": [0, 0], "b": [9, 9], "c": [0, 2], "d": [2, 2]}),
        "mean": Case("y = ReduceMean(x, a)", {"x": x}, {"a": [1, 3, last]}),
        "mean of every second axis": Case("y = ReduceMean<keepdims=0>(x, a)", {"x": x}, {"a": list(range(0, rank, 2))}),
        "maximum": Case("y = ReduceMax(x, a)", {"x": x}, {"a": [0, 1, last]}),
        "product": Case("y = ReduceProd<keepdims=0>(x, a)", {"x": x}, {"a": [1, 3]}),
        "transpose": Case("y = Transpose(x)", {"x": x}),
        "matrices": Case("y = MatMul(x, v)", {"x": x, "v": floats(*shape[:-2], shape[-1], 4)}),
        "rows": Case("y = MatMul(x, w)", {"x": x}, {"w": floats(shape[-1], 5)}),
        "softmax": Case("y = Softmax<axis=1>(x)", {"x": x}),
        "concat": Case("y = Concat<axis=2>(x, x)", {"x": x}),
        "split": Case(f"y, z = Split<axis={last}, num_outputs=2>(x)", {"x": x}, outputs=("y", "z")),
        "tile": Case("y = Tile(x, n)", {"x": x}, {"n": [2, *[1] * (rank - 2), 2]}),
        "expand": Case("y = Expand(x, n)", {"x": v}, {"n": list(shape)}),
        "running sum": Case("y = CumSum(x, a)", {"x": x}, {"a": np.array(2)}),
        "top": Case("y, z = TopK<axis=2>(x, k)", {"x": x}, {"k": [1]}, outputs=("y", "z")),
        "normalization": Case("y = LayerNormalization<axis=-2>(x, w)", {"x": x}, {"w": floats(*shape[-2:])}),
        "backwards": Case(
            "y = Slice(x, a, b, c, d)", {"x": x}, {"a": [-1, -1], "b": [-99, -99], "c": [1, 3], "d": [-1, -1]}
        ),
        "halves": Case("y = Add(x, v)", {"x": x.astype(np.float16), "v": v.astype(np.float16)}),
    }  # fmt: skip


CASES = {f"{name} of {rank}": case for rank in SHAPES for name, case in cases(rank).items()}


@pytest.mark.parametrize("name", CASES)
def test_more_axes_than_kernels_take(name: str, direct: CaseRunner) -> None:
    direct.check(CASES[name], tolerance=1e-4)


def test_axes_that_are_not_neighbours_are_reversed_one_by_one(direct: CaseRunner) -> None:
    """REVERSE_V2 takes axes that lie side by side."""
    bounds = {"a": [-1, -1], "b": [-99, -99], "c": [1, 3], "d": [-1, -1]}
    direct.check(Case("y = Slice(x, a, b, c, d)", {"x": floats(1, 6, 6, 4)}, bounds, "REVERSE_V2"))


def test_compress_by_a_constant_has_a_size(direct: CaseRunner) -> None:
    """So that what reads it is no operation of unknown size."""
    kept = {"k": np.array([1, 0, 1, 1, 0, 1], bool), "w": floats(2, 4, 3, 3)}
    body = "d = Compress<axis=1>(x, k) y = Conv<pads=[1, 1, 1, 1]>(d, w)"
    direct.check(Case(body, {"x": floats(1, 6, 5, 5)}, kept))
