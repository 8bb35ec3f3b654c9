"""The networks of the benchmarks, written from the papers, with random weights.

::

    python -m benchmarks.models mobilenet_v2 -o out/mobilenet_v2.onnx
    python -m benchmarks.models --all out --exporter dynamo --opset 18
"""

from __future__ import annotations

from benchmarks.models.export import INPUT, export, export_open
from benchmarks.models.networks import NETWORKS, Network, Variant, build

__all__ = ["INPUT", "NETWORKS", "Network", "Variant", "build", "export", "export_open"]
