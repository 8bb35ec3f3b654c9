"""Reshape-Transpose-Reshape becomes the DepthToSpace or SpaceToDepth that it computes, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutopt.ir.perm import Perm, permute
from layoutopt.passes import FuseDepthToSpace
from tests.harness import check_golden, check_pass, model_of

Step = tuple[str, Sequence[int]]


def chain(shape: Sequence[int], steps: Sequence[Step], *, opset: int = 17, kind: str = "float") -> ir.Model:
    """A model of Reshapes and Transposes, one behind the other."""
    lines, sizes = [], tuple(shape)
    for index, (operator, numbers) in enumerate(steps):
        result = "y" if index == len(steps) - 1 else f"v{index + 1}"
        if operator == "Transpose":
            lines.append(f"{result} = Transpose <perm = {list(numbers)}> (v{index})")
            sizes = permute(sizes, tuple(numbers))
        else:
            sizes = tuple(numbers)
            lines.append(f"s{index} = Constant <value_ints = {list(sizes)}> () {result} = Reshape (v{index}, s{index})")
    text = f"g ({kind}{list(shape)} v0) => ({kind}{list(sizes)} y) {{ {' '.join(lines)} }}"
    return model_of(text, opset=opset)


def rearranged(
    shape: Sequence[int], split: Sequence[int], perm: Perm, result: Sequence[int], *, opset: int = 17
) -> ir.Model:
    return chain(shape, [("Reshape", split), ("Transpose", perm), ("Reshape", result)], opset=opset)


def fused(model: ir.Model) -> tuple[str, int, str | None] | None:
    """Operator, block size and mode; None where nothing is fused."""
    result = check_pass(FuseDepthToSpace(), model).model
    found = [node for node in result.graph if node.op_type in ("DepthToSpace", "SpaceToDepth")]
    assert len(found) <= 1
    if not found:
        return None
    assert [node.op_type for node in result.graph if node.op_type in ("Reshape", "Transpose")] == []
    mode = found[0].attributes.get("mode")
    return found[0].op_type, found[0].attributes["blocksize"].as_int(), mode.as_string() if mode else None


def dcr(batch: int = 1, opset: int = 17) -> ir.Model:
    return rearranged((batch, 12, 2, 5), (batch, 2, 2, 3, 2, 5), (0, 3, 4, 1, 5, 2), (batch, 3, 4, 10), opset=opset)


def crd(batch: int = 1, opset: int = 17) -> ir.Model:
    return rearranged((batch, 12, 2, 5), (batch, 3, 2, 2, 2, 5), (0, 1, 4, 2, 5, 3), (batch, 3, 4, 10), opset=opset)


def to_depth(batch: int = 1, opset: int = 17) -> ir.Model:
    return rearranged((batch, 3, 4, 10), (batch, 3, 2, 2, 5, 2), (0, 3, 5, 1, 2, 4), (batch, 12, 2, 5), opset=opset)


@pytest.mark.parametrize("case", ["depth_to_space", "space_to_depth"])
def test_golden(case: str) -> None:
    check_golden(FuseDepthToSpace(), f"fuse_depth_to_space.{case}")


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("opset", [13, 17, 21])
def test_each_form(batch: int, opset: int) -> None:
    assert fused(dcr(batch, opset)) == ("DepthToSpace", 2, "DCR")
    assert fused(crd(batch, opset)) == ("DepthToSpace", 2, "CRD")
    assert fused(to_depth(batch, opset)) == ("SpaceToDepth", 2, None)


def test_opsets_without_modes_have_but_one() -> None:
    def old(model: ir.Model) -> ir.Model:
        model.opset_imports[""] = 10
        for node in list(model.graph):
            if node.op_type == "Constant":
                shape = ir.tensor(list(node.attributes["value_ints"].as_ints()))
                node.attributes.clear()
                node.attributes["value"] = ir.AttrTensor("value", shape)
        return model

    assert fused(old(dcr())) == ("DepthToSpace", 2, None)
    assert fused(old(crd())) is None
    assert fused(old(to_depth())) == ("SpaceToDepth", 2, None)


@pytest.mark.parametrize("kind", ["float16", "double", "int64"])
def test_types_for_which_there_is_an_operator(kind: str) -> None:
    steps: list[Step] = [
        ("Reshape", (1, 2, 2, 2, 3)),
        ("Transpose", (0, 3, 1, 4, 2)),
        ("Reshape", (1, 1, 4, 6)),
    ]
    expected = None if kind == "int64" else ("DepthToSpace", 2, "DCR")
    assert fused(chain((1, 4, 2, 3), steps, kind=kind)) == expected


@pytest.mark.parametrize(
    "steps",
    [
        [("Reshape", (3, 2, 2, 2, 5)), ("Transpose", (0, 3, 1, 4, 2)), ("Reshape", (1, 3, 4, 10))],
        [("Reshape", (1, 3, 2, 1, 2, 2, 5)), ("Transpose", (0, 1, 5, 2, 3, 6, 4)), ("Reshape", (1, 3, 4, 10))],
        [
            ("Reshape", (12, 10)),
            ("Reshape", (3, 2, 2, 2, 5)),
            ("Transpose", (0, 3, 1, 4, 2)),
            ("Reshape", (1, 3, 4, 10)),
        ],
        [
            ("Transpose", (0, 2, 3, 1)),
            ("Reshape", (2, 5, 3, 2, 2)),
            ("Transpose", (0, 3, 1, 4, 2)),
            ("Reshape", (1, 4, 10, 3)),
            ("Transpose", (0, 3, 1, 2)),
        ],
    ],
    ids=["without the batch", "with an axis of size 1", "in two Reshapes", "in channels-last"],
)
def test_other_spellings(steps: list[Step]) -> None:
    assert fused(chain((1, 12, 2, 5), steps)) == ("DepthToSpace", 2, "CRD")


@settings(max_examples=60)
@given(
    st.permutations(range(6)).map(tuple),
    st.sampled_from([(1, 2, 2, 3, 2, 5), (1, 3, 2, 2, 2, 5), (2, 3, 2, 2, 2, 2), (1, 1, 2, 2, 4, 2)]),
)
def test_whatever_else_is_rearranged(perm: Perm, split: tuple[int, ...]) -> None:
    """ONNX Runtime judges what is fused."""
    batch, a, b, c, height, width = split
    channels = a * b * c
    result = (batch, channels // 4, 2 * height, 2 * width)
    check_pass(FuseDepthToSpace(), rearranged((batch, channels, height, width), split, perm, result))


def test_the_channel_order_of_pixel_unshuffle_is_another_one() -> None:
    def unshuffle(channels: int) -> ir.Model:
        split, result = (1, channels, 2, 2, 5, 2), (1, 4 * channels, 2, 5)
        return rearranged((1, channels, 4, 10), split, (0, 1, 3, 5, 2, 4), result)

    assert fused(unshuffle(3)) is None
    assert fused(unshuffle(1)) == ("SpaceToDepth", 2, None)


def test_what_only_moves_axes_of_size_1_is_left_alone() -> None:
    assert fused(rearranged((1, 4, 1, 1), (1, 1, 2, 2), (0, 1, 2, 3), (1, 1, 2, 2))) is None


def test_a_value_in_between_that_somebody_reads_stays() -> None:
    text = """g (float[1,4,2,3] x) => (float[1,1,4,6] y, float[1,1,2,2,3,2] z) {
        p = Constant <value_ints = [1, 1, 2, 2, 2, 3]> () q = Constant <value_ints = [1, 1, 4, 6]> ()
        a = Reshape (x, p) b = Transpose <perm = [0, 1, 4, 2, 5, 3]> (a) y = Reshape (b, q) z = Relu (b)
    }"""
    assert fused(model_of(text)) is None
