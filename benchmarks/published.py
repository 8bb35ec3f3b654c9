"""The gain of rewrites to fewer multiplications on published networks, beside onnx2tf.

::

    python -m benchmarks.published [--zoo build/zoo] [--peers build/peers] [--results build/published] [NAME...]
    python -m benchmarks.published --time-only

Each network of the packages of ``benchmarks.zoo`` is converted by layoutopt's direct backend, by the same
with Winograd's algorithms, by the same without the rewrites, by onnx2tf and by litert-torch. All are compared with ONNX
Runtime and timed in one interleaved run; so are the .onnx files, in ONNX Runtime. What was converted before stays
as it is; the figures of all of them go to ``benchmarks/results/published.json``, each network with the machine and the
day of its own run. Timing wants a quiet machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import layoutopt
from benchmarks import records
from benchmarks.peers.catalogue import OURS, PEERS, PUBLISHED_TORCH, WINOGRAD
from benchmarks.peers.conversion import MODEL, converted
from benchmarks.peers.figures import FIGURES, TFLITE, TIMES, Figures, Times, kept_figures, right_files
from benchmarks.peers.judge import judged
from benchmarks.peers.timing import timed
from benchmarks.zoo.__main__ import own_export
from benchmarks.zoo.catalogue import NETWORKS
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.latency import Latency, Noise, Speedup
from layoutopt.backend.litert.runtime import take_turns
from layoutopt.ir.io import load
from layoutopt.ir.verify import Reference
from layoutopt.outputs import make_directory, scratch
from layoutopt.passes import REWRITES
from layoutopt.pipeline.text import pass_name
from layoutopt.results.optimize import Multiplications
from layoutopt.results.provenance import Provenance

EXACT, PEER, TORCH = "layoutopt --exact", "onnx2tf-2", PUBLISHED_TORCH.name
OTHERS = {each.name: each for each in (PEERS[PEER], PUBLISHED_TORCH)}
"""The converters beside ours, by name."""
LABELS = (OURS, WINOGRAD, EXACT, *OTHERS)
_HALF = "resnet50, half masked"
CASES: Mapping[str, str] = {
    **{name: name for name in ("repvgg_a0", "mobileone_s1", "fastvit_t8")},
    **{name: name for name in ("unet_resnet34", "unetplusplus_resnet34", "bsrgan")},
    **{name: name for name in ("densenet121", "vit_b_16", "deit_tiny_patch16_224")},
    **{name: name for name in ("yolov5n", "yolov8n", "fpn_resnet34")},
    _HALF: "resnet50",
}
"""The networks, each with its name in ``benchmarks.zoo``."""

_PRODUCTS, _COST, _ONNX, _ONNX_TIMES = "products.json", "cost.json", "model.nhwc.onnx", "onnx.json"
_MEASURED = "measured.json"
_LOADS, _ROUNDS = 4, 3
"""The times that both .onnx files are loaded, and the samples of each load, of which the fastest counts."""


@dataclass(frozen=True, slots=True)
class OnnxTimes:
    """A network in ONNX Runtime on one thread.

    Attributes:
        original: as exported.
        exact: as optimized without the rewrites.
        control: the same once more.
        ours: as optimized.
    """

    original: Latency
    exact: Latency
    control: Latency
    ours: Latency

    @property
    def speedup(self) -> Speedup:
        """The speedup by the rewrites: the same layouts without them against those with them."""
        return self.ours.speedup_over(self.exact, Noise.between(self.exact, self.control))

    @property
    def over_original(self) -> Speedup:
        """The speedup by all passes: as exported against as optimized."""
        return self.ours.speedup_over(self.original, Noise.between(self.exact, self.control))


@dataclass(frozen=True, slots=True)
class Cost:
    """The time that a conversion takes, in seconds.

    Attributes:
        rewrites: of the passes that save multiplications.
        whole: of all, with the comparison of the results.
    """

    rewrites: float
    whole: float


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        measured: where and when it was timed.
        products: multiplications before and after.
        figures: what became of it, by converter.
        times: of all that is right, in one run.
        sizes: bytes of the .tflite, by converter.
        onnx: the .onnx files; None where they were not timed.
        cost: of the conversion; None where it was not measured.
    """

    measured: Provenance
    products: Multiplications
    figures: Mapping[str, Figures]
    times: Times
    sizes: Mapping[str, int] = field(default_factory=dict)
    onnx: OnnxTimes | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """All that was measured.

    Attributes:
        networks: by name.
    """

    PATH: ClassVar[Path] = records.committed("published")

    networks: Mapping[str, Network]


def main() -> None:
    """Convert and time what was not yet, and keep the figures of all that ever was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="NAME", help=", ".join(CASES))
    parser.add_argument(
        "--zoo", type=Path, default=Path("build/zoo"), help="where models and environment of the zoo are"
    )
    parser.add_argument("--peers", type=Path, default=Path("build/peers"), help="where onnx2tf's environment is")
    parser.add_argument("--results", type=Path, default=Path("build/published"), help="where models stay")
    stages = parser.add_mutually_exclusive_group()
    stages.add_argument("--convert-only", action="store_true")
    stages.add_argument("--time-only", action="store_true", help="time all that was converted again")
    options = parser.parse_args()
    results = options.results.resolve()
    for name in options.names or CASES:
        if not options.time_only:
            export(name, options.zoo.resolve(), results)
            convert(name, options.peers.resolve(), results)
        if not options.convert_only and (options.time_only or not (results / name / _MEASURED).exists()):
            time_all(name, results / name)
    earlier = records.load(Published, Published.PATH).networks
    here = {name: kept(results / name) for name in CASES if (results / name / _MEASURED).exists()}
    networks = {name: here.get(name) or earlier[name] for name in CASES if name in here or name in earlier}
    records.save(Published(networks), Published.PATH)


def time_all(name: str, directory: Path) -> None:
    """Time the .tflite and the .onnx files of a network, and print how they compare."""
    times, onnx_times = timed(right_files(directory, LABELS)), timed_onnx(directory)
    records.save(times, directory / TIMES)
    records.save(onnx_times, directory / _ONNX_TIMES)
    records.save(Provenance.here(), directory / _MEASURED)
    ratios = ", ".join(f"{each.of_medians:.2f} of {label}" for label, each in times.speedups.items())
    over, gain = onnx_times.over_original, onnx_times.speedup
    print(
        f"{name}: .tflite {ratios}; .onnx {over.of_medians:.2f} of the original ({over.verdict.value}), "
        f"{gain.of_medians:.2f} of {EXACT} ({gain.verdict.value})",
        flush=True,
    )


def export(name: str, zoo: Path, results: Path) -> None:
    """Export a network where that was not done."""
    path = results / name / MODEL
    if path.exists():
        return
    make_directory(path.parent)
    model = onnx.load(own_export(NETWORKS[CASES[name]], zoo))
    if name == _HALF:
        mask_half(model)
    onnx.save(model, path)


def mask_half(model: onnx.ModelProto) -> None:
    """Set half of the channels of each Conv to zero, those with the least norm, as structured pruning leaves them.

    Convs of as many channels whose results are added up lose the same ones, those of the first of them.
    """
    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    added = {name for node in model.graph.node if node.op_type == "Add" for name in node.input}
    shared: dict[int, np.typing.NDArray[np.int64]] = {}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        weights = numpy_helper.to_array(arrays[node.input[1]])
        channels = len(weights)
        norms = np.linalg.norm(weights.reshape(channels, -1), axis=1)
        masked = np.argsort(norms)[: channels // 2]
        if node.output[0] in added:
            masked = shared.setdefault(channels, masked)
        for each in node.input[1:]:
            array = numpy_helper.to_array(arrays[each]).copy()
            array[masked] = 0
            arrays[each].CopyFrom(numpy_helper.from_array(array, each))


def convert(name: str, peers: Path, results: Path) -> None:
    """Convert a network in each way where that was not done, and compare with the original."""
    directory = results / name
    for label in (OURS, WINOGRAD, EXACT):
        if (directory / label / FIGURES).exists():
            continue
        make_directory(directory / label)
        tflite = directory / label / TFLITE
        report = layoutopt.optimize(
            directory / MODEL,
            output=directory / label / _ONNX,
            tflite=tflite,
            backend=Backend.DIRECT,
            baseline=False,
            force=True,
            winograd=label == WINOGRAD,
            exact=label == EXACT,
        )
        records.save(judged(Reference(load(directory / MODEL)), tflite), directory / label / FIGURES)
        if label == OURS:
            records.save(report.multiplications, directory / _PRODUCTS)
        (directory / _MEASURED).unlink(missing_ok=True)
        print(f"{name}, {label}: converted", flush=True)
    if not (directory / _COST).exists():
        records.save(cost_of(directory / MODEL), directory / _COST)
    for label, peer in OTHERS.items():
        if label == TORCH and name not in NETWORKS:
            continue  # masked in the .onnx
        python = peer.interpreter(peers / "venv", {})
        if python is not None and not (directory / label / FIGURES).exists():
            records.save(converted(peer, python, name, results), directory / label / FIGURES)
            (directory / _MEASURED).unlink(missing_ok=True)
            print(f"{name}, {label}: converted", flush=True)


def cost_of(model: Path) -> Cost:
    """Convert a model once more, when all modules are loaded, and return what that cost."""
    with scratch() as folder:
        report = layoutopt.optimize(model, tflite=folder / TFLITE, backend=Backend.DIRECT, baseline=False)
    names = {pass_name(each) for each in REWRITES}
    rewrites = sum(each.seconds for each in report.passes if each.name in names)
    return Cost(rewrites, sum(report.seconds.values()))


def timed_onnx(directory: Path) -> OnnxTimes:
    """Time a network in ONNX Runtime: as exported, twice as optimized without rewrites, and as optimized; in turns."""
    exact = directory / EXACT / _ONNX
    files = (directory / MODEL, exact, exact, directory / OURS / _ONNX)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    samples: list[list[float]] = [[] for _ in files]
    for load_ in range(_LOADS):
        order = [(index + load_) % len(files) for index in range(len(files))]
        samplers = [_sampler(files[at], settings) for at in order]
        for at, latency in zip(order, take_turns(samplers, rounds=_ROUNDS), strict=True):
            samples[at].append(latency.minimum_ms)
    return OnnxTimes(*(Latency(tuple(each)) for each in samples))


def _sampler(path: Path, settings: onnxruntime.SessionOptions) -> Callable[[], float]:
    """Return a function that runs a model once on random numbers and returns the milliseconds that it took."""
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {each.name: rng.standard_normal(each.shape).astype(np.float32) for each in session.get_inputs()}

    def sample() -> float:
        start = time.thread_time()
        session.run(None, feeds)
        return (time.thread_time() - start) * 1e3

    sample()
    return sample


def kept(directory: Path) -> Network:
    """Return all that is known of a network."""
    products, times = records.load(Multiplications, directory / _PRODUCTS), records.load(Times, directory / TIMES)
    sizes = {label: (directory / label / TFLITE).stat().st_size for label in times.latencies}
    onnx_times = records.load(OnnxTimes, path) if (path := directory / _ONNX_TIMES).exists() else None
    cost = records.load(Cost, path) if (path := directory / _COST).exists() else None
    measured = records.load(Provenance, directory / _MEASURED)
    return Network(measured, products, kept_figures(directory, LABELS), times, sizes, onnx_times, cost)


if __name__ == "__main__":
    main()
