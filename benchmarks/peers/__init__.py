"""Other converters beside layoutopt: the same networks with the same weights, judged and timed alike.

The figures stay in ``benchmarks/results``; ``python -m docs.tools.generate`` makes the page of them.

::

    python -m benchmarks.peers
    python -m benchmarks.peers resnet50 vgg11 --peer litert-torch --again
    python -m benchmarks.peers --convert-only
    python -m benchmarks.peers --time-only
"""
