"""The figures of Winograd's algorithms on single convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records
from benchmarks.winograd import RESULTS, Gain, Winograd
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Winograd, RESULTS)
    heads = ("images, channels", "fastest by the cost model", "ms", "gain", "by the cost model", "taken", "error")
    return {
        "winograd-table": table(heads, [(name, *_cells(gain)) for name, gain in found.gains.items()]),
        "winograd-measured": f"{found.measured.machine}, {found.measured.date}",
    }


def _cells(gain: Gain) -> tuple[str, ...]:
    (before, after), (told, told_after), (error, error_after) = gain.milliseconds, gain.predicted, gain.errors
    return (
        gain.plan,
        f"{before:.2f} to {after:.2f}",
        f"**{before / after:.2f}x**" if gain.taken else f"{before / after:.2f}x",
        f"{told / told_after:.2f}x",
        "yes" if gain.taken else "no",
        f"{error_after / error:.1f}x",
    )
