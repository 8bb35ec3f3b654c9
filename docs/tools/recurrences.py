"""Regions of the page on recurrent networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import records
from benchmarks.recurrences import RESULTS, Forms, Recurrences, Row
from docs.tools.markdown import table

_SHOWN = ("written out", "1 of 16", "1 of 64", "2 of 16", "2 of 32", "4 of 32", "4 of 64", "8 of 64", "4 of 300")
_KERNEL = "UNIDIRECTIONAL_SEQUENCE_LSTM"


def regions() -> Mapping[str, str]:
    """Return what the docs show of it."""
    found = records.load(Recurrences, RESULTS)
    header = ("layers", "steps", "hidden", "ONNX Runtime", "LiteRT", "ratio of medians", "of minima", "max abs error")
    return {
        "recurrences-table": table(header, [_cells(row) for row in found.rows]),
        "recurrences-measured": f"{found.measured.machine}, {found.measured.date}",
        "recurrences-forms": _forms_table(found.forms),
        "recurrences-forms-measured": f"{found.forms_measured.machine}, {found.forms_measured.date}",
    }


def _forms_table(forms: Sequence[Forms]) -> str:
    header = ("layer", "steps", "hidden", *_SHOWN, _KERNEL)
    return table(header, [_form_cells(each) for each in forms])


def _form_cells(forms: Forms) -> tuple[str, ...]:
    best = min(forms.milliseconds.values())
    network = forms.network
    return (
        network.operator,
        str(network.steps),
        str(network.hidden),
        *(_ratio(forms, name, best) for name in (*_SHOWN, _KERNEL)),
    )


def _ratio(forms: Forms, name: str, best: float) -> str:
    took = forms.milliseconds.get(name)
    if took is None:
        return ""
    return f"**{took / forms.ort:.2f}**" if took == best else f"{took / forms.ort:.2f}"


def _cells(row: Row) -> tuple[str, ...]:
    network = row.network
    layers = f"{network.layers} {network.operator}{', both ways' if network.directions == 2 else ''}"
    layers += f", batch of {network.batch}" if network.batch > 1 else ""
    times = (f"{time:.2f} ms" for time in (row.ort_median, row.median))
    ratios = (f"{a / b:.2f}" for a, b in ((row.median, row.ort_median), (row.minimum, row.ort_minimum)))
    return layers, str(network.steps), str(network.hidden), *times, *ratios, f"{row.max_abs_error:.0e}"
