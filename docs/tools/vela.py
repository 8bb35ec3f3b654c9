"""The table of networks on Ethos-U, of what `benchmarks.vela` has measured."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks import records, vela
from docs.tools.markdown import table


def regions() -> Mapping[str, str]:
    """Return what pages show of it."""
    found = records.load(vela.Figures, vela.RESULTS)
    names = list(dict.fromkeys(row.network for row in found.rows))
    by = {(row.network, row.way): row for row in found.rows}
    heading = ("network", *(f"{way}: {what}" for way in vela.WAYS for what in ("on the NPU", "million cycles")))
    rows = ((name.partition("-")[0], *(cell for way in vela.WAYS for cell in _cells(by[name, way]))) for name in names)
    return {
        "vela-table": table(heading, rows),
        "vela-measured": f"Vela {found.vela}, {vela.NPU}; onnx2tf {found.onnx2tf}",
    }


def _cells(row: vela.Row) -> tuple[str, str]:
    if row.failure:
        return "fails", ""
    left = f", without {', '.join(row.left)}" if row.left else ""
    told = " (per tensor)" if row.per_tensor and row.way == "onnx2tf" else ""
    return (
        f"{row.npu} of {row.npu + row.cpu}{left}{told}",
        f"{row.cycles / 1e6:.2f}",
    )
