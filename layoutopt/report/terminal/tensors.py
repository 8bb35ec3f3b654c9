"""The table of a model's tensors for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from layoutopt.boundary.listing import TensorRow


def of_tensors(rows: Sequence[TensorRow]) -> Iterator[RenderableType]:
    """Yield a table of tensors, in the order of execution."""
    table = Table()
    table.add_column("tensor", overflow="fold")
    for heading in ("shape", "type", "computed by", "read by"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "shape")
    for row in rows:
        shape = "?" if row.shape is None else f"[{', '.join(map(str, row.shape))}]"
        by = row.operator and (f"{row.operator}\n[dim]{escape(row.node)}[/]" if row.node else row.operator)
        table.add_row(escape(row.name), escape(shape), row.dtype or "?", by or "[dim]input[/]", escape(_readers(row)))
    yield table
    yield Text(f"{len(rows):,} tensors; take a part with --inputs and --outputs, by names of tensors or nodes")


def _readers(row: TensorRow) -> str:
    counted = Counter(row.readers)
    read = [f"{count} {name}" if count > 1 else name for name, count in counted.items()]
    return ", ".join([*read, *(["output"] if row.is_output else [])])
