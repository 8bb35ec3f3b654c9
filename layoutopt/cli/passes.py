"""``layoutopt passes``."""

from __future__ import annotations

from layoutopt.cli.arguments import SessionArguments

EXAMPLES = """[bold]Examples[/]

layoutopt passes

layoutopt optimize model.onnx --passes 'fold-constants,propagate-layout{io=keep}'
"""


def passes(session: SessionArguments) -> None:
    """List the passes of the default pipeline in order, then the others, with the options of each."""
    with session.start() as run:
        from layoutopt.pipeline.text import describe_passes
        from layoutopt.report.terminal import tables
        from layoutopt.results.result import to_json

        descriptions = describe_passes()
        run.write_json(to_json(descriptions))
        run.show(*tables.of_passes(descriptions))
