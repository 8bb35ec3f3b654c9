"""Replays and converts recorded graphs, as a process of its own: TensorFlow warns while it is imported.

``python -m tests.backend.replaying FOLDER`` writes ``N.tflite`` for case N of `CASES`, or ``N.txt`` that tells why not;
the same for `FOREIGN` by name; and ``operators.txt`` with the operators that the replay knows.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir

from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.recorder import record
from tests.backend.recorded import CASES


def foreign_model(operator: str) -> Model:
    """An operator of ONNX that nobody has lowered, between two that are."""
    graph = Graph([Value(DType.FLOAT32, (2, 3, 4, 5))])
    node = ir.node(operator, [ir.Value(name="x")])
    with tfl.recording(graph), tfl.scope("strange"):
        x = tfl.neg(graph.inputs[0])
        (y,) = record(f"ONNX:{operator}", x, results=[(DType.FLOAT32, (2, 3, 4, 5))], node=node)
        graph.outputs = [tfl.abs_(y)]
    return Model(graph, ["x"], ["y"])


FOREIGN = ("MeanVarianceNormalization", "RandomNormalLike")


def main(folder: Path) -> None:
    """Replay and convert everything."""
    from layoutopt.backend.onnx_tf.foreign import ForeignOperators
    from layoutopt.backend.onnx_tf.replay import replay
    from layoutopt.backend.onnx_tf.tensorflow_operators import TENSORFLOW_OPERATORS

    (folder / "operators.txt").write_text("\n".join(TENSORFLOW_OPERATORS))
    for number, case in enumerate(CASES):
        model = case.model()
        _convert(folder / f"{number}.tflite", model, partial(replay, model))
    foreign = ForeignOperators({"": 13})
    for name in FOREIGN:
        model = foreign_model(name)
        _convert(folder / f"{name}.tflite", model, partial(replay, model, foreign))
        _convert(folder / f"{name}-refused.tflite", model, partial(replay, model))


def _convert(path: Path, model: Model, trace: Callable[[], Any]) -> None:
    import tensorflow as tf

    from layoutopt.backend.direct.writer import write_tflite
    from layoutopt.backend.onnx_tf.finish import finish, scales_of
    from layoutopt.backend.onnx_tf.tflite_converter import converter_of

    try:
        converter = converter_of(trace())
        if path.stem in FOREIGN:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        names = model.input_names, model.output_names
        write_tflite(finish(converter.convert(), *names, scales_of(model.graph)), path)
    except Exception:
        path.with_suffix(".txt").write_text(traceback.format_exc())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
