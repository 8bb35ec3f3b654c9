"""The figures of rewrites to fewer multiplications on small networks."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records
from benchmarks.rewrites import RESULTS, Gain, Rewrites
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Rewrites, RESULTS)
    heads = ("network", "multiplications", "ms", "gain", "by the cost model")
    return {
        "rewrites-table": table(heads, [(name, *_cells(gain)) for name, gain in found.gains.items()]),
        "rewrites-measured": f"{found.measured.machine}, {found.measured.date}",
    }


def _cells(gain: Gain) -> tuple[str, ...]:
    products = " to ".join(f"{count / 1e6:.1f} M" for count in gain.products)
    (before, after), (told, told_after) = gain.milliseconds, gain.predicted
    return products, f"{before:.2f} to {after:.2f}", f"**{before / after:.2f}x**", f"{told / told_after:.2f}x"
