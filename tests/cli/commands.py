"""The command line, called from tests."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from layoutopt.cli import app


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
