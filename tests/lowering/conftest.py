"""The backends that convert the cases of the lowerings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversion_cases import CaseRunner


@pytest.fixture
def direct(tmp_path: Path) -> CaseRunner:
    """The direct backend."""
    return CaseRunner(tmp_path)


@pytest.fixture(params=["direct", pytest.param("onnx-tf", marks=[pytest.mark.long, pytest.mark.onnx_tf])])
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> CaseRunner:
    """Each backend."""
    return CaseRunner(tmp_path, onnx_tf=request.param == "onnx-tf")
