"""What rewrites were possible and were not done is told, with what they would have cost."""

from __future__ import annotations

import onnx_ir as ir
from rich.table import Table

import layoutopt
from layoutopt.layout.costs.rejected_rewrites import collect_rejected_rewrites
from layoutopt.passes import MergeLinearChains
from layoutopt.report.terminal import trees
from tests.rewrites import network, normal


def _low_rank(inner: int) -> ir.Model:
    text = "g (float[64,256] x) => (y) { t = MatMul (x, m) y = MatMul (t, n) }"
    return network(text, m=normal(256, inner), n=normal(inner, 256))


def test_what_costs_more_is_told() -> None:
    report = layoutopt.explain(_low_rank(8))
    (each,) = report.rejected
    assert (each.rewrite, each.why) == ("merge-linear-chains", "costs more")
    assert (each.products_before, each.products_after) == (2 * 64 * 256 * 8, 64 * 256 * 256)
    assert report.to_json()["rejected"][0]["rewrite"] == "merge-linear-chains"  # type: ignore[index, call-overload]
    tables = [each for each in trees.of_explain(report) if isinstance(each, Table)]
    assert any("merge-linear-chains" in table.columns[0].cells for table in tables)


def test_what_gains_little_is_told() -> None:
    (each,) = layoutopt.explain(_low_rank(136)).rejected
    assert each.why == "gains less than the model's error"
    assert each.nanoseconds_after < each.nanoseconds_before


def test_what_is_done_is_not() -> None:
    assert not layoutopt.explain(_low_rank(1024)).rejected
    assert not layoutopt.explain(_low_rank(8), exact=True).rejected


def test_nothing_is_collected_outside() -> None:
    with collect_rejected_rewrites() as found:
        pass
    MergeLinearChains()(_low_rank(8))
    assert not found
