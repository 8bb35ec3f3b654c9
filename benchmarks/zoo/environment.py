"""The environment with the packages that the networks come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def interpreter(
    directory: Path,
    requirements: Path = REQUIREMENTS,
    *,
    python: Path = Path(sys.executable),
    options: Sequence[str] = ("--no-deps",),
) -> Path:
    """Return the Python of the environment in ``directory``, which is made where it is not there or is out of date.

    Args:
        directory: of the environment.
        requirements: the packages in it, each with its version.
        python: the interpreter that it is made with.
        options: of ``pip install``. Some packages of the zoo would pull in another PyTorch, so all are listed there.
    """
    made, installed = directory / "bin" / "python", directory / "requirements.txt"
    if installed.exists() and installed.read_text() == requirements.read_text():
        return made
    print(f"installing {requirements.name} in {directory}, some GB", flush=True)
    subprocess.run([python, "-m", "venv", directory], check=True)
    install: tuple[str | Path, ...] = (
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *options,
        "-r",
        requirements,
    )
    subprocess.run([made, *install], check=True)
    installed.write_text(requirements.read_text())
    return made


def shipped(directory: Path, path: str) -> Path:
    """Return a file of a package in the environment in ``directory``, by its path among the packages."""
    interpreter(directory)
    return next(directory.glob(f"lib/python*/site-packages/{path}"))
