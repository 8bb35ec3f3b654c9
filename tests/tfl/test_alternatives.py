"""Rewrites for a target: what it does not take is computed by what it takes, with the same numbers in LiteRT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from layoutopt.backend.direct.writer import write_tflite
from layoutopt.backend.litert.runtime import run_tflite
from layoutopt.options import Target
from layoutopt.targets.rules import rule_table
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Graph, Model, Value
from layoutopt.tfl.rewrites import FLOAT_RULES, rules_for, simplify

MEAN = np.array([1, 2, 3], np.float32)
FILTERS = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
MATRIX = np.random.default_rng(2).standard_normal((5, 12)).astype(np.float32)
BORDER = [[0, 0], [1, 1], [1, 1], [0, 0]]
IMAGE = (1, 8, 8, 3)


def windows(x: Value) -> Value:
    """Windows of 4 x 4 of an image, as Swin takes them."""
    parts = tfl.transpose(tfl.reshape(x, (1, 2, 4, 2, 4, 3)), (0, 1, 3, 2, 4, 5))
    return tfl.exp(tfl.reshape(parts, (4, 16, 3)))


def heads(x: Value) -> Value:
    """Six axes of which no two stay neighbours but one pair of ends."""
    parts = tfl.transpose(tfl.reshape(x, (2, 4, 2, 2, 2, 3)), (0, 3, 1, 4, 2, 5))
    return tfl.exp(tfl.reshape(parts, (4, 48)))


def rows(x: Value) -> Value:
    """A product of rows along four axes, whose results are then along one."""
    products = tfl.fully_connected(tfl.reshape(x, (2, 2, 2, 2, 12)), MATRIX)
    return tfl.reshape(tfl.transpose(products, (4, 0, 1, 2, 3)), (5, 16))


CASES: dict[str, tuple[Target, Callable[[Value], Value], dict[str, int]]] = {
    "HARD_SWISH": (Target.EDGETPU, tfl.hard_swish, {"ADD": 1, "MUL": 2}),
    "LEAKY_RELU": (Target.EDGETPU, lambda x: tfl.leaky_relu(x, 0.1), {"MUL": 1, "MAXIMUM": 1}),
    "ABS": (Target.EDGETPU, tfl.abs_, {"MUL": 1, "MAXIMUM": 1}),
    "NEG": (Target.EDGETPU, tfl.neg, {"MUL": 1}),
    "SQUARE": (Target.EDGETPU, lambda x: tfl.square(x), {"MUL": 1}),
    "GELU": (Target.EDGETPU, lambda x: tfl.gelu(x, approximate=True), {"MUL": 6, "ADD": 2, "TANH": 1}),
    "LOG_SOFTMAX": (
        Target.GPU,
        tfl.log_softmax,
        {"REDUCE_MAX": 1, "SUB": 2, "EXP": 1, "SUM": 1, "LOG": 1},
    ),
    "FULLY_CONNECTED": (Target.GPU, rows, {"RESHAPE": 1, "FULLY_CONNECTED": 1, "TRANSPOSE": 1}),
    "TRANSPOSE": (Target.GPU, windows, {"RESHAPE": 2, "TRANSPOSE": 1, "EXP": 1}),
    "TRANSPOSE twice": (Target.GPU, heads, {"RESHAPE": 3, "TRANSPOSE": 2, "EXP": 1}),
}


def graph_of(make: Callable[[Value], Value], shape: tuple[int, ...] = IMAGE) -> Graph:
    graph = Graph([Value(DType.FLOAT32, shape)])
    with tfl.recording(graph):
        graph.outputs = [make(graph.inputs[0])]
    return graph


def outputs(graph: Graph, sample: Array, path: Path) -> Array:
    write_tflite(Model(graph, ["x"], ["y"]), path)
    return run_tflite(path, {"x": sample})["y"]


@pytest.mark.parametrize("name", CASES)
def test_a_target_gets_what_it_takes(name: str, tmp_path: Path) -> None:
    target, make, left = CASES[name]
    takes = rule_table(target).takes_form
    before, after = graph_of(make), graph_of(make)
    simplify(before, FLOAT_RULES)
    simplify(after, rules_for(takes, FLOAT_RULES))
    assert not all(takes(each) for each in before.operations)
    assert Counter(each.code for each in after.operations) == left
    assert all(takes(each) for each in after.operations)
    sample = np.random.default_rng(0).standard_normal(IMAGE).astype(np.float32) * 4
    expected, found = outputs(before, sample, tmp_path / "a.tflite"), outputs(after, sample, tmp_path / "b.tflite")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("target", list(Target))
def test_no_rule_brings_what_a_target_does_not_take(target: Target) -> None:
    """The frame of a mean for each channel needs DYNAMIC_UPDATE_SLICE, and SUB before a PAD does not."""
    takes = rule_table(target).takes_form

    def camera(x: Value) -> Value:
        return tfl.conv_2d(tfl.pad(x - MEAN, BORDER), FILTERS, strides=(2, 2), padding="VALID")

    as_it_is, for_target = graph_of(camera), graph_of(camera)
    simplify(as_it_is, FLOAT_RULES)
    simplify(for_target, rules_for(takes, FLOAT_RULES))
    assert [each.code for each in as_it_is.operations] == ["DYNAMIC_UPDATE_SLICE", "CONV_2D"]
    assert [each.code for each in for_target.operations] == ["SUB", "PAD", "CONV_2D"]


@pytest.mark.parametrize(
    ("make", "codes"), [(tfl.gelu, ["GELU"]), (lambda x: tfl.neg(tfl.cast(x, DType.INT8)), ["CAST", "NEG"])]
)
def test_what_nothing_replaces_stays(make: Callable[[Value], Value], codes: list[str]) -> None:
    """GELU is no formula of what the Edge TPU has, and MUL has no kernel for the integers that NEG takes."""
    graph = graph_of(make)
    simplify(graph, rules_for(rule_table(Target.EDGETPU).takes_form, FLOAT_RULES))
    assert [each.code for each in graph.operations] == codes
