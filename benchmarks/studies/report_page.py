"""The time in which pages of `layoutopt report` open in a real browser.

::

    layoutopt report MODEL.onnx -o page.html
    python -m benchmarks.studies.report_page [--runs 5] page.html...

A page is opened from its file in Debian's Chromium, in a new window each time, and is ready when its script is: the
graphs are drawn, and keys and clicks are answered.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> None:
    """Open every page in a new window each time, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("There is no Chromium: make chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        print(f"Chromium {browser.version}, {options.runs} runs")
        for file in options.pages:
            opening, busy = zip(*(seconds_to_open(browser, file.resolve()) for _ in range(options.runs)), strict=True)
            print(
                f"{file.name}, {file.stat().st_size / 1e6:.1f} MB: median {statistics.median(opening):.2f} s from "
                f"navigation to ready, {min(opening):.2f} to {max(opening):.2f} s; its thread was busy for "
                f"{statistics.median(busy):.2f} s of that",
                flush=True,
            )
        browser.close()


def seconds_to_open(browser: Browser, file: Path) -> tuple[float, float]:
    """Measure from the start of the navigation to the first frame after the end of the page's script.

    Returns:
        That time, and for how long the page's thread had a processor, which other processes have less to do with.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector("html[data-ready]")
    milliseconds = page.evaluate("() => new Promise(done => requestAnimationFrame(() => done(performance.now())))")
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    page.context.close()
    return float(milliseconds) / 1000, float(metrics["TaskDuration"])


if __name__ == "__main__":
    main()
