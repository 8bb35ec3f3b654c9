"""From a PyTorch MobileNetV2 to a .tflite without a TRANSPOSE: python -m examples.mobilenet_v2 [out.tflite]."""

import sys
from pathlib import Path

import torch

import layoutopt
from benchmarks.models.classifiers import MobileNetV2

target = Path(sys.argv[1] if len(sys.argv) > 1 else "mobilenet_v2.tflite")
model = layoutopt.from_torch(MobileNetV2(), torch.randn(1, 3, 224, 224), input_names=["image"], output_names=["logits"])
report = layoutopt.optimize(model, tflite=target, baseline=False, force=True)
print(f"{target}: {report.optimized.operators} operators, {report.optimized.transposes} transposes")
for tensor in (*report.inputs, *report.outputs):
    print(f"{tensor.name}: {tensor.shape} {tensor.layout.value} {tensor.feed}")
