"""What all tests share: assertions of what they share explain themselves, and hypothesis never fails for being slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from layoutopt.backend.onnx_tf.child import kept_alive

pytest.register_assert_rewrite("tests.handoff", "tests.harness")

settings.register_profile(
    "layoutopt",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("layoutopt")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long matrix runs only where ``-m`` asks for it."""
    if "long" in str(config.getoption("markexpr")):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: run it with -m long"))


@pytest.fixture(scope="session", autouse=True)
def one_child() -> Iterator[None]:
    """All conversions through TensorFlow share a process, which starts with the first: it takes seconds to import."""
    with kept_alive():
        yield
