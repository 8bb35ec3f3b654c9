"""A .tflite beside its ONNX model, layer by layer, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from layoutopt.results.comparison import ComparisonReport, ErrorOrigin, Layer, MatchedBy

_MAX_SUSPECTS = 4
_BY = {MatchedBy.NAME: ", by its name", MatchedBy.LIKENESS: ", by likeness"}


def of_compare(report: ComparisonReport, *, top: int, every: bool) -> Iterator[RenderableType]:
    """Yield the layers that matter, or all of them, the outputs, and where the error enters."""
    if every:
        yield _of_layers("Every layer that is matched", report.layers, report)
    elif chosen := report.adding_most(top):
        yield _of_layers("Layers that add the most by themselves", chosen, report)
    yield _of_outputs(report)
    yield Text(
        f"{len(report.layers)} of {report.tensors} tensors of the .tflite are matched with values of the ONNX model; "
        f"inputs: {report.inputs}"
    )
    yield Text(f"Largest relative error: {_said(report.largest)}")
    if report.first is None:
        yield Text(f"No layer is off by more than the tolerance, {report.tolerance:g}", style="green")
        return
    yield from _of_entry(report.first, report.tolerance)


def _of_layers(title: str, layers: Sequence[Layer], report: ComparisonReport) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("node of the ONNX model", overflow="fold")
    table.add_column("layout", overflow="fold")
    headings = ("own\nSQNR", "SQNR", "own\nerror", "relative\nerror")
    for heading in headings if report.quantized else ("own\nerror", "relative\nerror", "max abs\nerror", "MSE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(
            Text(f"{layer.node or layer.value}\n{layer.onnx_operator} -> {layer.operator}"),
            Text(f"{'x'.join(map(str, layer.shape))}\n{layer.layout}{_BY.get(layer.matched_by, '')}"),
            *([f"{layer.own_sqnr:.1f} dB", f"{layer.sqnr:.1f} dB"] if report.quantized else []),
            f"{layer.own_error:.1e}",
            f"{layer.relative_error:.1e}" + (f"\n[dim]{layer.growth:.2g}x[/]" if layer.inherited else ""),
            *([] if report.quantized else [f"{layer.max_abs_error:.1e}", f"{layer.mse:.1e}"]),
            style="red" if layer.own_error > report.tolerance else "",
        )
    return table


def _of_outputs(report: ComparisonReport) -> Table:
    quantized = report.quantized
    table = Table(title="Outputs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("output", overflow="fold")
    table.add_column("run on")
    for heading in ("max abs error", "relative error", "MSE", "variance", *(["SQNR"] if quantized else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for output in report.outputs:
        for kernels, difference in (("LiteRT with XNNPACK", output.xnnpack), ("LiteRT's own kernels", output.builtin)):
            table.add_row(
                Text(output.name),
                kernels,
                f"{difference.max_abs_error:.2e}",
                f"{difference.relative_error:.2e}",
                f"{difference.mse:.2e}",
                f"{difference.variance:.2e}",
                *([f"{difference.sqnr:.1f} dB"] if quantized else []),
                style="red" if difference.relative_error > report.tolerance else "",
            )
    return table


def _of_entry(first: ErrorOrigin, tolerance: float) -> Iterator[RenderableType]:
    layer = first.layer
    yield Text(f"First beyond the tolerance, {tolerance:g}: {_said(layer)}", style="bold red")
    yield Text(f"  tensor {layer.tensor}")
    if first.after:
        yield Text(f"  The error enters after {', '.join(first.after)}, in {_listed(first.suspects)}")
    yield Text(f"  Its own error, computed from the inputs that it has in the .tflite: {layer.own_error:.2e}")


def _listed(suspects: Sequence[str]) -> str:
    """Return the nearest ones; of those fused into one operator, which share a name, only the first."""
    said = [suspect.split(";")[0] for suspect in suspects[-_MAX_SUSPECTS:]]
    more = len(suspects) - len(said)
    return (f"{more} operators, " if more else "") + ", ".join(said)


def _said(layer: Layer) -> str:
    where = f"node {layer.node} ({layer.onnx_operator})" if layer.node else f"input {layer.value}"
    return f"{layer.relative_error:.2e} at {where}, computed by {layer.operator}"
