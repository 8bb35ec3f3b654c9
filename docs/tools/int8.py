"""The figures of trained networks in int8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import int8_networks, records
from benchmarks.int8 import RESULTS, Figures, Row
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Figures, RESULTS)
    names = list(dict.fromkeys(row.network for row in found.rows))
    ways = list(dict.fromkeys(row.way for row in found.rows))
    vnni = "with" if found.vnni else "without"
    return {
        "int8-table": table(("network, float", *ways), (_cells(name, ways, found.rows) for name in names)),
        "int8-measured": f"{found.measured.machine}, {vnni} VNNI; {found.measured.date}",
    }


def _cells(name: str, ways: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    by_way = {row.way: row for row in rows if row.network == name}
    title = int8_networks.NETWORKS[name].title
    real = next(iter(by_way.values())).float_ms
    return f"{title}, {real:.1f} ms", *(_cell(by_way[way]) if way in by_way else "" for way in ways)


def _cell(row: Row) -> str:
    if row.failure:
        return "fails"
    share = "" if row.top1 is None else f", {100 * row.top1:.0f} %"
    floats = f", {row.floats} float" if row.floats else ""
    return f"{row.sqnr:.1f} dB{share}, {row.ms:.1f} ms{floats}"
