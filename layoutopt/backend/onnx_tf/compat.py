"""Stand-ins for four modules that onnx-tf 1.10 imports and that are gone from its dependencies or never needed.

They exist only while onnx-tf is being imported: its modules keep the names they bound, everybody else sees
`sys.modules` and `onnx` as they were.

- ``onnx.mapping`` and ``onnx.helper.mapping``: onnx dropped them. Real tables, rebuilt from `onnx.helper`, since
  onnx-tf reads them.
- ``tensorflow_addons.seq2seq.hardmax``: the package is abandoned and does not import beside Keras 3. A working hardmax.
- ``tensorflow_probability.distributions``: only for the random operator Bernoulli, which raises on use.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import NoReturn

import numpy as np
import onnx
import tensorflow as tf

_ABSENT = object()


def import_onnx_tf() -> ModuleType:
    """Import ``onnx_tf.backend`` among the stand-ins.

    Raises:
        ImportError: onnx-tf is not installed, or a stand-in no longer suffices.
    """
    with _standing_in(_stand_ins()):
        return importlib.import_module("onnx_tf.backend")


def _stand_ins() -> Mapping[str, ModuleType]:
    addons = ModuleType("tensorflow_addons")
    addons.seq2seq = SimpleNamespace(hardmax=_hardmax)  # type: ignore[attr-defined]
    probability = ModuleType("tensorflow_probability")
    probability.distributions = SimpleNamespace(Bernoulli=_bernoulli)  # type: ignore[attr-defined]
    return {"onnx.mapping": _mapping(), "tensorflow_addons": addons, "tensorflow_probability": probability}


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    modules_before = {name: sys.modules.get(name) for name in modules}
    attributes = ((onnx, "mapping"), (onnx.helper, "mapping"))
    attributes_before = [getattr(owner, name, _ABSENT) for owner, name in attributes]
    sys.modules.update(modules)
    for owner, name in attributes:
        setattr(owner, name, modules["onnx.mapping"])
    try:
        yield
    finally:
        for name, module in modules_before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        for (owner, name), value in zip(attributes, attributes_before, strict=True):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)


def _mapping() -> ModuleType:
    """Return the tables of ``onnx.mapping`` as they last were: types up to bfloat16, which counts as float32."""
    types = [kind for kind in onnx.helper.get_all_tensor_dtypes() if kind <= onnx.TensorProto.BFLOAT16]
    numpy_types = {kind: onnx.helper.tensor_dtype_to_np_dtype(kind) for kind in types}
    numpy_types[onnx.TensorProto.BFLOAT16] = np.dtype(np.float32)
    storage = {kind: onnx.helper.tensor_dtype_to_storage_tensor_dtype(kind) for kind in types}
    module = ModuleType("onnx.mapping")
    module.TENSOR_TYPE_TO_NP_TYPE = numpy_types  # type: ignore[attr-defined]
    module.NP_TYPE_TO_TENSOR_TYPE = {  # type: ignore[attr-defined]
        dtype: kind for kind, dtype in numpy_types.items() if kind != onnx.TensorProto.BFLOAT16
    }
    module.TENSOR_TYPE_TO_STORAGE_TENSOR_TYPE = storage  # type: ignore[attr-defined]
    module.STORAGE_TENSOR_TYPE_TO_FIELD = {  # type: ignore[attr-defined]
        kind: onnx.helper.tensor_dtype_to_field(kind) for kind in set(storage.values())
    }
    return module


def _hardmax(logits: tf.Tensor, name: str | None = None) -> tf.Tensor:
    """Return one where the last axis has its first largest element, else zero."""
    with tf.name_scope(name or "hardmax"):
        return tf.one_hot(tf.argmax(logits, -1), tf.shape(logits)[-1], dtype=logits.dtype)


def _bernoulli(*_: object, **__: object) -> NoReturn:
    raise NotImplementedError("Bernoulli draws random numbers, which a .tflite cannot")
