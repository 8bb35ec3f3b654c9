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
from layoutopt.results.provenance import versions

_REQUIREMENTS = Path(__file__).with_name("requirements")
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Peer:
    """A converter.

    Attributes:
        name: as on the command line and on the page.
        program: which of `benchmarks.peers.converters` runs it.
        settings: the options that it gets, in words.
        packages: whose versions the page tells.
        requirements: name of the file with the packages of its environment; empty where it runs in this one.
        python: the version of Python that its environment has.
        pip: options of ``pip install``.
    """

    name: str
    program: str
    settings: str
    packages: tuple[str, ...]
    requirements: str = ""
    python: str = "3.11"
    pip: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file with its packages."""
        return _REQUIREMENTS / self.requirements

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages."""
        known = dict(_PIN.findall(self.path.read_text())) if self.requirements else versions()
        return {name: known[name] for name in self.packages if name in known}

    def interpreter(self, environments: Path, pythons: Mapping[str, Path]) -> Path | None:
        """Return the Python to run it with, in an environment that is made if it is not there yet.

        Args:
            environments: where the environments are.
            pythons: interpreters by version, which go before those on the path.

        Returns:
            None where there is no Python of its version to make the environment with.
        """
        if not self.requirements:
            return Path(sys.executable)
        directory = environments / self.name
        made = directory / "bin" / "python"
        python = pythons.get(self.python) or found(self.python) or (made if made.exists() else None)
        return python and interpreter(directory, self.path, python=python, options=self.pip)


def found(version: str) -> Path | None:
    """Return the interpreter of that version on the path, if there is one that runs."""
    path = shutil.which(f"python{version}")
    if path is None or subprocess.run([path, "--version"], capture_output=True, check=False).returncode:
        return None
    return Path(path)


OURS, WINOGRAD = "layoutopt", "layoutopt --winograd"
FLOOR = "Keras"
NO_CONVERTERS = (OURS, WINOGRAD, FLOOR)
"""Those in the comparison that are not other converters."""

_TENSORFLOW = ("tensorflow", "tensorflow-cpu")

PEERS: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            OURS,
            "ours",
            "`layoutopt optimize --backend direct` without the baseline; inputs and outputs are free to be "
            "channels-last",
            ("layoutopt", "onnxruntime", "ai-edge-litert"),
        ),
        Peer(
            WINOGRAD,
            "ours_winograd",
            "the same with `--winograd`, which makes the file larger",
            ("layoutopt", "onnxruntime", "ai-edge-litert"),
        ),
        Peer(
            "onnx2tf-1",
            "onnx2tf_command",
            "`onnx2tf -i model.onnx -o out`, which writes a SavedModel and a float16 file too; inputs and outputs are "
            "channels-last by default",
            ("onnx2tf", "tensorflow"),
            requirements="onnx2tf-1.txt",
        ),
        Peer(
            "onnx2tf-2",
            "onnx2tf_command",
            "`onnx2tf -i model.onnx -o out`, which writes a float16 file too; inputs and outputs are channels-last by "
            "default",
            ("onnx2tf",),
            requirements="onnx2tf-2.txt",
            python="3.12",
        ),
        Peer(
            "litert-torch",
            "litert_torch_nhwc",
            "`litert_torch.to_channel_last_io` on the input, and on the output where it is a picture; "
            "`litert_torch.convert`",
            ("litert-torch", "litert-converter", "torch"),
            requirements="litert-torch.txt",
        ),
        Peer(
            "nobuco",
            "nobuco_nhwc",
            "`nobuco.pytorch_to_keras` with `ChannelOrder.TENSORFLOW` for inputs and outputs; "
            "`TFLiteConverter.from_keras_model`",
            ("nobuco", "keras", "tensorflow-cpu", "torch"),
            requirements="nobuco.txt",
            pip=("--no-deps",),
        ),
        Peer(
            "onnx-tf",
            "plain_onnx_tf",
            "onnxsim, `onnx_tf.backend.prepare`, the default TFLite converter; there is no option for the layout",
            ("onnxsim", "onnx-tf", *_TENSORFLOW),
        ),
        Peer(
            FLOOR,
            "keras_floor",
            "the same network with the same weights, written in Keras (`benchmarks.floor`); "
            "`TFLiteConverter.from_keras_model`",
            _TENSORFLOW,
        ),
    )
}
"""The converters by name, ours first."""

PUBLISHED_TORCH = Peer(
    "litert-torch-published",
    "litert_torch_published",
    "`litert_torch.to_channel_last_io`, `litert_torch.convert`",
    ("litert-torch", "litert-converter"),
    requirements="litert-torch-published.txt",
    pip=("--no-deps",),
)
"""litert-torch in an environment with the packages that the networks of `benchmarks.zoo` come from."""
