"""Runs .tflite files on many samples, one interpreter for all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from layoutopt.backend.litert.invocation import litert, prepare_interpreter
from layoutopt.tfl.dtypes import Array


class TfliteSession:
    """A .tflite file that is ready to run.

    Args:
        path: the file.
        first: an array for each input, in the order of the graph's inputs; all samples have these shapes.
        threads: of XNNPACK.

    Attributes:
        fastest: processor time of the fastest inference so far, in milliseconds.
    """

    def __init__(self, path: Path, first: Sequence[Array], *, threads: int = 1, verbose: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._path, self._verbose = path, verbose
        self.fastest = math.inf
        with litert(path, verbose=verbose):
            self._inputs = [each["index"] for each in Interpreter(model_path=str(path)).get_input_details()]
            given = dict(zip(self._inputs, first, strict=True))
            self._interpreter = prepare_interpreter(path, given, threads=threads)
            self._outputs = [each["index"] for each in self._interpreter.get_output_details()]

    def outputs(self, samples: Iterator[Sequence[Array]]) -> Iterator[list[Array]]:
        """Iterate over the outputs of each sample, in the order of the graph's outputs."""
        for sample in samples:
            with litert(self._path, verbose=self._verbose):
                for index, array in zip(self._inputs, sample, strict=True):
                    self._interpreter.set_tensor(index, array)
                start = time.thread_time()
                self._interpreter.invoke()
                self.fastest = min(self.fastest, 1e3 * (time.thread_time() - start))
            yield [self._interpreter.get_tensor(index) for index in self._outputs]
