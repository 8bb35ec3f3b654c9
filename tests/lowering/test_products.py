"""MatMul, Gemm and Einsum: with weights, with batches, of vectors and of integers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import Case, CaseRunner, floats, integers, nchw

X = floats(2, 3, 4)

MATMUL = {
    "linear": nchw("a = MatMul(x,w) y = Add(a,b)", "FULLY_CONNECTED", w=floats(8, 5), b=floats(5)),
    "weights": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(4, 5)}, exactly="FULLY_CONNECTED"),
    "weights with ones": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(1, 4, 5)}, "FULLY_CONNECTED"),
    "weights of batches": Case("y = MatMul(x, w)", {"x": X}, {"w": floats(2, 4, 5)}, "BATCH_MATMUL"),
    "two matrices": Case("y = MatMul(x, v)", {"x": floats(3, 4), "v": floats(4, 5)}, operators="FULLY_CONNECTED"),
    "batches": Case("y = MatMul(x,v)", {"x": floats(2, 3, 4, 8), "v": floats(2, 3, 8, 5)}, exactly="BATCH_MATMUL"),
    "batches broadcast": Case("y = MatMul(x, v)", {"x": floats(2, 1, 3, 4), "v": floats(5, 4, 2)}),
    "six axes": Case("y = MatMul(x, v)", {"x": floats(2, 1, 3, 1, 4, 5), "v": floats(1, 2, 3, 2, 5, 6)}),
    "vector and batches": Case("y = MatMul(x, v)", {"x": floats(4), "v": floats(2, 4, 5)}),
    "batches and vector": Case("y = MatMul(x, v)", {"x": X, "v": floats(4)}),
    "weights that are a vector": nchw("y = MatMul(x,w)", "FULLY_CONNECTED RESHAPE", w=floats(8)),
    "two vectors": Case("y = MatMul(x, v)", {"x": floats(4), "v": floats(4)}),
    "integers": Case("y = MatMul(x, v)", {"x": integers(-9, 9, 2, 3, 4), "v": integers(-9, 9, 4, 5)}, operators="SUM"),
    "half precision": Case("y = MatMul(x, w)", {"x": X.astype(np.float16)}, {"w": floats(4, 5).astype(np.float16)}),
    "a transposed operand": Case(
        "a = Transpose<perm=[0,2,1]>(v) y = MatMul(x,a)",
        {"x": floats(2, 4, 8), "v": floats(2, 5, 8)},
        exactly="BATCH_MATMUL",
    ),
    **{
        f"the dialect's, rank {len(x)}": Case(
            f"y = layoutopt.nhwc.MatMulTransposed{len(x)}D(x,v)", {"x": floats(*x), "v": floats(*v)}, exactly=exactly
        )
        for x, v, exactly in (
            ((4, 8), (5, 8), "FULLY_CONNECTED"),
            ((2, 4, 8), (1, 5, 8), "BATCH_MATMUL"),
            ((2, 3, 4, 8), (2, 3, 5, 8), "BATCH_MATMUL"),
            ((2, 3, 1, 4, 8), (2, 1, 7, 5, 8), "BATCH_MATMUL"),
        )
    },
    "the dialect's, constant": nchw("y = layoutopt.nhwc.MatMulTransposed3D(x,w)", "BATCH_MATMUL", w=floats(2, 5, 8)),
}

GEMM = {
    "gemm": nchw("y = Gemm<transB=1>(x,w,b)", "FULLY_CONNECTED", x=(3, 8), w=floats(5, 8), b=floats(5)),
    "gemm scaled": nchw(
        "y = Gemm<alpha=0.5,beta=2.0>(x,w,b)", "FULLY_CONNECTED", x=(3, 8), w=floats(8, 5), b=floats(1, 5)
    ),
    "gemm of a transpose": nchw("y = Gemm<transA=1>(x,w)", "TRANSPOSE FULLY_CONNECTED", x=(8, 3), w=floats(8, 5)),
    "gemm and relu": nchw(
        "a = Gemm<transB=1>(x,w,b) y = Relu(a)", "FULLY_CONNECTED", x=(1, 8), w=floats(5, 8), b=floats(5)
    ),
    "gemm with a column": Case("y = Gemm(x, w, c)", {"x": X[0]}, {"w": floats(4, 5), "c": floats(3, 1)}, "ADD"),
    "gemm with a number": Case("y = Gemm(x, w, c)", {"x": X[0]}, {"w": floats(4, 5), "c": np.float32(3)}),
    "gemm at run time": Case(
        "y = Gemm<transA=1, transB=1, alpha=0.5>(x, v, c)", {"x": floats(4, 3), "v": floats(5, 4), "c": floats(3, 5)}
    ),
    "gemm of integers": Case(
        "y = Gemm<transB=1>(x, v, c)",
        {"x": integers(0, 9, 3, 4), "v": integers(0, 9, 5, 4), "c": integers(0, 9, 5)},
        reference=True,
    ),
}


def einsum(equation: str, *operands: tuple[int, ...], weights: tuple[int, ...] = (), operators: str = "") -> Case:
    """A case with operands ``a``, ``b``, ... and, as the last one, a constant ``w``."""
    inputs = {name: floats(*shape) for name, shape in zip("abc", operands, strict=False)}
    constants = {"w": floats(*weights)} if weights else {}
    names = ", ".join([*inputs, *constants])
    return Case(f'y = Einsum<equation="{equation}">({names})', inputs, constants, operators, reference=True)


EINSUM = {
    "product": einsum("bij,bjk->bik", (2, 3, 4), (2, 4, 5), operators="BATCH_MATMUL"),
    "scores": einsum("bhid,bhjd->bhij", (2, 3, 4, 8), (2, 3, 5, 8), operators="BATCH_MATMUL"),
    "values": einsum("bhij,bhjd->bhid", (2, 3, 4, 5), (2, 3, 5, 8), operators="BATCH_MATMUL"),
    "linear": einsum("bnc,cd->bnd", (2, 6, 8), weights=(8, 5), operators="FULLY_CONNECTED"),
    "weights": einsum("bnhd,hdo->bno", (2, 3, 4, 5), weights=(4, 5, 6), operators="FULLY_CONNECTED"),
    "weights of batches": einsum("bhwc,hkc->bhwk", (2, 3, 4, 5), weights=(3, 6, 5), operators="BATCH_MATMUL"),
    "elements": einsum("bi,bi->bi", (3, 4), (3, 4), operators="MUL"),
    "inner product": einsum("i,i", (3,), (3,)),
    "outer product": einsum("i,j->ij", (3,), (4,), operators="MUL"),
    "rows": einsum("bi,b->ib", (3, 4), (3,), operators="MUL TRANSPOSE"),
    "ellipsis": einsum("...ij,...jk->...ik", (1, 3, 4, 5), (2, 1, 5, 6), operators="BATCH_MATMUL"),
    "ellipsis that is summed over": einsum("...i,...i->i", (1, 3, 4), (2, 1, 4)),
    "four batches that broadcast": einsum("...ij,...jk->...ik", (2, 1, 2, 2, 3, 4), (2, 2, 1, 2, 4, 5)),
    "three operands": einsum("abc, cd, a -> db", (2, 3, 4), (4, 5), (2,)),
    "diagonal": einsum("...ii->...i", (2, 3, 3)),
    "trace": einsum("ii", (3, 3), operators="SUM"),
    "transposed": einsum("ij->ji", (3, 4), operators="TRANSPOSE"),
}

DETERMINANTS = {"det": Case("y = Det(x)", {"x": floats(2, 3, 3)})}

CASES = {**MATMUL, **GEMM, **{f"einsum {name}": case for name, case in EINSUM.items()}, **DETERMINANTS}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
