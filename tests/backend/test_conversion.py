"""Who makes the .tflite, and what is said where TensorFlow is missing."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from layoutopt.backend import conversion
from layoutopt.backend.conversion import (
    Backend,
    choose_backend,
    missing_for_onnx_tf,
    require_onnx_tf,
)
from layoutopt.errors import MissingExtraError, UsageError

DIRECT, ONNX_TF = Backend.DIRECT, Backend.ONNX_TF


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let packages seem not to be installed, and all others to be."""
    monkeypatch.setattr(conversion, "missing_for_onnx_tf", missing_for_onnx_tf)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else object())


def test_what_tensorflow_cannot_take_is_converted_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch)
    assert choose_backend(None, size=2**31) is ONNX_TF
    assert choose_backend(None, size=2**31 + 1) is DIRECT
    for backend, saved_model in ((ONNX_TF, False), (None, True)):
        with pytest.raises(UsageError, match=r"has 2\.2 GB, and TensorFlow takes models up to 2\.1 GB"):
            choose_backend(backend, saved_model=saved_model, size=2_200_000_000)


@pytest.mark.parametrize(
    ("asked", "saved_model", "allow_flex", "without", "chosen"),
    [
        (None, False, False, (), ONNX_TF),
        (None, False, False, ("tensorflow",), DIRECT),
        (None, False, False, ("onnx_tf",), DIRECT),
        (None, True, False, (), ONNX_TF),
        (None, False, True, (), ONNX_TF),
        (DIRECT, False, False, (), DIRECT),
        (DIRECT, False, False, ("tensorflow", "onnx_tf"), DIRECT),
        (ONNX_TF, False, False, (), ONNX_TF),
        (ONNX_TF, True, True, (), ONNX_TF),
    ],
)
def test_the_backend_to_use(
    asked: Backend | None,
    saved_model: bool,
    allow_flex: bool,
    without: tuple[str, ...],
    chosen: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide(monkeypatch, *without)
    assert choose_backend(asked, saved_model=saved_model, allow_flex=allow_flex) is chosen


@pytest.mark.parametrize("asked", [None, DIRECT, ONNX_TF])
def test_open_sizes_go_the_direct_way_unless_the_other_is_asked_for(
    asked: Backend | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch)
    assert choose_backend(asked, open_sizes=True) is (asked or DIRECT)


@pytest.mark.parametrize(("saved_model", "allow_flex", "option"), [(True, False, "saved-model"), (False, True, "flex")])
def test_what_only_tensorflow_can_do(
    saved_model: bool, allow_flex: bool, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=option) as caught:
        choose_backend(DIRECT, saved_model=saved_model, allow_flex=allow_flex)
    assert "--backend onnx-tf" in caught.value.hint
    hide(monkeypatch, "tensorflow")
    with pytest.raises(MissingExtraError, match="tensorflow"):
        choose_backend(None, saved_model=saved_model, allow_flex=allow_flex)


@pytest.mark.parametrize(
    ("missing", "named"),
    [(("tensorflow",), "tensorflow"), (("onnx_tf",), "onnx_tf"), (("tensorflow", "onnx_tf"), "tensorflow, onnx_tf")],
)
@pytest.mark.parametrize("version", [(3, 11, 9), (3, 12, 0), (3, 13, 1)])
def test_a_missing_extra_is_named(
    missing: tuple[str, ...], named: str, version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, *missing)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(MissingExtraError, match=rf"not installed: {named}\n") as caught:
        require_onnx_tf()
    assert "pip install 'layoutopt[onnx-tf]'" in caught.value.hint
    assert ("--no-deps" in caught.value.hint) == (version >= (3, 12))
    hide(monkeypatch)
    require_onnx_tf()
