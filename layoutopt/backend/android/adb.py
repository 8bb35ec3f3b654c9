"""Android phones as `adb`, the command of Android's debug bridge, reaches them: files go there, commands run there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layoutopt.errors import DeviceError

FOLDERS = "/data/local/tmp/layoutopt-"
"""Begin of the folders that a run makes on a phone: nowhere else may a shell without root run programs."""

_READY = "device"
_HINTS: Mapping[str, str] = {
    "unauthorized": "Unlock its screen, allow USB debugging for this computer, and run again.",
    "authorizing": "Unlock its screen, allow USB debugging for this computer, and run again.",
    "offline": "Run 'adb reconnect', or unplug it and plug it in again.",
}
"""Remedies for the states in which `adb devices` shows a phone that takes no commands."""

_LOST = re.compile(r"^(?:adb: |error: )+(device .*|no devices.*|closed|protocol fault.*)$", re.MULTILINE)
"""The words of adb when the phone has gone."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The end of a command, and its words.

    Attributes:
        code: its exit code; above 128, the number of the signal that ended it and 128.
        text: what it wrote, to stdout and stderr.
    """

    code: int
    text: str

    @property
    def last_line(self) -> str:
        """Return the last line that is not empty."""
        return next((line.strip() for line in reversed(self.text.splitlines()) if line.strip()), "it said nothing")


@dataclass(frozen=True, slots=True)
class Device:
    """A phone that takes commands.

    Attributes:
        serial: its name in ``adb devices``.
        adb: path of the command.
    """

    serial: str
    adb: str

    @classmethod
    def find(cls, serial: str | None) -> Device:
        """Find a phone.

        Args:
            serial: its name; None for that in ``ANDROID_SERIAL``, else for the only one.

        Raises:
            DeviceError: there is no adb, no such phone, or several; or it takes no commands.
        """
        adb = shutil.which("adb")
        if adb is None:
            raise DeviceError(
                "adb is not on the path", hint="Install Android's platform-tools, and add their folder to PATH."
            )
        answer = _call(adb, "devices")
        if answer.code:
            raise DeviceError(f"adb finds no phones: {answer.last_line}", hint="See what 'adb devices' says.")
        listed = [line.split("\t", 1) for line in answer.text.splitlines() if "\t" in line]
        chosen = _choose({name: state.strip() for name, state in listed}, serial or os.environ.get("ANDROID_SERIAL"))
        return cls(chosen, adb)

    def push(self, file: Path, target: str) -> None:
        """Copy a file to the phone.

        Raises:
            DeviceError: it cannot be written there.
        """
        answer = self._call("push", str(file), target)
        if not answer.code:
            return
        if "No space left on device" in answer.text:
            raise DeviceError(
                f"phone {self.serial}: no space is left for {file} ({file.stat().st_size / 1e6:.1f} MB)",
                hint="Make room on it; 'adb shell df /data' tells how much there is.",
            )
        raise DeviceError(f"phone {self.serial} does not take {file}: {answer.last_line}")

    def run(self, command: str) -> CommandResult:
        """Run a command in the phone's shell.

        Raises:
            DeviceError: the phone has gone.
        """
        return self._call("shell", command)

    def tell(self, command: str) -> str:
        """Return what a command says that does not fail.

        Raises:
            DeviceError: it fails, or the phone has gone.
        """
        answer = self.run(command)
        if answer.code:
            raise DeviceError(f"phone {self.serial}: '{command}' failed: {answer.last_line}")
        return answer.text.strip()

    def _call(self, *arguments: str) -> CommandResult:
        answer = _call(self.adb, "-s", self.serial, *arguments)
        if answer.code and (lost := _LOST.search(answer.text)):
            raise DeviceError(
                f"phone {self.serial} does not answer any more: {lost[1]}",
                hint=f"Attach it again. 'adb shell rm -rf {FOLDERS}*' removes what may be left on it.",
            )
        return answer


def _choose(states: Mapping[str, str], serial: str | None) -> str:
    """Return the phone that is meant, of those that ``adb devices`` lists with their states."""
    attached = ", ".join(states)
    if serial is None:
        if not states:
            raise DeviceError(
                "no phone is attached", hint="Attach one with USB debugging allowed; 'adb devices' must list it."
            )
        if len(states) > 1:
            raise DeviceError(f"several phones are attached: {attached}", hint="Choose one with --serial.")
        (serial,) = states
    if serial not in states:
        raise DeviceError(f"phone {serial} is not attached", hint=f"Attached are: {attached or 'none'}.")
    if (state := states[serial]) != _READY:
        raise DeviceError(f"phone {serial} is not ready: {state}", hint=_HINTS.get(state, "See 'adb devices'."))
    return serial


def _call(*command: str) -> CommandResult:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise DeviceError(f"{command[0]} cannot be run: {error.strerror}") from error
    return CommandResult(done.returncode, done.stdout)
