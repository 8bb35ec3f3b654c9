"""LiteRT's own profiler, which its Python API does not reach: through the C API of ``libLiteRt.so``.

Runs in a process of its own (`profile`): a C interface that a later version changes can only end that process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layoutopt.backend.litert.inspect import TfliteTensor, signature_of
from layoutopt.backend.litert.runtime import random_arrays

_PROFILING = "runtime_options_string", "enable_profiling = true"
_CPU = 1  # LiteRtHwAccelerators
_WRITE = 1  # LiteRtTensorBufferLockMode
_RANKED_TYPE = 18  # 32-bit words of a LiteRtRankedTensorType: type, rank, 8 sizes, 8 strides
_SIZES = 2  # the word at which its sizes begin
_LAYOUT = 17  # 32-bit words of a LiteRtLayout: the same without the type
_EVENT = 13  # 64-bit words of a ProfiledEventData
_TAG, _KIND, _ELAPSED, _INDEX, _GRAPH = 0, 1, 3, 10, 11  # the words of an event that count
_OPERATOR, _INTERNAL = 2, 4 | 8  # kinds of events: an operator of the model, and one of a delegate's own


def main(job: Mapping[str, Any]) -> None:
    """Profile a file and print the events of each inference in its main graph: name, place there or -1, microseconds.

    Args:
        job: ``path``, ``threads``, ``xnnpack``, ``warmup`` and ``rounds`` (inferences), ``seed``.
    """
    model = _Profiled(Path(job["path"]), threads=job["threads"], xnnpack=job["xnnpack"], seed=job["seed"])
    for _ in range(job["warmup"]):
        model.run()
    for _ in range(job["rounds"]):
        print(json.dumps(model.events()), flush=True)


class _Profiled:
    """A .tflite file, compiled with the profiler on and its inputs filled."""

    def __init__(self, path: Path, *, threads: int, xnnpack: bool, seed: int) -> None:
        self._library = _load()
        self._environment = self._make("CreateEnvironment", 0, None)
        model = self._make("CreateModelFromFile", self._environment, str(path).encode())
        self._model = self._make(
            "CreateCompiledModel", self._environment, model, self._options(threads, xnnpack=xnnpack)
        )
        self._profiler = self._make("CompiledModelGetProfiler", self._model)
        self._signature = self._make("GetModelSignature", model, ctypes.c_size_t(0))
        tensors = {tensor.signature_name: tensor for tensor in signature_of(path).inputs}
        arrays = dict(zip(tensors, random_arrays(list(tensors.values()), seed), strict=True))
        names = [self._input_name(index) for index in range(self._count("GetNumSignatureInputs"))]
        for index, name in enumerate(names):
            self._resize(index, tensors[name])
        handles = [self._buffer("Input", index, tensors[name].default) for index, name in enumerate(names)]
        for handle, name in zip(handles, names, strict=True):
            self._fill(handle, arrays[name])
        self._inputs = (ctypes.c_void_p * len(names))(*handles)
        shapes = self._output_shapes(self._count("GetNumSignatureOutputs"))
        handles = [self._buffer("Output", index, shape) for index, shape in enumerate(shapes)]
        self._outputs = (ctypes.c_void_p * len(shapes))(*handles)

    def run(self) -> None:
        """Run one inference."""
        inputs, outputs = self._inputs, self._outputs
        sizes = ctypes.c_size_t(len(inputs)), ctypes.c_size_t(len(outputs))
        self._call("RunCompiledModel", self._model, ctypes.c_size_t(0), sizes[0], inputs, sizes[1], outputs)

    def events(self) -> list[tuple[str, int, int]]:
        """Return the events of one inference, in order."""
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        self.run()
        self._call("StopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        words = (ctypes.c_uint64 * (_EVENT * count.value))()
        self._call("GetProfilerEvents", self._profiler, count, words)
        found = []
        for start in range(0, len(words), _EVENT):
            event = words[start : start + _EVENT]
            kind = event[_KIND] & 0xFFFFFFFF
            if kind & (_OPERATOR | _INTERNAL) and event[_GRAPH] == 0:
                name = ctypes.string_at(event[_TAG]).decode()
                found.append((name, event[_INDEX] if kind == _OPERATOR else -1, event[_ELAPSED]))
        return found

    def _options(self, threads: int, *, xnnpack: bool) -> ctypes.c_void_p:
        options = self._make("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, _CPU)
        self._keep = []
        kernels = "" if xnnpack else 'kernel_mode = "builtin"'
        for name, text in (_PROFILING, ("xnnpack", f"num_threads = {threads}\n{kernels}")):
            payload = ctypes.create_string_buffer(text.encode())
            self._keep.append(payload)
            opaque = self._make("CreateOpaqueOptions", name.encode(), payload, _KEPT)
            self._call("AddOpaqueOptions", options, opaque)
        return options

    def _input_name(self, index: int) -> str:
        name = ctypes.c_char_p()
        self._call("GetSignatureInputName", self._signature, ctypes.c_size_t(index), ctypes.byref(name))
        return (name.value or b"").decode()

    def _count(self, function: str) -> int:
        count = ctypes.c_size_t()
        self._call(function, self._signature, ctypes.byref(count))
        return count.value

    def _resize(self, index: int, tensor: TfliteTensor) -> None:
        """Give an input of dynamic sizes those that it has in the file."""
        if -1 in tensor.shape:
            sizes = (ctypes.c_int * len(tensor.default))(*tensor.default)
            place = ctypes.c_size_t(0), ctypes.c_size_t(index)
            self._call("CompiledModelResizeInputTensor", self._model, *place, sizes, ctypes.c_size_t(len(sizes)))

    def _output_shapes(self, count: int) -> list[tuple[int, ...]]:
        words = (ctypes.c_int32 * (_LAYOUT * count))()
        place = ctypes.c_size_t(0), ctypes.c_size_t(count)
        self._call("GetCompiledModelOutputTensorLayouts", self._model, *place, words, ctypes.c_bool(True))
        layouts = [words[start : start + _LAYOUT] for start in range(0, len(words), _LAYOUT)]
        return [tuple(layout[1 : 1 + (layout[0] & 0x7F)]) for layout in layouts]

    def _buffer(self, side: str, index: int, shape: tuple[int, ...]) -> ctypes.c_void_p:
        """Return memory for one input or output."""
        tensor = self._make(f"GetSignature{side}TensorByIndex", self._signature, ctypes.c_size_t(index))
        kind = (ctypes.c_int32 * _RANKED_TYPE)()
        self._call("GetRankedTensorType", tensor, kind)
        kind[_SIZES : _SIZES + len(shape)] = list(shape)
        place = ctypes.c_size_t(0), ctypes.c_size_t(index)
        needs = self._make(f"GetCompiledModel{side}BufferRequirements", self._model, *place)
        return self._make("CreateManagedTensorBufferFromRequirements", self._environment, kind, needs)

    def _fill(self, buffer: ctypes.c_void_p, array: np.ndarray[Any, Any]) -> None:
        address = ctypes.c_void_p()
        self._call("LockTensorBuffer", buffer, ctypes.byref(address), _WRITE)
        ctypes.memmove(address, array.tobytes(), array.nbytes)
        self._call("UnlockTensorBuffer", buffer)

    def _make(self, function: str, *arguments: object) -> ctypes.c_void_p:
        """Call a function that gives a handle through its last argument."""
        handle = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(handle))
        return handle

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, f"LiteRt{function}")(*arguments)
        if status:
            raise RuntimeError(f"LiteRt{function} returned {status}")


_KEPT = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _payload: None)
"""The texts of options that LiteRT may ask for: Python's collector would free them."""


def _load() -> ctypes.CDLL:
    package = importlib.util.find_spec("ai_edge_litert")
    if package is None or package.origin is None:
        raise RuntimeError("ai-edge-litert is not installed")
    return ctypes.CDLL(str(Path(package.origin).with_name("libLiteRt.so")))
