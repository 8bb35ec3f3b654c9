"""The element types, and the number of axes, that LiteRT's kernels take of each operator.

::

    python -m benchmarks.kernel_limits [OPERATOR ...]

Each question is a model of one operator, which a process of its own allocates and runs, since kernels may abort; once
with LiteRT's own kernels alone and once with XNNPACK. Where `layoutopt.tfl.folding` computes the operator, the result
has to be the same. What was found goes to ``benchmarks/results/kernel_limits.json``; `layoutopt.tfl.kernels` says it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.kernel_models import BROADCASTING, MAKE, Question, model_of
from layoutopt.backend.direct.writer import write_tflite
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.folding import fold
from layoutopt.tfl.graph import Graph

RESULTS = Path(__file__).parent / "results" / "kernel_limits.json"
TYPES = tuple(each for each in DType if each not in (DType.STRING, DType.RESOURCE, DType.VARIANT))
MAX_RANK = 8
"""No more axes are asked for; tensors have hardly ever more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the kernels of one operator.

    Attributes:
        types: element types of plain numbers, separated by spaces.
        quantized: element types of integers that stand for real numbers, likewise.
        rank: the most axes, of at most ``MAX_RANK``; None where it is never run.
        broadcast_rank: as ``rank``, of operands of different shapes; None where there is one operand, or none is run.
    """

    types: str
    quantized: str
    rank: int | None
    broadcast_rank: int | None


@dataclass(frozen=True, slots=True)
class Operator:
    """The facts about one operator.

    Attributes:
        plain: limits of LiteRT's own kernels.
        xnnpack: limits where XNNPACK runs what it can.
    """

    plain: Limits
    xnnpack: Limits


@dataclass(frozen=True, slots=True)
class KernelLimits:
    """The findings of the script.

    Attributes:
        litert: the version that was asked.
        operators: by code.
    """

    litert: str
    operators: Mapping[str, Operator]


# --- asking --------------------------------------------------------------------------------------------------------


def ask(questions: Iterable[Question]) -> Iterator[bool]:
    """Yield whether kernels take what each question asks, as a process says that was started for it."""
    command = [sys.executable, "-m", "benchmarks.kernel_limits", "--answer"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for question in questions:
            child.stdin.write(json.dumps({**asdict(question), "dtype": question.dtype.value}) + "\n")
            yield child.stdout.readline() == "yes\n"
        child.stdin.close()


def answer() -> None:
    """Answer the questions on standard input, each in a fork, which it may kill."""
    import ai_edge_litert.interpreter  # noqa: F401  (before the fork, so that it is loaded once)

    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            asked = json.loads(line)
            question = Question(**{**asked, "dtype": DType(asked["dtype"])})
            if not (process := os.fork()):
                signal.alarm(5)
                os._exit(_answer(question, Path(folder) / "model.tflite"))
            print("yes" if os.waitpid(process, 0)[1] == YES << 8 else "no", flush=True)


YES = 1
"""Exit code of a fork that was not killed and says yes."""


def _answer(question: Question, path: Path) -> bool:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if (model := model_of(question)) is None:
        return False
    write_tflite(model, path)
    plain, all_ = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN
    inputs = [np.ones(value.sizes, value.dtype.numpy) for value in model.graph.inputs]
    try:
        interpreter = Interpreter(str(path), experimental_op_resolver_type=all_ if question.xnnpack else plain)
        interpreter.allocate_tensors()
        for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        got = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    except (RuntimeError, ValueError):
        return False
    return question.quantized or _agrees(model.graph, inputs, got)


def _agrees(graph: Graph, inputs: Sequence[Array], got: Sequence[Array]) -> bool:
    """Return whether results are what folding makes of the operator, if it does."""
    if len(graph.operations) > 1:
        return True
    (operation,) = graph.operations
    given = dict(zip(graph.inputs, inputs, strict=True))
    operands = [given.get(each, each.data) for each in operation.operands if each is not None]
    options = {**operation.options, "dtype": operation.results[0].dtype.value}
    try:
        wanted = fold(operation.code, [each for each in operands if each is not None], options)
    except (AttributeError, TypeError, ValueError):  # not of these types
        return True
    return wanted is None or all(
        mine.shape == want.shape and np.allclose(mine.astype(np.float64), want.astype(np.float64), 1e-2)
        for mine, want in zip(got, wanted, strict=True)
    )


# --- what is taken -------------------------------------------------------------------------------------------------


def of_types(code: str, rank: int, *, xnnpack: bool) -> list[Question]:
    """Return the questions on the element types of an operator."""
    quantizable = [each for each in TYPES if each.is_integer and each.bits <= 16]
    plain = [Question(code, dtype, rank, xnnpack=xnnpack) for dtype in TYPES if code != "QUANTIZE"]
    return [*plain, *(Question(code, dtype, rank, quantized=True, xnnpack=xnnpack) for dtype in quantizable)]


def of_ranks(question: Question) -> list[Question]:
    """Return the questions on the largest rank of what is taken at another."""
    same = [replace(question, rank=rank) for rank in range(question.rank + 1, MAX_RANK + 1)]
    first = 1 + (question.code == "BATCH_MATMUL")
    ranks = range(first, MAX_RANK + 1) if question.code in BROADCASTING else ()
    return [*same, *(replace(question, rank=rank, broadcast=True) for rank in ranks)]


RANKS: Mapping[str, int] = {
    **dict.fromkeys(("RANGE",), 0),
    **dict.fromkeys(("UNIQUE",), 1),
    **dict.fromkeys(("BATCH_MATMUL", "SQUEEZE"), 3),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION"), 4),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), 4),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 4),
    **dict.fromkeys(("CONV_3D", "CONV_3D_TRANSPOSE"), 5),
}
"""At which operators are asked for types, where that is not 2."""
OF_ONE_RANK = {"DEPTH_TO_SPACE", "NON_MAX_SUPPRESSION_V4", "RANGE", "SQUEEZE", "UNIQUE"}


def limits_of(code: str, *, xnnpack: bool) -> Limits:
    """Return what kernels take of an operator."""
    questions = of_types(code, RANKS.get(code, 2), xnnpack=xnnpack)
    taken = [question for question, found in zip(questions, ask(questions), strict=True) if found]
    types = " ".join(str(question.dtype) for question in taken if not question.quantized)
    quantized = " ".join(str(question.dtype) for question in taken if question.quantized)
    if not taken:
        return Limits("", "", None, None)
    first = next((question for question in taken if question.dtype is DType.FLOAT32), taken[0])
    questions = [] if code in OF_ONE_RANK else of_ranks(first)
    ranks: dict[bool, int] = {False: first.rank}
    for question, found in zip(questions, ask(questions), strict=True):
        if found and ranks.get(question.broadcast, question.rank - 1) == question.rank - 1:
            ranks[question.broadcast] = question.rank
    return Limits(types, quantized, None if code in OF_ONE_RANK else ranks[False], ranks.get(True))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answer", action="store_true", help="answer questions on standard input")
    parser.add_argument("operators", nargs="*", metavar="OPERATOR", help="ask about these again, and about no others")
    given = parser.parse_args()
    if given.answer:
        answer()
        return
    from benchmarks import records  # which those who answer do without

    found = dict(records.load(KernelLimits, RESULTS).operators) if given.operators else {}
    for code in given.operators or sorted(MAKE):
        found[code] = Operator(limits_of(code, xnnpack=False), limits_of(code, xnnpack=True))
        print(code, *(f"{limits.rank} {limits.broadcast_rank}" for limits in (found[code].plain, found[code].xnnpack)))
    records.save(KernelLimits(version("ai-edge-litert"), dict(sorted(found.items()))), RESULTS)


if __name__ == "__main__":
    main()
