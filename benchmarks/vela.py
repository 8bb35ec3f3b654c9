"""Networks in int8, by layoutopt and by onnx2tf, as Vela compiles them for Arm's Ethos-U.

Vela tells how many operators run on the NPU, and estimates the cycles of the whole network, those of the CPU not
counted. The networks are ``NAME/model.onnx`` in a folder, such as `python -m benchmarks.zoo` leaves in ``build/zoo``.
Samples are random and the same for both, as cycles do not depend on their values; accuracy is not judged here.
Figures go to ``benchmarks/results/vela.json``; networks that are not named keep theirs.

::

    python -m venv build/vela && build/vela/bin/pip install ethos-u-vela
    python -m benchmarks.vela build/zoo [NETWORK...] --vela build/vela/bin/vela --onnx2tf ONNX2TF

ONNX2TF is the command of that name in the environment that `python -m benchmarks.peers` makes for it.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx

import layoutopt
from benchmarks import records
from layoutopt.quantization.request import QuantizationOptions
from layoutopt.results.provenance import Provenance

RESULTS = records.committed("vela")
NETWORKS = (
    *("efficientnet_b0-dynamo-23", "ghostnet_100-dynamo-18", "mnasnet1_0-dynamo-18", "mobilenet_v3_small-dynamo-23"),
    *("mobilenetv4_conv_small-dynamo-23", "regnet_y_400mf-dynamo-18", "resnet18-legacy-13"),
    *("shufflenet_v2_x1_0-legacy-20", "squeezenet1_1-legacy-20", "tf_efficientnet_lite0-legacy-17"),
)
"""Folders of `benchmarks.zoo`; each network has one image as its input."""

NPU = "ethos-u55-256"
WAYS = ("layoutopt", "layoutopt, per tensor", "onnx2tf")
SAMPLES = 8
_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Row:
    """One network by one converter.

    Attributes:
        network: its name.
        way: the converter.
        npu: operators that run on the NPU, as Vela counts them.
        cpu: operators that stay on the CPU.
        cycles: that Vela estimates.
        left: the codes of the operators on the CPU, each once.
        per_tensor: whether it has one scale for all filters of an operator; of onnx2tf, as it fails with one for each.
        failure: what went wrong; empty where nothing did.
    """

    network: str
    way: str
    npu: int = 0
    cpu: int = 0
    cycles: int = 0
    left: tuple[str, ...] = ()
    per_tensor: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """All rows.

    Attributes:
        rows: network by network.
        vela: its version.
        onnx2tf: its version.
        measured: where and when.
    """

    rows: tuple[Row, ...]
    vela: str
    onnx2tf: str
    measured: Provenance


@dataclass(frozen=True, slots=True)
class Tools:
    """The commands of others.

    Attributes:
        vela: Arm's compiler.
        onnx2tf: the other converter.
    """

    vela: Path
    onnx2tf: Path


def main() -> None:
    """Measure the networks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the networks are")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"by default {', '.join(NETWORKS)}")
    parser.add_argument("--way", choices=WAYS, action="append", help="measure this converter only, and keep the others")
    parser.add_argument("--vela", type=Path, required=True, help="the command of ethos-u-vela")
    parser.add_argument("--onnx2tf", type=Path, required=True, help="the command of onnx2tf")
    given = parser.parse_args()
    tools = Tools(given.vela.absolute(), given.onnx2tf.absolute())
    for name in given.networks or NETWORKS:
        known = records.load(Figures, RESULTS).rows if RESULTS.exists() else ()
        with tempfile.TemporaryDirectory() as directory:
            model, ways = given.folder / name / "model.onnx", given.way or WAYS
            found = [measured(name, way, model, Path(directory), tools) for way in ways]
        kept = (row for row in known if row.network != name or row.way not in ways)
        rows = sorted([*kept, *found], key=lambda row: (row.network, row.way))
        figures = Figures(tuple(rows), _version(tools.vela), _version(tools.onnx2tf), Provenance.here())
        records.save(figures, RESULTS)


def measured(name: str, way: str, model: Path, scratch: Path, tools: Tools) -> Row:
    """Return the row of a network by one converter."""
    attempts: Mapping[str, Callable[[Path], Path]] = {
        "layoutopt": {"per-channel": partial(_by_layoutopt, model, weights="channel")},
        "layoutopt, per tensor": {"per-tensor": partial(_by_layoutopt, model, weights="tensor")},
        "onnx2tf": {
            scales: partial(_by_onnx2tf, model, command=tools.onnx2tf, scales=scales)
            for scales in ("per-channel", "per-tensor")
        },
    }[way]
    row = Row(name, way)
    for scales, convert in attempts.items():
        folder = scratch / f"{WAYS.index(way)}-{scales}"
        folder.mkdir()
        try:
            row = replace(compiled(name, way, convert(folder), folder, tools.vela), per_tensor=scales == "per-tensor")
            break
        except Exception as error:  # another's converter may fail in any way, which is a result
            row = Row(name, way, failure=f"{type(error).__name__}: {str(error).splitlines()[0]}"[:200])
    print(row, flush=True)
    return row


def compiled(name: str, way: str, tflite: Path, folder: Path, vela: Path) -> Row:
    """Return what Vela tells of a .tflite file.

    Raises:
        CalledProcessError: it does not compile.
    """
    command: list[str | Path] = [
        vela,
        tflite,
        "--output-dir",
        folder,
        "--accelerator-config",
        NPU,
        "--show-cpu-operations",
    ]
    said = _run(command, folder)
    counts = {kind: int(count) for kind, count in re.findall(r"(CPU|NPU) operators = (\d+)", said)}
    (summary,) = folder.glob("*summary*.csv")
    (last,) = csv.DictReader(summary.read_text().splitlines())
    left = set(re.findall(r"^Warning \(.*?\) operator: (\w+)", said, re.MULTILINE))
    return Row(name, way, counts["NPU"], counts["CPU"], int(float(last["cycles_total"])), tuple(sorted(left)))


def _input_of(model: Path) -> tuple[str, tuple[int, ...]]:
    (given,) = onnx.load(model, load_external_data=False).graph.input
    return given.name, tuple(each.dim_value for each in given.type.tensor_type.shape.dim)


def _samples(model: Path) -> np.ndarray:
    _, shape = _input_of(model)
    return np.random.default_rng(0).standard_normal((SAMPLES, *shape[1:])).astype(np.float32)


def _by_layoutopt(model: Path, folder: Path, weights: str) -> Path:
    tflite = folder / "model.tflite"
    layoutopt.optimize(
        model,
        tflite=tflite,
        baseline=False,
        backend="direct",
        quantize="int8",
        calibration=_samples(model),
        quantization=QuantizationOptions(int8="full", io="int8", weights=weights),
    )
    return tflite


def _by_onnx2tf(model: Path, folder: Path, command: Path, scales: str) -> Path:
    name, _ = _input_of(model)
    copy, samples = folder / "model.onnx", folder / "samples.npy"
    shutil.copyfile(model, copy)  # it overwrites the file that it is given
    np.save(samples, _samples(model).transpose(0, 2, 3, 1))
    identity = ["[[[[0,0,0]]]]", "[[[[1,1,1]]]]"]
    options: list[str | Path] = [
        "-oiqt",
        "-qt",
        scales,
        "-cind",
        name,
        samples,
        *identity,
        "-iqd",
        "int8",
        "-oqd",
        "int8",
    ]
    tflite = folder / "out" / "model_full_integer_quant.tflite"
    try:
        _run([command, "-i", copy, "-o", tflite.parent, *options], folder)
    except RuntimeError:
        if not tflite.exists():  # else it failed after this file, on one with activations of 16 bits
            raise
    return tflite


def _run(command: list[str | Path], folder: Path) -> str:
    """Return what a command says; others that it calls by name are beside it."""
    environment = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout


def _version(command: Path) -> str:
    """Return the version of the package in whose environment a command is."""
    names = {"vela": "ethos-u-vela"}
    name = names.get(command.name, command.name)
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return _run([command.parent / "python", "-c", code], command.parent).strip()


if __name__ == "__main__":
    main()
