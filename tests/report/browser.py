"""A browser for tests: Debian's Chromium, or what LAYOUTOPT_CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = "LAYOUTOPT_CHROMIUM"
"""Names the browser. Where it is set, as `make test` does, the tests are not skipped for the lack of one."""

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
"""How Chromium is started where nobody looks: as root, without a graphics card, and without calls of its own."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; skip the test where there is none."""
    path = os.environ.get(CHROMIUM) or shutil.which("chromium")
    if not path:
        pytest.skip(f"there is no Chromium: run `make chromium`, or name one in {CHROMIUM}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()
