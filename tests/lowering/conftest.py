"""Ways to a .tflite for the tests of the lowerings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layoutopt.backend.onnx_tf.child import Child
from tests.handoff import HandOff


@pytest.fixture
def direct(tmp_path: Path) -> HandOff:
    """The direct backend."""
    return HandOff(tmp_path)


@pytest.fixture(
    scope="session", params=["direct", pytest.param("onnx-tf", marks=[pytest.mark.long, pytest.mark.onnx_tf])]
)
def hand_off(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandOff]:
    """Each backend; TensorFlow's process is kept alive from test to test, since it takes seconds to start."""
    directory = tmp_path_factory.mktemp("hand-off")
    if request.param == "direct":
        yield HandOff(directory)
        return
    child = Child(verbose=False)
    yield HandOff(directory, child)
    child.close()
