"""The networks in Keras: the same networks, and what the default converter makes of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

import layoutopt
from benchmarks.floor.weights import Array, Scope
from layoutopt.backend.conversion import Backend

NAMES = ("channels.0.weight", "channels.0.bias", "channels.2.weight", "channels.10.weight", "head.weight")

QUICK = ("vgg11", "rrdb_pixel_shuffle", "unet_bilinear")
"""Networks that convert in a few seconds, two with weights that are reordered on the way."""
LONG = (
    *("mobilenet_v2", "resnet50", "mobilenet_v3_large", "efficientnet_like", "resnext50", "shufflenet_v2"),
    *("unet_plus_plus", "unet_transposed", "rrdb_nearest", "yolo_head", "yolov8"),
    *("convnext_tiny", "vit_4", "vit_12", "swin_4", "swin_t"),
)
TRANSPOSES = {"shufflenet_v2": 16, "vit_4": 16, "vit_12": 48, "yolo_head": 3, "swin_4": 24, "swin_t": 68}
"""What channels last does not spare: each shuffle, three scales of anchors, four per attention, two around windows."""
LARGEST_ERROR = 1e-5
"""Relative; 6e-6 was seen."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the command says of one network."""

    operators: int
    transposes: int
    pads: int
    error: float


def converted(*names: str) -> Mapping[str, Said]:
    """The small variants, all in one process, since TensorFlow takes long to load."""
    command = [sys.executable, "-m", "benchmarks.floor", "--small", *names]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^(\w+): (\d+) operators, (\d+) TRANSPOSE, (\d+) PAD; relative error (\S+),", text, re.M)
    return {
        name: Said(int(operators), int(transposes), int(pads), float(error))
        for name, operators, transposes, pads, error in lines
    }


def check(said: Mapping[str, Said], names: tuple[str, ...]) -> None:
    assert set(said) == set(names)
    assert {name: each.transposes for name, each in said.items()} == {name: TRANSPOSES.get(name, 0) for name in names}
    assert {name: each.error for name, each in said.items() if not each.error <= LARGEST_ERROR} == {}


@pytest.mark.torch
def test_every_network_has_a_floor() -> None:
    from benchmarks.models import NETWORKS

    assert set(NETWORKS) == {*QUICK, *LONG}


@pytest.fixture(scope="module")
def quick() -> Mapping[str, Said]:
    return converted(*QUICK)


@pytest.mark.torch
@pytest.mark.onnx_tf
def test_the_quick_ones_are_the_same_networks(quick: Mapping[str, Said]) -> None:
    check(quick, QUICK)
    assert not any(each.pads for each in quick.values())


@pytest.mark.torch
@pytest.mark.onnx_tf
def test_the_unet_is_no_larger_than_in_keras(quick: Mapping[str, Said]) -> None:
    from benchmarks.models import NETWORKS, export

    model = export(NETWORKS["unet_bilinear"], opset=17, small=True)
    form = layoutopt.optimize(model, baseline=False, backend=Backend.DIRECT).optimized
    assert form.pads == 0
    assert form.operators <= quick["unet_bilinear"].operators


@pytest.mark.long
@pytest.mark.torch
@pytest.mark.onnx_tf
def test_the_others_are_the_same_networks() -> None:
    check(converted(*LONG), LONG)


def scope() -> Scope:
    return Scope({name: np.full(2, index, np.float32) for index, name in enumerate(NAMES)})


def test_weights_are_found_by_name_and_taken_once() -> None:
    whole = scope()
    first, second, third = whole["channels"].children()
    assert [each.name for each in (first, second, third)] == ["channels.0", "channels.2", "channels.10"]
    assert "bias" in first
    assert "bias" not in second
    taken: list[Array] = [*first.take_all("weight", "bias"), *second.take_all("weight", "bias"), third.take("weight")]
    assert [array[0] for array in taken] == [0, 1, 2, 3]
    assert list(whole["channels"].children()) == []
    with pytest.raises(KeyError, match=r"channels\.10\.weight"):
        third.take("weight")


def test_weights_that_nobody_takes_are_an_error() -> None:
    whole = scope()
    for each in whole["channels"].children():
        each.take_all("weight", "bias")
    with pytest.raises(ValueError, match=r"^no layer has taken head\.weight$"):
        whole.require_empty()
    whole["head"].take("weight")
    whole.require_empty()
