"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layoutopt.backend.conversion import WinogradGain
from layoutopt.backend.litert.latency import Speedup, Verdict
from layoutopt.backend.litert.profile import OperatorTime
from layoutopt.options import Objective
from layoutopt.pipeline.manager import PassRecord
from layoutopt.pipeline.text import PassDescription
from layoutopt.report.terminal.check import of_check, runs
from layoutopt.report.terminal.quantization import of_quantization
from layoutopt.results.benchmark import BenchmarkReport, BenchmarkRow, Control
from layoutopt.results.count import CountReport
from layoutopt.results.model_report import ModelReport
from layoutopt.results.optimize import (
    LayoutProof,
    ModelKind,
    ModelStats,
    ObjectiveChoice,
    OptimizeReport,
    SizeCheck,
    TensorInfo,
)

_NONE = "[dim]-[/]"


def of_optimize(report: OptimizeReport, *, verbose: bool) -> Iterator[RenderableType]:
    """Print the baseline beside the optimized model, the interface, the proof, and where the files are."""
    if verbose:
        yield _of_stages(report.seconds)
        yield _of_passes_run(report.passes)
        yield _of_histograms(report)
    yield _of_forms(report)
    yield _of_interface(report.inputs, report.outputs)
    yield from _facts(report)
    if report.quantization is not None:
        yield from of_quantization(report.quantization, file_size=report.optimized.file_size, verbose=verbose)
    if report.check is not None:
        yield from of_check(report.check, verbose=verbose)


def of_report(report: ModelReport, page: Path, commands: Sequence[str]) -> Iterator[RenderableType]:
    """Yield the headline, what is missing, and where the page is; ``commands`` show the models elsewhere."""
    yield _of_forms(report.optimize)
    yield Text(proof(report.explain.layout))
    if (check := report.optimize.check) is not None:
        yield Text(f"{check.title} runs {runs(check)}.")
    for note in report.notes:
        yield Text(note, style="yellow")
    yield from map(Text, commands)
    yield Text(f"Report written to {page}")


def of_counts(reports: Sequence[CountReport]) -> Iterator[RenderableType]:
    """Yield a column per file: the sums, then every operator."""
    table = _table("", *(_file(report) for report in reports))
    counts = [report.counts for report in reports]
    _row(table, "operators", [f"{each.operators:,}" for each in counts])
    _row(table, "transposes", [f"{each.transposes:,}" for each in counts], style="bold")
    _row(table, "pads", [f"{each.pads:,}" for each in counts])
    _row(table, "reshapes", [f"{each.reshapes:,}" for each in counts])
    _row(table, "other data movement", [f"{each.other_movement:,}" for each in counts])
    _row(table, "bytes moved by transposes", [format_size(each.bytes_moved) for each in counts], style="bold")
    table.add_section()
    names = sorted({name for each in counts for name in each.histogram}, key=lambda name: (-_most(name, reports), name))
    for name in names:
        _row(table, name, [f"{each.histogram[name]:,}" if name in each.histogram else _NONE for each in counts])
    yield table
    for report in reports:
        for name, order in report.layouts.items():
            yield Text(f"{_file(report)}: {name} stores the original's axes in the order {order}")
        for line in report.metadata:
            yield Text(f"{_file(report)}: {line}")


def _file(report: CountReport) -> str:
    return "standard input" if report.file is None else str(report.file)


def of_benchmark(report: BenchmarkReport) -> Iterator[RenderableType]:
    """Yield a table per setting with a row per model, where the time goes, and what to make of it."""
    for control in report.controls:
        rows = [row for row in report.rows if row.setting == control.setting]
        yield _of_setting(report, control, rows)
        if any(row.operators for row in rows):
            yield _of_operators(rows)
    yield Text(f"Measured on {report.machine}")
    for note in report.notes:
        yield Text(note, style="yellow")


def _of_setting(report: BenchmarkReport, control: Control, rows: Sequence[BenchmarkRow]) -> Table:
    table = Table(
        title=f"LiteRT, {control.setting}: {report.rounds} rounds in turns, {report.clock.value} clock, milliseconds",
        title_justify="left",
        caption=f"Noise of this run: {control.noise.floor:.1%}, between two copies of the first model.",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    has_memory = any(row.memory is not None for row in rows)
    table.add_column("model", overflow="fold")
    for heading in ("median", "minimum", "p90", "speedup", *(["memory"] if has_memory else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("TRANSPOSE,\noperators", justify="right", no_wrap=True)
    for row in rows:
        latency = row.latency
        table.add_row(
            escape(row.name),
            *(f"{time:.2f}" for time in (latency.median_ms, latency.minimum_ms, latency.p90_ms)),
            _NONE if row is rows[0] else _compared(row.speedup),
            *([_NONE if row.memory is None else format_size(row.memory)] if has_memory else []),
            f"{row.counts.transposes:,}, {row.counts.operators:,}",
        )
    return table


def _compared(speedup: Speedup) -> str:
    """Return the ratio, the verdict, and the interval below."""
    styles = {Verdict.FASTER: "green", Verdict.SLOWER: "red"}
    style = styles.get(speedup.verdict, "yellow")
    ratio = f"{speedup.median_of_rounds:.2f}x [{style}]{speedup.verdict.value}[/]"
    return f"{ratio}\n[dim]{speedup.low:.2f} to {speedup.high:.2f}[/]"


def _of_operators(rows: Sequence[BenchmarkRow]) -> Table:
    """Return a table of the time by type of operator, the costliest first."""
    table = _table("operator", *(row.name for row in rows))
    table.title, table.title_justify = "Time by operator: how many, milliseconds, share", "left"
    sums = [_by_kind(row.operators) for row in rows]
    wholes = [sum(time for _, time in each.values()) for each in sums]
    names = {name for each in sums for name in each}
    for name in sorted(names, key=lambda name: (-max(each.get(name, (0, 0.0))[1] for each in sums), name)):
        cells = [
            f"{each[name][0]}, {each[name][1]:.2f} ms, {each[name][1] / max(whole, 1e-9):4.0%}"
            if name in each
            else _NONE
            for each, whole in zip(sums, wholes, strict=True)
        ]
        _row(table, name, cells)
    table.add_section()
    _row(table, "all operators", [f"{whole:.2f} ms" for whole in wholes], style="bold")
    _row(table, "inference, median", [f"{row.latency.median_ms:.2f} ms" for row in rows])
    return table


def _by_kind(operators: Sequence[OperatorTime]) -> dict[str, tuple[int, float]]:
    """Return the number of operators of each type, and their milliseconds together."""
    found: dict[str, tuple[int, float]] = {}
    for each in operators:
        count, time = found.get(each.operator, (0, 0.0))
        found[each.operator] = (count + 1, time + each.microseconds / 1e3)
    return found


def of_passes(passes: Sequence[PassDescription]) -> Iterator[RenderableType]:
    """Yield a row per pass, in the order of the default pipeline."""
    table = Table(title="Passes, in the order of the default pipeline", title_justify="left", show_lines=True)
    for heading in ("", "pass", "options", "what it does"):
        table.add_column(heading, no_wrap=heading == "pass")
    for position, each in enumerate(passes, start=1):
        options = "\n".join(
            f"{option.name}={option.default}" + (f" ({' | '.join(option.choices)})" if option.choices else "")
            for option in each.options
        )
        table.add_row(str(position) if each.text else "", each.name, options, each.summary)
    yield table
    yield Text("--passes '" + ",".join(each.text for each in passes if each.text) + "'")


def proof(layout: LayoutProof) -> str:
    """Return cost and proof in one sentence."""
    cost, bound = amount(layout.cost, layout.unit), amount(layout.lower_bound, layout.unit)
    less = "moves fewer" if layout.unit == Objective.BYTES.unit else "takes less"
    spent = "moved" if layout.unit == Objective.BYTES.unit else "to move data"
    said = f"Layout: {cost} {spent} per inference"
    if layout.inside:
        said += f" ({amount(layout.inside, layout.unit)} of it inside operators)"
    if layout.unpriced:
        said += f", and {layout.unpriced} TRANSPOSE of a size that is known at run time only"
    if layout.proved_optimal:
        return f"{said}, proved: no choice of layouts {less} (lower bound {bound})"
    return f"{said}, not proved the least: the lower bound is {bound}"


def objective_choice(choice: ObjectiveChoice) -> str:
    """Return what one objective chooses, in one sentence."""
    return (
        f"By {choice.objective.value}: {choice.transposes} TRANSPOSE, {format_size(choice.bytes_moved)} moved, "
        f"{choice.predicted_ns / 1e3:,.1f} µs predicted"
    )


def winograd_gain(gain: WinogradGain) -> str:
    """Return what Winograd's algorithms would gain, and the option that uses them, in one sentence."""
    saved = 1 - gain.nanoseconds_after / gain.nanoseconds_before
    return (
        f"Winograd's algorithms would take about {saved * 100:.0f} % less time for the convolutions on a CPU, and "
        f"about {format_size(gain.file_growth)} more in the file: optimize --winograd"
    )


def format_size(count: int) -> str:
    """Return bytes for people, in powers of 1000."""
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{count} B" if unit == "B" else f"{number:.2f} {unit}"


def _change(before: str, after: str) -> str:
    """Return the figure after a pass, with the one before it if it differs."""
    return after if before == after else f"{before}\n-> {after}"


def _millions(count: int) -> str:
    """Return multiplications in millions, for people."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:,.1f} M"


def amount(cost: int, unit: str) -> str:
    """Return a cost for people: bytes in powers of 1000, nanoseconds as microseconds."""
    return format_size(cost) if unit == Objective.BYTES.unit else f"{cost / 1e3:,.1f} µs"


def _of_forms(report: OptimizeReport) -> Table:
    """Return the one table that `optimize` ends in."""
    models = [model for model in (report.baseline, report.optimized) if model is not None]
    headings = [f"{'baseline' if model is report.baseline else 'optimized'}\n({model.kind.value})" for model in models]
    table = _table("", *headings)
    _row(table, "operators", [f"{model.operators:,}" for model in models])
    if (products := report.multiplications) is not None:
        numbers = [products.before, products.after] if len(models) > 1 else [products.after]
        _row(table, "multiplications", [_millions(number) for number in numbers])
    _row(table, _transpose_name(report.optimized), [f"{model.transposes:,}" for model in models], style="bold")
    _row(table, "PAD", [f"{model.pads:,}" for model in models])
    _row(table, "RESHAPE", [f"{model.reshapes:,}" for model in models])
    _row(table, "other data movement", [f"{model.other_movement:,}" for model in models])
    _row(table, "bytes moved by transposes", [format_size(model.bytes_moved) for model in models], style="bold")
    _row(table, "file size", [format_size(model.file_size) if model.file_size else _NONE for model in models])
    _latency_rows(table, models, report.speedup)
    _row(table, "max abs error", [_number(model.max_abs_error) for model in models])
    _row(table, "MSE", [_number(model.mse) for model in models])
    return table


def _latency_rows(table: Table, models: Sequence[ModelStats], speedup: Speedup | None) -> None:
    if all(model.latency_ms is None for model in models):
        return
    _row(table, "latency, median", [_milliseconds(model.latency_ms) for model in models])
    _row(table, "latency, minimum", [_milliseconds(model.latency_min_ms) for model in models])
    if speedup is not None:
        _row(table, "speedup, 95 % interval", ["", _compared(speedup)], style="bold")


def _of_interface(inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Table:
    """Return each input and output with shape and layout, and how to feed it."""
    table = Table(show_edge=False, box=None, padding=(0, 2, 0, 0))
    for heading in ("", "name", "shape", "type", "layout", "feed it as, or back to the original"):
        table.add_column(heading, overflow="fold")
    for role, tensors in (("input", inputs), ("output", outputs)):
        for each in tensors:
            shape = "x".join("any" if size < 0 else str(size) for size in each.shape)
            table.add_row(
                role, escape(each.name), shape, each.dtype, each.layout.value, escape(each.feed) or "the same"
            )
    return table


def _facts(report: OptimizeReport) -> Iterator[RenderableType]:
    if report.layout is not None:
        yield Text(proof(report.layout))
    if report.winograd_gain is not None:
        yield Text(winograd_gain(report.winograd_gain))
    if report.verification is not None:
        found = report.verification
        yield Text(
            f"ONNX verified in ONNX Runtime: max abs error {found.max_abs_error:.3g}, MSE {found.mse:.3g} "
            f"(seed {found.seed}, relative tolerance {found.tolerance:g})"
        )
    for each in report.dynamic:
        yield Text(_size_check(each))
    for path, what in ((report.output, "ONNX"), (report.tflite, "TFLite"), (report.saved_model, "SavedModel")):
        if path is not None:
            yield Text(f"{what} written to {path}")
    if report.baseline is not None and report.baseline.error:
        yield Text(f"The baseline is the per-operator layout: {report.baseline.error}", style="yellow")
    for note in report.notes:
        yield Text(note, style="yellow")


def _size_check(check: SizeCheck) -> str:
    sizes = ", ".join(f"{name}={size}" for name, size in check.sizes.items())
    tflite = "" if check.tflite_error is None else f", of the .tflite {check.tflite_error:.3g}"
    return f"Resized to {sizes}: relative error of the ONNX {check.onnx_error:.3g}{tflite}"


def _of_stages(seconds: Mapping[str, float]) -> Table:
    table = Table(title="Stages", title_justify="left")
    table.add_column("stage", overflow="fold")
    table.add_column("seconds", justify="right")
    for stage, each in seconds.items():
        table.add_row(escape(stage), f"{each:.2f}")
    table.add_section()
    table.add_row("all", f"{sum(seconds.values()):.2f}")
    return table


def _of_passes_run(records: Sequence[PassRecord]) -> Table:
    table = Table(title="Passes", title_justify="left")
    for heading in ("pass", "seconds", "nodes", "transposes", "products", "changed"):
        table.add_column(heading, justify="left" if heading == "pass" else "right", no_wrap=heading == "pass")
    for each in records:
        table.add_row(
            each.name,
            f"{each.seconds:.3f}",
            _change(f"{each.nodes_before}", f"{each.nodes_after}"),
            _change(f"{each.transposes_before}", f"{each.transposes_after}"),
            _change(_millions(each.multiplications_before), _millions(each.multiplications_after)),
            "yes" if each.modified else "no",
        )
    return table


def _of_histograms(report: OptimizeReport) -> Table:
    models = [model for model in (report.baseline, report.optimized) if model is not None]
    table = _table("operator", *(model.kind.value for model in models))
    for name in dict.fromkeys(name for model in models for name in model.histogram):
        _row(table, name, [f"{model.histogram[name]}" if name in model.histogram else _NONE for model in models])
    return table


def _table(first: str, *headings: str) -> Table:
    table = Table()
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(escape(heading), justify="right", overflow="fold")
    return table


def _row(table: Table, name: str, cells: Sequence[str], *, style: str = "") -> None:
    table.add_row(escape(name), *cells, style=style)


def _transpose_name(model: ModelStats) -> str:
    return "Transpose (ONNX)" if model.kind is ModelKind.ONNX else "TRANSPOSE"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2e}"


def _milliseconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f} ms"


def _most(name: str, reports: Sequence[CountReport]) -> int:
    return max(report.counts.histogram.get(name, 0) for report in reports)
