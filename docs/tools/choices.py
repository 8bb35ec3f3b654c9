"""The measurements that lowerings and passes were chosen by, for the notes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records
from benchmarks.choices import CHOICES, RESULTS, Choices
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Choices, RESULTS)
    rows = [(choice.what, _ratio(found.forms[choice.what]), choice.so) for choice in CHOICES]
    swin = "q, k and v by a product each and constant factors and terms folded, in Swin with 4 blocks"
    rows.append((swin, _ratio(found.passes["products"]), "`split-products`, `fold-affine`"))
    return {
        "choices-table": table(("what", "ratio", "so"), rows),
        "choices-shuffles": f"takes {found.passes['shuffles']:.2f} of the time",
        "choices-measured": f"{found.measured.machine}, {found.measured.date}",
    }


def _ratio(ratio: float) -> str:
    return f"**{ratio:.2f}**" if ratio < 1 else f"{ratio:.2f}"
