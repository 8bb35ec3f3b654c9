"""Networks that are used with open sizes: both files are right at three sizes that took no part in making them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import layoutopt
from layoutopt.backend.conversion import Backend
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.ir.io import load, recorded_orders
from layoutopt.ir.verify import to_natural, to_stored

pytest.importorskip("torch")
from tests.open_networks import NETWORKS, example, export

pytestmark = [pytest.mark.torch, pytest.mark.long]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_take_sizes_that_took_no_part(name: str, tmp_path: Path) -> None:
    network, onnx, tflite = NETWORKS[name], tmp_path / "out.onnx", tmp_path / "out.tflite"
    content = export(network)
    source = tmp_path / "model.onnx"
    source.write_bytes(content)
    layoutopt.optimize(
        source,
        output=onnx,
        tflite=tflite,
        shapes=dict(zip(network.axes, network.export, strict=True)),
        dynamic=network.names,
        baseline=False,
        backend=Backend.DIRECT,
    )
    orders, original = recorded_orders(load(onnx)), ort.InferenceSession(content)
    for shapes in network.others:
        inputs = {each: example(shape, each).numpy() for each, shape in zip(network.axes, shapes, strict=True)}
        (expected,) = original.run(None, inputs)
        stored = to_stored(inputs, orders)
        for found in ({"y": ort.InferenceSession(onnx).run(None, stored)[0]}, run_tflite(tflite, stored)):
            actual = to_natural(found, orders)["y"].astype(np.float64)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
