"""One child process for the tests of single operators: TensorFlow takes seconds to import."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from layoutopt.backend.litert.child import Child
from tests.handoff import HandOff


@pytest.fixture(scope="session")
def hand_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandOff]:
    """The hand-off, kept alive from test to test."""
    child = Child(verbose=False)
    yield HandOff(child, tmp_path_factory.mktemp("hand-off"))
    child.close()
