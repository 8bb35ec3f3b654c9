"""Versions of operators are those that TensorFlow's converter writes, and LiteRT loads them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from layoutopt.tfl.dtypes import DType
from layoutopt.tfl.graph import Operation, Quantization, Value
from layoutopt.tfl.opset import OPSET, OTHERS, definition
from layoutopt.tfl.reader import operator_name, read_tflite, root_table
from layoutopt.tfl.schema import default_options
from layoutopt.tfl.versions import VERSIONS, version_of

CONVERT = """
    import pathlib, sys
    import numpy as np
    import tensorflow as tf

    folder = pathlib.Path(sys.argv[1])
    ops = tf.raw_ops

    def weights(*shape):
        return tf.constant(np.random.default_rng(0).standard_normal(shape, np.float32))

    def write(name, function, shape, dtype, **settings):
        signature = [tf.TensorSpec(shape, dtype)]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function)
        for setting, value in settings.items():
            setattr(converter, setting, value)
        (folder / (name + ".tflite")).write_bytes(converter.convert())

    def moved(x, pads=True):
        rank = len(x.shape)
        results = [tf.transpose(x, range(rank)[::-1]), tf.slice(x, [0] * rank, [1] * rank), x[..., ::2]]
        results += [tf.concat([x, x[:1]], 0), tf.stack([x, x], 1), *tf.split(x, [1, 1], 0), tf.gather(x, [1, 0])]
        if pads:
            results += [tf.pad(x, [[1, 1]] * rank), tf.pad(x, [[1, 1]] * rank, constant_values=1)]
            results += [*tf.split(x, 2, 0), *tf.unstack(x), tf.tile(x, [2] * rank), tf.reverse(x, [0])]
        return results

    for rank in range(1, 7):
        write(f"float{rank}", lambda x: moved(x, rank < 6), [2] * rank, tf.float32)
    for name in ("int32", "int64"):
        write(f"moved_{name}", lambda x: [*moved(x), tf.range(tf.reduce_max(x))] if name == "int32" else
              [tf.transpose(x), x + x, x - 1, x * x, tf.range(tf.reduce_max(x))], [2, 2], name)
    write("bool", lambda x: [tf.transpose(x), x[::2], tf.reverse(x, [0]), tf.where(x), tf.gather(x, [1]),
          tf.fill([2], x[0, 0]), *tf.unstack(x), tf.argmax(x, 0)], [2, 2], tf.bool)

    def computed(x):
        y = x[:1]
        results = [x + y, x - y, x * y, x / y, tf.maximum(x, y), tf.minimum(x, y), tf.abs(x), tf.sign(x), tf.exp(x)]
        results += [tf.math.squared_difference(x, y), tf.math.floordiv(x, y), tf.math.floormod(x, y), x < y, x >= y]
        return [*results, tf.reduce_sum(x, 0), tf.reduce_mean(x, 0), tf.argmax(x, 0), tf.math.top_k(x, 1)[0]]

    for rank in (4, 5):
        write(f"computed{rank}", computed, [2] * rank, tf.float32)
    write("integers", lambda x: [tf.abs(x), tf.sign(x), x == 3, tf.where(x), tf.math.floordiv(x, 2)], [2], "int32")
    for target in ("int8", "uint16", "uint32", "float16", "bfloat16", "float64", "int64", "bool"):
        write(f"cast_{target}", lambda x: tf.cast(x, target), [2], tf.float32)

    def resized(method, corners, centers):
        return lambda x: getattr(ops, method)(images=x, size=[9, 9], align_corners=corners, half_pixel_centers=centers)

    for method in ("ResizeBilinear", "ResizeNearestNeighbor"):
        for corners, centers in ((False, False), (True, False), (False, True)):
            write(f"{method}_{corners}_{centers}", resized(method, corners, centers), [1, 4, 4, 2], tf.float32)

    def products(x):
        y = tf.nn.conv2d(x, weights(3, 3, 4, 8), 1, "SAME")
        return [y, depthwise(x), transposed(y), tf.matmul(tf.reshape(x, [-1, 64]), weights(64, 128))]

    def depthwise(x, dilation=1):
        return tf.nn.depthwise_conv2d(x, weights(3, 3, 4, 1), [1] * 4, "SAME", dilations=[dilation] * 2)

    def transposed(x):
        return tf.nn.conv2d_transpose(x, weights(3, 3, 4, x.shape[3]), [1, 16, 16, 4], 2)

    def others(x):
        y = [tf.nn.relu(x), tf.nn.relu6(x + x), tf.sigmoid(x), tf.tanh(x * x), tf.nn.softmax(x), x - 1.0]
        y += [tf.nn.max_pool2d(x, 2, 2, "SAME"), tf.nn.avg_pool2d(x, 2, 2, "SAME"), tf.reduce_mean(x, [1, 2])]
        y += [tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), tf.transpose(x, [0, 3, 1, 2]), tf.nn.depth_to_space(x, 2)]
        return [*y, tf.concat([x, tf.nn.relu(x)], 3)]

    picture = [1, 8, 8, 4]
    write("grouped", lambda x: tf.nn.conv2d(x, weights(3, 3, 2, 8), 1, "SAME"), picture, tf.float32)
    write("dilated", lambda x: depthwise(x, 2), picture, tf.float32)
    write("bias", lambda x: transposed(x) + weights(4), picture, tf.float32)
    write("activation", lambda x: tf.nn.relu(transposed(x)), picture, tf.float32)
    smaller = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    halves = {"target_spec": tf.lite.TargetSpec(supported_types=[tf.float16])}
    samples = {"representative_dataset": lambda: ([np.full(picture, i, np.float32)] for i in range(3))}
    integers = {"target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8])}
    per_tensor = {"_experimental_disable_per_channel": True,
                  "_experimental_disable_per_channel_quantization_for_dense_layers": True}
    for name, settings in {"plain": {}, "dynamic": smaller, "tensor": smaller | per_tensor, "halves": smaller | halves,
                           "int8": smaller | samples | integers}.items():
        write(f"{name}_products", products, picture, tf.float32, **settings)
        write(f"{name}_others", others, picture, tf.float32, **settings)
"""


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that TensorFlow's converter made."""
    folder = tmp_path_factory.mktemp("converted")
    command = [sys.executable, "-c", textwrap.dedent(CONVERT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def codes_of(path: Path) -> Mapping[str, int]:
    with root_table(path) as file:
        codes = [file.OperatorCodes(index) for index in range(file.OperatorCodesLength())]
        return {operator_name(code): code.Version() for code in codes}


@pytest.mark.onnx_tf
def test_versions_are_those_of_the_converter(converted: Path) -> None:
    """A file has each operator once, at the largest version that one in it needs."""
    files = sorted(converted.glob("*.tflite"))
    met: set[tuple[str, int]] = set()
    for path in files:
        need: dict[str, int] = {}
        for operation in read_tflite(path).graph.all_operations():
            need[operation.code] = max(need.get(operation.code, 1), version_of(operation))
        assert need == codes_of(path), path.name
        met.update(need.items())
    assert {code for code, version in met if version > 1} > {"CONV_2D", "TRANSPOSE", "CAST", "FULLY_CONNECTED", "PADV2"}
    assert {version for code, version in met if code == "TRANSPOSE"} >= {1, 3, 4, 6}
    assert {version for code, version in met if code == "FULLY_CONNECTED"} >= {1, 4, 12}


def test_tables_fit_together() -> None:
    assert {*VERSIONS} <= {*OPSET, *OTHERS}
    assert not {*OPSET} & {*OTHERS}


def operation(code: str, *operands: Value | None, result: Value | None = None, **options: object) -> Operation:
    found = Value(DType.FLOAT32, (2,)) if result is None else result
    return Operation(code, list(operands), [found], {**default_options(definition(code).options), **options})


def of(dtype: DType, rank: int = 1, scales: int = 0) -> Value:
    quantization = Quantization((0.5,) * scales, (0,) * scales) if scales else None
    return Value(dtype, (2,) * rank, quantization=quantization)


CASES = [
    (operation("TRANSPOSE", of(DType.FLOAT32, 7)), 8),
    (operation("TRANSPOSE", of(DType.INT16, 6)), 6),
    (operation("TRANSPOSE", of(DType.INT16, 5)), 5),
    (operation("DEQUANTIZE", of(DType.INT8, 1, 1)), 2),
    (operation("DEQUANTIZE", of(DType.INT8, 1, 2)), 5),
    (operation("FULLY_CONNECTED", of(DType.FLOAT32), of(DType.FLOAT32, 2)), 6),
    (operation("FULLY_CONNECTED", of(DType.FLOAT32), of(DType.FLOAT32, 2), None, keep_num_dims=True), 5),
    (operation("FULLY_CONNECTED", of(DType.FLOAT32), of(DType.INT8, 2, 2), None), 12),
    (operation("FULLY_CONNECTED", of(DType.FLOAT32), of(DType.INT8, 2, 1), None), 3),
    (operation("FULLY_CONNECTED", of(DType.FLOAT32), of(DType.INT8, 2, 1), None, asymmetric_quantize_inputs=True), 9),
    (operation("ADD", of(DType.INT16), of(DType.INT16), result=of(DType.INT16)), 5),
    (operation("ADD", of(DType.INT16, 1, 1), of(DType.INT16, 1, 1), pot_scale_int16=False), 3),
    (operation("MUL", of(DType.INT16), of(DType.INT16)), 7),
    (operation("MUL", of(DType.INT8, 1, 1), of(DType.INT8, 1, 1), result=of(DType.INT8, 1, 1)), 2),
    (operation("ABS", of(DType.INT16)), 4),
    (operation("ABS", of(DType.INT16, 1, 1)), 3),
    (operation("GATHER", of(DType.FLOAT32), of(DType.INT16)), 6),
    (operation("RELU", of(DType.FLOAT32)), 1),
    (operation("FlexErf", of(DType.FLOAT32)), 1),
]


@pytest.mark.parametrize(("case", "version"), CASES, ids=[f"{case.code}-{version}" for case, version in CASES])
def test_versions_that_the_converter_has_no_files_of(case: Operation, version: int) -> None:
    """As the list of versions in TensorFlow's sources has them."""
    assert version_of(case) == version
