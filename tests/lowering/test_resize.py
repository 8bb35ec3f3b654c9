"""Resize, Upsample, DepthToSpace and SpaceToDepth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conversion_cases import Array, Case, CaseRunner, indices, nhwc, numbers

X, LINE, BLOCK = (1, 8, 9, 12), (2, 8, 15), (2, 4, 6, 5, 8)


def resize(
    attributes: str, operators: str, target: Array, *, opset: int = 13, x: tuple[int, ...] = (1, 3, 8, 10)
) -> Case:
    operands = "x,,t" if target.dtype == np.float32 else "x,,,t"
    return nhwc(f"y = Resize<{attributes}>({operands})", operators, x, opset=opset, t=target)


TWICE, HALF, ODD = numbers(1, 1, 2, 2), numbers(1, 1, 0.5, 0.5), indices(1, 3, 13, 7)
ASYM, HALF_PIXEL, TORCH, CORNERS = (
    f'coordinate_transformation_mode="{mode}"'
    for mode in ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
)
GATHERED = "GATHER GATHER MUL MUL ADD"

RESIZES = {
    "nearest 2x": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", TWICE),
    "nearest default": resize('mode="nearest"', "RESIZE_NEAREST_NEIGHBOR", TWICE),
    "nearest half": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", HALF),
    "nearest sizes": resize(f'mode="nearest",{ASYM},nearest_mode="floor"', "RESIZE_NEAREST_NEIGHBOR", ODD),
    "nearest ceil": resize(f'mode="nearest",{HALF_PIXEL},nearest_mode="ceil"', "GATHER GATHER", ODD),
    "nearest corners": resize(
        f'mode="nearest",{CORNERS},nearest_mode="round_prefer_ceil"', "RESIZE_NEAREST_NEIGHBOR", ODD
    ),
    "linear half pixel": resize(f'mode="linear",{HALF_PIXEL}', "RESIZE_BILINEAR", TWICE),
    "linear torch": resize(f'mode="linear",{TORCH}', "RESIZE_BILINEAR", ODD),
    "linear corners": resize(f'mode="linear",{CORNERS}', "RESIZE_BILINEAR", ODD),
    "linear corners of many rows": resize(
        f'mode="linear",{CORNERS}', "RESIZE_BILINEAR", indices(1, 2, 160, 8), x=(1, 2, 40, 3)
    ),
    "linear asymmetric": resize(f'mode="linear",{ASYM}', "RESIZE_BILINEAR", TWICE),
    "linear down": resize(f'mode="linear",{HALF_PIXEL}', "RESIZE_BILINEAR", HALF),
    "linear scale": resize(f'mode="linear",{HALF_PIXEL}', f"{GATHERED} {GATHERED}", numbers(1, 1, 1.7, 1.3)),
    "cubic": resize(
        f'mode="cubic",{TORCH},cubic_coeff_a=-0.75',
        " ".join(["GATHER"] * 8 + ["MUL"] * 8 + ["ADD"] * 6),
        TWICE,
    ),
    "nothing": resize('mode="linear"', "RESHAPE", numbers(1, 1, 1, 1)),
    "axes 18": nhwc(
        f'y = Resize<mode="linear",{HALF_PIXEL},axes=[2,3]>(x,,,t)',
        "RESIZE_BILINEAR",
        (1, 3, 8, 10),
        opset=18,
        t=indices(16, 15),
    ),
    "aspect 18": nhwc(
        'y = Resize<mode="linear",keep_aspect_ratio_policy="not_larger",axes=[2,3]>(x,,,t)',
        "RESIZE_BILINEAR",
        (1, 3, 8, 10),
        opset=18,
        t=indices(16, 40),
    ),
    "opset 10 nearest": nhwc(
        'y = Resize<mode="nearest">(x,t)', "RESIZE_NEAREST_NEIGHBOR", (1, 3, 8, 10), opset=10, t=TWICE
    ),
    "opset 10 linear": nhwc('y = Resize<mode="linear">(x,t)', "RESIZE_BILINEAR", (1, 3, 8, 10), opset=10, t=TWICE),
    "upsample 9": nhwc('y = Upsample<mode="nearest">(x,t)', "RESIZE_NEAREST_NEIGHBOR", (1, 3, 8, 10), opset=9, t=TWICE),
    "1d": nhwc('y = Resize<mode="linear">(x,,s)', "RESHAPE RESIZE_BILINEAR RESHAPE", LINE, s=numbers(1, 1, 2)),
    "3d": nhwc(
        'y = Resize<mode="nearest",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(x,,s)',
        "RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE RESIZE_NEAREST_NEIGHBOR RESHAPE",
        BLOCK,
        s=numbers(1, 1, 2, 3, 2),
    ),
    "3d linear": nhwc(
        'y = Resize<mode="linear">(x,,,n)',
        "RESHAPE RESIZE_BILINEAR RESHAPE RESIZE_BILINEAR RESHAPE",
        BLOCK,
        n=indices(2, 4, 9, 10, 11),
    ),
}
BLOCKS = {
    "dcr": nhwc('y = DepthToSpace<blocksize=2,mode="DCR">(x)', "DEPTH_TO_SPACE", X),
    "crd": nhwc('y = DepthToSpace<blocksize=2,mode="CRD">(x)', "RESHAPE TRANSPOSE RESHAPE", (2, 8, 3, 4)),
    "crd to one": nhwc('y = DepthToSpace<blocksize=2,mode="CRD">(x)', "DEPTH_TO_SPACE", (1, 4, 3, 4)),
    "space to depth": nhwc("y = SpaceToDepth<blocksize=2>(x)", "SPACE_TO_DEPTH", (1, 3, 4, 6)),
}
CASES = {**RESIZES, **BLOCKS}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_onnx_runtime_computes(name: str, runner: CaseRunner) -> None:
    runner.check(CASES[name])
