"""Random integers are what their readers take, so that ONNX Runtime can run a model on them."""

from __future__ import annotations

import numpy as np
import pytest

from layoutopt.errors import UsageError
from layoutopt.ir.random_inputs import random_inputs
from layoutopt.ir.verify import Reference
from tests.harness import model_of

READERS = {
    "indices of rows": ("int64[40] x) => (float[40,3] y) <float[5,3] t = {RANGE15}> { y = Gather (t, x) }", 0, 5),
    "indices behind a cast and a reshape": (
        "int32[4,10] x) => (float[2,40] y) <float[2,7] t = {RANGE14}, int64[1] s = {-1}> "
        "{ c = Cast <to = 7> (x) r = Reshape (c, s) y = Gather <axis = 1> (t, r) }",
        0,
        7,
    ),
    "indices of both": (
        "int64[40] x) => (float[40,3] y, float[40,2] z) <float[5,3] t = {RANGE15}, float[3,2] u = {RANGE6}> "
        "{ y = Gather (t, x) z = Gather (u, x) }",
        0,
        3,
    ),
    "pixels": ("uint8[40,40] x) => (float[40,40] y) { y = Cast <to = 1> (x) }", 0, 256),
    "numbers": ("int64[400] x) => (int64[400] y) { y = Add (x, x) }", 0, 10),
    "divisors": ("int64[400] x) => (int64[400] y) <int64 k = {100}> { y = Div (k, x) }", 1, 10),
    "a mask whose complement is a penalty": (
        "int64[4,100] m) => (float[4,1,1,100] y) <float one = {1}, float far = {-10000}, int64[2] a = {1, 2}> "
        "{ u = Unsqueeze (m, a) c = Cast <to = 1> (u) d = Sub (one, c) y = Mul (d, far) }",
        0,
        2,
    ),
    "a mask of which 1 is taken": (
        "int64[400] m) => (float[400] y) <float one = {1}, float far = {1e9}> "
        "{ c = Cast <to = 1> (m) d = Sub (c, one) y = Mul (d, far) }",
        0,
        2,
    ),
    "numbers of which 1 is taken": ("int64[400] mask) => (int64[400] y) <int64 k = {1}> { y = Sub (mask, k) }", 0, 10),
    "truth in another shape": (
        "int64[4,100] m) => (bool[4,1,100] y) <int64[1] a = {1}, int64 none = {0}> "
        "{ u = Unsqueeze (m, a) e = Equal (u, none) y = Not (e) }",
        0,
        2,
    ),
    "truth": ("int64[400] x) => (bool[400] y) { y = Cast <to = 9> (x) }", 0, 2),
    "lengths": (
        "int64[40] x, float[6,40,2] v) => (float[6,40,2] y) "
        "{ y = ReverseSequence <time_axis = 0, batch_axis = 1> (v, x) }",
        1,
        7,
    ),
    "counts": ("int64[1] x, float[2,3] v) => (float[2,k] y, int64[2,k] z) { y, z = TopK (v, x) }", 1, 4),
}


def text(body: str) -> str:
    for count in (6, 14, 15):
        body = body.replace(f"{{RANGE{count}}}", "{" + ",".join(map(str, range(count))) + "}")
    return f"g ({body}"


@pytest.mark.parametrize("name", READERS)
def test_integers_are_what_their_readers_take(name: str) -> None:
    body, low, high = READERS[name]
    model = model_of(text(body))
    drawn = next(iter(random_inputs(model, 0).values()))
    assert low <= drawn.min() <= drawn.max() < high
    if drawn.size > 1:
        assert drawn.max() >= low + 0.6 * (high - 1 - low), "the range is made use of"
    Reference(model)


SHAPES = {
    "reshape": "int64[2] s, float[2,3,4] x) => (float[a,b] y) { y = Reshape (x, s) }",
    "expand": "int64[3] s, float[3,1] x) => (float[a,b,c] y) { y = Expand (x, s) }",
    "resize": 'int64[4] s, float[1,2,3,4] x) => (float[a,b,c,d] y) { y = Resize <mode = "nearest"> (x, , , s) }',
    "slice": "int64[2] s, int64[2] e, float[5,6] x) => (float[a,b] y) { y = Slice (x, s, e) }",
    "tile": "int64[2] s, float[5,6] x) => (float[a,b] y) { y = Tile (x, s) }",
    "split": "int64[2] s, float[6] x) => (float[a] y, float[b] z) { y, z = Split (x, s) }",
    "a loop": """int64 n, bool c, float[2] x) => (float[2] y) {
        y = Loop (n, c, x) <body = b (int64 i, bool c0, float[2] a) => (bool c1, float[2] d)
        { c1 = Identity (c0) d = Add (a, a) }> }""",
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_bounds_fit(name: str) -> None:
    assert all(array.size for array in Reference(model_of(text(SHAPES[name]))).outputs.values())


NARROW = "g (int64[2] s, float[2,3,2] x) => (float[a,b] y) { t = Add (s, s) y = Reshape (x, t) }"


def test_what_does_not_fit_asks_for_real_inputs() -> None:
    """The model is as valid as any: its inputs are what nobody can guess."""
    with pytest.raises(UsageError, match="with these numbers for s") as error:
        Reference(model_of(NARROW.replace("Add (s, s)", "Mul (s, s)")))
    assert "--input data.npz" in error.value.hint


def test_real_inputs() -> None:
    inputs = {"s": np.array([1, 12]), "x": np.ones((2, 3, 2), np.float32)}
    model = model_of(NARROW.replace("Add (s, s)", "Min (s, s)"))
    assert Reference(model, inputs=inputs).outputs["y"].shape == (1, 12)
