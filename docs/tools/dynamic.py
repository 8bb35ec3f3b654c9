"""The figures of open batches."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records
from benchmarks.dynamic import BATCH, RESULTS, Dynamic
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Dynamic, RESULTS)
    rows = (
        (
            title,
            f"{each.static.operators} → {each.dynamic.operators}",
            f"{each.static.milliseconds:.1f} → {each.dynamic.milliseconds:.1f} ms",
            f"{each.dynamic.milliseconds / each.static.milliseconds:.2f}",
        )
        for title, each in found.pairs.items()
    )
    return {
        "dynamic-table": table((f"batch of {BATCH}", "operators", "static → dynamic", "ratio"), rows),
        "dynamic-measured": f"{found.measured.machine}, {found.measured.date}",
    }
