"""The converters that are compared, each with the environment that it runs in and the options that it gets."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo.environment import interpreter

_REQUIREMENTS = Path(__file__).with_name("requirements")
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peer:
    """A converter.

    Attributes:
        name: as on the command line and on the page.
        program: which of `benchmarks.peers.converters` runs it.
        settings: the options that it gets, in words.
        requirements: name of the file with the packages of its environment; empty where it runs in this one.
        python: the version of Python that its environment has.
        pip: options of ``pip install``.
        judged: whether its weights are those of the ONNX file, so that the results must agree.
        packages: whose versions the page tells.
    """

    name: str
    program: str
    settings: str
    requirements: str = ""
    python: str = "3.11"
    pip: tuple[str, ...] = ()
    judged: bool = True
    packages: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file with its packages."""
        return _REQUIREMENTS / self.requirements

    def versions(self) -> dict[str, str]:
        """Of its packages, where it has an environment of its own."""
        if not self.requirements:
            return {}
        pins = dict(_PIN.findall(self.path.read_text()))
        return {name: pins[name] for name in self.packages}

    def interpreter(self, environments: Path, pythons: Mapping[str, Path]) -> Path | None:
        """The Python to run it with, in an environment that is made if it is not there yet.

        Args:
            environments: where the environments are.
            pythons: interpreters by version, which go before those on the path.

        Returns:
            None where there is no Python of its version.
        """
        if not self.requirements:
            return Path(sys.executable)
        python = pythons.get(self.python) or found(self.python)
        if python is None:
            return None
        return interpreter(environments / self.name, self.path, python=python, options=self.pip)


def found(version: str) -> Path | None:
    """The interpreter of that version on the path, if there is one that runs."""
    path = shutil.which(f"python{version}")
    if path is None or subprocess.run([path, "--version"], capture_output=True, check=False).returncode:
        return None
    return Path(path)


OURS = "layoutopt"
FLOOR = "Keras"

PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(OURS, "ours", "`layoutopt optimize` without the baseline; inputs and outputs are free to be channels-last"),
        Peer(
            "onnx2tf-1",
            "onnx2tf_command",
            "`onnx2tf -i model.onnx -o out`; inputs and outputs are channels-last by default",
            requirements="onnx2tf-1.txt",
            packages=("onnx2tf", "tensorflow"),
        ),
        Peer(
            "onnx2tf-2",
            "onnx2tf_command",
            "`onnx2tf -i model.onnx -o out`; inputs and outputs are channels-last by default",
            requirements="onnx2tf-2.txt",
            python="3.12",
            packages=("onnx2tf",),
        ),
        Peer(
            "litert-torch",
            "litert_torch_nhwc",
            "`litert_torch.to_channel_last_io` on the input, and on the output where it is a picture; "
            "`litert_torch.convert`",
            requirements="litert-torch.txt",
            packages=("litert-torch", "litert-converter", "torch"),
        ),
        Peer(
            "nobuco",
            "nobuco_nhwc",
            "`nobuco.pytorch_to_keras` with `ChannelOrder.TENSORFLOW` for inputs and outputs; "
            "`TFLiteConverter.from_keras_model`",
            requirements="nobuco.txt",
            pip=("--no-deps",),
            packages=("nobuco", "tensorflow-cpu", "torch"),
        ),
        Peer("onnx-tf", "plain_onnx_tf", "onnxsim, `onnx_tf.backend.prepare`, the default TFLite converter; no option"),
    )
}
"""The converters by name, ours first."""
