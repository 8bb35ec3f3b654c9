"""Models for the tests of fleets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.cluster import Cluster, local_cluster
from tests.fleet.runs import save


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    return [save(folder / f"{name}.onnx", channels) for name, channels in (("a", 4), ("b", 5), ("c", 6))]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with local_cluster(tmp_path) as started:
        yield started
