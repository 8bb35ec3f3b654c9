"""What the tests of the lowerings share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lowering.direct import Direct


@pytest.fixture
def direct(tmp_path: Path) -> Direct:
    """The way from a model to LiteRT by the lowerings alone."""
    return Direct(tmp_path)
