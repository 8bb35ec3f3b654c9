"""The front door for PyTorch."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import layoutopt
from layoutopt.errors import ConversionError, MissingExtraError
from layoutopt.ir.verify import run_onnx
from layoutopt.options import Exporter


@pytest.mark.torch
@pytest.mark.parametrize("exporter", list(Exporter))
def test_a_module_becomes_a_model_that_computes_the_same(exporter: Exporter) -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.SiLU())
    module.train()
    x = torch.randn(1, 3, 8, 8)
    model = layoutopt.from_torch(module, x, exporter=exporter, input_names=["image"], output_names=["features"])
    assert module.training
    assert [value.name for value in (*model.graph.inputs, *model.graph.outputs)] == ["image", "features"]
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    found = np.asarray(run_onnx(model, {"image": x.numpy()})["features"], np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.torch
def test_inputs_by_keyword_and_in_sequence() -> None:
    import torch

    class Subtract(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a - b

    a, b = torch.tensor([3.0]), torch.tensor([1.0])
    for inputs in ((a, b), {"a": a, "b": b}):
        model = layoutopt.from_torch(Subtract(), inputs, input_names=["a", "b"])
        (result,) = run_onnx(model, {"a": a.numpy(), "b": b.numpy()}).values()
        assert result == [2.0]


@pytest.mark.torch
def test_an_export_that_fails_names_the_exporter() -> None:
    import torch

    class Broken(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise ValueError("no forward")

    with pytest.raises(ConversionError, match="legacy exporter: no forward"):
        layoutopt.from_torch(Broken(), torch.zeros(1))


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"layoutopt\[torch\]"):
        layoutopt.from_torch(None, [])
