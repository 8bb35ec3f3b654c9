"""``layoutopt diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layoutopt.cli.arguments import SessionArguments
from layoutopt.errors import RegressionError, UsageError

EXAMPLES = """[bold]Examples[/]

layoutopt diff before.jsonl after.jsonl

layoutopt diff before.json after.json --allow latency=5% --allow operators=2
"""


def diff(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="Results of 'layoutopt optimize' from --results or --json.")
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The same from the run to compare with it.")],
    allow: Annotated[
        list[str],
        typer.Option(
            "--allow",
            metavar="METRIC=AMOUNT",
            help="How much larger operators, transposes, bytes, size, error or latency may become: a number, or a "
            "percentage such as 5%. Repeatable. [dim]\\[default: size=1%, error=100%, latency=10%, others 0][/]",
        ),
    ] = [],  # noqa: B006, typer copies it
    *,
    session: SessionArguments,
) -> None:
    """Compare two runs of 'layoutopt optimize', model by model, and exit with code 17 if one became worse.

    A model that is gone or fails, and did not before, is worse too.
    """
    with session.start([before, after]) as run:
        from layoutopt.fleet.regressions import DEFAULTS, Allowance, compare_runs, read_run
        from layoutopt.report.terminal.fleet import of_changes
        from layoutopt.results.result import to_json

        allowed = {metric: Allowance.of(amount) for metric, amount in DEFAULTS.items()}
        for text in allow:
            metric, _, amount = text.partition("=")
            try:
                if metric not in allowed:
                    raise ValueError(f"there is no metric {metric}")
                allowed[metric] = Allowance.of(amount)
            except ValueError as error:
                hint = f"Write --allow METRIC=5% or METRIC=2, with one of {', '.join(allowed)}."
                raise UsageError(f"--allow {text}: cannot be read ({error})", hint=hint) from None
        changes = compare_runs(read_run(before), read_run(after), allowed)
        worse = any(change.is_regression for change in changes)
        run.write_json(to_json(changes))
        run.show(*of_changes(changes, verbose=session.verbose))
    if worse:
        raise typer.Exit(RegressionError.exit_code)
