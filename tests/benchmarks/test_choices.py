"""The forms that are timed against each other compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.choices import CHOICES, Choice

pytestmark = [pytest.mark.long, pytest.mark.onnx_tf, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.what)
def test_both_forms_compute_the_same(choice: Choice) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(0)
    operands = [tf.constant(rng.standard_normal(shape), tf.float32) for shape in choice.shapes]
    found, expected = (tf.nest.flatten(form(*operands)) for form in (choice.form, choice.beside))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-4)
