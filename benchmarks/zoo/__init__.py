"""The zoo: published networks by way of the whole path, from their packages to a .tflite that LiteRT runs.

::

    python -m benchmarks.zoo [--again] [NAME ...]

torchvision, timm, segmentation-models-pytorch and ultralytics want a PyTorch of their own, so that they live in an
environment that the zoo makes for itself from ``requirements.txt``; what they export is converted here. Weights are
random unless a network ships trained ones. Models and figures stay, so that a run goes on where the last one ended.
All figures go to ``benchmarks/results/zoo.json``, from which `docs.tools.generate` makes the page.
"""
