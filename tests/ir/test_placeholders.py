"""Where nodes run that count up to a size."""

from __future__ import annotations

from layoutopt.ir.placeholders import delay_readers
from tests.graphs import numbers
from tests.harness import model_of


def test_what_reads_a_placeholder_alone_runs_right_before_it_is_needed() -> None:
    model = model_of(
        f"g (float[1,3,8,8] x, float[16] layoutopt_placeholder_n) => (float y, float z) <{numbers('w', 4, 3, 3, 3)}, "
        "int64[3] rows = {1, 4, -1}, int64[3] ones = {1, 1, 16}> "
        "{ r = Reshape (layoutopt_placeholder_n, ones) s = Sin (r) "
        "c = Conv <pads = [0, 0, 0, 0], strides = [2, 2]> (x, w) p = Relu (c) t = Reshape (p, rows) "
        "u = Concat <axis = 2> (t, s) y = Neg (u) z = Exp (layoutopt_placeholder_n) }"
    )
    delay_readers(model.graph)
    order = " ".join(node.op_type for node in model.graph)
    assert order == "Conv Relu Reshape Reshape Sin Concat Neg Exp"
