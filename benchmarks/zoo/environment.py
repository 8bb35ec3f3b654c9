"""The environment with the packages that the networks come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def interpreter(directory: Path) -> Path:
    """The Python of the environment in ``directory``, which is made where it is not there or is out of date."""
    python, installed = directory / "bin" / "python", directory / REQUIREMENTS.name
    if installed.exists() and installed.read_text() == REQUIREMENTS.read_text():
        return python
    print(f"zoo: installing {REQUIREMENTS.name} in {directory}, some GB", flush=True)
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    # All of them are listed, each with its version: some packages would else pull in another PyTorch.
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", REQUIREMENTS)
    subprocess.run([python, *install], check=True)
    installed.write_text(REQUIREMENTS.read_text())
    return python


def shipped(directory: Path, path: str) -> Path:
    """A file of a package in the environment in ``directory``, by its path among the packages."""
    interpreter(directory)
    return next(directory.glob(f"lib/python*/site-packages/{path}"))
