"""Reasons for which the direct backend takes more than onnx2tf, by model: from profiles of both."""

from __future__ import annotations

from collections.abc import Mapping

_VERIFICATION = "Most is ONNX Runtime and LiteRT, which run the models to compare them; onnx2tf verifies nothing."
REASONS: Mapping[str, str] = dict.fromkeys(("swin_4", "unet_bilinear"), _VERIFICATION) | {
    "unet_plus_plus": "Half is the process in which LiteRT runs the .tflite to verify it: 70 MB are XNNPACK's tables "
    "of the pixels that each convolution reads, all of which LiteRT's interpreter keeps, and 50 MB the feature maps "
    "that the network keeps.",
}
"""A sentence or two for every model where the figures show that it takes more time or memory, and for no other."""
