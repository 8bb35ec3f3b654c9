"""Every pass keeps the contract, on hand-written graphs, on random ones, and on whole networks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from layoutopt.frontend.demo import mobilenet_v2
from layoutopt.options import Io
from layoutopt.passes import DEFAULT_PIPELINE, PASSES, FoldConstants, InlineFunctions, Pass, PropagateLayout
from layoutopt.passes.base import CostDrivenRewrite
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.manager import PassManager
from layoutopt.pipeline.text import format_pipeline
from tests.graphs import GRAPHS
from tests.harness import check_bytes, check_equal, check_interface, check_pass, check_valid, total_bytes
from tests.networks import random_models

VARIANTS: tuple[Pass, ...] = (
    *DEFAULT_PIPELINE,
    *(type(each)(always=True) for each in DEFAULT_PIPELINE if isinstance(each, CostDrivenRewrite)),
    FoldConstants(simplify=False),
    PropagateLayout(io=Io.KEEP),
    PropagateLayout(scope=Scope.OPERATOR),
    PropagateLayout(io=Io.KEEP, scope=Scope.OPERATOR),
)
AFTER_FOLDING = tuple(each for each in VARIANTS if not isinstance(each, (InlineFunctions, FoldConstants)))
PASS_FILES = sorted((Path(__file__).parents[2] / "passes").glob("*.py"))
NOT_RUN = ("unknown rank", "symbolic batch", "strings", "tensors of no element")
"""There are no random inputs for these, or ONNX Runtime refuses the original."""

NETWORK_NAMES = (
    "efficientnet_like",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "resnet50",
    "swin_4",
    "unet_bilinear",
    "yolo_head",
)

WITHOUT_ONNXSIM = tuple(
    FoldConstants(simplify=False) if isinstance(each, FoldConstants) else each for each in DEFAULT_PIPELINE
)


def spelled(pass_: ir.passes.PassBase) -> str:
    return format_pipeline([pass_])


def check_pipeline(model: ir.Model, passes: tuple[ir.passes.PassBase, ...], *, execute: bool = True) -> None:
    """All passes together, and all of them once more: what was proved leaves nothing to do, and nothing gets worse."""
    before = ir.to_proto(model)
    result = PassManager(passes).run(ir.from_proto(before))
    check_valid(ir.to_proto(result.model))
    check_interface(before, result.model)
    if execute:
        check_equal(model, result.model)
    again = PassManager(passes[2:]).run(ir.from_proto(ir.to_proto(result.model)))
    assert result.assignment is not None
    if result.assignment.proved_optimal:
        assert not any(record.modified for record in again.records)
    assert total_bytes(again.model) <= total_bytes(result.model)


def test_every_pass_is_in_the_list() -> None:
    for path in (path for path in PASS_FILES if path.stem != "__init__"):
        importlib.import_module(f"layoutopt.passes.{path.stem}")
    assert {each for each in subclasses(Pass) if not inspect.isabstract(each)} == set(PASSES)
    assert {type(each) for each in VARIANTS} == set(PASSES)
    assert len(PASSES) == len(DEFAULT_PIPELINE) > 20


class Wrong(ir.passes.InPlacePass):
    """A pass that breaks the contract.

    Args:
        factor: that it multiplies the first weight by.
        says: whether it has modified anything; None for the truth.
    """

    def __init__(self, factor: float, says: bool | None) -> None:
        super().__init__()
        self.factor, self.says = np.float32(factor), says

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        weight = next(iter(model.graph.initializers.values()))
        assert weight.const_value is not None
        before = weight.const_value.numpy()
        if modified := bool((before != before * self.factor).any()):
            weight.const_value = ir.tensor(before * self.factor, name=weight.name)
        return ir.passes.PassResult(model, modified if self.says is None else self.says)


@pytest.mark.parametrize(
    ("factor", "says", "message"),
    [
        (1, True, "modified is True"),
        (2, False, "modified is False"),
        (2, None, "a second run changes the model"),
        (0, None, "Not equal to tolerance"),
    ],
)
def test_a_broken_contract_is_found(factor: float, says: bool | None, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_pass(Wrong(factor, says), GRAPHS["squeeze and excite"].model())


def subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    """Those of layoutopt; tests have some of their own."""
    for each in kind.__subclasses__():
        yield from subclasses(each)
        if each.__module__.startswith("layoutopt."):
            yield each


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("pass_", VARIANTS, ids=spelled)
def test_hand_written(pass_: ir.passes.PassBase, name: str) -> None:
    check_pass(pass_, GRAPHS[name].model(), execute=name not in NOT_RUN)


@pytest.mark.parametrize("name", GRAPHS)
def test_hand_written_through_the_pipeline(name: str) -> None:
    check_pipeline(GRAPHS[name].model(), DEFAULT_PIPELINE, execute=name not in NOT_RUN)


@pytest.mark.parametrize("name", sorted(set(GRAPHS) - set(NOT_RUN)))
@pytest.mark.parametrize("io", Io)
def test_bytes_of_hand_written(name: str, io: Io) -> None:
    check_bytes(GRAPHS[name].model(), io=io)


def check_random(model: ir.Model) -> None:
    folded = check_pass(FoldConstants(simplify=False), model).model
    for pass_ in AFTER_FOLDING:
        check_pass(pass_, folded)
    for io in Io:
        check_bytes(folded, io=io)
    check_pipeline(model, WITHOUT_ONNXSIM)


@settings(max_examples=60)
@given(random_models())
def test_random(model: ir.Model) -> None:
    check_random(model)


@pytest.mark.long
@settings(max_examples=2000)
@given(random_models(steps=14))
def test_random_long(model: ir.Model) -> None:
    check_random(model)


@settings(max_examples=15)
@given(random_models())
def test_random_through_onnxsim(model: ir.Model) -> None:
    check_pass(FoldConstants(), model)
    check_pipeline(model, DEFAULT_PIPELINE)


def check_network(model: ir.Model) -> None:
    """Each pass of the default pipeline on what those before it have made."""
    current = model
    for pass_ in DEFAULT_PIPELINE:
        current = check_pass(pass_, current).model
    check_equal(model, current)


def test_a_whole_network() -> None:
    """MobileNetV2 with its BatchNormalization, at a quarter of its width."""
    model = mobilenet_v2(resolution=32, width=0.25)
    check_network(model)
    for pass_ in VARIANTS:
        check_pass(pass_, model)
    check_bytes(check_pass(FoldConstants(simplify=False), model).model)


@pytest.mark.torch
@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_benchmark_networks(name: str) -> None:
    from benchmarks.models import NETWORKS, export

    check_network(export(NETWORKS[name], small=True))
