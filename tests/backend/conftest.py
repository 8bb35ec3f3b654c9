"""What the tests of the backend share, since TensorFlow takes seconds to import: a child, and files from another."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from layoutopt.backend.onnx_tf.child import Child
from tests.handoff import HandOff


@pytest.fixture(scope="session", params=["direct", pytest.param("onnx-tf", marks=pytest.mark.long)])
def hand_off(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandOff]:
    """Each backend; TensorFlow's process is kept alive from test to test."""
    directory = tmp_path_factory.mktemp("hand-off")
    if request.param == "direct":
        yield HandOff(directory)
        return
    child = Child(verbose=False)
    yield HandOff(directory, child)
    child.close()


CONVERT = """
    import pathlib, sys
    import tensorflow as tf

    folder = pathlib.Path(sys.argv[1])
    weight = tf.random.stateless_normal((3, 3, 4, 4), (0, 0))

    def conv(x):
        for _ in range(6):
            x = tf.nn.conv2d(x, weight, 1, "SAME")
        return x

    def loop(x):
        return tf.while_loop(lambda i, x: i < 4, lambda i, x: (i + 1, conv(x)), [0, conv(x)])[1]

    def write(name, function, *specs, flex=False, strip=False):
        module = tf.Module()
        module.call = tf.function(function, input_signature=specs)
        saved = str(folder / f"{name}.saved")
        tf.saved_model.save(module, saved, signatures=module.call)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        if flex:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
        content = converter.convert()
        if strip:
            from tensorflow.lite.python import schema_py_generated as schema
            import flatbuffers
            model = schema.ModelT.InitFromPackedBuf(content, 0)
            model.signatureDefs = None
            builder = flatbuffers.Builder()
            builder.Finish(model.Pack(builder), b"TFL3")
            content = bytes(builder.Output())
        (folder / f"{name}.tflite").write_bytes(content)

    def spec(name, *shape, dtype=tf.float32):
        return tf.TensorSpec(shape, dtype, name=name)

    write("small", lambda x: {"y": conv(x)}, spec("x", 1, 16, 16, 4))
    write("large", lambda x: {"y": conv(x)}, spec("x", 1, 64, 64, 4))
    write("loop", lambda x: {"y": conv(loop(x))}, spec("x", 1, 16, 16, 4))
    write("mixed", lambda x: {"y": conv(tf.pad(conv(x), [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT"))},
          spec("x", 1, 32, 32, 4))
    write("two", lambda b, a: {"z": a - b, "y": a + 2 * b}, spec("b", 2, 3), spec("a", 2, 3))
    write("unsigned", lambda b, a: {"z": a - b}, spec("b", 2, 3), spec("a", 2, 3), strip=True)
    write("dynamic", lambda x: {"y": x * 2.0}, spec("x", None, 3))
    write("flex", lambda x: {"y": tf.math.erf(x)}, spec("x", 2), flex=True)
    write("types", lambda i, m, q: {"y": tf.where(m, tf.cast(i, tf.float32), tf.cast(q, tf.float32))},
          spec("i", 4, dtype=tf.int64), spec("m", 4, dtype=tf.bool), spec("q", 4, dtype=tf.uint8))
"""


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of .tflite files, made in a process of its own because TensorFlow warns while it is imported."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-c", textwrap.dedent(CONVERT), str(folder)], check=True, capture_output=True)
    return folder
