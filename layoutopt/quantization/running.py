"""Runs .tflite files on many samples, one interpreter for all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.backend.litert.invocation import litert, prepare_interpreter
from layoutopt.backend.litert.runtime import dequantized, quantized
from layoutopt.tfl.dtypes import Array


class TfliteSession:
    """A .tflite file that is ready to run, on real numbers even where its inputs and outputs are integers.

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
            self._inputs = Interpreter(model_path=str(path)).get_input_details()
            given = {each["index"]: _stored(array, each) for each, array in zip(self._inputs, first, strict=True)}
            self._interpreter = prepare_interpreter(path, given, threads=threads)
            self._outputs = self._interpreter.get_output_details()

    def outputs(self, samples: Iterator[Sequence[Array]]) -> Iterator[list[Array]]:
        """Iterate over the outputs of each sample, in the order of the graph's outputs."""
        for sample in samples:
            with litert(self._path, verbose=self._verbose):
                for each, array in zip(self._inputs, sample, strict=True):
                    self._interpreter.set_tensor(each["index"], _stored(array, each))
                start = time.thread_time()
                self._interpreter.invoke()
                self.fastest = min(self.fastest, 1e3 * (time.thread_time() - start))
            yield [dequantized(self._interpreter.get_tensor(each["index"]), each) for each in self._outputs]


def _stored(array: Array, details: Mapping[str, Any]) -> Array:
    """Return real numbers as the integers that an input takes, by LiteRT's description; itself if it takes floats."""
    found, dtype = details["quantization_parameters"], np.dtype(details["dtype"])
    if not found["scales"].size or array.dtype.kind != "f" or dtype.kind not in "iu":
        return array
    return quantized(array, dtype, found["scales"][0], int(found["zero_points"][0]))
