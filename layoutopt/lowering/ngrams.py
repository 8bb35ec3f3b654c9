"""TfIdfVectorizer over numbers: each window of a sequence is compared with each n-gram of the pool."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np

from layoutopt.lowering.node import Node, constant, lowers
from layoutopt.tfl import build as tfl
from layoutopt.tfl.dtypes import Array, DType
from layoutopt.tfl.graph import Value


@lowers("TfIdfVectorizer")
def tf_idf_vectorizer(node: Node) -> Value:
    """Lower TfIdfVectorizer to EQUAL and SUM for the counts, and FULLY_CONNECTED that puts them in their columns."""
    if "pool_strings" in node.attributes:
        raise node.unsupported("no .tflite computes with text: number the words outside, and use pool_int64s")
    rows = node.x if node.x.rank == 2 else tfl.expand_dims(node.x, 0)
    counts = tfl.concatenation([_counts(node, rows, ngrams) for ngrams in _pools(node)], 1)
    columns, mode, weights = node.ints("ngram_indexes") or [], node.text("mode", "TF"), node.attributes.get("weights")
    if mode == "IDF":
        counts = tfl.minimum(counts, 1.0)
    if mode != "TF" and weights is not None:
        counts = counts * constant(weights, DType.FLOAT32)
    width = max(columns) + 1
    y = tfl.fully_connected(counts, np.eye(width, dtype=np.float32)[:, columns])
    return y if node.x.rank == 2 else tfl.reshape(y, (width,))


def _pools(node: Node) -> list[Array]:
    """Return the n-grams of each length in the order of the pool: (number, length)."""
    numbers = np.array(node.ints("pool_int64s"), node.x.dtype.numpy)
    edges = [*(node.ints("ngram_counts") or []), len(numbers)]
    return [numbers[start:end].reshape(-1, n) for n, (start, end) in enumerate(pairwise(edges), 1)]


def _counts(node: Node, rows: Value, ngrams: Array) -> Value:
    """Count each n-gram (number, length) in each row, with as many elements skipped between its own as allowed."""
    number, length = ngrams.shape
    batch, size = rows.sizes
    is_asked = node.integer("min_gram_length", 1) <= length <= node.integer("max_gram_length", 1)
    # Elements of an n-gram of one element have no distance.
    steps = range(1, (node.integer("max_skip_count", 0) if length > 1 else 0) + 2)
    windows = {step: size - (length - 1) * step for step in steps if is_asked and size > (length - 1) * step}
    found = [_count(rows, ngrams, step, count) for step, count in windows.items()]
    return reduce(tfl.add, found) if found else tfl.full((batch, number), 0)


def _count(rows: Value, ngrams: Array, step: int, windows: int) -> Value:
    """Count each n-gram in each row, with its elements ``step`` places apart."""
    equal = [
        tfl.equal(rows[:, k * step : k * step + windows, None], ngrams[:, k]) for k in range(ngrams.shape[1])
    ]  # (batch, windows, number) each
    return tfl.sum_(tfl.cast(reduce(tfl.logical_and, equal), DType.FLOAT32), [1])
