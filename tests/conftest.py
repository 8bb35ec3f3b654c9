"""What all tests share: assertions of what they share explain themselves, and hypothesis never fails for being slow."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from layoutopt.backend import conversion
from layoutopt.backend.litert import trial, trial_child
from layoutopt.backend.onnx_tf.child import kept_alive
from layoutopt.backend.process import Json

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_OF_TORCH = ["benchmarks/test_backends.py", "benchmarks/test_conversion_cost.py", "docs/test_generate.py"]
"""What imports PyTorch with the networks of the benchmarks."""
collect_ignore = [] if find_spec("torch") else _OF_TORCH

pytest.register_assert_rewrite("tests.conversion_cases", "tests.harness")

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


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let no search for garbage, of which each conversion begins some, go through all modules and tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Only a test that is marked so has TensorFlow: for all others it seems not to be installed.

    So they convert directly, and do the same where it is missing indeed.
    """
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("onnx_tf") is None:
            patch.setattr(conversion, "missing_for_onnx_tf", lambda: ["tensorflow", "onnx_tf"])
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def one_child() -> Iterator[None]:
    """All conversions through TensorFlow share a process, which starts with the first: it takes seconds to import."""
    with kept_alive():
        yield


@pytest.fixture(scope="session", autouse=True)
def trials_in_this_process() -> Iterator[None]:
    """LiteRT runs each result in this process: a child takes longer to start than a small model to convert.

    `tests/backend/test_trial.py` and all that starts the command line as a process have the child.
    """

    def run_here(module: str, job: Mapping[str, Json], *, verbose: bool) -> Iterator[Json]:
        trial_child.main(job)
        yield from ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "run_alone", run_here)
        yield


@pytest.fixture(scope="session", autouse=True)
def only_the_times_that_come_with_layoutopt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test depends on what `layoutopt calibrate` measured on the machine that runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYOUTOPT_CACHE_DIR", str(tmp_path_factory.mktemp("times")))
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, which all tests share: Playwright runs once in a process."""
    from tests.report.browser import chromium

    with chromium() as started:
        yield started
