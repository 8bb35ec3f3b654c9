"""The gain of rewrites to fewer multiplications in LiteRT, and the rates by which they are chosen.

::

    python -m benchmarks.rewrites [--rounds 20] [NAME...]
    python -m benchmarks.rewrites --table

The first takes each small network without and with the rewrites: multiplications, milliseconds, how many times as fast
it is, and how many times by the cost model. All of them together go to ``benchmarks/results/rewrites.json``. The second
prints the numbers of ``layoutopt.layout.costs.arithmetic``; `benchmarks.operator_times` measures the rates of products.
One thread of XNNPACK, CPU time, both forms of one network in one interleaved run; medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from benchmarks import records
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.runtime import measure
from layoutopt.layout.costs.arithmetic import Work, multiplications, work_of
from layoutopt.passes import DEFAULT_PIPELINE, REWRITES
from layoutopt.pipeline.manager import PassManager
from layoutopt.results.provenance import Provenance

RESULTS = records.committed("rewrites")
PLAIN = tuple(each for each in DEFAULT_PIPELINE if not isinstance(each, REWRITES))
"""The default pipeline without the rewrites."""

_NORM = "LayerNormalization <axis = -1>"
CASES: Mapping[str, tuple[str, Mapping[str, tuple[int, ...]]]] = {
    "upsampling, Conv 3x3": (
        """g (float[1,3,96,96] x) => (y) {
            s = Conv <pads = [1,1,1,1]> (x, w0) a = Relu (s)
            u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (a, , scales)
            c = Conv <pads = [1,1,1,1]> (u, w1) d = Relu (c) y = Conv <pads = [1,1,1,1]> (d, w2)
        }""",
        {"w0": (64, 3, 3, 3), "w1": (64, 64, 3, 3), "w2": (3, 64, 3, 3)},
    ),
    "upsampling and a skip, Conv 3x3": (
        """g (float[1,128,40,40] x, float[1,64,80,80] z) => (y) {
            u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (x, , scales)
            j = Concat <axis = 1> (u, z)
            c = Conv <pads = [1,1,1,1]> (j, w1) d = Relu (c) e = Conv <pads = [1,1,1,1]> (d, w2) y = Relu (e)
        }""",
        {"w1": (64, 192, 3, 3), "w2": (64, 64, 3, 3)},
    ),
    "upsampling and a skip, Conv 1x1": (
        """g (float[1,256,20,20] x, float[1,256,40,40] z) => (y) {
            u = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
                (x, , scales)
            j = Concat <axis = 1> (u, z)
            c = Conv (j, w1) d = Relu (c) e = Conv <pads = [1,1,1,1]> (d, w2) y = Relu (e)
        }""",
        {"w1": (128, 512, 1, 1), "w2": (128, 128, 3, 3)},
    ),
    "parallel branches": (
        """g (float[1,96,28,28] x) => (y) {
            a = Conv <pads = [1,1,1,1]> (x, w1) b = Conv (x, w2) c = Mul (x, m) d = Add (a, b) e = Add (d, c)
            f = Relu (e)
            h = Conv <pads = [1,1,1,1]> (f, w3) i = Conv (f, w4) j = Mul (f, m) k = Add (h, i) l = Add (k, j)
            y = Relu (l)
        }""",
        {"w1": (96, 96, 3, 3), "w2": (96, 96, 1, 1), "m": (96, 1, 1), "w3": (96, 96, 3, 3), "w4": (96, 96, 1, 1)},
    ),
    "pool after Conv 1x1": (
        """g (float[1,256,56,56] x) => (y) {
            a = Relu (x) b = Conv (a, w1) c = AveragePool <kernel_shape = [2,2], strides = [2,2]> (b)
            d = Conv <pads = [1,1,1,1]> (c, w2) y = Relu (d)
        }""",
        {"w1": (128, 256, 1, 1), "w2": (32, 128, 3, 3)},
    ),
    "half of the channels zero": (
        """g (float[1,64,28,28] x) => (y) {
            a = Conv (x, half1) b = Relu (a) c = Conv <pads = [1,1,1,1]> (b, half2) d = Relu (c) e = Conv (d, w3)
            f = Add (e, x) y = Relu (f)
        }""",
        {"half1": (128, 64, 1, 1), "half2": (128, 128, 3, 3), "w3": (64, 128, 1, 1)},
    ),
    "class token": (
        f"""g (float[1,197,192] x) => (y) {{
            n = {_NORM} (x, s, t) q = MatMul (n, wq) k = MatMul (n, wk) v = MatMul (n, wv)
            p = Transpose <perm = [0,2,1]> (k) r = MatMul (q, p) h = Softmax <axis = -1> (r) o = MatMul (h, v)
            a = MatMul (o, wo) e = Add (a, x) m = {_NORM} (e, s, t)
            f = MatMul (m, w1) g1 = Relu (f) l = MatMul (g1, w2) z = Add (e, l) u = {_NORM} (z, s, t)
            i = Gather <axis = 1> (u, first) y = MatMul (i, w3)
        }}""",
        {
            **dict.fromkeys(("wq", "wk", "wv", "wo"), (192, 192)),
            **dict.fromkeys(("s", "t"), (192,)),
            "w1": (192, 768),
            "w2": (768, 192),
            "w3": (192, 10),
        },
    ),
}
"""Small networks: the text of each graph, and the shapes of its weights."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print_rates(options.rounds)
        return
    found = {}
    for name in options.names or CASES:
        found[name] = compared(name, options.rounds)
        print(f"{name}: {found[name]}", flush=True)
    if not options.names:
        records.save(Rewrites(found, Provenance.here()), RESULTS)


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain of the rewrites on one network.

    Attributes:
        products: multiplications without and with them.
        milliseconds: likewise, as measured.
        predicted: likewise, by the cost model.
    """

    products: tuple[int, int]
    milliseconds: tuple[float, float]
    predicted: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rewrites:
    """All that was measured.

    Attributes:
        gains: by name of the network.
        measured: where and when.
    """

    gains: Mapping[str, Gain]
    measured: Provenance


def compared(name: str, rounds: int) -> Gain:
    """Measure one network without and with the rewrites."""
    model = model_of(*CASES[name])
    forms = [PassManager(passes).run(model.clone()).model for passes in (PLAIN, DEFAULT_PIPELINE)]
    before, after = times(forms, rounds)
    told = [sum(map(work_of, form.graph), Work()).nanoseconds / 1e6 for form in forms]
    return Gain((multiplications(forms[0]), multiplications(forms[1])), (before, after), (told[0], told[1]))


def model_of(text: str, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    """Return the graph ``text`` with random weights of ``shapes``, scales of 2 and the index 0.

    Of weights called ``half``, every other row is zero.
    """
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    for output in proto.graph.output:
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        output.type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(0)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "scales": np.array([1, 1, 2, 2], np.float32),
        "first": np.array(0, np.int64),
        **{name: rng.normal(0, prod(shape[1:]) ** -0.5, shape).astype(np.float32) for name, shape in shapes.items()},
    }
    for name in shapes:
        if name.startswith("half"):
            arrays[name][::2] = np.float32(0)
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if name in read
    )
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


def times(models: Sequence[ir.Model], rounds: int) -> list[float]:
    """Return the milliseconds of each, the median of one interleaved run."""
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / f"{index}.tflite" for index in range(len(models))]
        for model, path in zip(models, paths, strict=True):
            convert_directly(model, path)
        return [each.median_ms for each in measure(paths, rounds=rounds, clock=time.thread_time)]


# --- rates -------------------------------------------------------------------------------------------------------

_PICTURE = (1, 32, 192, 192)
"""The shape that is passed through operators without products."""


def print_rates(rounds: int) -> None:
    """Print the numbers of ``layoutopt.layout.costs.arithmetic``."""
    small = model_of("g (float[1,1,1,1] x) => (y) { y = Relu (x) }", {})
    passing = model_of(f"g (float{list(_PICTURE)} x) => (y) {{ y = Add (x, x) }}", {})
    deep = model_of(
        f"g (float{list(_PICTURE)} x) => (y) {{ y = Conv <group = 32, pads = [1,1,1,1]> (x, w) }}", {"w": (32, 1, 3, 3)}
    )
    models = [PassManager(PLAIN).run(each).model for each in (small, passing, deep)]
    overhead, moved, apart = times(models, rounds)
    print(f"OPERATOR = {overhead * 1e6:.0f}")
    print(f"BYTES = {3 * 4 * np.prod(_PICTURE) / (moved - overhead) / 1e6:.1f}")
    print(f"DEPTHWISE = {9 * np.prod(_PICTURE) / (apart - overhead) / 1e6:.1f}")


if __name__ == "__main__":
    main()
