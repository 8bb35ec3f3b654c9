"""One test after the other by one way to a .tflite, in a process that LiteRT may end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.conformance.cases import Case, cases, with_shapes
from benchmarks.conformance.verdicts import Route, Status, Verdict, load, save
from layoutopt.backend.conversion import Conversion
from layoutopt.backend.direct.convert import convert_directly
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.onnx_tf.convert import Handlers, convert_model
from layoutopt.errors import LayoutoptError, UnsupportedOperatorError
from layoutopt.ir import io as modelio
from layoutopt.passes import DEFAULT_PIPELINE, FoldConstants
from layoutopt.pipeline.manager import PassManager
from layoutopt.workflows.conversion import run_natural

Array = npt.NDArray[np.generic]


def judge_all(names: Sequence[str], route: Route, results: Path, *, again: bool) -> None:
    """Judge tests in a process of their own, since LiteRT may take its process with it."""
    verdicts = load(results, route)
    todo = [name for name in names if again or name not in verdicts]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(_pool())
        for position, name in enumerate(todo, 1):
            try:
                verdicts[name] = pool.submit(judge, name, route).result()
            except BrokenProcessPool:
                verdicts[name] = Verdict(Status.FAILED, "LiteRT died")
                pool = stack.enter_context(_pool())
            found = verdicts[name]
            print(f"{position}/{len(todo)} {route.value} {name}: {found.status.value} {found.reason}"[:200], flush=True)
            if position % 50 == 0 or position == len(todo):
                save(verdicts, results, route)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare)


_kept = contextlib.ExitStack()


def _prepare() -> None:
    """Keep the child of TensorFlow alive as long as this process."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # ONNX Runtime and LiteRT say on stderr what is judged here
    _kept.enter_context(kept_alive())


def judge(name: str, route: Route) -> Verdict:
    """Run one test by one route."""
    with tempfile.TemporaryDirectory(prefix="layoutopt-") as scratch:
        found = _verdict(cases()[name], route, Path(scratch), optimized=True)
        if route is not Route.PLAIN or found.status is Status.PASSED:
            return found
        bare = _verdict(cases()[name], route, Path(scratch), optimized=False)
        return bare if bare.status is Status.PASSED else found


def _verdict(case: Case, route: Route, scratch: Path, *, optimized: bool) -> Verdict:
    try:
        for given, expected in case.data:
            outputs = _run(case.model, given, route, scratch / "model.tflite", optimized=optimized)
            for output, wanted in expected.items():
                if complaint := _complaint(outputs[output], wanted, case.rtol, case.atol):
                    return Verdict(Status.WRONG, f"{output}: {complaint}")
    except UnsupportedOperatorError as error:
        return Verdict(Status.UNSUPPORTED, " ".join(error.message.split()))
    except LayoutoptError as error:
        return Verdict(Status.FAILED, f"{type(error).__name__}: {' '.join(error.message.split())}"[:1000])
    except Exception as error:
        return Verdict(Status.FAILED, f"not caught: {type(error).__name__}: {' '.join(str(error).split())}"[:1000])
    return Verdict(Status.PASSED)


def _run(
    proto: onnx.ModelProto, given: Mapping[str, Array], route: Route, tflite: Path, *, optimized: bool
) -> Mapping[str, Array]:
    """Return the outputs of the .tflite that the model becomes."""
    static = with_shapes(proto, given)
    if route is Route.PLAIN and not optimized:
        onnx.save(static, tflite.with_suffix(".onnx"))
        return run_natural(tflite, _through_onnx_tf(tflite, Handlers.PLAIN), given, {}, runner=run_tflite)
    passes = (FoldConstants(),) if route is Route.PLAIN else DEFAULT_PIPELINE
    result = PassManager(passes).run(modelio.parse(static.SerializeToString(), "the test")).model
    modelio.check_full(result)
    if route is Route.DIRECT:
        conversion = convert_directly(result, tflite)
    else:
        modelio.save(result, tflite.with_suffix(".onnx"))
        conversion = _through_onnx_tf(tflite, Handlers.PLAIN if route is Route.PLAIN else Handlers.LAYOUTOPT)
    return run_natural(tflite, conversion, given, modelio.recorded_orders(result), runner=run_tflite)


def _through_onnx_tf(tflite: Path, handlers: Handlers) -> Conversion:
    return convert_model(tflite.with_suffix(".onnx"), tflite=tflite, handlers=handlers)


_ROUNDING = 2.0**-22
"""The error that float32 may have beside the largest element of an output: tests of DFT expect their own float32's."""


def _complaint(found: Array, wanted: object, rtol: float, atol: float) -> str:
    """Return what is wrong with an output; nothing where it is as expected."""
    if not isinstance(wanted, (np.ndarray, np.generic)):
        return f"a {type(wanted).__name__} is expected"
    wanted = np.asarray(wanted)
    if found.shape != wanted.shape:
        return f"shape {found.shape}, not {wanted.shape}"
    if found.dtype != wanted.dtype:
        return f"{found.dtype}, not {wanted.dtype}"
    if wanted.dtype.kind in "biuSUO":
        wrong = found != wanted
    else:
        wide, other = wanted.astype(np.float64), found.astype(np.float64)
        finite = np.abs(wide[np.isfinite(wide)])
        noise = _ROUNDING * float(finite.max(initial=0.0))
        wrong = ~np.isclose(other, wide, rtol=rtol, atol=max(atol, noise), equal_nan=True)
    if not wrong.any():
        return ""
    return f"{np.count_nonzero(wrong)} of {wrong.size} elements, the first {found[wrong][0]}, not {wanted[wrong][0]}"
