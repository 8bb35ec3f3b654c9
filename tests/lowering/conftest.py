"""What the tests of the lowerings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.handoff import HandOff


@pytest.fixture
def direct(tmp_path: Path) -> HandOff:
    """The direct backend."""
    return HandOff(tmp_path)
