"""``layoutopt passes``."""

from __future__ import annotations

from layoutopt.cli.console import ForceOption, JsonOption, QuietOption, VerboseOption, session

EXAMPLES = """[bold]Examples[/]

layoutopt passes

layoutopt optimize model.onnx --passes 'fold-constants,propagate-layout{io=keep}'
"""


def passes(
    force: ForceOption = False, json: JsonOption = "", quiet: QuietOption = False, verbose: VerboseOption = False
) -> None:
    """List the passes of the default pipeline in order, then the others, with the options of each."""
    with session(json, quiet=quiet, verbose=verbose, force=force) as run:
        from layoutopt.pipeline.text import describe_passes
        from layoutopt.report import tables
        from layoutopt.report.results import to_json

        descriptions = describe_passes()
        run.write_json(to_json(descriptions))
        run.show(*tables.of_passes(descriptions))
