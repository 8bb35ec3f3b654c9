"""Reasons for which the operators of both backends differ, by the key of the entry, for every difference."""

from __future__ import annotations

from collections.abc import Mapping

_WITHIN_NOISE = "Latency is the same within noise."
_SQUARES = (
    "The difference is computed anyway, for what divides it by the standard deviation: SQUARE reads it, where the "
    "TFLite converter computes it a second time inside SQUARED_DIFFERENCE."
)
_RESHAPE = "The reduction drops the axes by itself, or two reshapes are one."

REASONS: Mapping[str, str] = {
    "coat_tiny-legacy-13": f"{_SQUARES} {_WITHIN_NOISE}",
    "ddddocr-as-shipped": "The TFLite converter folds a FILL with zeros; here it stays, one write of 41 kB.",
    "ddddocr_quantized-as-shipped": (
        "A choice between numbers is SELECT_V2, which broadcasts, where the other file has SELECT and reshapes; a "
        "division before a rounding is not made a product, which could round to another whole number."
    ),
    "eca_nfnet_l0-dynamo-23": (
        "The TFLite converter takes the factor after an activation into the convolution that reads it; here it stays a "
        f"MUL. {_WITHIN_NOISE}"
    ),
    "levit_128s-legacy-17": (
        "XNNPACK does not read the left operand of BATCH_MATMUL transposed: here are a TRANSPOSE and a product that "
        f"XNNPACK takes, there a product that it does not. {_WITHIN_NOISE}"
    ),
    "magika-as-shipped": (
        "ONE_HOT and SOFTMAX are one operator each in the other file, and several here; the direct backend's file is "
        "the faster one."
    ),
    "maxvit_t-dynamo-18": _RESHAPE,
    "mobilevitv2_100-legacy-17": "Nobody else reads the difference, so that it and its square are one operator.",
    "pp_ocr_rec-as-shipped": f"{_SQUARES} {_WITHIN_NOISE}",
    "pp_ocr_v6_rec-as-shipped": _SQUARES,
    "retinanet_nms-legacy-17": (
        "Of the boxes, whose number is known at run time only, axes are dropped by SQUEEZE here and by RESHAPE there; "
        "comparisons and divisions are spelled in another way."
    ),
    "rtdetr_l-legacy-20": f"A few comparisons, choices and divisions are spelled in another way. {_WITHIN_NOISE}",
    "silero_vad-as-shipped": (
        "The TFLite converter drops a MEAN over an axis of size 1 and a product with zero; here both are computed, of "
        "one number each."
    ),
    "squeezenet1_1-legacy-20": _RESHAPE,
}
