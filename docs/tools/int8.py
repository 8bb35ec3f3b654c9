"""The figures of trained networks in int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks import int8_networks, records
from benchmarks.int8 import RESULTS, SMALLER, Figures, Row
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return the regions by name."""
    found = records.load(Figures, RESULTS)
    names = list(dict.fromkeys(row.network for row in found.rows))
    ways = [way for way in dict.fromkeys(row.way for row in found.rows) if way not in SMALLER]
    linear = [name for name in names if int8_networks.NETWORKS[name].linear]
    vnni = "with" if found.vnni else "without"
    return {
        "int8-table": table(("network, float", *ways), (_cells(name, ways, found.rows, _floats) for name in names)),
        "int8-smaller": table(
            ("network, float", *SMALLER), (_cells(name, [*SMALLER], found.rows, _size) for name in linear)
        ),
        "int8-measured": f"{found.measured.machine}, {vnni} VNNI; {found.measured.date}",
    }


def _cells(name: str, ways: Sequence[str], rows: Sequence[Row], last: Callable[[Row], str]) -> tuple[str, ...]:
    by_way = {row.way: row for row in rows if row.network == name}
    title = int8_networks.NETWORKS[name].title
    real = next(iter(by_way.values())).float_ms
    return f"{title}, {real:.1f} ms", *(_cell(by_way[way], last) if way in by_way else "" for way in ways)


def _cell(row: Row, last: Callable[[Row], str]) -> str:
    if row.failure:
        return "fails"
    share = "" if row.top1 is None else f", {100 * row.top1:.0f} %"
    return f"{row.sqnr:.1f} dB{share}, {row.ms:.1f} ms{last(row)}"


def _floats(row: Row) -> str:
    return f", {row.floats} float" if row.floats else ""


def _size(row: Row) -> str:
    return f", {row.size / 1e6:.1f} MB"
