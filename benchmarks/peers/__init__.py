"""Other converters beside layoutopt: the same networks with the same weights, judged and timed alike.

::

    python -m benchmarks.peers -o docs/peers.md
    python -m benchmarks.peers resnet50 vgg11 --peer litert-torch --again
    python -m benchmarks.peers --convert-only
    python -m benchmarks.peers --time-only
"""
