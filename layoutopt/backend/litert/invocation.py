"""Makes a .tflite file run in LiteRT, by the numbers of its tensors.

A child process needs no more than this, and it takes little time to import: no schema, no ONNX.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from layoutopt.errors import ConversionError

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

Array = npt.NDArray[np.generic]


def run_once(
    path: Path, inputs: Mapping[int, Array], outputs: Sequence[int], *, threads: int = 1, verbose: bool = False
) -> list[Array]:
    """Run a file once.

    Args:
        path: the file.
        inputs: an array for each input, by the index of its tensor.
        outputs: indices of tensors.
        threads: of XNNPACK.
        verbose: let through what LiteRT writes to stderr.

    Returns:
        The arrays of ``outputs``.

    Raises:
        ConversionError: LiteRT cannot run the file.
    """
    with litert(path, verbose=verbose):
        interpreter = prepare_interpreter(path, inputs, threads=threads)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]


def prepare_interpreter(
    path: Path, inputs: Mapping[int, Array], *, threads: int, xnnpack: bool = True, keep_all: bool = False
) -> Interpreter:
    """Return an interpreter with its inputs set; one of another shape than the file says takes that of its array.

    Args:
        path: the file.
        inputs: by the index of the tensor.
        threads: of XNNPACK.
        xnnpack: whether it runs what it can.
        keep_all: whether all tensors are preserved, which is without XNNPACK.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    bare = keep_all or not xnnpack
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if bare else OpResolverType.AUTO
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=threads,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=keep_all,
    )
    for details in interpreter.get_input_details():
        array = inputs[details["index"]]
        if tuple(details["shape"]) != array.shape:
            interpreter.resize_tensor_input(details["index"], array.shape)
    interpreter.allocate_tensors()
    for index, array in inputs.items():
        interpreter.set_tensor(index, array)
    return interpreter


@contextmanager
def litert(path: Path, *, verbose: bool) -> Iterator[None]:
    """Turn what LiteRT raises into ours, and keep what it writes to stderr for the message.

    The native library has no switch for its messages and knows nothing of ``sys.stderr``, so the descriptor itself is
    turned away for as long as the block runs; that of the whole process, so the block should be short.
    """
    with tempfile.TemporaryFile() as log:
        try:
            if verbose:
                yield
            else:
                with _stderr_to(log.fileno()):
                    yield
        except (RuntimeError, ValueError) as error:
            log.seek(0)
            said = [line for line in log.read().decode(errors="replace").splitlines() if line.startswith("ERROR")]
            raise ConversionError("LiteRT", f"{path}: {' '.join([str(error), *said])}") from error


@contextmanager
def _stderr_to(descriptor: int) -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
