"""Pipelines as text and back."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from layoutopt.errors import UsageError
from layoutopt.options import Io, Layouts, Objective, TensorLayout
from layoutopt.passes import DEFAULT_PIPELINE, PASSES, CancelTransposes, FoldConstants, PropagateLayout
from layoutopt.passes.propagate_layout import Scope
from layoutopt.pipeline.text import describe_passes, format_pipeline, parse_pipeline, pass_name

NHWC = TensorLayout.NHWC


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("cancel-transposes", (CancelTransposes(),)),
        ("propagate-layout{io=keep}", (PropagateLayout(io=Io.KEEP),)),
        ("propagate-layout{io=keep,scope=operator}", (PropagateLayout(io=Io.KEEP, scope=Scope.OPERATOR),)),
        ("fold-constants{simplify=false},cancel-transposes", (FoldConstants(simplify=False), CancelTransposes())),
        ("propagate-layout{objective=bytes,threads=2}", (PropagateLayout(objective=Objective.BYTES, threads=2),)),
        (
            "propagate-layout{io=keep,layouts=in/x.1:nhwc+a%2Cb%3A0:free}",
            (PropagateLayout(Io.KEEP, layouts=Layouts.of({"in/x.1": NHWC, "a,b:0": TensorLayout.FREE})),),
        ),
        ("cancel-transposes,cancel-transposes", (CancelTransposes(), CancelTransposes())),
    ],
)
def test_text_and_back(text: str, passes: tuple[ir.passes.PassBase, ...]) -> None:
    assert parse_pipeline(text) == passes
    assert format_pipeline(passes) == text


def test_the_default_pipeline_round_trips() -> None:
    assert parse_pipeline(format_pipeline(DEFAULT_PIPELINE)) == DEFAULT_PIPELINE


def test_white_space_and_defaults_do_not_matter() -> None:
    text = " fold-constants { simplify = true } , propagate-layout{ io = free , scope = graph } "
    assert parse_pipeline(text) == (FoldConstants(), PropagateLayout())
    assert format_pipeline(parse_pipeline(text)) == "fold-constants,propagate-layout"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "the pipeline is empty", "fold-constants"),
        ("  ", "the pipeline is empty", "fold-constants"),
        ("fold-constant", "there is no pass 'fold-constant'", "fold-constants"),
        ("fold-constants,,cancel-transposes", "cannot read ',cancel-transposes'", "name"),
        ("fold-constants cancel-transposes", "cannot read", "name"),
        ("propagate-layout{io=keep", "cannot read", "name"),
        ("propagate-layout{io}", "has no option 'io'", "io, scope"),
        ("propagate-layout{layout=nhwc}", "has no option 'layout=nhwc'", "io, scope"),
        ("propagate-layout{io=nhwc}", "no such value", "free, keep"),
        ("propagate-layout{layouts=x:sideways}", "'sideways' is not a valid TensorLayout", ""),
        ("propagate-layout{objective=money}", "no such value", "bytes, time"),
        ("fold-constants{simplify=maybe}", "no such value", "true, false"),
        ("cancel-transposes{io=free}", "has no option 'io=free'", "none"),
        ("Fold-Constants", "cannot read", "name"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_pipeline(text)
    assert message in error.value.message
    assert hint in error.value.hint


def test_names_that_users_have_written_stay() -> None:
    """A new pass need not be here."""
    assert {pass_name(each) for each in PASSES} >= {
        "inline-functions",
        "fold-constants",
        "drop-identities",
        "recognize-activations",
        "expand-quantized-operators",
        "fold-batch-norm",
        "arrange-resizes",
        "expand-instance-norm",
        "expand-products",
        "split-products",
        "remove-dead-channels",
        "convolve-before-upsampling",
        "fold-affine",
        "merge-parallel-convolutions",
        "merge-linear-chains",
        "pool-before-convolution",
        "compute-what-is-read",
        "fuse-depth-to-space",
        "absorb-channel-shuffles",
        "propagate-layout",
        "cancel-transposes",
        "recognize-batch-norm",
        "eliminate-dead-code",
    }
    assert pass_name(PropagateLayout(io=Io.KEEP)) == "propagate-layout"


def test_descriptions() -> None:
    described = {each.name: each for each in describe_passes()}
    assert list(described) == [pass_name(each) for each in PASSES]
    assert all(each.summary.endswith(".") for each in described.values())
    assert all(each.text == name for name, each in described.items())
    options = {option.name: option for option in described["propagate-layout"].options}
    assert (options["io"].default, options["io"].choices) == ("free", ("free", "keep"))
    assert (options["scope"].default, options["scope"].choices) == ("graph", ("graph", "operator"))
    simplify, limit = described["fold-constants"].options
    assert (limit.name, limit.default) == ("limit", str(1 << 20))
    assert (simplify.default, simplify.choices) == ("true", ("true", "false"))
