"""How long the page of a report takes: to make it, and to open it in a real browser.

::

    python -m benchmarks.report_page [--operators 2000] [--runs 5]

The network has residual blocks, branches and skips across half of it; the graph before has a transpose around each of
its convolutions, so that it is more than twice as large. The page is opened from a file in Debian's Chromium, in a new
window each time, and is ready when its script is: the graphs are drawn, and keys and clicks are answered.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from layoutopt.report.html.page import render
from tests.report.browser import FLAGS
from tests.reports import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operators", type=int, default=2000, help="in the graph after, about")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("There is no Chromium: apt-get install chromium")
    model = report(options.operators, left=3)
    begin = time.process_time()
    page = render(model)
    seconds = time.process_time() - begin
    counts = [len(graph.nodes) for graph in (model.before, model.after) if graph]
    print(
        f"{' + '.join(map(str, counts))} operators, {len(page) / 1e6:.1f} MB, made in {seconds:.1f} s of processor time"
    )
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        file = Path(directory) / "report.html"
        file.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        opening, busy = zip(*(seconds_to_open(browser, file) for _ in range(options.runs)), strict=True)
        print(f"Chromium {browser.version}: median {statistics.median(opening):.2f} s from navigation to ready, "
              f"{min(opening):.2f} to {max(opening):.2f} s in {len(opening)} runs; "
              f"its thread was busy for {statistics.median(busy):.2f} s of that")  # fmt: skip
        browser.close()


def seconds_to_open(browser: Browser, file: Path) -> tuple[float, float]:
    """From the start of the navigation to the first frame after the end of the page's script.

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
