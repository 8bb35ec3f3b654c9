"""Work on LiteRT in a process of its own: what it needs of memory is its alone, and what it breaks stays there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

from layoutopt.errors import ConversionError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

# The child starts with the parent's import path, so that it finds the same packages wherever it is started.
_BOOT = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "importlib.import_module(sys.argv[2]).main(json.loads(sys.argv[3]))"
)
_TAIL = 2000  # characters of what the child said that go into an error message


def run_alone(module: str, job: Mapping[str, Json], *, verbose: bool) -> Iterator[Json]:
    """Calls ``main(job)`` of a module in a fresh interpreter.

    Args:
        module: its full name.
        job: what to do.
        verbose: let through what the child writes to stderr.

    Yields:
        Each line that the child prints, read as JSON.

    Raises:
        ConversionError: the child failed or died; with the last of what it said.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as chatter:
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), module, json.dumps(job)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=None if verbose else chatter, text=True, encoding="utf-8"
        ) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    yield json.loads(line)
            except BaseException:
                child.kill()
                raise
        if child.returncode:
            chatter.seek(0)
            raise ConversionError("LiteRT", f"{_end(child.returncode)}\n{chatter.read()[-_TAIL:]}".strip())


def _end(code: int) -> str:
    if code > 0:
        return f"its process ended with exit code {code}"
    known = {int(each): each.name for each in signal.Signals}
    return f"its process died of {known.get(-code, f'signal {-code}')}"
