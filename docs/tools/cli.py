"""The reference of the command line: all commands, options, defaults and exit codes, from the code that reads them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from rich.markup import render

from layoutopt import errors
from layoutopt.cli import app

HEAD = """# Command line

All commands and options, as `layoutopt COMMAND --help` shows them. [The glossary](glossary.md) explains the words.

"""
CODES = """## Exit codes

Each class of error has an exit code. An error is one line on stderr that names the node, the operator or the option,
and one that says what to do. In Python the classes are in `layoutopt.errors`.

| code | error | what it means |
|---|---|---|
| 0 | | Done. |
"""
SIGNALS = "".join(
    f"| {code} | | {name} has ended the run{' (Ctrl-C)' if name == 'SIGINT' else ''}: nothing was written. |\n"
    for name, code in errors.SIGNALS.items()
)


def page() -> str:
    """Return the page, as it should be."""
    rows = [f"| [`{name}`](#layoutopt-{name}) | {_cell(command.help)} |\n" for name, command in commands().items()]
    index = "| command | what it does |\n|---|---|\n" + "".join(rows) + "\n"
    return (
        HEAD
        + index
        + "".join(map(_section, commands().values()))
        + CODES
        + "".join(map(_code, errors_by_code()))
        + SIGNALS
    )


def commands() -> dict[str, Any]:
    """Return the sub-commands by name, in the order of ``--help``."""
    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    return {name: root.commands[name] for name in root.list_commands(typer.Context(root))}


def errors_by_code() -> list[type[errors.LayoutoptError]]:
    """Return every class of error in the order of the exit codes."""
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    return sorted(
        (each for each in classes if issubclass(each, errors.LayoutoptError)), key=lambda each: each.exit_code
    )


def _section(command: Any) -> str:
    """Return one command: what it does, its options and its examples."""
    context = typer.Context(command, info_name=f"layoutopt {command.name}")
    usage = " ".join([f"layoutopt {command.name}", *command.collect_usage_pieces(context)])
    rows = [f"| `{_cell(names)}` | {_cell(what)} |\n" for names, what in _records(command, context)]
    examples = [line for line in _plain(command.epilog).splitlines() if line.startswith("layoutopt")]
    return (
        f"## layoutopt {command.name}\n\n{command.help}\n\n`{usage}`\n\n"
        f"| option | what it does |\n|---|---|\n{''.join(rows)}\n"
        "```bash\n" + "\n".join(examples) + "\n```\n\n"
    )


def _records(command: Any, context: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield names and help of each argument and option."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in parameter.opts:
            names, what = record
            yield (
                names,
                _plain(parameter.help) + what.removeprefix(parameter.help),
            )  # the rest is no markup: [default: 0]


def _code(error: type[errors.LayoutoptError]) -> str:
    what = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0] if error.exit_code != 1 else "An internal error."
    return f"| {error.exit_code} | `{error.__name__}` | {_cell(what)} |\n"


def _plain(markup: str | None) -> str:
    return render(markup or "").plain


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").replace("  [", " [").strip()
